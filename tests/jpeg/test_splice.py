"""The joined tile holds what its tiles hold, to the bit; the half is what a box makes of them."""

from __future__ import annotations

import io
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.support.tiles import (
    MAGENTA,
    VARIANTS,
    Pixels,
    RealSlide,
    Variant,
    coefficients,
    cut,
    decode,
    encode,
    sample_planes,
    stuffed,
    table_of,
    tissue,
)
from vsv_pyramid.errors import StreamError, Unspliceable
from vsv_pyramid.jpeg import _splice
from vsv_pyramid.jpeg.join import Joined, join
from vsv_pyramid.jpeg.planes import Subsampling
from vsv_pyramid.jpeg.stream import CHROMINANCE, LUMINANCE, HuffmanTable, parse
from vsv_pyramid.pyramid.planes import halved

Colour = tuple[int, int, int]
Tables = tuple[HuffmanTable, HuffmanTable]

BY_NAME = {variant.name: variant for variant in VARIANTS}
HALVES: tuple[Subsampling, ...] = ("420", "422", "444")


@pytest.fixture(scope="session")
def real(real_slide: Path) -> RealSlide:
    return RealSlide.read(real_slide)


def joined(
    variant: Variant,
    image: Pixels,
    tile: int,
    *,
    half: Subsampling = "420",
    pad: Colour | None = None,
    empty: Collection[tuple[int, int]] = (),
) -> Joined:
    rows = cut(image, tile, pad)
    tiles = [
        variant.tile(t) if (x, y) not in empty else None
        for y, row in enumerate(rows)
        for x, t in enumerate(row)
    ]
    height, width = image.shape[:2]
    return join(
        tiles,
        len(rows[0]),
        len(rows),
        tile_size=(tile, tile),
        size=(width, height),
        tables=variant.tables(),
        rgb=variant.rgb,
        subsampling=half,
    )


def assert_exact(
    variant: Variant,
    image: Pixels,
    tile: int,
    jpeg: bytes,
    pad: Colour | None = None,
    empty: Collection[tuple[int, int]] = (),
) -> None:
    """Coefficients and quantisation tables of all tiles, then the pixels."""
    height, width = image.shape[:2]
    rows = cut(image, tile, pad)
    ours, steps = coefficients(jpeg)
    pixels = decode(jpeg)
    assert pixels.shape == (height, width, 3)
    sampled = variant.subsampling != "444"
    for (y, row), x in product(enumerate(rows), range(len(rows[0]))):
        if (x, y) in empty:
            continue
        whole = variant.whole(row[x])
        theirs, their_steps = coefficients(whole)
        for mine, other, a, b in zip(ours, theirs, steps, their_steps, strict=True):
            part = mine[y * other.shape[0] :, x * other.shape[1] :][
                : other.shape[0], : other.shape[1]
            ]
            assert part.size and np.array_equal(part, other[: part.shape[0], : part.shape[1]])
            assert np.array_equal(a, b)
        shown = pixels[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile]
        want = decode(whole)[: shown.shape[0], : shown.shape[1]]
        # Decoders interpolate chroma across a seam, and not beyond the crop.
        inner = slice(2, -2) if sampled else slice(None)
        assert np.array_equal(shown[inner, inner], want[inner, inner])


def boxed(plane: np.ndarray, fx: int = 2, fy: int = 2) -> NDArray[np.float64]:
    height, width = plane.shape
    plane = np.pad(plane.astype(float), ((0, -height % fy), (0, -width % fx)), mode="edge")
    means: NDArray[np.float64] = plane.reshape(-(-height // fy), fy, -(-width // fx), fx).mean(
        (1, 3)
    )
    return means


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2))))


def ycc(rgb: np.ndarray) -> NDArray[np.float64]:
    matrix = np.array(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    planes: NDArray[np.float64] = rgb.astype(float) @ matrix.T + (0, 128, 128)
    return planes


@pytest.mark.table
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("tile", [240, 256])
def test_exact(variant: Variant, tile: int, k: int) -> None:
    image = tissue(k * tile, k * tile, k)
    assert_exact(variant, image, tile, joined(variant, image, tile).jpeg)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_exact_with_large_tiles(variant: Variant) -> None:
    image = tissue(1024, 1024)
    assert_exact(variant, image, 512, joined(variant, image, 512).jpeg)


@pytest.mark.table
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize(
    "size", [(1, 1), (7, 9), (97, 240), (241, 250), (500, 489), (712, 719), (720, 481)], ids=str
)
def test_crop(variant: Variant, size: tuple[int, int]) -> None:
    width, height = size
    image = tissue(width, height)
    made = joined(variant, image, 240)
    assert_exact(variant, image, 240, made.jpeg)
    assert made.half[0].shape == (-(-height // 2), -(-width // 2))
    assert made.half[1].shape == made.half[2].shape == (-(-height // 4), -(-width // 4))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    variant=st.builds(
        Variant,
        name=st.just("random"),
        rgb=st.booleans(),
        subsampling=st.sampled_from(["444", "422", "420"]),
        quality=st.sampled_from([20, 50, 70, 90, 98]),
        abbreviated=st.booleans(),
        optimised=st.booleans(),
        restart=st.sampled_from([0, 0, 1, 2, 3, 10, 1000]),
    ).filter(
        lambda v: not (v.rgb and v.subsampling != "444") and not (v.optimised and v.abbreviated)
    ),
    tile=st.sampled_from([48, 64, 96]),
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    seed=st.integers(0, 3),
    half=st.sampled_from(["420", "422", "444"]),
    empty=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3),
)
def test_any_slide(
    variant: Variant,
    tile: int,
    width: int,
    height: int,
    seed: int,
    half: Subsampling,
    empty: set[tuple[int, int]],
) -> None:
    image = tissue(width, height, seed)
    grid = set(product(range(-(-width // tile)), range(-(-height // tile))))
    if grid <= empty:
        empty = set()
    made = joined(variant, image, tile, half=half, empty=empty)
    assert_exact(variant, image, tile, made.jpeg, empty=empty)


def test_real_slide(real: RealSlide) -> None:
    k, tile = 3, real.tile
    columns, rows = -(-real.width // tile), -(-real.height // tile)
    squares, pixels = np.zeros(3), 0
    for left, top in product(range(0, columns, k), range(0, rows, k)):
        across, down = min(k, columns - left), min(k, rows - top)
        width, height = (
            min(k * tile, real.width - left * tile),
            min(k * tile, real.height - top * tile),
        )
        tiles = [real.tiles[left + x, top + y] for y in range(down) for x in range(across)]
        made = join(
            tiles,
            across,
            down,
            tile_size=(tile, tile),
            size=(width, height),
            tables=real.tables,
            rgb=True,
            subsampling="444",
        )
        single = [
            join(
                [t], 1, 1, tile_size=(tile, tile), size=(tile, tile), tables=real.tables, rgb=True
            ).jpeg
            for t in tiles
        ]
        # A tile alone is the tile with its header changed: nothing of its scan.
        for source, alone in zip(tiles, single, strict=True):
            assert (
                alone[parse(alone).scan : -2]
                == source[parse(source, real.tables).scan : source.rindex(b"\xff\xd9")]
            )
        whole = np.vstack(
            [
                np.hstack([decode(s) for s in single[y * across : (y + 1) * across]])
                for y in range(down)
            ]
        )[:height, :width]
        assert np.array_equal(decode(made.jpeg), whole)
        reference = ycc(np.dstack([boxed(whole[..., c]) for c in range(3)]))
        for c in range(3):
            squares[c] += ((reference[..., c] - made.half[c]) ** 2).sum()
        pixels += reference.shape[0] * reference.shape[1]
    assert (10 * np.log10(255**2 / (squares / pixels)) >= 45).all()


def test_no_grid_at_the_seams(real: RealSlide) -> None:
    """Beside the seams of native tiles the half is as near to the boxed decode as elsewhere."""
    k, tile = 3, real.tile
    errors = []
    for left, top in product((0, 3, 6), (0, 3, 6, 9)):
        made = join(
            [real.tiles[left + x, top + y] for y in range(k) for x in range(k)],
            k,
            k,
            tile_size=(tile, tile),
            size=(k * tile, k * tile),
            tables=real.tables,
            rgb=True,
        )
        reference = ycc(np.dstack([boxed(plane) for plane in np.moveaxis(decode(made.jpeg), 2, 0)]))
        errors.append(np.abs(made.half[0] - reference[..., 0]))
    error = np.mean(errors, axis=0)
    for across in (error, error.T):
        by_place = across.mean(axis=0).reshape(k, -1).mean(axis=0)
        beside = by_place[[0, -1]].mean()
        assert 0.8 < beside / by_place.mean() < 1.2


@pytest.mark.parametrize("half", ["420", "422", "444"])
@pytest.mark.parametrize("name", ["rgb444", "ycc444", "ycc422", "ycc420", "ycc420-restart"])
@pytest.mark.parametrize("size", [(480, 480), (479, 333), (249, 251)], ids=str)
def test_half(name: str, half: Subsampling, size: tuple[int, int]) -> None:
    variant = BY_NAME[name]
    image = tissue(*size, 5)
    made = joined(variant, image, 240, half=half)
    planes = sample_planes(made.jpeg)
    sx, sy = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}[variant.subsampling]
    fx, fy = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}[half]
    planes = [
        planes[0][: size[1], : size[0]],
        *(p[: -(-size[1] // sy), : -(-size[0] // sx)] for p in planes[1:]),
    ]
    if variant.rgb:
        planes = list(np.moveaxis(ycc(np.dstack(planes)), 2, 0))
    assert psnr(boxed(planes[0]), made.half[0]) >= 45
    for mine, plane in zip(made.half[1:], planes[1:], strict=True):
        assert psnr(boxed(plane, 2 * fx // sx, 2 * fy // sy), mine) >= 45


@pytest.mark.parametrize("half", ["420", "422", "444"])
@pytest.mark.parametrize("name", ["rgb444", "ycc444", "ycc422", "ycc420"])
@pytest.mark.parametrize("size", [(250, 330), (242, 482), (120, 8), (22, 470)], ids=str)
def test_padding_does_not_leak(name: str, half: Subsampling, size: tuple[int, int]) -> None:
    """Gray tissue, magenta behind the crop.

    At most one chroma sample of the source mixes both, never a pixel more.
    """
    variant = BY_NAME[name]
    image = np.full((size[1], size[0], 3), 200, np.uint8)
    # Magenta begins at a block's edge in the file too, or the encoder itself would smear it over
    # the tissue.
    width, height = -(-size[0] // 16) * 16, -(-size[1] // 16) * 16
    filled = np.full((height, width, 3), 200, np.uint8)
    rows = cut(filled, 240, MAGENTA)
    tiles = [variant.tile(t) for row in rows for t in row]
    made = join(
        tiles,
        len(rows[0]),
        len(rows),
        tile_size=(240, 240),
        size=size,
        tables=variant.tables(),
        rgb=variant.rgb,
        subsampling=half,
    )
    for plane, want in zip(made.half, (200, 128, 128), strict=True):
        assert np.abs(plane.astype(int) - want).max() <= 1
    assert np.abs(decode(made.jpeg).astype(int) - image).max() <= 1


@pytest.mark.parametrize("half", ["420", "444"])
@pytest.mark.parametrize("name", ["rgb444", "ycc444"])
@pytest.mark.parametrize("size", [(250, 330), (243, 481), (119, 9), (21, 471)], ids=str)
def test_padding_within_a_block_does_not_leak(
    name: str, half: Subsampling, size: tuple[int, int]
) -> None:
    """The edge inside a block: what the half shows is what the crop shows, halved."""
    variant = Variant(name, rgb=BY_NAME[name].rgb, quality=98)
    image = np.full((size[1], size[0], 3), 200, np.uint8)
    made = joined(variant, image, 240, half=half, pad=MAGENTA)
    full = decode(made.jpeg).astype(float)
    halves = ycc(np.dstack([boxed(full[..., c]) for c in range(3)]))
    for c in range(3):
        want = boxed(halves[..., c], 2, 2) if c and half == "420" else halves[..., c]
        assert np.abs(want - made.half[c]).max() <= 4
    assert np.abs(made.half[0].astype(int) - 200).max() < 20


@pytest.mark.parametrize("half", HALVES)
def test_without_avx2_all_is_the_same(half: Subsampling) -> None:
    for variant, (width, height) in product(VARIANTS, [(96, 96), (85, 61), (34, 90)]):
        image = tissue(width, height, 5)
        wide = joined(variant, image, 32, half=half)
        _splice.use_avx2(False)
        try:
            narrow = joined(variant, image, 32, half=half)
            smaller = halved(narrow.half)
        finally:
            _splice.use_avx2(True)
        assert narrow.jpeg == wide.jpeg
        for one, other in zip(
            (*narrow.half, *smaller), (*wide.half, *halved(wide.half)), strict=True
        ):
            assert np.array_equal(one, other), variant.name


def test_gray() -> None:
    pixels = tissue(240, 240)[..., 1]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=80)
    made = join([out.getvalue()] * 4, 2, 2, tile_size=(240, 240), size=(470, 469), rgb=False)
    with Image.open(io.BytesIO(made.jpeg)) as image, Image.open(out) as source:
        mode, whole, alone = image.mode, np.asarray(image), np.asarray(source)
    assert mode == "L" and np.array_equal(whole, np.tile(alone, (2, 2))[:469, :470])
    assert psnr(boxed(whole), made.half[0]) > 45
    assert (made.half[1] == 128).all() and made.half[1].shape == (118, 118)


def test_440() -> None:
    """4:4:0, which no encoder at hand writes, from coefficients."""
    planes = noise([(12, 6), (6, 6), (6, 6)])
    jpeg = encode(planes, [(1, 2), (1, 1), (1, 1)], (LUMINANCE, CHROMINANCE, CHROMINANCE))
    for half in HALVES:
        made = join(
            [jpeg] * 2, 2, 1, tile_size=(48, 96), size=(96, 96), rgb=False, subsampling=half
        )
        for mine, other in zip(coefficients(made.jpeg)[0], planes, strict=True):
            assert np.array_equal(mine, np.hstack([other, other]))
        assert made.half[0].shape == (48, 48)
        assert made.half[1].shape == {"420": (24, 24), "422": (48, 24), "444": (48, 48)}[half]


def noise(
    shapes: list[tuple[int, int]], seed: int = 0, density: float = 0.2, high: int = 40
) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    planes = []
    for rows, columns in shapes:
        plane = rng.integers(-high, high + 1, (rows, columns, 8, 8)) * (
            rng.random((rows, columns, 8, 8)) < density
        )
        plane[..., 0, 0] = rng.integers(-60, 60, (rows, columns))
        planes.append(plane.astype(np.int16))
    return planes


RGB = [(1, 1)] * 3
# Every code 16 bits long but for two: nothing of it fits the kernel's lookup.
LONG = (
    table_of({**dict.fromkeys(range(12), 16), 12: 1, 13: 2}),
    table_of(
        {
            **{run << 4 | size: 16 for run in range(16) for size in range(1, 11)},
            0: 16,
            0xF0: 16,
            0xE0: 1,
        }
    ),
)


@pytest.mark.parametrize("restart", [0, 1, 4, 7, 400])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize(
    "tables",
    [(LUMINANCE,) * 3, (LONG,) * 3, (LUMINANCE, LONG, CHROMINANCE)],
    ids=["std", "long", "three"],
)
def test_odd_streams(tables: tuple[Tables, ...], density: float, restart: int) -> None:
    """What encoders seldom write.

    Codes of 16 bits, blocks that end without EOB, runs of zeros, three pairs of tables, restarts at
    every place.
    """
    grid = [
        [noise([(4, 4)] * 3, seed=10 * y + x, density=density, high=1023) for x in range(3)]
        for y in range(2)
    ]
    tiles = [encode(planes, RGB, tables, step=1, restart=restart) for row in grid for planes in row]
    made = join(tiles, 3, 2, tile_size=(32, 32), size=(90, 60), rgb=True)
    for c, mine in enumerate(coefficients(made.jpeg)[0]):
        assert np.array_equal(mine, np.vstack([np.hstack([p[c] for p in row]) for row in grid]))


def test_extreme_values() -> None:
    """The widest DC differences and AC values a baseline scan can hold, in turn."""
    plane = np.full((4, 4, 8, 8), 1023, np.int16)
    plane[::2, ::2] = -1023
    plane[..., 0, 0] = np.where(np.indices((4, 4)).sum(0) % 2, 1023, -1024)
    tile = encode([plane] * 3, RGB, (LUMINANCE,) * 3, step=1)
    made = join([tile] * 4, 2, 2, tile_size=(32, 32), size=(64, 64), rgb=True)
    for mine in coefficients(made.jpeg)[0]:
        assert np.array_equal(mine, np.tile(plane, (2, 2, 1, 1)))


def test_tables_that_lack_a_category() -> None:
    """Within each tile the DC differences are small, at the seams they are not.

    The tables have no code for those.
    """
    dc = table_of({0: 1, 1: 2, 7: 3})
    tables = ((dc, LUMINANCE[1]),) * 3
    planes = [noise([(4, 4)] * 3, seed, density=0.1) for seed in range(2)]
    for part, level in zip(planes, (64, -64), strict=True):
        for plane in part:
            plane[..., 0, 0] = level
    tiles = [encode(part, RGB, tables) for part in planes]
    same = join([tiles[0]] * 2, 2, 1, tile_size=(32, 32), size=(64, 32), rgb=True)
    assert parse(same.jpeg).coding[0][0] == dc
    made = join(tiles, 2, 1, tile_size=(32, 32), size=(64, 32), rgb=True)
    assert parse(made.jpeg).coding == (LUMINANCE,) * 3
    for c, mine in enumerate(coefficients(made.jpeg)[0]):
        assert np.array_equal(mine, np.hstack([planes[0][c], planes[1][c]]))


@pytest.mark.parametrize("name", ["rgb444", "rgb444-optimised", "ycc420", "ycc422"])
def test_empty_tiles_are_white(name: str) -> None:
    variant = BY_NAME[name]
    image = tissue(720, 480)
    empty = {(0, 0), (1, 1), (2, 1)}
    made = joined(variant, image, 240, empty=empty)
    assert_exact(variant, image, 240, made.jpeg, empty=empty)
    pixels = decode(made.jpeg)
    for x, y in empty:
        assert (pixels[y * 240 + 2 : y * 240 + 238, x * 240 + 2 : x * 240 + 238] == 255).all()
        assert (made.half[0][y * 120 : y * 120 + 120, x * 120 : x * 120 + 120] == 255).all()
        assert (made.half[1][y * 60 : y * 60 + 60, x * 60 : x * 60 + 60] == 128).all()


def test_nothing_but_empty_tiles() -> None:
    with pytest.raises(Unspliceable, match="empty"):
        join([None, b""], 2, 1, tile_size=(240, 240), size=(480, 240), rgb=True)


# --- What cannot be joined ------------------------------------------------------------------------


def one(jpeg: bytes, tile: int = 48, rgb: bool = False) -> Joined:
    return join([jpeg], 1, 1, tile_size=(tile, tile), size=(tile, tile), rgb=rgb)


def saved(mode: str = "RGB", **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(tissue(48, 48)).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def marked(jpeg: bytes, transform: int) -> bytes:
    """The stream with Adobe's marker in the place of JFIF's."""
    length = 4 + int.from_bytes(jpeg[4:6], "big")
    adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes((transform,))
    return jpeg[:2] + adobe + jpeg[2 + length - 2 :]


def test_other_kinds_are_told() -> None:
    with pytest.raises(Unspliceable, match="progressive"):
        one(saved(progressive=True))
    with pytest.raises(Unspliceable, match="4 components"):
        one(saved("CMYK"))
    jpeg = saved()
    with pytest.raises(Unspliceable, match="arithmetic"):
        one(jpeg.replace(b"\xff\xc0", b"\xff\xc9"))
    at = jpeg.index(b"\xff\xc0")
    with pytest.raises(Unspliceable, match="12 bits"):
        one(jpeg[: at + 4] + b"\x0c" + jpeg[at + 5 :])
    with pytest.raises(Unspliceable, match="48 x 48"):
        one(jpeg, 56)
    with pytest.raises(Unspliceable, match="subsampling"):
        one(marked(saved(subsampling=2), transform=0), rgb=False)
    with pytest.raises(Unspliceable, match="no multiple of their MCU"):
        join(
            [Variant("").whole(tissue(44, 44))] * 2,
            2,
            1,
            tile_size=(44, 44),
            size=(88, 44),
            rgb=False,
        )
    with pytest.raises(Unspliceable, match=r"tile \(1, 0\).*quantisation"):
        join(
            [saved(quality=50), saved(quality=60)],
            2,
            1,
            tile_size=(48, 48),
            size=(96, 48),
            rgb=False,
        )


@pytest.mark.parametrize(
    ("factors", "kind", "sentence"),
    [
        ({11: 0x41}, Unspliceable, "sampling factors"),
        ({11: 0x22, 14: 0x12, 17: 0x11}, Unspliceable, "sampling factors"),
        ({11: 0x22, 14: 0x22, 17: 0x22}, StreamError, "more than ten blocks"),
    ],
)
def test_odd_sampling_factors_are_told(
    factors: dict[int, int], kind: type[StreamError], sentence: str
) -> None:
    jpeg = bytearray(saved(subsampling=0))
    frame = jpeg.index(b"\xff\xc0")
    for at, factor in factors.items():
        jpeg[frame + at] = factor
    with pytest.raises(kind, match=sentence):
        one(bytes(jpeg))


def test_what_is_too_large_or_unlike_is_told() -> None:
    with pytest.raises(ValueError, match="1 tiles for 2 x 1"):
        join([saved()], 2, 1, tile_size=(48, 48), size=(96, 48), rgb=False)
    with pytest.raises(Unspliceable, match="RGB among YCbCr, or the reverse"):
        tiles = [saved(subsampling=0), marked(saved(subsampling=0), transform=0)]
        join(tiles, 2, 1, tile_size=(48, 48), size=(96, 48), rgb=False)
    with pytest.raises(Unspliceable, match="larger than 4096"):
        wide = Variant("").whole(tissue(4104, 8))
        join([wide], 1, 1, tile_size=(4104, 8), size=(4104, 8), rgb=False)
    with pytest.raises(Unspliceable, match="larger than a JPEG can be"):
        tile = Variant("").whole(tissue(4096, 8))
        join([tile] * 17, 17, 1, tile_size=(4096, 8), size=(17 * 4096, 8), rgb=False)
    with pytest.raises(Unspliceable, match="other components or sampling factors"):
        tiles = [saved(subsampling=0), saved(subsampling=2)]
        join(tiles, 2, 1, tile_size=(48, 48), size=(96, 48), rgb=False)
    with pytest.raises(Unspliceable, match="its neighbours are"):
        unlike = [saved(), Variant("").whole(tissue(56, 56))]
        join(unlike, 2, 1, tile_size=(48, 48), size=(96, 48), rgb=False)


def scans(jpeg: bytes) -> tuple[bytes, bytes]:
    at = parse(jpeg).scan
    return jpeg[:at], jpeg[at:-2]


def test_damage_names_the_tile() -> None:
    good = saved(quality=90)
    head, scan = scans(good)
    bad = head + scan[: len(scan) // 2] + b"\xff\xd9"
    with pytest.raises(StreamError, match=r"tile \(1, 2\): the scan ends early") as caught:
        join([good] * 5 + [bad], 2, 3, tile_size=(48, 48), size=(96, 144), rgb=False)
    assert caught.value.tile == (1, 2) and not isinstance(caught.value, Unspliceable)


def test_trailing_garbage_is_tolerated() -> None:
    good = saved()
    head, scan = scans(good)
    for tail in (
        b"",
        b"\xff",
        b"\xff\xff\xff\xd9",
        bytes(100),
        b"\xff\xd3" + bytes(10),
        b"\xff\xd9" * 9,
    ):
        assert one(head + scan + tail).jpeg == one(good).jpeg


def test_a_scan_that_goes_on_is_damaged() -> None:
    """Its codes have become longer: what is left over is a block's, of which nobody knows."""
    good = saved()
    head, scan = scans(good)
    for tail in (b"\x55" * 4, bytes(10) + b"\x01" + bytes(10), scan):
        with pytest.raises(StreamError, match="it goes on behind its last block"):
            one(head + scan + tail + b"\xff\xd9")


@pytest.mark.parametrize("seed", range(20))
def test_damage_within_a_scan_is_seen(seed: int) -> None:
    """Wherever a reader of JPEG sees it, too."""
    good = saved()
    head, scan = scans(good)
    rng = np.random.default_rng(seed)
    torn = bytearray(scan)
    at = int(rng.integers(0, len(torn) // 2))
    torn[at : at + 40] = rng.integers(0, 255, 40, np.uint8).tobytes()
    damaged = head + bytes(torn) + b"\xff\xd9"
    try:
        simplejpeg.decode_jpeg(damaged, "RGB", False, False)
    except ValueError:
        with pytest.raises(StreamError):
            one(damaged)


def test_restart_markers_out_of_order() -> None:
    good = saved(restart_marker_blocks=2)
    assert good.count(b"\xff\xd1") >= 1
    with pytest.raises(StreamError, match="restart"):
        one(good.replace(b"\xff\xd1", b"\xff\xd5", 1))
    with pytest.raises(StreamError):
        one(good.replace(b"\xff\xd1", b"", 1))


def test_values_out_of_range() -> None:
    """DC differences that add up beyond 16 bits, or to a seam wider than any code."""
    plane = np.zeros((1, 64, 8, 8), np.int32)
    plane[0, :, 0, 0] = np.arange(64) * 1000
    tile = encode([plane] * 3, RGB, (LUMINANCE,) * 3)
    with pytest.raises(StreamError, match="out of range"):
        join([tile], 1, 1, tile_size=(512, 8), size=(512, 8), rgb=True)
    plane[0, :, 0, 0] = np.arange(64) * 400
    tile = encode([plane] * 3, RGB, (LUMINANCE,) * 3)
    with pytest.raises(StreamError, match="baseline"):
        join([tile] * 2, 2, 1, tile_size=(512, 8), size=(1024, 8), rgb=True)


@pytest.mark.parametrize(
    "pair",
    [
        (table_of({12: 1, 0: 2}), LUMINANCE[1]),
        (table_of({0: 1}), table_of({0x0B: 1, 0: 2})),
        (table_of({0: 1}), table_of({0x30: 1, 0: 2})),
    ],
    ids=["DC of 12 bits", "AC of 11 bits", "run without a value"],
)
def test_symbols_that_baseline_does_not_have(pair: Tables) -> None:
    head, _ = scans(encode([np.zeros((1, 1, 8, 8), np.int16)] * 3, RGB, (pair,) * 3))
    with pytest.raises(StreamError, match=r"tile \(0, 0\): the scan is damaged"):
        one(head + stuffed("0" * 300) + b"\xff\xd9", 8, rgb=True)


def test_threads() -> None:
    """The kernel runs without the GIL, and many at once make what one makes."""
    image = tissue(480, 480)
    want = joined(VARIANTS[0], image, 240)
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: joined(VARIANTS[0], image, 240), range(16)):
            assert made.jpeg == want.jpeg
            assert all(np.array_equal(a, b) for a, b in zip(made.half, want.half, strict=True))


@pytest.mark.parametrize("name", ["rgb444", "ycc420-restart", "ycc422-optimised-restart"])
def test_every_truncation(name: str) -> None:
    variant = BY_NAME[name]
    good = variant.whole(tissue(48, 48))
    reached = 0
    for length in range(1, len(good) - 2):
        try:
            one(good[:length], rgb=variant.rgb)
        except StreamError as exc:
            assert exc.tile == (0, 0)
        else:
            reached += 1
    assert reached <= 2


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([v.name for v in VARIANTS]),
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6
    ),
    half=st.sampled_from(["420", "444"]),
)
def test_flipped_bytes(name: str, flips: list[tuple[float, int]], half: Subsampling) -> None:
    """An error that says where, or a result; what is a result, a decoder must be able to read."""
    variant = BY_NAME[name]
    good = variant.tile(tissue(48, 48))
    bad = bytearray(good)
    for where, what in flips:
        bad[int(where * len(bad))] ^= what
    try:
        made = join(
            [good, bytes(bad)],
            2,
            1,
            tile_size=(48, 48),
            size=(91, 43),
            tables=variant.tables(),
            rgb=variant.rgb,
            subsampling=half,
        )
    except StreamError as exc:
        assert exc.tile in ((1, 0), None)
    else:
        assert decode(made.jpeg).shape == (43, 91, 3)
