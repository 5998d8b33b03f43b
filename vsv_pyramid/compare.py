"""Compares the pixels of a pyramid's tiles: with the level below them, and with the slide.

All comparisons are of luma, arrays of uint8 (rows, columns).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import simplejpeg
from PIL import Image

from vsv_pyramid.geometry import Pyramid, TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.planes import Plane

# Measured on real tissue, tiles of 128 to 720 px, quality 5 to 100: what shows one place correlates
# by 0.4 at the least where it differs by less than 34 dB, and by 0.8 from quality 20 on; two
# places of one tissue hardly at all. Background differs less than that wherever it is from.
_VISIBLE_PSNR = 34.0
_LEAST_CORRELATION = 0.35
_SINGLE_COLOUR_PSNR = 20.0

_MIDDLE_LEVEL = 2  # levels below the base: one tile is made of 16 base tiles at the most
_LEAST_SAMPLE = 16


def luma(jpeg: bytes) -> Plane | None:
    """The JPEG's luma, None where it is damaged or ends early."""
    try:
        gray: Plane = simplejpeg.decode_jpeg(jpeg, "GRAY", strict=True)
    except ValueError:
        return None
    return gray[:, :, 0]


def psnr(one: Plane, other: Plane) -> float:
    """Peak signal to noise ratio in dB, 100 at the most; 0 where the shapes differ."""
    if one.shape != other.shape:
        return 0.0
    mse = float(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2))
    return min(100.0, 10 * math.log10(255 * 255 / mse)) if mse else 100.0


def same_place(one: Plane, other: Plane) -> bool:
    """Whether both can be pictures of one place, be they coded as coarsely as it is done."""
    if one.shape != other.shape:
        return False
    difference = psnr(one, other)
    if difference >= _VISIBLE_PSNR:
        return True
    centred = [plane - plane.mean(dtype=np.float64) for plane in (one, other)]
    energy = math.sqrt(float(np.sum(centred[0] ** 2)) * float(np.sum(centred[1] ** 2)))
    if not energy:  # at least one is of a single colour
        return difference >= _SINGLE_COLOUR_PSNR
    return float(np.sum(centred[0] * centred[1])) >= _LEAST_CORRELATION * energy


def misplaced(
    pyramid: Pyramid,
    address: TileAddress,
    pixels: Plane,
    halves: Sequence[Sequence[Plane | None]],
) -> Iterator[str]:
    """A sentence for each child whose half is not what the tile's pixels show at its place."""
    for row, row_halves in zip(pyramid.children(address), halves, strict=True):
        for child, half in zip(row, row_halves, strict=True):
            if half is None:
                continue
            x = (child.column - 2 * address.column) * pyramid.tile_size // 2
            y = (child.row - 2 * address.row) * pyramid.tile_size // 2
            if not same_place(pixels[y : y + half.shape[0], x : x + half.shape[1]], half):
                yield f"tile {child} does not show what tile {address} shows at its place"


def sample(pyramid: Pyramid, present: set[TileAddress]) -> Iterator[TileAddress]:
    """Tiles of the base and of a middle level, evenly spread, more of them on larger slides."""
    middle = pyramid.levels[max(0, pyramid.base.number - _MIDDLE_LEVEL)]
    for level in dict.fromkeys((pyramid.base, middle)):
        tiles = [address for address in level.tiles() if address in present]
        yield from tiles[:: max(1, len(tiles) // (_LEAST_SAMPLE + math.isqrt(len(tiles))))]


def expected(
    pyramid: Pyramid, image: Callable[[TileAddress], Image.Image], address: TileAddress
) -> Plane:
    """The tile as it should be: the base level's pixels below it, halved by plain boxes.

    `image` gives a base tile's pixels, RGB.
    """
    if address.level == pyramid.base.number:
        return np.asarray(image(address).convert("L"))
    return planes.stitched(
        [
            [planes.box_halved(expected(pyramid, image, child)) for child in row]
            for row in pyramid.children(address)
        ]
    )
