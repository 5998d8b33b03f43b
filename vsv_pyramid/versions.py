"""The versions of what the bytes of a pyramid depend on."""

from __future__ import annotations

import openslide
import PIL
import simplejpeg
from PIL import features

from vsv_pyramid import __version__


def software() -> dict[str, str]:
    """By the names of the program and its libraries."""
    pillow = "pillow-simd" if ".post" in PIL.__version__ else "pillow"
    return {
        "vsv-pyramid": __version__,
        "openslide": openslide.__library_version__,
        "libjpeg-turbo": features.version("libjpeg_turbo") or "none",
        pillow: PIL.__version__,
        "simplejpeg": simplejpeg.__version__,
    }
