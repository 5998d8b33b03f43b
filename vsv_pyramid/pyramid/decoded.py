"""The leaf source of the pixel lane: each base tile is read once, and Pillow halves it."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import openslide
import simplejpeg
from PIL import Image, ImageCms, features

from vsv_pyramid.errors import OptionError, SlideError, TileError
from vsv_pyramid.jpeg.planes import Planes, Subsampling
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.tiles import UnreadKind


@dataclass
class PixelLeaves:
    """Base tiles from decoded pixels. Implements LeafSource.

    `origin` is the base level's top left pixel in slide px. `background` (RGB) shows through where
    the slide is transparent and, with `blank_damaged`, fills the tiles that cannot be decoded;
    `blanked` lists those. `to_srgb` is applied to the pixels where given. `fallbacks` counts why
    tiles came from here that should have come from the lossless lane.
    """

    slide: Slide
    pyramid: Pyramid
    origin: tuple[int, int]
    quality: int
    subsampling: Subsampling
    background: tuple[int, int, int]
    blank_damaged: bool = False
    to_srgb: ImageCms.ImageCmsTransform | None = None
    blanked: list[TileAddress] = field(default_factory=list)
    fallbacks: Counter[str] = field(default_factory=Counter)

    def leaf(self, address: TileAddress, half: Planes) -> bytes:
        image = self.image(address)
        planes.fill(half, planes.from_rgb(image.reduce(2), self.subsampling))
        return encoded(np.asarray(image), self.quality, self.subsampling)

    def image(self, address: TileAddress) -> Image.Image:
        """The tile's pixels, RGB. Raises TileError where they cannot be decoded."""
        x, y = self.pyramid.location(address)
        size = self.pyramid.dimensions(address)
        try:
            rgba = self.slide.read(self.origin[0] + x, self.origin[1] + y, size)
        except openslide.OpenSlideError as exc:
            if not self.blank_damaged:
                raise TileError(self.slide.path, _undecoded(address, exc)) from exc
            self.blanked.append(address)
            return Image.new("RGB", size, self.background)
        return self.shown(rgba)

    def shown(self, rgba: Image.Image) -> Image.Image:
        """The slide's pixels as they are published, RGB."""
        rgb = opaque(rgba, self.background)
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


def opaque(rgba: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """The RGBA image over a background, as RGB."""
    alpha = rgba.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgba.convert("RGB")
    rgb = Image.new("RGB", rgba.size, background)
    rgb.paste(rgba, mask=alpha)
    return rgb


def encoded(pixels: npt.NDArray[np.uint8], quality: int, subsampling: Subsampling) -> bytes:
    """RGB pixels (rows, columns, 3) as a baseline JPEG (JFIF)."""
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality, "RGB", subsampling)
    return jpeg


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
