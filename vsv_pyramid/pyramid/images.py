"""Pictures in colour: over a background, and as JPEGs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from vsv_pyramid.jpeg.planes import Subsampling
from vsv_pyramid.layout.geometry import Size


def opaque(rgba: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """The RGBA image over a background, as RGB."""
    alpha = rgba.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgba.convert("RGB")
    rgb = Image.new("RGB", rgba.size, background)
    rgb.paste(rgba, mask=alpha)
    return rgb


def blank(size: Size, background: tuple[int, int, int]) -> Image.Image:
    """A picture of nothing but the background, RGB."""
    return Image.new("RGB", size, background)


def encoded(pixels: npt.NDArray[np.uint8], quality: int, subsampling: Subsampling) -> bytes:
    """RGB pixels (rows, columns, 3) as a baseline JPEG (JFIF)."""
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality, "RGB", subsampling)
    return jpeg
