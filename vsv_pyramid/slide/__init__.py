"""One slide: where it comes from, its identity, and once opened its pixels and metadata."""

from vsv_pyramid.slide.pixels import Slide, open_slide
from vsv_pyramid.slide.source import Source, find_source

__all__ = ["Slide", "Source", "find_source", "open_slide"]
