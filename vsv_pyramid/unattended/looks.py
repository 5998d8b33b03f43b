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


def is_at_rest(path: Path) -> bool:
    """Whether nothing has been written to the file for so long that nothing more will come."""
    return clock.time() - path.stat().st_ctime > UNFINISHED_SECONDS  # copies preserve the mtime


def is_unfinished(path: Path) -> bool:
    """Whether a file of a DICOM series is missing; or the file is empty, or the TIFF lacks data
    that it points to, and has been written to not long ago: most scanners and copies write the end
    last."""
    if path.is_dir() or is_dicom_name(path.name):
        return _lacks_files(path)
    if is_at_rest(path):
        return False
    if not path.stat().st_size:
        return True
    try:
        base = tiff_base(path)
    except SlideAccessError:
        return False
    except SlideError:
        return True
    return base is not None and base.cut


def _lacks_files(path: Path) -> bool:
    series = series_at(path)
    if series is None:
        return True
    if clock.time() - max(file.stat().st_ctime for file in series.files) > UNFINISHED_SECONDS:
        return False
    try:
        return lacking(series_of(series.base)) is not None
    except SlideAccessError:
        return False
    except SlideError:  # a file beside it is not there as a whole
        return True
