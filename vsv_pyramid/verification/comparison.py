"""Compares the pixels of a pyramid's tiles: with the level below them, and with the slide.

Luma tells the place and the light, chroma, at half its size, the colours. Planes are uint8 (rows,
columns).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from vsv_pyramid.errors import StreamError
from vsv_pyramid.jpeg.planes import Pixels, Plane, Planes
from vsv_pyramid.jpeg.stream import luma_steps, parse
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.pyramid import planes

# Measured on real tissue, tiles of 128 to 720 px, quality 5 to 100: what shows one place correlates
# by 0.4 at the least where it differs by less than 34 dB, and by 0.8 from quality 20 on; two
# places of one tissue hardly at all. Background differs less than that wherever it is from.
_VISIBLE_PSNR = 34.0
_LEAST_CORRELATION = 0.35
_SINGLE_COLOUR_PSNR = 20.0

# Colours are compared as means of 8x8 chroma samples (16x16 px), in the plane of Cb and Cr. Coding
# moves a block's mean by half its quantisation step, an eighth of that in gray levels. Measured on
# real tissue as RGB and YCbCr 4:4:4, 4:2:2 and 4:2:0 of quality 30 to 91, published in either lane
# with quality 5 to 95 in all subsamplings, good tiles differ in their coloured cells by 0.56 of
# this at the most; with Cb and Cr swapped or lost, three quarters of the tiles by more than 1.
_CELL = 8
_COLOUR_LEVELS, _COLOUR_LOSSES = 3.0, 1.5
_COLOURED = 1.5  # times as far from gray
_LEAST_SIDE = 16  # px: rounding adds up in the lowest levels
_LEAST_CUT = 4  # samples of a cell that an edge cuts

# Light is compared as means of 8x8 luma samples. Good tiles of the tissue above differ by 0.3 of
# this at the most, of quality 5 to 95; pages full of black print on white, where coarse coding
# overshoots what can be shown, by 0.81. At quality 80 it is 4.3 gray levels. No cell of tissue
# differs by more than 0.4 of it, of noise in full colours by 0.73, of print by 1.21, of random
# squares of black and white, 4 px wide, by 2.2.
_LIGHT_LEVELS, _LIGHT_LOSSES = 3.0, 3.0
_WORST = 3.0  # times as much, of one cell; the colours of one differ by 2.6 at the most

# Detail is compared after coding: what a tile should show, coded by the tile's own table. Good
# tiles of the tissue above reach 36.6 dB at the least, print on white 35.5, noise of black and
# white 31.5, of quality 5 to 95 in either lane; tissue that is blurred by 2 px, 26 to 29.
_SAME_DETAIL_PSNR = 30.0

# The DCT of JPEG (T.81, A.3.3), and where of a block's frequencies half as high ones are.
_DCT = np.array(
    [
        [(0.5 if u else 0.5**1.5) * math.cos((2 * x + 1) * u * math.pi / 16) for x in range(8)]
        for u in range(8)
    ]
)
_OF_TWICE = np.ix_(np.arange(8) // 2, np.arange(8) // 2)
_ROUNDED = 4.0  # which samples are; 8 a gray level

_MIDDLE_LEVEL = 2  # levels below the base: one tile is made of 16 base tiles at the most
_LEAST_SAMPLE = 16


class Picture(NamedTuple):
    """A tile's planes, 4:2:0, by how much coding may have moved its colours, in gray levels, and by
    which steps its luma is coded, row by row."""

    planes: Planes
    loss: float = 0.0
    steps: tuple[int, ...] = ()

    def halved(self) -> Picture:
        return self._replace(planes=planes.halved(self.planes))


def picture(jpeg: bytes, *, as_rgb: bool = False) -> Picture | None:
    """What the JPEG shows, None where it is damaged or ends early; `as_rgb` without what a screen
    cannot show, as readers have it that give RGB."""
    try:
        header = simplejpeg.decode_jpeg_header(jpeg)
        luma: Plane = simplejpeg.decode_jpeg(jpeg, "GRAY", strict=True)[:, :, 0]
        if as_rgb or header[2] != "YCbCr":
            decoded = planes.from_rgb(simplejpeg.decode_jpeg(jpeg, "RGB", strict=True), "420")
            shown = decoded if as_rgb else Planes(luma, decoded.cb, decoded.cr)
        else:
            shown = Planes(luma, *_chroma(jpeg))
        return Picture(shown, _loss(jpeg), tuple(luma_steps(jpeg)))
    except (ValueError, RuntimeError, StreamError):
        return None


def _chroma(jpeg: bytes) -> tuple[Plane, Plane]:
    """Cb and Cr at half size. Raises RuntimeError."""
    import imagecodecs

    decoded = imagecodecs.jpeg8_decode(jpeg, outcolorspace="YCBCR")
    half = [np.empty([-(-side // 2) for side in decoded.shape[:2]], np.uint8) for _ in range(2)]
    for n, smaller in enumerate(half, 1):
        planes.box_halve(np.ascontiguousarray(decoded[..., n]), smaller)
    return half[0], half[1]


def _loss(jpeg: bytes) -> float:
    try:
        steps = parse(jpeg).quantisation
    except StreamError:  # of no kind that is published here
        return 0.0
    return max(table[0] for table in steps) / 16


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


def same_detail(found: Picture, expected: Picture) -> bool:
    """Whether the tile shows what is expected as sharply as its coding lets it."""
    luma, other = found.planes.y, expected.planes.y
    if luma.shape != other.shape or min(luma.shape) < _LEAST_SIDE:
        return same_place(luma, other)
    return psnr(luma, other) >= _SAME_DETAIL_PSNR or _same_coded(found, other)


def _within_coding(part: Picture, half: Picture) -> bool:
    """Whether no more lies between the two than what their coding may have left out, frequency by
    frequency: half a step of the part's, and half a step of what the half was coded by at twice
    the scale, where a frequency was half as high."""
    if part.planes.y.shape != half.planes.y.shape:
        return False
    steps = [np.reshape(one.steps, (8, 8)) for one in (part, half)]
    lost = (steps[0] + steps[1][_OF_TWICE]) / 2 + _ROUNDED
    difference = _frequencies(part.planes.y) - _frequencies(half.planes.y)
    return bool(np.sqrt(np.mean((difference / lost) ** 2, axis=(0, 1))).max() <= 1)


def _frequencies(plane: Plane) -> npt.NDArray[np.float64]:
    """The DCT of each block of 8x8 samples, (rows, columns, 8, 8)."""
    height, width = plane.shape
    whole = np.pad(plane, ((0, -height % 8), (0, -width % 8)), "edge").astype(np.float64)
    rows, columns = (side // 8 for side in whole.shape)
    blocks = whole.reshape(rows, 8, columns, 8).swapaxes(1, 2)
    return np.asarray(_DCT @ blocks @ _DCT.T, np.float64)


def _same_coded(one: Picture, other: Plane) -> bool:
    """Whether the other one's luma, coded as the one is, is the same."""
    coded = io.BytesIO()
    Image.fromarray(other).save(coded, "JPEG", qtables=[list(one.steps)])
    alike: Plane = simplejpeg.decode_jpeg(coded.getvalue(), "GRAY")[:, :, 0]
    return psnr(one.planes.y, alike) >= _SAME_DETAIL_PSNR


def other_tint(one: Picture, other: Picture, than: str, measured: str = "") -> str | None:
    """How colours or light of the one differ from the other's, in words; None where both can be of
    one place. `measured` comes after the colours."""
    light = other_light(one, other)
    if not same_colours(one, other):
        also = f", and is {light}" if light else ""
        return f"has other colours {than} has at its place{measured}{also}"
    return f"is {light} {than} is at its place" if light else None


def same_colours(one: Picture, other: Picture) -> bool:
    """Whether both can be of one place's colours, as far as their coding leaves any."""
    pairs = [(one.planes.cb, other.planes.cb), (one.planes.cr, other.planes.cr)]
    if not _has_cells(one, other):
        return True
    (blue, blue_other), (red, red_other) = [(_cells(a), _cells(b)) for a, b in pairs]
    visible = _visible_colours(one, other)
    coloured = (
        np.maximum(np.hypot(blue, red), np.hypot(blue_other, red_other)) > _COLOURED * visible
    )
    difference = np.hypot(blue - blue_other, red - red_other)[coloured]
    return not difference.size or math.sqrt(float(np.mean(difference**2))) <= visible


def other_light(one: Picture, other: Picture) -> str | None:
    """How the one's light differs from the other's by more than their coding accounts for, in
    words that "than" follows; None where it does not."""
    if not _has_cells(one, other):
        return None
    difference = _cells(one.planes.y) - _cells(other.planes.y)
    visible = _visible_light(one, other)
    if math.sqrt(float(np.mean(difference**2))) <= visible:
        return None
    mean = float(np.mean(difference))
    if abs(mean) <= visible / 2:
        return "of other contrast"
    return "darker" if mean < 0 else "lighter"


def other_spot(one: Picture, other: Picture) -> str | None:
    """As `other_light`, of the cell that differs most, in light or colour."""
    if not _has_cells(one, other):
        return None
    difference = _cells(one.planes.y) - _cells(other.planes.y)
    worst = float(difference.flat[np.abs(difference).argmax()])
    if abs(worst) > _WORST * _visible_light(one, other):
        return "darker in a spot" if worst < 0 else "lighter in a spot"
    blue, red = (_cells(one.planes[n]) - _cells(other.planes[n]) for n in (1, 2))
    if float(np.hypot(blue, red).max()) > _WORST * _visible_colours(one, other):
        return "of other colours in a spot"
    return None


def _visible_light(one: Picture, other: Picture) -> float:
    return _LIGHT_LEVELS + _LIGHT_LOSSES * (one.loss + other.loss)


def _visible_colours(one: Picture, other: Picture) -> float:
    return _COLOUR_LEVELS + _COLOUR_LOSSES * (one.loss + other.loss)


def _has_cells(one: Picture, other: Picture) -> bool:
    """Whether the two can be compared by cells: a line, or what is small in both directions, shows
    what rounding adds up to in the lowest levels."""
    alike = [a.shape == b.shape for a, b in zip(one.planes, other.planes, strict=True)]
    return (
        all(alike)
        and min(one.planes.cb.shape) >= _LEAST_CUT
        and max(one.planes.y.shape) >= _LEAST_SIDE
    )


def _cells(plane: Plane) -> npt.NDArray[np.float32]:
    """The means of the plane's cells, as their distance from 128, which is gray; of those that the
    plane's edge cuts, where they have samples enough."""
    height, width = (
        side if side % _CELL >= _LEAST_CUT else side // _CELL * _CELL for side in plane.shape
    )
    return np.asarray(Image.fromarray(plane[:height, :width]).reduce(_CELL), np.float32) - 128


def chroma_psnr(one: Picture, other: Picture) -> float:
    """As `psnr`, of the worse of both chroma planes."""
    return min(psnr(one.planes[n], other.planes[n]) for n in (1, 2))


def misplaced(
    pyramid: Pyramid,
    address: TileAddress,
    whole: Picture,
    halves: Sequence[Sequence[Picture | None]],
) -> Iterator[str]:
    """A sentence for each child whose half is not what the tile shows at its place."""
    for row, row_halves in zip(pyramid.children(address), halves, strict=True):
        for child, half in zip(row, row_halves, strict=True):
            if half is None:
                continue
            x = (child.column - 2 * address.column) * pyramid.tile_size // 2
            y = (child.row - 2 * address.row) * pyramid.tile_size // 2
            part = _cut(whole, x, y, half)
            if not (same_place(part.planes.y, half.planes.y) or _within_coding(part, half)):
                yield f"tile {child} does not show what tile {address} shows at its place"
            elif tint := other_tint(half, part, f"than tile {address}"):
                yield f"tile {child} {tint}"
            elif spot := other_spot(half, part):
                yield f"tile {child} is {spot} than tile {address} is at its place"


def _cut(whole: Picture, x: int, y: int, like: Picture) -> Picture:
    """The part of the picture at (x, y), as large as the other one."""
    parts = [
        plane[y // down : y // down + part.shape[0], x // down : x // down + part.shape[1]]
        for plane, part, down in zip(whole.planes, like.planes, (1, 2, 2), strict=True)
    ]
    return whole._replace(planes=Planes(*parts))


def sample(pyramid: Pyramid, present: set[TileAddress]) -> Iterator[TileAddress]:
    """Tiles of the base and of a middle level, evenly spread, more of them on larger slides."""
    middle = pyramid.levels[max(0, pyramid.base.number - _MIDDLE_LEVEL)]
    for level in dict.fromkeys((pyramid.base, middle)):
        tiles = [address for address in level.tiles() if address in present]
        yield from tiles[:: max(1, len(tiles) // (_LEAST_SAMPLE + math.isqrt(len(tiles))))]


def expected(
    pyramid: Pyramid, pixels: Callable[[TileAddress], Pixels], address: TileAddress
) -> Picture:
    """The tile as it should be: the base level's pixels below it, halved by plain boxes.

    `pixels` gives a base tile's, RGB.
    """
    if address.level == pyramid.base.number:
        return Picture(planes.from_rgb(pixels(address), "420"))
    rows = pyramid.children(address)
    return Picture(
        planes.joined(
            [[expected(pyramid, pixels, child).halved().planes for child in row] for row in rows]
        )
    )
