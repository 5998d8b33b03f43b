"""Planes of pixels, and pixels in other colours, against plain arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from vsv_pyramid.jpeg import _splice as kernel
from vsv_pyramid.jpeg.planes import FACTORS, Pixels, Planes, Subsampling
from vsv_pyramid.pyramid import planes

SHAPES = [(1, 1), (2, 1), (1, 2), (7, 5), (33, 47), (16, 16), (240, 256)]
Means = npt.NDArray[np.float64]


@pytest.fixture(params=[True, False], ids=["avx2", "plain"], autouse=True)
def vectors(request: pytest.FixtureRequest) -> Iterator[None]:
    before = kernel.uses_avx2()
    kernel.use_avx2(request.param)
    yield
    kernel.use_avx2(before)


def noise(shape: tuple[int, int]) -> Pixels:
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), np.uint8)


def truth(pixels: Pixels, factors: tuple[int, int]) -> tuple[Means, Means, Means]:
    """ITU-T T.871, chroma of the means, the last row and column repeated."""
    fx, fy = factors
    height, width, _ = pixels.shape
    whole = np.pad(pixels, ((0, -height % fy), (0, -width % fx), (0, 0)), "edge").astype(float)
    mean = whole.reshape(-(-height // fy), fy, -(-width // fx), fx, 3).mean(axis=(1, 3))
    return (
        pixels @ np.array([0.299, 0.587, 0.114]),
        mean @ np.array([-0.168736, -0.331264, 0.5]) + 128,
        mean @ np.array([0.5, -0.418688, -0.081312]) + 128,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
def test_of_pixels(shape: tuple[int, int], subsampling: Subsampling) -> None:
    pixels = noise(shape)
    made = planes.from_rgb(pixels, subsampling)
    # A mean is rounded before it is weighed.
    allowed = 0.52, *[0.52 if subsampling == "444" else 1.02] * 2
    for plane, exact, most in zip(made, truth(pixels, FACTORS[subsampling]), allowed, strict=True):
        assert plane.shape == exact.shape
        assert np.abs(plane - exact).max() <= most


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
def test_nothing_is_brighter_or_bluer_than_it_is(subsampling: Subsampling) -> None:
    pixels = noise((512, 512))
    exact = truth(pixels, FACTORS[subsampling])
    for plane, means in zip(planes.from_rgb(pixels, subsampling), exact, strict=True):
        assert abs(float(np.mean(plane - means))) < 0.02


def test_halving_again_and_again_does_not_drift() -> None:
    plane = noise((1024, 1024))[..., 0] // 3 + 100
    mean = plane.mean()
    for _ in range(7):
        plane = planes.halved(Planes(plane, plane, plane)).y
        assert abs(plane.mean() - mean) < 0.25  # 64 pixels are left in the end


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernel_halves_as_it_is_done_without_it(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = np.ascontiguousarray(noise(shape)[..., 0])
    halves = []
    for present in kernel, None:
        monkeypatch.setattr(planes, "kernel", present)
        half = np.empty((-(-shape[0] // 2), -(-shape[1] // 2)), np.uint8)
        planes.box_halve(plane, half)
        halves.append(half)
    assert np.array_equal(halves[0], halves[1])


def test_without_the_kernel_planes_are_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise((64, 48))
    with_kernel = planes.from_rgb(pixels, "420")
    monkeypatch.setattr(planes, "kernel", None)
    for one, other in zip(planes.from_rgb(pixels, "420"), with_kernel, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 2


def test_part_of_larger_pixels() -> None:
    pixels = noise((64, 64))
    part = pixels[3:40, 5:50]
    for one, other in zip(
        planes.from_rgb(part, "420"), planes.from_rgb(part.copy(), "420"), strict=True
    ):
        assert np.array_equal(one, other)


def test_what_does_not_fit_is_refused() -> None:
    pixels = noise((8, 8))
    y, cb, cr = planes.from_rgb(pixels, "420")
    for wrong in (
        (pixels[:, ::2], 2, 2, y, cb, cr),
        (pixels[..., :2], 2, 2, y, cb, cr),
        (pixels[:0], 2, 2, y, cb, cr),
        (pixels, 1, 2, y, cb, cr),
        (pixels, 2, 2, y[1:], cb, cr),
        (pixels, 2, 2, y, cb.T[:3], cr),
        (pixels, 2, 2, y, cb, np.empty((8, 4), np.uint8)[:, ::2]),
        (pixels, 1, 1, y, cb, cr),
    ):
        with pytest.raises(ValueError, match=r"no pixels|not supported|no planes"):
            kernel.planes(*wrong)


def test_colours_by_a_table() -> None:
    pixels = noise((9, 7))
    table = np.zeros(1 << 24, np.uint32)
    lacking = np.full(63, 7, np.uint32)
    found = np.empty_like(pixels)
    keys = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    known = keys.ravel()[::2]
    table[known] = 1 << 24 | 0x010203
    count = kernel.recolour(pixels, table, found, lacking)
    assert sorted(lacking[:count]) == sorted(set(keys.ravel()) - set(known))
    assert (found[np.isin(keys, known)] == (1, 2, 3)).all()
    with pytest.raises(ValueError, match="no table"):
        kernel.recolour(pixels, table[1:], found, lacking)
    with pytest.raises(ValueError, match="no table"):
        kernel.recolour(pixels, table, found, lacking[1:])
    with pytest.raises(ValueError, match="not as many"):
        kernel.recolour(pixels, table, found[1:], lacking)
