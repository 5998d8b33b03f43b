"""Pictures in colour: over a background, and as JPEGs."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vsv_pyramid.jpeg.planes import Pixels, Subsampling
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.pyramid import planes


def opaque(pixels: Pixels, background: tuple[int, int, int]) -> Pixels:
    """The pixels over a background, as RGB."""
    if pixels.shape[2] == 3:
        return pixels
    if pixels[..., 3].min(initial=255) == 255:
        return np.ascontiguousarray(pixels[..., :3])
    rgba = Image.fromarray(pixels)
    rgb = Image.new("RGB", rgba.size, background)
    rgb.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(rgb)


def blank(size: Size, background: tuple[int, int, int]) -> Pixels:
    """Nothing but the background, RGB."""
    return np.full((size.height, size.width, 3), background, np.uint8)


def encoded(pixels: Pixels, quality: int, subsampling: Subsampling) -> bytes:
    """RGB pixels as a baseline JPEG (JFIF)."""
    return planes.encoded(planes.from_rgb(pixels, subsampling), quality)
