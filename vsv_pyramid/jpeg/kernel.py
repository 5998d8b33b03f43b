"""The kernel, where it was compiled: `_splice`, or else None."""

try:
    from vsv_pyramid.jpeg import _splice as kernel
except ImportError:  # without a compiler
    kernel = None  # type: ignore[assignment]

__all__ = ["kernel"]
