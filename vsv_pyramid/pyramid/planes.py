"""Planes from pixels; joined four to one, halved, encoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from vsv_pyramid.jpeg import encode
from vsv_pyramid.jpeg.kernel import kernel
from vsv_pyramid.jpeg.planes import FACTORS, Plane, Planes, Subsampling

# Of the lowest levels much is replicated to fill a block. That makes steep edges, which at quality
# 95 cost up to 5 dB; at 100 such a tile is a few hundred bytes.
_SMALL = 16
_BEST = 100


def from_rgb(image: Image.Image, subsampling: Subsampling) -> Planes:
    """The planes of an RGB image."""
    y, cb, cr = image.convert("YCbCr").split()
    factors = FACTORS[subsampling]
    return Planes(np.asarray(y), np.asarray(cb.reduce(factors)), np.asarray(cr.reduce(factors)))


def fill(planes: Planes, others: Planes) -> None:
    """Copies the others into the planes, which are of the same size."""
    for plane, other in zip(planes, others, strict=True):
        plane[:] = other


def joined(quarters: Sequence[Sequence[Planes]]) -> Planes:
    """The planes of one image from those of its parts, given as rows from the top left."""
    return Planes(*(stitched([[part[n] for part in row] for row in quarters]) for n in range(3)))


def halved(planes: Planes) -> Planes:
    """The planes at half size, rounded up."""
    half = Planes(*(np.empty(_half(plane.shape), np.uint8) for plane in planes))
    halve(planes, half)
    return half


def halve(planes: Planes, half: Planes) -> None:
    """Fills `half` with the planes at half size, rounded up."""
    for plane, smaller in zip(planes, half, strict=True):
        box_halve(plane, smaller)


def box_halve(plane: Plane, half: Plane) -> None:
    """One plane at half size, rounded up: a 2x2 box, the last row and column replicated.

    The kernel and Pillow make the same of it, the kernel in a ninth of the time.
    """
    if kernel is None:
        half[:] = np.asarray(Image.fromarray(plane).reduce(2))
    else:
        kernel.halved(plane, half)


def encoded(planes: Planes, quality: int) -> bytes:
    """The planes as a baseline JPEG (JFIF)."""
    return encode.encode(planes, _BEST if max(planes.y.shape) < _SMALL else quality)


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


def _half(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-side // 2) for side in shape)
