"""stdout and stderr on which nothing depends."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vsv_pyramid.cli import streams


class Raw(io.BytesIO):
    """The bottom of a stream, which may fail."""

    error: Exception | None = None

    def write(self, data: Any) -> int:
        if self.error:
            raise self.error
        return super().write(data)

    def text(self) -> str:
        return self.getvalue().decode()


@contextlib.contextmanager
def standing_on(out: Raw, err: Raw) -> Iterator[None]:
    with (
        contextlib.redirect_stdout(io.TextIOWrapper(out, encoding="utf-8")) as stdout,
        contextlib.redirect_stderr(io.TextIOWrapper(err, encoding="utf-8")) as stderr,
    ):
        yield
        stdout.detach()
        stderr.detach()


FULL = OSError(errno.ENOSPC, "No space left on device")
LEFT = BrokenPipeError(errno.EPIPE, "Broken pipe")
OUTPUT = "Error: output: No space left on device; some of it is lost, check the disk\n"
LOST = "Warning: the log cannot be written ({}); the work goes on\n"


@pytest.mark.parametrize("error", [FULL, LEFT])
def test_a_log_that_is_lost_is_told_once(error: OSError) -> None:
    out, err = Raw(), Raw()
    with standing_on(out, err), streams.forgiving(lambda: False) as outlet:
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": "first"}))
        err.error = error
        for _ in range(3):
            print("lost", file=sys.stderr, flush=True)
        err.error = None
        print("and again", file=sys.stderr)
        print("result")
    assert out.text() == LOST.format(error.strerror) + "result\n"
    assert err.text() == "first\nand again\n"
    assert not outlet.has_lost


def test_nothing_is_put_between_data() -> None:
    out, err = Raw(), Raw()
    err.error = FULL
    with standing_on(out, err), streams.forgiving(lambda: True):
        print("lost", file=sys.stderr, flush=True)
        print("{}")
    assert out.text() == "{}\n"


@pytest.mark.parametrize(
    ("error", "lost", "said"),
    [
        (
            FULL,
            True,
            "Error: output: No space left on device; some of it is lost, check the disk\n",
        ),
        (LEFT, False, ""),
        (ValueError("I/O operation on closed file"), False, ""),
    ],
)
def test_results_that_are_lost(error: Exception, lost: bool, said: str) -> None:
    out, err = Raw(), Raw()
    out.error = error
    with standing_on(out, err), streams.forgiving(lambda: False) as outlet:
        for _ in range(3):
            print("result", flush=True)
    assert outlet.has_lost is lost
    assert err.text() == said


def test_where_neither_takes_anything() -> None:
    out, err = Raw(), Raw()
    out.error = err.error = FULL
    with standing_on(out, err), streams.forgiving(lambda: False) as outlet:
        print("result", flush=True)
        print("log", file=sys.stderr, flush=True)
    assert outlet.has_lost


def test_streams_that_are_closed_or_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    other = io.StringIO()
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", other)
    with streams.forgiving(lambda: False):
        assert sys.stdout is None
        assert sys.stderr is other


def test_what_they_are_on_stays_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a buffer, as with python -u."""
    with (tmp_path / "out").open("wb", buffering=0) as file:
        stream = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        with streams.forgiving(lambda: False):
            assert sys.stdout.fileno() == file.fileno()
            assert not sys.stdout.isatty()
            print("caf\udce9")
            assert (tmp_path / "out").read_text() == "caf\\udce9\n"
        assert sys.stdout is stream
