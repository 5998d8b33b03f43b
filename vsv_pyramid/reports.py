"""What a run of conversions says while it goes on: text for people, or events as JSON lines."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import PurePath

import click

from vsv_pyramid.convert import Progress, Summary
from vsv_pyramid.display import ProgressDisplay, summary_line
from vsv_pyramid.errors import VsvPyramidError, passing

_EVENT_SECONDS = 10.0


def report(exc: Exception) -> None:
    """Tells the error on stderr."""
    click.echo(f"Error: {sentence(exc)}", err=True)


def sentence(exc: Exception) -> str:
    """The error in words."""
    if isinstance(exc, OSError):
        remedy = "try again" if passing(exc) else "check the path"
        return f"{exc.filename or 'output'}: {exc.strerror or exc}; {remedy}"
    return str(exc)


class Lines:
    """Says what happens as text: results on stdout, all else on stderr."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self._quiet = quiet
        self._results = not (quiet or as_json)

    @contextlib.contextmanager
    def progress(self, slide: str, _: str) -> Iterator[Callable[[Progress], None]]:
        if self._quiet:
            yield lambda _: None
        else:
            with ProgressDisplay(PurePath(slide).name) as show:
                yield show

    @contextlib.contextmanager
    def unwatched(self, _: str, __: str) -> Iterator[Callable[[Progress], None]]:
        yield lambda _: None

    def submitted(self, slide: str, job: str) -> None:
        if self._results:
            click.echo(f"{slide}: submitted as job {job}")

    def done(self, summary: Summary) -> None:
        for note in () if self._quiet else summary.notes:
            click.echo(f"{summary.slide}: {note}", err=True)
        if self._results:
            click.echo(summary_line(summary))

    def failed(self, _: str, exc: VsvPyramidError | OSError, __: int) -> None:
        report(exc)


class Events:
    """Says what happens as JSON lines on stderr, for unattended runs.

    `slide_id` is the id of all slides, None where each gets its file's stem.
    """

    def __init__(self, slide_id: str | None) -> None:
        self._slide_id = slide_id
        logger = logging.getLogger("vsv_pyramid")
        logger.setLevel(logging.INFO)
        logger.handlers = [_EventHandler()]

    @contextlib.contextmanager
    def progress(self, slide: str, target: str) -> Iterator[Callable[[Progress], None]]:
        _event("start", **self._names(slide), target=target)
        yield EventProgress(self._names(slide))

    unwatched = progress

    def submitted(self, slide: str, job: str) -> None:
        _event("submitted", **self._names(slide), job=job)

    def done(self, summary: Summary) -> None:
        _event("done", **dataclasses.asdict(summary))

    def failed(self, slide: str, exc: VsvPyramidError | OSError, code: int) -> None:
        _event("failed", **self._names(slide), error=sentence(exc), exit_code=code)

    def _names(self, slide: str) -> dict[str, str]:
        return {"slide": slide, "id": self._slide_id or PurePath(slide).stem}


class EventProgress:
    """Tells the Progress it is called with, and the slide's names, every ten seconds."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._start = self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= _EVENT_SECONDS:
            self._last = now
            seconds = round(now - self._start, 1)
            _event("progress", **self._names, **progress._asdict(), seconds=seconds)


def _event(name: str, **facts: object) -> None:
    """Writes one JSON line to stderr."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, "event": name, **facts}), file=sys.stderr, flush=True)


class _EventHandler(logging.Handler):
    """What the library logs, as events."""

    def emit(self, record: logging.LogRecord) -> None:
        name = getattr(record, "event", record.levelname.lower())
        _event(name, message=record.getMessage(), status=getattr(record, "status", None))
