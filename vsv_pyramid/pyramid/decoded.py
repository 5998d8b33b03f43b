"""Base tiles from decoded pixels: each is read once, and Pillow halves it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import openslide
from PIL import Image, ImageCms, features

from vsv_pyramid.errors import OptionError, SlideError, TileError
from vsv_pyramid.jpeg.planes import Planes
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.images import blank, encoded, opaque
from vsv_pyramid.pyramid.leaves import BaseLevel, Leaf
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.tiles import UnreadKind


@dataclass(frozen=True)
class DecodedLeaves:
    """Base tiles from decoded pixels, to which `to_srgb` is applied where given. Implements
    LeafSource."""

    slide: Slide
    base: BaseLevel
    to_srgb: ImageCms.ImageCmsTransform | None = None

    def leaf(self, address: TileAddress, half: Planes) -> Leaf:
        base, is_blank = self.base, False
        try:
            image = self.image(address)
        except TileError:
            if not base.blank_damaged:
                raise
            image, is_blank = blank(base.pyramid.dimensions(address), base.background), True
        planes.fill(half, planes.from_rgb(image.reduce(2), base.subsampling))
        jpeg = encoded(np.asarray(image), base.quality, base.subsampling)
        return Leaf(jpeg, blank=is_blank)

    def image(self, address: TileAddress) -> Image.Image:
        """The tile's pixels, RGB. Raises TileError where they cannot be decoded."""
        x, y = self.base.pyramid.location(address)
        left, top = self.base.origin
        try:
            rgba = self.slide.read(left + x, top + y, self.base.pyramid.dimensions(address))
        except openslide.OpenSlideError as exc:
            raise TileError(self.slide.path, _undecoded(address, exc)) from exc
        return self.shown(rgba)

    def shown(self, rgba: Image.Image) -> Image.Image:
        """The slide's pixels as they are published, RGB."""
        rgb = opaque(rgba, self.base.background)
        if self.to_srgb:
            ImageCms.applyTransform(rgb, self.to_srgb, inPlace=True)
        return rgb


def _undecoded(address: TileAddress, exc: openslide.OpenSlideError) -> str:
    if isinstance(exc, UnreadKind):
        what = (
            f"holds JPEG data of a kind that is not read ({exc}); save the slide as RGB with 8 bits"
        )
    else:
        what = f"cannot be decoded ({exc}); scan or copy the slide again"
    return f"tile {address} {what}, or leave the tile blank with --on-error blank"


def srgb_transform(slide: Slide) -> ImageCms.ImageCmsTransform | None:
    """The transform from the slide's ICC profile to sRGB, None where it has none of RGB pixels.

    Raises OptionError without LittleCMS, SlideError where the profile cannot be used.
    """
    if slide.icc_profile is None or slide.icc_mismatch:
        return None
    if not features.check("littlecms2"):
        raise OptionError("this Pillow has no LittleCMS for --color srgb; install pillow from PyPI")
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(slide.icc_profile)),
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
        )
    except (ImageCms.PyCMSError, OSError) as exc:
        raise SlideError(
            slide.path, f"its ICC profile cannot be used ({exc}); convert with --color none"
        ) from exc
