"""What only a slide's TIFF structure tells: compression, colour, whether it is all there."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import tifffile

from vsv_pyramid.errors import SlideError

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


# What tifffile raises on bytes that are no TIFF, or only the beginning of one.
_DAMAGED = (
    tifffile.TiffFileError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OSError,
)


@dataclass(frozen=True)
class TiffBase:
    """How the base level, the first page of a TIFF, is stored."""

    compression: str
    photometric: str
    tiled: bool


def tiff_base(path: Path) -> TiffBase | None:
    """How the base level is stored; None where the file is not a TIFF.

    Raises SlideError where the TIFF is damaged, or ends before the data it points to.
    """
    with path.open("rb") as file:
        if file.read(4) not in _MAGIC:
            return None
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = list(tiff.pages)
            end = max(
                offset + count
                for page in pages
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            )
            page = tiff.pages.first
            base = TiffBase(_name(page.compression), _name(page.photometric), page.is_tiled)
    except _DAMAGED as exc:
        raise SlideError(
            path,
            "damaged or cut off: its TIFF directories cannot be read; copy it from the scanner "
            "again",
        ) from exc
    size = path.stat().st_size
    if end > size:
        raise SlideError(
            path, f"cut off at {size:,} of at least {end:,} bytes; copy it from the scanner again"
        )
    return base


def _name(value: object) -> str:
    """The standard's name for a tag's value, or the number where tifffile knows none."""
    return str(getattr(value, "name", value))
