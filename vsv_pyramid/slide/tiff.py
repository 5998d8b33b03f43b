"""A slide as a TIFF: how its base level is stored, whether it is all there, its raw tiles."""

from __future__ import annotations

import struct
import threading
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import tifffile

from vsv_pyramid.errors import SlideError, passing
from vsv_pyramid.geometry import Size
from vsv_pyramid.slide.reading import Watched, naming, opened, read_exactly, twice, unavailable

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
    ArithmeticError,
    MemoryError,  # for a tag that claims to be larger
)

# OpenSlide ends the process where it lacks the memory for a tile: 4 bytes a px, half a GB here.
_TILE_PIXELS = 1 << 27


@dataclass(frozen=True)
class TiffBase:
    """How the base level, the first page of a TIFF, is stored.

    `grid` is in tiles; `tables` is the JPEGTables tag; `offsets` and `counts` place each tile's
    bytes in the file, row by row.
    """

    compression: str
    photometric: str
    tiled: bool
    size: Size
    tile_size: Size
    tables: bytes
    offsets: array[int]
    counts: array[int]

    @property
    def grid(self) -> Size:
        """Columns and rows."""
        return Size(
            -(-self.size.width // self.tile_size.width),
            -(-self.size.height // self.tile_size.height),
        )


class RawTiles:
    """The base level's compressed tiles, read from several threads: each has its own handle."""

    def __init__(self, path: Path, base: TiffBase) -> None:
        self.base = base
        self._columns = base.grid.width
        self._path = path
        self._local = threading.local()
        self._files: list[BinaryIO] = []

    def read(self, columns: range, rows: range) -> list[bytes | None]:
        """The bytes of these tiles, row by row, None for one that the slide has left out.

        Raises SlideError.
        """
        file: BinaryIO | None = getattr(self._local, "file", None)
        if file is None:
            file = self._local.file = opened(self._path)
            self._files.append(file)
        offsets, counts = self.base.offsets, self.base.counts
        tiles: list[bytes | None] = []
        with naming(self._path):
            for row in rows:
                for index in range(
                    row * self._columns + columns.start, row * self._columns + columns.stop
                ):
                    offset, count = offsets[index], counts[index]
                    tiles.append(read_exactly(file, self._path, offset, count) if count else None)
        return tiles

    def close(self) -> None:
        for file in self._files:
            file.close()


def tiff_base(path: Path) -> TiffBase | None:
    """How the base level is stored; None where the file is not a TIFF.

    Raises SlideError where the TIFF is damaged, or ends before the data it points to.
    """
    return twice(lambda: _tiff_base(path), SlideError)


def _tiff_base(path: Path) -> TiffBase | None:
    with naming(path), Watched(path) as file:
        base = _read_base(path, file)
        if file.trouble:  # tifffile goes on without the page
            raise unavailable(path, file.trouble)
        return base


def _read_base(path: Path, file: BinaryIO) -> TiffBase | None:
    if file.read(4) not in _MAGIC:
        return None
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            pages = list(tiff.pages)
            end = max(
                offset + count
                for page in pages
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            )
            page = tiff.pages.first
            base = TiffBase(
                compression=_name(page.compression),
                photometric=_name(page.photometric),
                tiled=page.is_tiled,
                size=Size(page.imagewidth, page.imagelength),
                tile_size=Size(page.tilewidth, page.tilelength),
                tables=page.jpegtables or b"",
                # 8 bytes a tile, where a tuple of integers takes 40
                offsets=array("Q", page.dataoffsets),
                counts=array("Q", page.databytecounts),
            )
            if base.tiled and len(base.counts) < base.grid.pixels:
                raise tifffile.TiffFileError("fewer tiles than cover the image")
            # Its objects refer to each other: 80 bytes a tile would stay until they are collected.
            for page in pages:
                page.dataoffsets = page.databytecounts = ()
                for tag in "TileOffsets", "TileByteCounts":
                    if tag in page.tags:
                        del page.tags[tag]
    except _DAMAGED as exc:
        if cause := passing(exc):
            raise unavailable(path, cause) from exc
        raise SlideError(
            path,
            "damaged or cut off: its TIFF directories cannot be read; copy it from the scanner "
            "again",
        ) from exc
    if base.tiled and base.tile_size.pixels > _TILE_PIXELS:
        width, height = base.tile_size
        raise SlideError(
            path, f"its tiles of {width} x {height} px are too large; save it with smaller ones"
        )
    size = path.stat().st_size
    if end > size:
        raise SlideError(
            path, f"cut off at {size:,} of at least {end:,} bytes; copy it from the scanner again"
        )
    return base


def base_pixels(file: BinaryIO) -> int | None:
    """The base level's pixels as the TIFF states them; None where it is none."""
    try:
        with tifffile.TiffFile(file) as tiff:
            return int(tiff.pages.first.imagewidth) * int(tiff.pages.first.imagelength)
    except _DAMAGED:
        return None


def _name(value: object) -> str:
    """The standard's name for a tag's value, or the number where tifffile knows none."""
    return str(getattr(value, "name", value))
