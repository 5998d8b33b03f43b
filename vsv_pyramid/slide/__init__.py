"""One slide, opened: its pixels, its metadata, the identity of its file."""

from vsv_pyramid.slide.pixels import Slide, open_slide

__all__ = ["Slide", "open_slide"]
