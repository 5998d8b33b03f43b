"""The order of a packed pyramid's tiles in their file: what is looked at together lies together.

First all levels of a few tiles, then subtrees of 8 x 8 base tiles in the order of the walk, each
level by level. A tile above the subtrees follows the last of those that it covers. So the file is
written in one go while the walk makes the tiles, and it is the same whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from vsv_pyramid.layout.geometry import Pyramid, TileAddress

FRONT_TILES = 64  # of a level that lies in front, at most
_SUBTREE_LEVELS = 4  # 8 x 8 base tiles, and what is above them


def front_levels(pyramid: Pyramid) -> int:
    """How many levels, from 0 up, lie in front."""
    return sum(level.columns * level.rows <= FRONT_TILES for level in pyramid.levels)


def subtree_level(pyramid: Pyramid) -> int:
    """The level of the subtrees' roots."""
    return max(0, pyramid.base.number - _SUBTREE_LEVELS + 1)


def in_front(pyramid: Pyramid) -> Iterator[TileAddress]:
    """The tiles in front, in their order."""
    for level in pyramid.levels[: front_levels(pyramid)]:
        yield from level.tiles()


def behind(pyramid: Pyramid) -> Iterator[TileAddress]:
    """All other tiles, in their order."""
    first, roots = front_levels(pyramid), subtree_level(pyramid)

    def below(address: TileAddress) -> Iterator[TileAddress]:
        if address.level == roots:
            for number in range(max(first, roots), pyramid.base.number + 1):
                yield from _part(pyramid, address, number)
            return
        for row in pyramid.children(address):
            for child in row:
                yield from below(child)
        if address.level >= first:
            yield address

    yield from below(TileAddress(0, 0, 0))


def in_order(pyramid: Pyramid) -> Iterator[TileAddress]:
    """All tiles, as the file has them."""
    yield from in_front(pyramid)
    yield from behind(pyramid)


def _part(pyramid: Pyramid, root: TileAddress, number: int) -> Iterator[TileAddress]:
    """The tiles of a level that the subtree's root covers, row by row."""
    level, side = pyramid.levels[number], 1 << number - root.level
    for row in range(root.row * side, min((root.row + 1) * side, level.rows)):
        for column in range(root.column * side, min((root.column + 1) * side, level.columns)):
            yield TileAddress(number, column, row)
