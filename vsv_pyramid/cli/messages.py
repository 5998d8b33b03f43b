"""What a run says on stderr while it goes on: text for people, or events as JSON lines, and nothing
that libraries write there themselves."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TextIO

from vsv_pyramid.cli.display import ProgressDisplay, summary_line
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.errors import OptionError, VsvPyramidError, exit_code, passing
from vsv_pyramid.layout import keys
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.excluded import NOT_THE_USERS
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.words import one_line

if TYPE_CHECKING:
    from vsv_pyramid.conversion.summary import Summary
    from vsv_pyramid.planning.options import ConvertOptions
    from vsv_pyramid.runtime.progress import Progress

_EVENT_SECONDS = 10.0


# What these log, our errors say; Python's warnings are for those who write programs.
_SILENT = ("pydicom", "tifffile", "watchdog", "py.warnings")


@contextlib.contextmanager
def only_our_own() -> Iterator[None]:
    """Keeps off stderr what libraries in C write there (libtiff, OpenSlide's GLib), and Python's
    warnings, until the block ends."""
    logging.captureWarnings(True)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    own = sys.stderr
    if own is None:  # it is closed, and its number is another file's by now
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        if _is_the_process(own):
            sys.stderr = io.TextIOWrapper(
                io.FileIO(kept, "w", closefd=False),
                encoding=own.encoding,
                errors="backslashreplace",  # file names may be in any encoding
                line_buffering=True,
            )
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        sys.stderr = own
        os.close(kept)
        os.close(nowhere)


def _is_the_process(stream: TextIO) -> bool:
    """Whether the stream is the process's own stderr, and not one that a caller has put there."""
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False


def speak(*, as_events: bool) -> None:
    """How all that is said from now on is said, also what libraries log and nobody else hears."""
    Voice.as_events = as_events
    met.begin(lambda _: None)
    own, others = (_EventHandler() if as_events else logging.StreamHandler() for _ in range(2))
    for handler in (own, others):
        handler.setFormatter(_OneLine("Warning: %(message)s"))
    others.setLevel(logging.ERROR)
    logging.lastResort = others
    logger = logging.getLogger("vsv_pyramid")
    logger.setLevel(logging.INFO if as_events else logging.WARNING)
    logger.handlers = [own]


class Voice:
    """How the process speaks, and whether its events have the slides' paths."""

    as_events = False
    shows_paths = False


def say_error(exc: Exception) -> None:
    """Tells the error on stderr."""
    say("error", f"Error: {sentence(exc)}", error=sentence(exc), exit_code=exit_code(exc))


def say(event: str, text: str, **facts: object) -> None:
    """Tells the text on stderr, or the event instead."""
    if Voice.as_events:
        _event(event, **facts)
    else:
        echo(text, err=True)


def called(slide: str) -> str:
    """What an event calls the slide."""
    return slide if Voice.shows_paths else met.called(slide)


def anonymous(exc: Exception) -> str:
    """The error in words, as an event has it."""
    return sentence(exc) if Voice.shows_paths else met.sentence(sentence(exc))


def sentence(exc: Exception) -> str:
    """The error in words, on one line."""
    if isinstance(exc, OSError):
        remedy = "try again" if passing(exc) else "check the path"
        return one_line(f"{exc.filename or 'output'}: {exc.strerror or exc}; {remedy}")
    return one_line(str(exc))


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

    def watching(self, folder: Path, options: ConvertOptions) -> None:
        """Tells what is looked for."""
        if not self._quiet:
            left_out = ", ".join(_left_out(options))
            echo(f"{folder} is watched, but for {left_out}", err=True)

    def named(self, slide: str, options: ConvertOptions) -> None:
        """Tells of an id that is made of the slide's name, before anything has it."""
        if not self._quiet and (slide_id := _made_id(slide, options)):
            echo(f"{slide}: gets the id {slide_id}", err=True)

    def submitted(self, slide: str, job: str) -> None:
        if self._results:
            echo(f"{slide}: submitted as job {job}")

    def done(self, summary: Summary) -> None:
        for note in () if self._quiet else summary.notes:
            echo(f"{summary.slide}: {note}", err=True)
        if self._results:
            echo(summary_line(summary))

    def failed(self, _: str, exc: VsvPyramidError | OSError, __: int) -> None:
        say_error(exc)


class Events:
    """Says what happens as JSON lines on stderr, for unattended runs.

    `options` say which id each slide gets.
    """

    def __init__(self, options: ConvertOptions) -> None:
        self._options = options
        speak(as_events=True)
        met.begin(self._id_of)

    @contextlib.contextmanager
    def progress(self, slide: str, target: str) -> Iterator[Callable[[Progress], None]]:
        _event("start", **self._names(slide), target=target)
        yield EventProgress(self._names(slide))

    unwatched = progress

    def watching(self, folder: Path, options: ConvertOptions) -> None:
        _event("watching", folder=str(folder), excluded=_left_out(options))

    def named(self, slide: str, options: ConvertOptions) -> None:
        if slide_id := _made_id(slide, options):
            _event("named", slide=slide, id=slide_id)

    def submitted(self, slide: str, job: str) -> None:
        _event("submitted", **self._names(slide), job=job)

    def done(self, summary: Summary) -> None:
        _event("done", **dataclasses.asdict(summary))

    def failed(self, slide: str, exc: VsvPyramidError | OSError, code: int) -> None:
        _event("failed", **self._names(slide), error=sentence(exc), exit_code=code)

    def _names(self, slide: str) -> dict[str, str]:
        return {"slide": slide, "id": met.called(slide)}

    def _id_of(self, slide: str) -> str | None:
        """None where it cannot be one, or where this may be a folder that is not there."""
        path = PurePath(slide)
        if self._options.slide_id or not (path.suffix or Voice.shows_paths):
            return self._options.slide_id
        from vsv_pyramid.slide.series import stem_of  # late: a start does without it

        try:
            return self._options.id_of(stem_of(slide))
        except OptionError:
            return stem_of(slide) if Voice.shows_paths else None


def _left_out(options: ConvertOptions) -> list[str]:
    return [*NOT_THE_USERS, *options.exclude]


def _made_id(slide: str, options: ConvertOptions) -> str | None:
    from vsv_pyramid.slide.series import stem_of

    stem = stem_of(slide)
    is_made = options.ids == "opaque" or (options.ids == "safe" and not keys.is_id(stem))
    return options.id_of(stem) if is_made and not options.slide_id else None


class EventProgress:
    """Tells the Progress it is called with, and the slide's names, every ten seconds."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._start = self._last = clock.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = clock.monotonic()
        if now - self._last >= _EVENT_SECONDS:
            self._last = now
            seconds = round(now - self._start, 1)
            _event("progress", **self._names, **progress._asdict(), seconds=seconds)


def _event(name: str, **facts: object) -> None:
    """Writes one JSON line to stderr, if there is one that takes it."""
    if not sys.stderr:
        return  # print would take stdout
    now = clock.utc().isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "event": name, **_told(facts)})
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


# What is no place, though it may be written as one; all else goes through `met`.
_AS_THEY_ARE = ("id", "status", "job", "excluded")
_PLACES = ("slide", "folder")


def _told(facts: dict[str, object]) -> dict[str, object]:
    """The facts without the paths and names of slides, unless these are to be shown."""
    if Voice.shows_paths:
        return facts
    if "slide" in facts:
        met.meet([facts["slide"]])
    return {name: _named(name, fact) for name, fact in facts.items() if name not in _PLACES}


def _named(name: str, fact: object) -> object:
    if name in _AS_THEY_ARE:
        return fact
    if isinstance(fact, (list, tuple)):
        return [_named(name, each) for each in fact]
    if isinstance(fact, str):
        return met.path(fact) if name == "target" else met.sentence(fact)
    return fact


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))


class _EventHandler(logging.Handler):
    """What the library logs, as events."""

    def emit(self, record: logging.LogRecord) -> None:
        name = getattr(record, "event", record.levelname.lower())
        _event(name, message=record.getMessage(), status=getattr(record, "status", None))
