"""The walk over the quadtree: each tile once, right pixels, bounded memory, errors at once."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openslide import OpenSlide
from PIL import Image

from vsv_pyramid.jpeg.planes import Planes
from vsv_pyramid.layout.geometry import Pyramid, Size, TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.leaves import Leaf
from vsv_pyramid.pyramid.quadtree import build, fold

Luma = npt.NDArray[np.float64]


class ArrayLeaves:
    """Base tiles cut out of an RGB array."""

    def __init__(self, pyramid: Pyramid, pixels: npt.NDArray[np.uint8]) -> None:
        self.pyramid = pyramid
        self.pixels = pixels

    def leaf(self, address: TileAddress, half: Planes) -> Leaf:
        x, y = self.pyramid.location(address)
        width, height = self.pyramid.dimensions(address)
        tile = np.ascontiguousarray(self.pixels[y : y + height, x : x + width])
        planes.halve(planes.from_rgb(tile, "420"), half)
        return Leaf(simplejpeg.encode_jpeg(tile, 95, "RGB", "420"))


def tissue(size: Size) -> npt.NDArray[np.uint8]:
    """Smooth, coloured noise with details of all sizes, as tissue has them."""
    random = np.random.default_rng(1)
    whole = np.zeros((size.height, size.width, 3))
    for grain in (3, 9, 33, 129):
        coarse = random.integers(
            0, 256, (-(-size.height // grain) + 1, -(-size.width // grain) + 1, 3), dtype=np.uint8
        )
        large = (coarse.shape[1] * grain, coarse.shape[0] * grain)
        fine = np.asarray(Image.fromarray(coarse).resize(large, Image.Resampling.BICUBIC))
        whole += fine[: size.height, : size.width]
    return np.asarray(whole / 4, np.uint8)


def reference(pixels: npt.NDArray[np.uint8], levels: int) -> list[Luma]:
    """The luma of all levels, from 0 up: 2x2 boxes, odd rows and columns replicated."""
    found = [np.asarray(pixels @ [0.299, 0.587, 0.114])]
    while len(found) < levels:
        last = found[-1]
        even = np.pad(last, [(0, n % 2) for n in last.shape], "edge")
        found.append((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
    return found[::-1]


def built(pyramid: Pyramid, pixels: npt.NDArray[np.uint8], workers: int = 2) -> dict[str, bytes]:
    tiles: dict[str, bytes] = {}
    lock = threading.Lock()

    def emit(address: TileAddress, jpeg: bytes) -> None:
        with lock:
            assert str(address) not in tiles
            tiles[str(address)] = jpeg

    build(
        pyramid, ArrayLeaves(pyramid, pixels), emit, quality=95, subsampling="420", workers=workers
    )
    return tiles


def decoded_level(pyramid: Pyramid, tiles: dict[str, bytes], number: int) -> Luma:
    level = pyramid.levels[number]
    whole = np.empty((level.size.height, level.size.width))
    for address in level.tiles():
        x, y = pyramid.location(address)
        tile = simplejpeg.decode_jpeg(tiles[str(address)], "GRAY")[:, :, 0]
        assert tile.shape == pyramid.dimensions(address)[::-1]
        whole[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return whole


def psnr(one: Luma, other: Luma) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, float(np.mean((one - other) ** 2)))))


def test_every_level_shows_the_real_slide(real_slide: Path) -> None:
    with OpenSlide(real_slide) as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
        pyramid = Pyramid(Size(*slide.dimensions), 720)
    tiles = built(pyramid, pixels)
    for number, expected in enumerate(reference(pixels, len(pyramid.levels))):
        assert psnr(decoded_level(pyramid, tiles, number), expected) >= 40, number


@pytest.mark.parametrize("size", [Size(1000, 700), Size(513, 1025), Size(1, 300), Size(127, 1)])
def test_every_level_shows_the_picture(size: Size) -> None:
    pyramid, pixels = Pyramid(size, 128), tissue(size)
    tiles = built(pyramid, pixels)
    for number, expected in enumerate(reference(pixels, len(pyramid.levels))):
        assert psnr(decoded_level(pyramid, tiles, number), expected) >= 40, number


def test_there_are_no_seams() -> None:
    pyramid, pixels = Pyramid(Size(1700, 1300), 128), tissue(Size(1700, 1300))
    tiles = built(pyramid, pixels)
    for number, expected in enumerate(reference(pixels, len(pyramid.levels))):
        if max(pyramid.levels[number].size) <= 256:
            continue
        error = (decoded_level(pyramid, tiles, number) - expected) ** 2
        # Within 8x8 blocks too, the border is coded worse: compare seams with other block borders.
        across = np.arange(error.shape[1]) % 8
        at_block = (across == 0) | (across == 7)
        tile_x = np.arange(error.shape[1]) % 128
        at_seam = (tile_x == 0) | (tile_x == 127)
        assert error[:, at_seam].mean() <= 1.15 * error[:, at_block & ~at_seam].mean(), number


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([64, 80, 128]))
@example(1, 1, 64)
@example(1, 65, 64)
@example(65, 64, 64)
@example(129, 257, 64)
def test_any_size(width: int, height: int, tile_size: int) -> None:
    pyramid = Pyramid(Size(width, height), tile_size)
    pixels = np.full((height, width, 3), (200, 60, 120), np.uint8)
    tiles = built(pyramid, pixels)
    assert set(tiles) == {str(address) for address in pyramid.tiles()}
    for address in pyramid.tiles():
        tile = simplejpeg.decode_jpeg(tiles[str(address)], "RGB")
        assert tile.shape == (*pyramid.dimensions(address)[::-1], 3)
        assert np.abs(tile.astype(int) - (200, 60, 120)).max() <= 4, address


def test_any_number_of_workers_makes_the_same_bytes() -> None:
    size = Size(700, 500)
    pyramid, pixels = Pyramid(size, 64), tissue(size)
    assert built(pyramid, pixels, 1) == built(pyramid, pixels, 2) == built(pyramid, pixels, 7)


class Result:
    """Something that can be counted while it lives."""


def test_few_results_are_in_memory() -> None:
    pyramid = Pyramid(Size(64 * 128, 64 * 128), 64)
    alive: weakref.WeakSet[Result] = weakref.WeakSet()
    lock = threading.Lock()
    most, visits = 0, Counter[int]()

    def visit(address: TileAddress, children: Sequence[Sequence[Result]]) -> Result:
        nonlocal most
        result = Result()
        with lock:
            visits[address.level] += 1
            alive.add(result)
            most = max(most, len(alive))
        return result

    workers = 2
    fold(pyramid, visit, workers=workers)
    assert visits == {level.number: level.columns * level.rows for level in pyramid.levels}
    assert most <= 4 * len(pyramid.levels) * (workers + 1) < pyramid.tile_count / 100


def test_an_error_stops_all_at_once() -> None:
    pyramid = Pyramid(Size(64 * 64, 64 * 64), 64)
    visits = []

    def visit(address: TileAddress, children: object) -> None:
        visits.append(address)
        if address == (12, 63, 63):
            raise OSError("the last tile of the first worker's turn")
        if len(visits) >= 300:  # of base tiles, or of their parents, as the threads come
            raise ValueError(str(address))

    with pytest.raises(ValueError, match=r"^\d+/\d+_\d+$"):
        fold(pyramid, visit, workers=2)
    assert len(visits) < 310


def test_an_interrupt_in_the_callers_thread_stops_the_workers() -> None:
    pyramid = Pyramid(Size(64 * 64, 64 * 64), 64)
    visits = []

    def visit(address: TileAddress, children: object) -> None:
        visits.append(address)

    def tick() -> None:
        if len(visits) > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fold(pyramid, visit, workers=2, tick=tick)
    assert len(visits) < pyramid.tile_count
    assert threading.active_count() == 1 or not [
        thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name
    ]


@pytest.mark.parametrize(("in_callers_thread", "column"), [(False, 8), (True, 16)])
def test_the_first_error_is_told_not_one_that_follows_from_it(
    in_callers_thread: bool, column: int
) -> None:
    """As where puts are refused once a tile was found damaged."""
    pyramid = Pyramid(Size(640, 640), 10)
    stop, emitting = threading.Event(), threading.Event()
    damaged = TileAddress(pyramid.base.number, column, 0)  # in a block that is walked meanwhile

    class Damaged(ArrayLeaves):
        def leaf(self, address: TileAddress, half: Planes) -> Leaf:
            if address == damaged:
                assert emitting.wait(20)
                raise ZeroDivisionError
            return super().leaf(address, half)

    leaves = Damaged(pyramid, tissue(pyramid.size))

    def emit(address: TileAddress, _: bytes) -> None:
        is_on_top = threading.current_thread() is threading.main_thread()
        if is_on_top == in_callers_thread and (is_on_top or address.column + address.row == 0):
            emitting.set()
            assert stop.wait(20)
            raise OSError("left, since something else has failed")

    with pytest.raises(ZeroDivisionError):
        build(pyramid, leaves, emit, quality=80, subsampling="420", workers=2, stop=stop)
