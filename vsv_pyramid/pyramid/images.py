"""Pictures in colour: over a background, and as JPEGs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from vsv_pyramid.jpeg.planes import Pixels, Subsampling
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.pyramid import planes


def opaque(
    pixels: Pixels,
    background: tuple[int, int, int],
    recoloured: Callable[[Pixels], Pixels] | None = None,
) -> Pixels:
    """The pixels over a background, as RGB; `recoloured` is applied to them alone."""
    rgb = pixels if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[..., :3])
    if recoloured:
        rgb = recoloured(rgb)
    if pixels.shape[2] == 3 or pixels[..., 3].min(initial=255) == 255:
        return rgb
    alpha = Image.fromarray(pixels[..., 3])
    below = Image.new("RGB", alpha.size, background)
    below.paste(Image.fromarray(rgb), mask=alpha)
    return np.asarray(below)


def blank(size: Size, background: tuple[int, int, int]) -> Pixels:
    """Nothing but the background, RGB."""
    return np.full((size.height, size.width, 3), background, np.uint8)


def encoded(pixels: Pixels, quality: int, subsampling: Subsampling) -> bytes:
    """RGB pixels as a baseline JPEG (JFIF)."""
    return planes.encoded(planes.from_rgb(pixels, subsampling), quality)
