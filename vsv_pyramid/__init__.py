"""Whole slide images as static DeepZoom pyramids."""

__version__ = "0.1.0"
