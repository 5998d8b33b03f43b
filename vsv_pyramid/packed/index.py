"""The index of a packed pyramid: where in the file each tile is, by the lengths of all tiles.

It is the file's first member. A header (little-endian: the magic bytes, the version, the bytes of a
length, the tile size, width and height in px, where the first tile's zip header begins, the number
of tiles, the CRC-32 of the lengths) stands before the lengths of the tiles in the file's order; all
offsets follow from these, and from the names, since each tile's zip header is as long as its name.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.layout.geometry import Pyramid, Size, TileAddress
from vsv_pyramid.layout.szi import tile_name
from vsv_pyramid.packed.order import in_order
from vsv_pyramid.packed.records import header_bytes

VERSION = 1

_MAGIC = b"SZIX"
_HEADER = struct.Struct("<4s2H3IQ2I")
_WIDTHS = (1, 2, 3, 4)  # bytes of a length


@dataclass(frozen=True)
class Index:
    """Where the tiles are in a packed file whose root folder is `name`. `start` is where the first
    tile's zip header begins; `lengths` are in bytes, in the file's order."""

    name: str
    pyramid: Pyramid
    start: int
    lengths: npt.NDArray[np.int64]

    @classmethod
    def parse(cls, name: str, data: bytes) -> Index:
        """Raises DescriptorError for what is no index, is damaged, or of a later version."""
        if len(data) < _HEADER.size or data[: len(_MAGIC)] != _MAGIC:
            raise DescriptorError("its first member is no index")
        _, version, width, side, *size, start, count, crc = _HEADER.unpack_from(data)
        if version != VERSION:
            raise DescriptorError(f"its index is of version {version}; a later release reads it")
        packed = data[_HEADER.size :]
        if width not in _WIDTHS or len(packed) != width * count or zlib.crc32(packed) != crc:
            raise DescriptorError("its index is damaged")
        pyramid = Pyramid(Size(*size), side) if min(*size, side) > 0 else None
        if pyramid is None or pyramid.tile_count != count:
            raise DescriptorError("its index has not as many tiles as the pyramid")
        wide = np.zeros((count, 8), np.uint8)
        wide[:, :width] = np.frombuffer(packed, np.uint8).reshape(count, width)
        return cls(name, pyramid, start, wide.view("<i8")[:, 0])

    @property
    def data(self) -> bytes:
        """The bytes of the index."""
        width = _width(int(self.lengths.max(initial=0)))
        wide = np.ascontiguousarray(self.lengths, "<i8").view(np.uint8).reshape(-1, 8)
        packed = wide[:, :width].tobytes()
        return (
            _HEADER.pack(
                _MAGIC,
                VERSION,
                width,
                self.pyramid.tile_size,
                *self.pyramid.size,
                self.start,
                len(self.lengths),
                zlib.crc32(packed),
            )
            + packed
        )

    def span(self, address: TileAddress) -> tuple[int, int]:
        """Where the tile's bytes begin in the file, and where they end."""
        level = self.pyramid.levels[address.level]
        place = self._places[address.level][address.row * level.columns + address.column]
        end = int(self._ends[place])
        return end - int(self.lengths[place]), end

    @cached_property
    def _places(self) -> list[npt.NDArray[np.int64]]:
        """Of each level's tiles, row by row, their place in the file's order."""
        places = [np.zeros(level.columns * level.rows, np.int64) for level in self.pyramid.levels]
        columns = [level.columns for level in self.pyramid.levels]
        for place, (level, column, row) in enumerate(in_order(self.pyramid)):
            places[level][row * columns[level] + column] = place
        return places

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        headers = np.fromiter(
            (header_bytes(tile_name(self.name, address)) for address in in_order(self.pyramid)),
            np.int64,
            len(self.lengths),
        )
        return self.start + np.cumsum(headers + self.lengths)


def index_bytes(tiles: int, longest: int) -> int:
    """How long an index is, by the number of tiles and the longest one in bytes."""
    return _HEADER.size + tiles * _width(longest)


def _width(longest: int) -> int:
    return max(1, -(-longest.bit_length() // 8))
