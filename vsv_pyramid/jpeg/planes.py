"""An image as its Y, Cb and Cr planes.

Arrays are uint8 of (rows, columns). Chroma is subsampled as asked for, rounded up: with 420, an
image of (h, w) luma samples has (ceil(h/2), ceil(w/2)) samples of either chroma.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Subsampling = Literal["420", "422", "444"]

# What chroma is reduced by, across and down.
FACTORS = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}

Plane: TypeAlias = npt.NDArray[np.uint8]
Pixels: TypeAlias = npt.NDArray[np.uint8]  # (rows, columns, 3 or 4): R, G, B and perhaps alpha


class Planes(NamedTuple):
    """One image as its luma and its two chroma planes."""

    y: Plane
    cb: Plane
    cr: Plane


def empty(size: tuple[int, int], subsampling: Subsampling) -> Planes:
    """Planes of an image of `size` (width, height) px, to be filled."""
    width, height = size
    fx, fy = FACTORS[subsampling]
    chroma = (-(-height // fy), -(-width // fx))
    return Planes(
        np.empty((height, width), np.uint8), np.empty(chroma, np.uint8), np.empty(chroma, np.uint8)
    )


def padded(plane: Plane, shape: tuple[int, int]) -> Plane:
    """The plane with its last row and column repeated, up to the shape."""
    height, width = plane.shape
    whole = np.empty(shape, plane.dtype)
    whole[:height, :width] = plane
    whole[:height, width:] = plane[:, -1:]
    whole[height:] = whole[height - 1]
    return whole


def part(
    planes: Planes, left: int, top: int, size: tuple[int, int], subsampling: Subsampling
) -> Planes:
    """A view of the planes' part of `size` px at a place that is a multiple of the subsampling."""
    width, height = size
    fx, fy = FACTORS[subsampling]
    rows, columns = (
        slice(top // fy, -(-(top + height) // fy)),
        slice(left // fx, -(-(left + width) // fx)),
    )
    return Planes(
        planes.y[top : top + height, left : left + width],
        planes.cb[rows, columns],
        planes.cr[rows, columns],
    )
