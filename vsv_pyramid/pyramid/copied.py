"""Base tiles copied out of the slide: its own JPEG tiles joined, the half for free."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import openslide

from vsv_pyramid.containers.raw import MOST_READS, RawTiles
from vsv_pyramid.errors import StreamError, TileError, Unspliceable
from vsv_pyramid.jpeg.join import join
from vsv_pyramid.jpeg.planes import Planes, Subsampling
from vsv_pyramid.layout.geometry import Size, TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.decoded import DecodedLeaves
from vsv_pyramid.pyramid.images import blank
from vsv_pyramid.pyramid.leaves import BaseLevel, Leaf
from vsv_pyramid.slide.pixels import Slide

_WHITE = (255, 255, 255)


@lru_cache(maxsize=8)  # within a slide there are four: inside, at two edges, and in the corner
def _white(size: Size, subsampling: Subsampling, quality: int) -> tuple[bytes, Planes]:
    """A tile without anything, and its half."""
    whole = planes.from_rgb(blank(size, _WHITE), subsampling)
    return planes.encoded(whole, quality), planes.halved(whole)


@dataclass(frozen=True)
class CopiedLeaves:
    """Base tiles copied out of the slide. Implements LeafSource.

    A base tile whose native tiles cannot be joined is decoded. Native tiles that the slide has left
    out are white, or it is decoded where the background is another; damaged ones, which no library
    decodes, are white where the base level is to have them blank.
    """

    raw: RawTiles
    slide: Slide
    base: BaseLevel

    def leaf(self, address: TileAddress, half: Planes) -> Leaf:
        try:
            return self._joined(address, half)
        except Unspliceable as exc:
            decoded = DecodedLeaves(self.slide, self.base).leaf(address, half)
            return decoded._replace(fallback=exc.reason)

    def _joined(self, address: TileAddress, half: Planes) -> Leaf:
        """The native tiles under the address as one. Raises Unspliceable, TileError."""
        native, at = self.raw.base.tile_size, self.raw.base.at
        size = self.base.pyramid.dimensions(address)
        x, y = self.base.pyramid.location(address)
        left = (self.base.origin[0] - at[0] + x) // native.width
        top = (self.base.origin[1] - at[1] + y) // native.height
        columns, rows = -(-size.width // native.width), -(-size.height // native.height)
        tiles = self.raw.read(range(left, left + columns), range(top, top + rows))
        if not all(tiles) and self.base.background != _WHITE:
            raise Unspliceable("the slide leaves out tiles, and the background is not white")
        reads, is_blank = Counter[int](), False
        while any(tiles):
            try:
                joined = join(
                    tiles,
                    columns,
                    rows,
                    tile_size=native,
                    size=size,
                    tables=self.raw.base.tables,
                    rgb=self.raw.base.is_rgb,
                    subsampling=self.base.subsampling,
                    half=half,
                )
                return Leaf(joined.jpeg, blank=is_blank)
            except Unspliceable:
                raise
            except StreamError as exc:
                column, row = exc.tile or (0, 0)
                place, index = (left + column, top + row), row * columns + column
                if self._has_changed(tiles, index, place):
                    reads[index] += 1
                    if reads[index] == MOST_READS:
                        raise self.raw.unsteady(*place) from exc
                    continue
                if self._is_decoded(*place):
                    raise Unspliceable(exc.reason) from exc
                if not self.base.blank_damaged:
                    raise self._error(address, place, exc.reason) from exc
                tiles[index], is_blank = None, True
        return Leaf(self._white(address, half), blank=is_blank)

    def _has_changed(self, tiles: list[bytes | None], index: int, place: tuple[int, int]) -> bool:
        """Reads the tile anew, since damaged is only what was read twice; whether it is another."""
        before = tiles[index]
        tiles[index] = self.raw.tile(*place)
        return tiles[index] != before

    def _is_decoded(self, column: int, row: int) -> bool:
        """Whether a library decodes the native tile, which the kernel has refused."""
        native, at = self.raw.base.tile_size, self.raw.base.at
        try:
            self.slide.read(at[0] + column * native.width, at[1] + row * native.height, native)
        except openslide.OpenSlideError:
            return False
        return True

    def _white(self, address: TileAddress, half: Planes) -> bytes:
        size = self.base.pyramid.dimensions(address)
        jpeg, white = _white(size, self.base.subsampling, self.base.quality)
        planes.fill(half, white)
        return jpeg

    def _error(self, address: TileAddress, place: tuple[int, int], reason: str) -> TileError:
        return TileError(
            self.slide.path,
            f"tile {address} cannot be made, since the slide's tile at column {place[0]}, row "
            f"{place[1]} is damaged ({reason}); scan or copy the slide again, or leave the tile "
            "blank with --on-error blank",
        )
