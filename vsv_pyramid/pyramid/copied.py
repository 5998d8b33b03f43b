"""The leaf source of the lossless lane: the slide's own JPEG tiles joined, the half for free."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import openslide
import simplejpeg
from PIL import Image

from vsv_pyramid.errors import TileError
from vsv_pyramid.jpeg.join import join
from vsv_pyramid.jpeg.markers import StreamError, Unspliceable
from vsv_pyramid.jpeg.planes import Planes
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.decoded import PixelLeaves, encoded
from vsv_pyramid.slide.raw import MOST_READS, RawTiles

_WHITE = (255, 255, 255)


@dataclass
class LosslessLeaves:
    """Base tiles copied out of the slide. Implements LeafSource.

    A base tile whose native tiles cannot be joined comes from `pixels` instead, which counts it.
    Native tiles that the slide has left out are white, or come from `pixels` where its background
    is another, and damaged ones, which no library decodes, are white where `pixels` is to blank
    them. With `reencode` the joined tile is decoded and encoded
    anew, small rather than exact.
    """

    raw: RawTiles
    pixels: PixelLeaves
    reencode: bool
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def leaf(self, address: TileAddress, half: Planes) -> bytes:
        try:
            jpeg = self._joined(address, half)
        except Unspliceable as exc:
            with self._lock:
                self.pixels.fallbacks[exc.reason] += 1
            return self.pixels.leaf(address, half)
        if self.reencode:
            rgb = simplejpeg.decode_jpeg(jpeg, "RGB")
            jpeg = encoded(rgb, self.pixels.quality, self.pixels.subsampling)
        return jpeg

    def _joined(self, address: TileAddress, half: Planes) -> bytes:
        """The native tiles under the address as one. Raises Unspliceable, TileError."""
        native = self.raw.base.tile_size
        size = self.pixels.pyramid.dimensions(address)
        x, y = self.pixels.pyramid.location(address)
        left = (self.pixels.origin[0] + x) // native.width
        top = (self.pixels.origin[1] + y) // native.height
        columns, rows = -(-size.width // native.width), -(-size.height // native.height)
        tiles = self.raw.read(range(left, left + columns), range(top, top + rows))
        if not all(tiles) and self.pixels.background != _WHITE:
            raise Unspliceable("the slide leaves out tiles, and the background is not white")
        reads = Counter[int]()
        while any(tiles):
            try:
                return join(
                    tiles,
                    columns,
                    rows,
                    tile_size=native,
                    size=size,
                    tables=self.raw.base.tables,
                    rgb=self.raw.base.photometric == "RGB",
                    subsampling=self.pixels.subsampling,
                    half=half,
                ).jpeg
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
                if not self.pixels.blank_damaged:
                    raise self._error(address, place, exc.reason) from exc
                tiles[index] = None
                with self._lock:
                    if address not in self.pixels.blanked:
                        self.pixels.blanked.append(address)
        return self._white(address, half)

    def _has_changed(self, tiles: list[bytes | None], index: int, place: tuple[int, int]) -> bool:
        """Reads the tile anew, since damaged is only what was read twice; whether it is another."""
        before = tiles[index]
        tiles[index] = self.raw.tile(*place)
        return tiles[index] != before

    def _is_decoded(self, column: int, row: int) -> bool:
        """Whether a library decodes the native tile, which the kernel has refused."""
        native = self.raw.base.tile_size
        try:
            self.pixels.slide.read(column * native.width, row * native.height, native)
        except openslide.OpenSlideError:
            return False
        return True

    def _white(self, address: TileAddress, half: Planes) -> bytes:
        image = Image.new("RGB", self.pixels.pyramid.dimensions(address), "white")
        planes.fill(half, planes.from_rgb(image.reduce(2), self.pixels.subsampling))
        return encoded(np.asarray(image), self.pixels.quality, self.pixels.subsampling)

    def _error(self, address: TileAddress, place: tuple[int, int], reason: str) -> TileError:
        return TileError(
            self.pixels.slide.path,
            f"tile {address} cannot be made, since the slide's tile at column {place[0]}, row "
            f"{place[1]} is damaged ({reason}); scan or copy the slide again, or leave the tile "
            "blank with --on-error blank",
        )
