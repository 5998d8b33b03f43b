"""Pure arithmetic of a DeepZoom pyramid with overlap 0: levels, grids, parents and children.

The coordinate planes, each named in the variables that live in it:
- tile: column and row of a tile within one level (TileAddress)
- level: pixels of one level, origin at the level's top left
- base: pixels of the pyramid's highest level, the one at full resolution
- slide: pixels of the slide's level 0; base plus the offset of the scanned bounds
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_THUMBNAIL_SIDE = 1024


class Size(NamedTuple):
    """Width and height in px."""

    width: int
    height: int

    def halved(self) -> Size:
        """Half the size, rounded up: a level's size from the next higher level's."""
        return Size(-(-self.width // 2), -(-self.height // 2))

    @property
    def pixels(self) -> int:
        return self.width * self.height


class TileAddress(NamedTuple):
    """A tile's place: the DeepZoom level (0 is 1x1 px), its column and its row."""

    level: int
    column: int
    row: int

    def __str__(self) -> str:
        return f"{self.level}/{self.column}_{self.row}"


class Level(NamedTuple):
    """One level of a pyramid: its number, its size in px, its grid in tiles."""

    number: int
    size: Size
    columns: int
    rows: int

    def tiles(self) -> Iterator[TileAddress]:
        """The addresses of the level's tiles, row by row."""
        for row in range(self.rows):
            for column in range(self.columns):
                yield TileAddress(self.number, column, row)


@dataclass(frozen=True)
class Pyramid:
    """A pyramid over a base of `size` px, cut into tiles of `tile_size` px without overlap. Raises
    ValueError where there is no pixel."""

    size: Size
    tile_size: int

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"{self.size.width} x {self.size.height} px are no picture")

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """All levels, from 1x1 px up to the base; their count is ceil(log2(longer side)) + 1."""
        sizes = [self.size]
        while sizes[-1] != (1, 1):
            sizes.append(sizes[-1].halved())
        return tuple(
            Level(number, size, -(-size.width // self.tile_size), -(-size.height // self.tile_size))
            for number, size in enumerate(reversed(sizes))
        )

    @property
    def base(self) -> Level:
        """The level at full resolution."""
        return self.levels[-1]

    @property
    def tile_count(self) -> int:
        return sum(level.columns * level.rows for level in self.levels)

    @property
    def thumbnail(self) -> TileAddress:
        """The largest level that is one tile, and small: the whole slide at a glance."""
        return max(
            TileAddress(level.number, 0, 0)
            for level in self.levels
            if level.columns * level.rows == 1 and max(level.size) <= _THUMBNAIL_SIDE
        )

    def tiles(self) -> Iterator[TileAddress]:
        """The addresses of all tiles, from level 0 up."""
        for level in self.levels:
            yield from level.tiles()

    def location(self, address: TileAddress) -> tuple[int, int]:
        """The (x, y) of the tile's top left pixel within its level."""
        return address.column * self.tile_size, address.row * self.tile_size

    def dimensions(self, address: TileAddress) -> Size:
        """The tile's size in px: the tile size, cropped to the level."""
        level = self.levels[address.level]
        x, y = self.location(address)
        return Size(
            min(self.tile_size, level.size.width - x), min(self.tile_size, level.size.height - y)
        )

    def children(self, address: TileAddress) -> tuple[tuple[TileAddress, ...], ...]:
        """The tiles of the next higher level that the tile covers, as rows of one or two.

        The tile must not be of the base level.
        """
        level = self.levels[address.level + 1]
        return tuple(
            tuple(
                TileAddress(level.number, column, row)
                for column in range(2 * address.column, min(2 * address.column + 2, level.columns))
            )
            for row in range(2 * address.row, min(2 * address.row + 2, level.rows))
        )
