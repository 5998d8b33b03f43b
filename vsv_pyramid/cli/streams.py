"""stdout and stderr on which nothing depends: what they cannot take is dropped, and that is told
once on the other one. What a terminal would obey, or not show, leaves them as an escape."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from vsv_pyramid.words import one_line

# What is not plain ASCII on a line, or between two.
_ELSE = re.compile(r"[^\n\t -~]+")

Raw = Any  # of a stream: a FileIO, a console's, or what a test has in its place


class Outlet(io.RawIOBase):
    """The bottom of a stream. `error` is why it could not take what was written, if ever."""

    def __init__(self, raw: Raw, lost: Callable[[OSError], None]) -> None:
        self._raw = raw
        self._lost = lost
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def write(self, data: Any) -> int | None:
        try:
            count: int | None = self._raw.write(data)
        except OSError as exc:
            if self.error is None:
                self.error = exc
                self._lost(exc)
            return len(data)
        except ValueError:  # whoever it was of has closed it
            return len(data)
        return count

    @property
    def has_lost(self) -> bool:
        """Whether something was lost for somebody: who closes a pipe has read enough."""
        return self.error is not None and not _is_closed(self.error)


class _Shown(io.TextIOWrapper):
    """Text of several lines, in which all else that is not to be seen is an escape; but for what a
    progress bar begins with, to be written over the one before."""

    def write(self, text: str) -> int:
        start = text.startswith("\r")
        super().write(text[:start] + _ELSE.sub(lambda found: one_line(found[0]), text[start:]))
        return len(text)


def echo(line: str = "", *, err: bool = False) -> None:
    """Writes the text as one line, whatever others have put into it."""
    click.echo(one_line(line), err=err)


@contextlib.contextmanager
def forgiving(is_data: Callable[[], bool]) -> Iterator[Outlet]:
    """Puts such streams in the place of both until the block ends; the outlet is stdout's.

    `is_data` says whether a sentence on stdout would spoil what programs read there.
    """

    def lost_out(exc: OSError) -> None:
        if not _is_closed(exc):
            _say(err, f"Error: output: {exc.strerror}; some of it is lost, check the disk\n")

    def lost_err(exc: OSError) -> None:
        if not is_data():
            _say(out, f"Warning: the log cannot be written ({exc.strerror}); the work goes on\n")

    before = sys.stdout, sys.stderr
    out, err = _raw(sys.stdout), _raw(sys.stderr)
    outlet = Outlet(out, lost_out)
    streams = _over(sys.stdout, outlet), _over(sys.stderr, Outlet(err, lost_err))
    sys.stdout, sys.stderr = streams
    try:
        yield outlet
    finally:
        for stream in streams:
            if stream:
                stream.flush()
        sys.stdout, sys.stderr = before


def _is_closed(exc: OSError) -> bool:
    """Whether it is of a pipe whose reader has gone, which on Windows is EINVAL."""
    return exc.errno == errno.EPIPE or (sys.platform == "win32" and exc.errno == errno.EINVAL)


def _raw(stream: Any) -> Raw:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)  # with python -u there is no buffer between


def _over(stream: Any, outlet: Outlet) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # closed, or of a kind of its own
    stream.flush()
    return _Shown(
        io.BufferedWriter(outlet),
        encoding=stream.encoding,
        errors="backslashreplace",  # file names may be in any encoding
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _say(raw: Raw, sentence: str) -> None:
    """Past the stream's buffer, whose lock another thread may hold that waits for ours."""
    with contextlib.suppress(OSError):
        if raw is not None:
            raw.write(sentence.encode(errors="backslashreplace"))
