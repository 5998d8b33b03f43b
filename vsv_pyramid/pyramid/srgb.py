"""A slide's colours in sRGB: those that LittleCMS makes of them by its most precise way, at the
price of a table.

LittleCMS takes 35 ns a pixel by a coarse grid, whose colours are up to 46 of 255 off, and some
hundred without. But a slide has few colours beside its pixels: each is transformed once, when it is
met, and found in a table from then on. That is as exact, and takes a few ns.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, features

from vsv_pyramid.errors import OptionError, SlideError
from vsv_pyramid.jpeg.kernel import kernel
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.slide.pixels import Slide

WAY = "perceptual intent, by LittleCMS, each colour by itself"
NO_WAY = "none: its colours are those of sRGB, within one step of 255"

_KNOWN = 1 << 24
_GRID = np.arange(0, 256, 5, dtype=np.uint8)  # of each channel, with both ends


class ToSrgb:
    """The slide's colours as sRGB, by its ICC profile and perceptual intent. Safe from several
    threads."""

    def __init__(self, profile: bytes) -> None:
        """Raises ImageCms.PyCMSError and OSError where the profile cannot be used."""
        self._transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
            ImageCms.Flags.NOOPTIMIZE,
        )
        # Of memory, only what is touched counts.
        self._table = np.zeros(1 << 24, np.uint32)

    def __call__(self, pixels: Pixels) -> Pixels:
        if kernel is None:
            return self._transformed(pixels)
        pixels = np.ascontiguousarray(pixels)
        lacking = np.empty(pixels.shape[0] * pixels.shape[1], np.uint32)
        found = np.empty_like(pixels)
        if count := kernel.recolour(pixels, self._table, found, lacking):
            keys = np.unique(lacking[:count])
            colours = np.stack([keys >> 16, keys >> 8 & 255, keys & 255], axis=-1)
            r, g, b = self._transformed(colours.astype(np.uint8)[None])[0].astype(np.uint32).T
            self._table[keys] = _KNOWN | r << 16 | g << 8 | b
            kernel.recolour(pixels, self._table, found, lacking)
        return found

    @property
    def changes_nothing(self) -> bool:
        """Whether the slide's colours are sRGB's already, within one step of 255."""
        grid = np.stack(np.meshgrid(_GRID, _GRID, _GRID, indexing="ij"), axis=-1)
        colours = grid.reshape(len(_GRID), -1, 3)
        change = self._transformed(colours).astype(np.int16) - colours
        return int(np.abs(change).max()) <= 1

    def _transformed(self, pixels: Pixels) -> Pixels:
        return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), self._transform))


def to_srgb(slide: Slide) -> ToSrgb | None:
    """What turns the slide's colours into sRGB, None where its pixels have no ICC profile, or one
    that changes nothing.

    Raises OptionError without LittleCMS, SlideError where the profile cannot be used.
    """
    if slide.icc_profile is None or slide.icc_mismatch:
        return None
    if not features.check("littlecms2"):
        raise OptionError("this Pillow has no LittleCMS for --color srgb; install pillow from PyPI")
    try:
        return _of_profile(slide.icc_profile)
    except (ImageCms.PyCMSError, OSError) as exc:
        raise SlideError(
            slide.path, f"its ICC profile cannot be used ({exc}); convert with --color none"
        ) from exc


@lru_cache(maxsize=1)  # slides of one scanner have the same profile, and the same colours
def _of_profile(profile: bytes) -> ToSrgb | None:
    found = ToSrgb(profile)
    return None if found.changes_nothing else found
