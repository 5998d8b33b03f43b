"""Y, Cb and Cr planes: joined four to one, halved, encoded.

Arrays are uint8 of (rows, columns). Chroma is subsampled as asked for, rounded up: with 420, an
image of (h, w) luma samples has (ceil(h/2), ceil(w/2)) samples of either chroma.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

try:
    from vsv_pyramid.jpeg import _splice
except ImportError:  # without a compiler
    _splice = None  # type: ignore[assignment]

Subsampling = Literal["420", "422", "444"]

# What chroma is reduced by, across and down.
FACTORS = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}

# Of the lowest levels much is replicated to fill a block. That makes steep edges, which at quality
# 95 cost up to 5 dB; at 100 such a tile is a few hundred bytes.
_SMALL = 16
_BEST = 100

Plane: TypeAlias = npt.NDArray[np.uint8]


class Planes(NamedTuple):
    """One image as its luma and its two chroma planes."""

    y: Plane
    cb: Plane
    cr: Plane


def from_rgb(image: Image.Image, subsampling: Subsampling) -> Planes:
    """The planes of an RGB image."""
    y, cb, cr = image.convert("YCbCr").split()
    factors = FACTORS[subsampling]
    return Planes(np.asarray(y), np.asarray(cb.reduce(factors)), np.asarray(cr.reduce(factors)))


def joined(quarters: Sequence[Sequence[Planes]]) -> Planes:
    """The planes of one image from those of its parts, given as rows from the top left."""
    return Planes(*(stitched([[part[n] for part in row] for row in quarters]) for n in range(3)))


def halved(planes: Planes) -> Planes:
    """The planes at half size, rounded up."""
    return Planes(*(box_halved(plane) for plane in planes))


def box_halved(plane: Plane) -> Plane:
    """One plane at half size, rounded up: a 2x2 box, the last row and column replicated.

    The kernel and Pillow make the same of it, the kernel in a ninth of the time.
    """
    if _splice is None:
        return np.asarray(Image.fromarray(plane).reduce(2))
    height, width = plane.shape
    half = np.empty((-(-height // 2), -(-width // 2)), np.uint8)
    _splice.halved(np.ascontiguousarray(plane), half)
    return half


def encoded(planes: Planes, quality: int) -> bytes:
    """The planes as a baseline JPEG (JFIF)."""
    y, cb, cr = planes
    height, width = y.shape
    if height % 2 or width % 2:
        # simplejpeg 1.9 reads luma up to the next even row and column, past an odd plane's end
        y = np.pad(y, ((0, height % 2), (0, width % 2)), "edge")[:height, :width]
    if max(height, width) < _SMALL:
        quality = _BEST
    jpeg: bytes = simplejpeg.encode_jpeg_yuv_planes(y, cb, cr, quality=quality)
    return jpeg


def stitched(rows: Sequence[Sequence[Plane]]) -> Plane:
    """One plane from its parts, given as rows from the top left."""
    if len(rows) == len(rows[0]) == 1:
        return rows[0][0]
    whole = np.empty(
        (sum(len(row[0]) for row in rows), sum(part.shape[1] for part in rows[0])), np.uint8
    )
    y = 0
    for row in rows:
        x = 0
        for part in row:
            height, width = part.shape
            whole[y : y + height, x : x + width] = part
            x += width
        y += height
    return whole
