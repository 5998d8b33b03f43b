"""The base level's tiles, as they are in the file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vsv_pyramid.containers.reading import naming, opened, read_exactly
from vsv_pyramid.containers.tiff import TiffBase
from vsv_pyramid.errors import SlideUnavailable

MOST_READS = 3  # of a tile whose bytes change

_LIBTIFF_READS = 1024  # bytes at once
_HEADER = 1024  # bytes, within which a JPEG's header mostly ends


class RawTiles:
    """Read from several threads: each has a handle of its own."""

    def __init__(self, path: Path, base: TiffBase) -> None:
        self.base = base
        self._columns = base.grid.width
        self._path = path
        self._local = threading.local()
        self._files: list[BinaryIO] = []

    def read(self, columns: range, rows: range, plane: int = 0) -> list[bytes | None]:
        """The bytes of these tiles, row by row, None for one that the slide has left out.

        Raises SlideError.
        """
        file: BinaryIO | None = getattr(self._local, "file", None)
        if file is None:
            file = self._local.file = opened(self._path)
            self._files.append(file)
        offsets, counts = self.base.offsets, self.base.counts
        tiles: list[bytes | None] = []
        first_row = plane * self.base.grid.height
        with naming(self._path):
            for row in range(first_row + rows.start, first_row + rows.stop):
                for index in range(
                    row * self._columns + columns.start, row * self._columns + columns.stop
                ):
                    offset, count = offsets[index], counts[index]
                    tiles.append(read_exactly(file, self._path, offset, count) if count else None)
        return tiles

    def tile(self, column: int, row: int, plane: int = 0) -> bytes | None:
        """As `read`, of a single tile."""
        return self.read(range(column, column + 1), range(row, row + 1), plane)[0]

    def headers(self, is_whole: Callable[[bytes], bool]) -> Iterator[bytes]:
        """Of every tile that is there, its first bytes, or all of them where `is_whole` finds that
        these are not enough. Raises SlideError."""
        with opened(self._path) as file, naming(self._path):
            for offset, count in zip(self.base.offsets, self.base.counts, strict=True):
                if not count:
                    continue
                header = read_exactly(file, self._path, offset, min(count, _HEADER))
                if count > _HEADER and not is_whole(header):
                    header = read_exactly(file, self._path, offset, count)
                yield header

    def unsteady(self, column: int, row: int) -> SlideUnavailable:
        """What is to be raised where the tile was read MOST_READS times."""
        what = f"its tile at column {column}, row {row} differs at each reading"
        return SlideUnavailable(self._path, f"{what}; check its disk or share, and try again")

    def close(self) -> None:
        for file in self._files:
            file.close()


def probes(path: Path, base: TiffBase) -> Iterator[bytes]:
    """Up to three tiles of those that are there, from the middle first. Raises SlideError."""
    grid = base.grid
    there = np.flatnonzero(np.frombuffer(base.counts, np.uint64)[: grid.pixels])
    wanted = [grid.width * (grid.height * part // 4) + grid.width * part // 4 for part in (2, 1, 3)]
    with closing(RawTiles(path, base)) as raw:
        for place in dict.fromkeys(np.searchsorted(there, wanted).tolist() if len(there) else ()):
            row, column = divmod(int(there[min(place, len(there) - 1)]), grid.width)
            if tile := raw.tile(column, row):
                yield tile


def libtiff_takes(base: TiffBase) -> bool:
    """Whether libtiff reads the page's bare tiles: it reads whole KiB of one, and refuses what is
    more than the pixels, be it spare or of what lies behind the tile."""
    counts = np.frombuffer(base.counts, np.uint64)
    return not (spare_bytes(base).any() or (counts % _LIBTIFF_READS).any())


def spare_bytes(base: TiffBase) -> npt.NDArray[np.int64]:
    """What each tile has beyond its pixels, where there is no compression: 0 for one that is left
    out, and less than 0 for one that is cut."""
    page, (width, height), grid = base.page, base.tile_size, base.grid
    row_bytes = -(-width * (1 if page.planar else page.samples) * page.bits[0] // 8)
    rows = np.full(grid.height, height)
    if page.tile is None:  # the last strip is as short as the picture is
        rows[-1] = page.size.height - height * (grid.height - 1)
    pixels = np.tile(np.repeat(rows * row_bytes, grid.width), base.planes)
    counts = np.frombuffer(base.counts, np.uint64)[: len(pixels)].astype(np.int64)
    return np.where(counts, counts - pixels, 0)
