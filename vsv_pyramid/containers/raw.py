"""The base level as a container stores it, and its tiles as they are in there: all that is asked
for, be it to copy them or to decode them.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from vsv_pyramid.containers.reading import naming, opened, read_exactly
from vsv_pyramid.errors import SlideUnavailable
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size

JPEG = "JPEG"
MOST_READS = 3  # of a tile whose bytes change

_HEADER = 1024  # bytes, within which a JPEG's header mostly ends


class Piece(NamedTuple):
    """Bytes of one of a level's files, which is given by its number."""

    file: int
    offset: int
    length: int


@dataclass(frozen=True)
class StoredLevel:
    """A level as a container stores it: tiles on one grid, in one file or several.

    `size` is the picture's and `tile_size` a whole tile's, in stored px. `compression` and
    `photometric` are what the container says of them, by the standard's names; `tables` is what
    JPEG tiles share. `offsets` and `counts` place each tile's bytes, row by row, one plane after
    the other; a count of 0 is a tile that is left out. `at` is where in the slide's level 0 it
    begins, (x, y) in px.
    """

    files: tuple[Path, ...]
    size: Size
    tile_size: Size
    compression: str
    photometric: str
    tables: bytes
    offsets: array[int]
    counts: array[int]
    _: KW_ONLY
    at: tuple[int, int] = (0, 0)

    @property
    def is_rgb(self) -> bool:
        """The container's word on three samples, for streams that have none of their own."""
        return self.photometric == "RGB"

    @property
    def tiled(self) -> bool:
        return True

    @property
    def obstacle(self) -> str | None:
        """Why its tiles cannot be joined as they lie, in words."""
        return None

    @property
    def planes(self) -> int:
        """How many tiles there are of each place: one, or one a sample."""
        return 1

    @property
    def grid(self) -> Size:
        """Columns and rows."""
        return Size(
            -(-self.size.width // self.tile_size.width),
            -(-self.size.height // self.tile_size.height),
        )

    def around(self, x: int, y: int, size: Size) -> tuple[range, range]:
        """The columns and the rows of the tiles that the region, in px from `at`, is of."""
        (width, height), grid = self.tile_size, self.grid
        columns = range(max(x // width, 0), min(-(-(x + size.width) // width), grid.width))
        rows = range(max(y // height, 0), min(-(-(y + size.height) // height), grid.height))
        return columns, rows

    def pieces(self, index: int) -> Sequence[Piece]:
        """Where the bytes of a tile are that is not left out."""
        return (Piece(0, self.offsets[index], self.counts[index]),)

    def decoded(self, data: bytes, index: int) -> Pixels:
        """The pixels (rows, columns, samples) of a tile that is no JPEG. Raises StreamError."""
        raise NotImplementedError


class RawTiles:
    """A level's tiles as they are stored. Read from several threads: each has handles of its own.

    Raises SlideError where they cannot be read.
    """

    def __init__(self, base: StoredLevel) -> None:
        self.base = base
        self._local = threading.local()
        self._opened: list[BinaryIO] = []

    def read(self, columns: range, rows: range, plane: int = 0) -> list[bytes | None]:
        """The bytes of these tiles, row by row, None for one that the slide has left out."""
        width, first_row = self.base.grid.width, plane * self.base.grid.height
        return [
            self._bytes((first_row + row) * width + column) for row in rows for column in columns
        ]

    def tile(self, column: int, row: int, plane: int = 0) -> bytes | None:
        """As `read`, of a single tile."""
        return self._bytes(self.index(column, row, plane))

    def index(self, column: int, row: int, plane: int = 0) -> int:
        """The tile's number in the level."""
        return (plane * self.base.grid.height + row) * self.base.grid.width + column

    def headers(self, is_whole: Callable[[bytes], bool]) -> Iterator[bytes]:
        """Of every tile that is there, its first bytes, or all of them where `is_whole` finds that
        these are not enough."""
        for index, count in enumerate(self.base.counts):
            if not count:
                continue
            piece = self.base.pieces(index)[0]
            header = self._read(piece._replace(length=min(piece.length, _HEADER)))
            yield header if len(header) == count or is_whole(header) else self._bytes(index) or b""

    def unsteady(self, column: int, row: int) -> SlideUnavailable:
        """What is to be raised where the tile was read MOST_READS times."""
        what = f"its tile at column {column}, row {row} differs at each reading"
        return SlideUnavailable(
            self.base.files[0], f"{what}; check its disk or share, and try again"
        )

    def close(self) -> None:
        for file in self._opened:
            file.close()

    def _bytes(self, index: int) -> bytes | None:
        if not self.base.counts[index]:
            return None
        pieces = self.base.pieces(index)
        return self._read(pieces[0]) if len(pieces) == 1 else b"".join(map(self._read, pieces))

    def _read(self, piece: Piece) -> bytes:
        path, file = self.base.files[piece.file], self._file(piece.file)
        with naming(path):
            return read_exactly(file, path, piece.offset, piece.length)

    def _file(self, number: int) -> BinaryIO:
        """This thread's handle."""
        files: dict[int, BinaryIO] | None = getattr(self._local, "files", None)
        if files is None:
            files = self._local.files = {}
        if number not in files:
            files[number] = opened(self.base.files[number])
            self._opened.append(files[number])
        return files[number]


def probes(base: StoredLevel) -> Iterator[bytes]:
    """Up to three tiles of those that are there, from the middle first. Raises SlideError."""
    grid = base.grid
    there = np.flatnonzero(np.frombuffer(base.counts, np.uint64)[: grid.pixels])
    wanted = [grid.width * (grid.height * part // 4) + grid.width * part // 4 for part in (2, 1, 3)]
    with closing(RawTiles(base)) as raw:
        for place in dict.fromkeys(np.searchsorted(there, wanted).tolist() if len(there) else ()):
            row, column = divmod(int(there[min(place, len(there) - 1)]), grid.width)
            if tile := raw.tile(column, row):
                yield tile
