"""A slide in a folder at a look: which files, and whether it is all there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vsv_pyramid.containers.instances import lacking, series_of
from vsv_pyramid.containers.tiff import tiff_base
from vsv_pyramid.errors import SlideAccessError, SlideError
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.files import extent
from vsv_pyramid.slide.names import is_dicom_name
from vsv_pyramid.slide.series import series_at

UNFINISHED_SECONDS = 900.0  # for which nothing may be written to a TIFF that lacks its end


class Look(NamedTuple):
    """A slide's files at a look: bytes in all, newest mtime in ns."""

    size: int
    mtime_ns: int


def look_at(path: Path) -> Look | None:
    """None where the slide has vanished."""
    try:
        return Look(*extent(path))
    except (OSError, SlideAccessError):
        return None


def is_unfinished(path: Path) -> bool:
    """Whether what is there has been written to not long ago, and lacks something: a file of a
    DICOM series; all that the file should hold; or data that the TIFF points to, for most scanners
    and copies write the end last."""
    if path.is_dir() or is_dicom_name(path.name):
        return _lacks_files(path)
    stat = path.stat()
    if _is_old(stat.st_ctime):
        return False
    if not stat.st_size:
        return True
    try:
        base = tiff_base(path)
    except SlideAccessError:
        return False
    except SlideError:
        return True
    return base is not None and base.cut


def _is_old(ctime: float) -> bool:
    """Of what was last written to then, if not by a clock that was wrong: copies keep the mtime."""
    return abs(clock.time() - ctime) > UNFINISHED_SECONDS


def _lacks_files(path: Path) -> bool:
    series = series_at(path)
    if series is None and path.is_dir():
        return True
    files = series.files if series else [path]
    if _is_old(max(file.stat().st_ctime for file in files)):
        return False
    if series is None:
        return True
    try:
        return lacking(series_of(series.base)) is not None
    except SlideAccessError:
        return False
    except SlideError:  # a file beside it is not there as a whole
        return True
