"""Planes from pixels; joined four to one, halved, encoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from vsv_pyramid.jpeg import encode
from vsv_pyramid.jpeg.kernel import kernel
from vsv_pyramid.jpeg.planes import FACTORS, Pixels, Plane, Planes, Subsampling, empty, padded

# Of the lowest levels much is replicated to fill a block. That makes steep edges, which at quality
# 95 cost up to 5 dB; at 100 such a tile is a few hundred bytes.
_SMALL = 16
_BEST = 100


def from_rgb(pixels: Pixels, subsampling: Subsampling) -> Planes:
    """The planes of RGB pixels."""
    height, width, _ = pixels.shape
    planes = empty((width, height), subsampling)
    if kernel is None:
        y, cb, cr = Image.fromarray(pixels).convert("YCbCr").split()
        chroma = (np.asarray(part.reduce(FACTORS[subsampling])) for part in (cb, cr))
        fill(planes, Planes(np.asarray(y), *chroma))
    else:
        kernel.planes(np.ascontiguousarray(pixels), *FACTORS[subsampling], *planes)
    return planes


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

    Halves are rounded up in one column and down in the next, as the kernel does.
    """
    if kernel is not None:
        kernel.halved(plane, half)
        return
    height, width = plane.shape
    whole = padded(plane, (height + height % 2, width + width % 2)).astype(np.uint16)
    sums = whole[::2, ::2] + whole[::2, 1::2] + whole[1::2, ::2] + whole[1::2, 1::2]
    rows, columns = np.indices(sums.shape, np.uint16)
    sums += 1 + columns % 2
    if width % 2:  # the last column's are means of two, rounded by the row
        sums[:, -1] += 2 * (rows[:, -1] % 2) - (1 + columns[:, -1] % 2)
    half[:] = sums >> 2


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
