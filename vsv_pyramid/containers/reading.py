"""How bytes are read from slides: so many as were asked for, or the reason why not.

A read may give fewer bytes than there are (FUSE, network shares), and fail and go well the next
time. Neither says anything of the slide.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from vsv_pyramid.errors import SlideAccessError, SlideError, SlideUnavailable, passing

Result = TypeVar("Result")

_CHUNK = 1 << 20


def read_exactly(file: BinaryIO, path: Path, offset: int, count: int) -> bytes:
    """So many bytes from `offset` on.

    Raises SlideError where the file ends before, SlideUnavailable where only the reading does, and
    OSError.
    """
    parts: list[bytes] = []
    lacking = count
    file.seek(offset)
    while lacking and (part := file.read(lacking)):
        parts.append(part)
        lacking -= len(part)
    if not lacking:
        return b"".join(parts)
    size, end = os.fstat(file.fileno()).st_size, offset + count
    if size >= end:
        raise unavailable(path, f"its reading ended at {end - lacking:,} of {size:,} bytes")
    raise SlideError(
        path, f"cut off at {size:,} of at least {end:,} bytes; copy it from the scanner again"
    )


def twice(
    attempt: Callable[[], Result],
    failures: type[Exception] | tuple[type[Exception], ...],
    check: Callable[[], object] = lambda: None,
) -> Result:
    """What the attempt returns, the second one where the first fails and the check does not:
    damaged is only what was read whole, twice."""
    try:
        return attempt()
    except failures as exc:
        if isinstance(exc, SlideAccessError):
            raise
    check()
    return attempt()


def opened(path: Path) -> BinaryIO:
    """The file, to be read without a buffer. Raises SlideAccessError."""
    with naming(path):
        return path.open("rb", buffering=0)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a SlideError that names the slide: SlideUnavailable for a
    trouble that passes, also where a library made another error of it."""
    try:
        yield
    except SlideError:
        raise
    except Exception as exc:
        if cause := passing(exc):
            raise unavailable(path, cause) from exc
        if isinstance(exc, OSError) and exc.errno is not None:
            what = f"{reason(exc)}; check the path and its permissions"
            raise SlideAccessError(path, what) from exc
        raise


def unavailable(path: Path, why: OSError | str) -> SlideUnavailable:
    said = (why.strerror or why) if isinstance(why, OSError) else why
    what = f"cannot be read just now ({said}); check its disk or share, and try again"
    return SlideUnavailable(path, what)


def check_readable(path: Path) -> None:
    """Reads the file from begin to end: what a library says of it thereafter, it says of its bytes.

    Raises SlideAccessError.
    """
    with opened(path) as file, naming(path):
        while file.read(_CHUNK):
            pass


class _Remembering(io.FileIO):
    trouble: OSError | None = None

    def readinto(self, buffer: object) -> int | None:
        try:
            return super().readinto(buffer)  # type: ignore[arg-type]
        except OSError as exc:
            self.trouble = exc
            raise

    def readall(self) -> bytes:
        try:
            return super().readall()
        except OSError as exc:
            self.trouble = exc
            raise


class Watched(io.BufferedReader):
    """A file for libraries that do not tell why they could not read it."""

    def __init__(self, path: Path) -> None:
        self._file = _Remembering(path)
        super().__init__(self._file)

    def fileno(self) -> int:
        """There is none: by it, Pillow's libtiff would map the file into memory, and the system
        ends a process that meets there what cannot be read."""
        raise io.UnsupportedOperation("fileno")

    @property
    def trouble(self) -> OSError | None:
        """What was in the way of the last read that failed."""
        return self._file.trouble


def reason(exc: OSError) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(exc, FileNotFoundError):
        return "no such file"
    if isinstance(exc, IsADirectoryError):
        return "is a folder"
    return exc.strerror or str(exc)
