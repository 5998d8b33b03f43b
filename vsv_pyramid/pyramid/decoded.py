"""Base tiles from decoded pixels, each of which is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import openslide

from vsv_pyramid.errors import TileError
from vsv_pyramid.jpeg.planes import Pixels, Planes
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.images import blank, opaque
from vsv_pyramid.pyramid.leaves import BaseLevel, Leaf
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.tiles import UnreadKind


@dataclass(frozen=True)
class DecodedLeaves:
    """Base tiles from decoded pixels, to which `to_srgb` is applied where given. Implements
    LeafSource."""

    slide: Slide
    base: BaseLevel
    to_srgb: Callable[[Pixels], Pixels] | None = None

    def leaf(self, address: TileAddress, half: Planes) -> Leaf:
        base, is_blank = self.base, False
        try:
            pixels = self.pixels(address)
        except TileError:
            if not base.blank_damaged:
                raise
            pixels, is_blank = blank(base.pyramid.dimensions(address), base.background), True
        whole = planes.from_rgb(pixels, base.subsampling)
        planes.halve(whole, half)
        return Leaf(planes.encoded(whole, base.quality), blank=is_blank)

    def pixels(self, address: TileAddress) -> Pixels:
        """The tile's pixels, RGB. Raises TileError where they cannot be decoded."""
        x, y = self.base.pyramid.location(address)
        left, top = self.base.origin
        try:
            stored = self.slide.read(left + x, top + y, self.base.pyramid.dimensions(address))
        except openslide.OpenSlideError as exc:
            raise TileError(self.slide.path, _undecoded(address, exc)) from exc
        return self.shown(stored)

    def shown(self, pixels: Pixels) -> Pixels:
        """The slide's pixels as they are published, RGB."""
        return opaque(pixels, self.base.background, self.to_srgb)


def _undecoded(address: TileAddress, exc: openslide.OpenSlideError) -> str:
    if isinstance(exc, UnreadKind):
        what = (
            f"holds JPEG data of a kind that is not read ({exc}); save the slide as RGB with 8 bits"
        )
    else:
        what = f"cannot be decoded ({exc}); scan or copy the slide again"
    return f"tile {address} {what}, or leave the tile blank with --on-error blank"
