"""The lossless lane on whole slides: exact base tiles, right lanes, honest fallbacks."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tifffile import TiffFile, TiffWriter

from tests.support.forge import damage_tile, forge_svs
from tests.support.tiles import (
    MAGENTA,
    VARIANTS,
    Pixels,
    Variant,
    coefficients,
    cut,
    decode,
    tissue,
)
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import SlideError, TileError
from vsv_pyramid.jpeg.planes import Subsampling
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.planning.lanes import Lane
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.planning.plan import make_plan
from vsv_pyramid.pyramid import copied
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.verification import verify


def write_tiff(
    path: Path,
    rows: list[list[bytes]],
    size: tuple[int, int],
    tile: int,
    *,
    rgb: bool,
    tables: bytes = b"",
    **settings: Any,
) -> Path:
    """A tiled TIFF of these JPEG streams; an empty one is left out of the file."""
    with TiffWriter(path, **{k: settings[k] for k in ("bigtiff",) if k in settings}) as tiff:
        tiff.write(
            itertools.chain.from_iterable(rows),
            shape=(size[1], size[0], 3),
            dtype=np.uint8,
            photometric="rgb" if rgb else "ycbcr",
            tile=(tile, tile),
            compression="jpeg",
            compressionargs={"outcolorspace": "rgb" if rgb else "ycbcr"},
            jpegtables=tables or None,
            metadata=None,
            software=False,
        )
    return path


def slide_of(path: Path, variant: Variant, image: Pixels, tile: int, **settings: Any) -> Path:
    height, width = image.shape[:2]
    rows = [[variant.tile(part) for part in row] for row in cut(image, tile)]
    return write_tiff(
        path, rows, (width, height), tile, rgb=variant.rgb, tables=variant.tables(), **settings
    )


def base_tiles(summary: Summary) -> Iterator[tuple[TileAddress, bytes]]:
    document = slide_json(summary)
    number = document["pyramid"]["levels"][-1]["level"]
    for path in (Path(summary.target).parent / f"DeepZoom_files/{number}").iterdir():
        column, row = map(int, path.stem.split("_"))
        yield TileAddress(number, column, row), path.read_bytes()


def slide_json(summary: Summary) -> dict[str, Any]:
    document = json.loads(Path(summary.target).with_name("slide.json").read_text())
    assert isinstance(document, dict)
    return document


def source_tile(path: Path, column: int, row: int) -> bytes:
    """The tile as a stream of its own, by tifffile alone."""
    with TiffFile(path) as tiff:
        page = tiff.pages.first
        index = row * -(-page.imagewidth // page.tilewidth) + column
        tiff.filehandle.seek(page.dataoffsets[index])
        data = bytes(tiff.filehandle.read(page.databytecounts[index]))
        tables = page.jpegtables or b""
        adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0" if page.photometric.name == "RGB" else b""
    return b"\xff\xd8" + adobe + tables[2:-2] + data[2:]


def assert_copied(slide: Path, summary: Summary, tile: int, subsampled: bool) -> None:
    """Every base tile holds the coefficients, tables and pixels of the slide's own tiles."""
    for address, jpeg in base_tiles(summary):
        ours, steps = coefficients(jpeg)
        pixels = decode(jpeg)
        left, top = (at * summary.tile_size // tile for at in address[1:])
        height, width = pixels.shape[:2]
        for y, x in itertools.product(range(-(-height // tile)), range(-(-width // tile))):
            source = source_tile(slide, left + x, top + y)
            theirs, their_steps = coefficients(source)
            for mine, other, a, b in zip(ours, theirs, steps, their_steps, strict=True):
                part = mine[y * other.shape[0] :, x * other.shape[1] :]
                part = part[: other.shape[0], : other.shape[1]]
                assert part.size
                assert np.array_equal(part, other[: part.shape[0], : part.shape[1]])
                assert np.array_equal(a, b)
            mine_pixels = pixels[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile]
            their_pixels = decode(source)[: mine_pixels.shape[0], : mine_pixels.shape[1]]
            # Decoders interpolate subsampled chroma across a seam.
            inner = slice(2, -2) if subsampled else slice(None)
            assert np.array_equal(mine_pixels[inner, inner], their_pixels[inner, inner])


def test_the_real_slide_is_copied(real_slide: Path, tmp_path: Path) -> None:
    summary = convert(real_slide, str(tmp_path), ConvertOptions(workers=2))
    assert_copied(real_slide, summary, 240, subsampled=False)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_generic_tiff(variant: Variant, tmp_path: Path) -> None:
    slide = slide_of(tmp_path / "a.tif", variant, tissue(601, 517), 128, bigtiff=variant.rgb)
    summary = convert(slide, str(tmp_path), ConvertOptions(tile_size=384, workers=2))
    document = slide_json(summary)["pyramid"]
    assert (document["lane"], document["fallback_tiles"]) == ("lossless", {})
    assert_copied(slide, summary, 128, subsampled=variant.subsampling != "444")
    report = verify(Path(summary.target), deep=True, against=slide)
    assert report.errors == []


@settings(max_examples=15)
@example(variant=VARIANTS[0], tile=64, k=1, width=264, height=265)  # slivers of many colours
@given(
    variant=st.sampled_from(VARIANTS),
    tile=st.sampled_from([64, 96]),
    k=st.integers(1, 4),
    width=st.integers(1, 420),
    height=st.integers(1, 420),
)
def test_any_slide(
    tmp_path_factory: pytest.TempPathFactory,
    variant: Variant,
    tile: int,
    k: int,
    width: int,
    height: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    slide = slide_of(folder / "a.tif", variant, tissue(width, height), tile)
    summary = convert(slide, str(folder), ConvertOptions(tile_size=k * tile, workers=2))
    assert slide_json(summary)["pyramid"]["lane"] == "lossless"
    assert_copied(slide, summary, tile, subsampled=variant.subsampling != "444")
    assert verify(Path(summary.target), deep=True).errors == []


def lane(path: Path, **options: Any) -> Lane:
    with open_slide(path) as slide:
        return make_plan(slide, ConvertOptions(**options)).lane


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    return slide_of(path, VARIANTS[0], tissue(500, 400), 128)


def test_the_lane_and_its_reason(tiff: Path, tmp_path: Path) -> None:
    assert lane(tiff, tile_size=384).name == "lossless"
    assert lane(tiff, lane="pixels") == ("pixels", "asked for")
    assert "no multiple of its 128x128 px tiles" in lane(tiff, tile_size=400).reason
    assert lane(tiff, tile_size=384, color="srgb").name == "lossless"  # it has no profile
    assert lane(tiff, tile_size=384, base="reencode").reason == "its tiles are to be encoded anew"
    with pytest.raises(SlideError, match=r"cannot be copied.*--lane auto"):
        lane(tiff, lane="lossless", tile_size=400)
    plain = tmp_path / "a.png"
    Image.new("RGB", (9, 9)).save(plain)
    assert lane(plain).reason == "it has no tiles of its own"
    deflated = tmp_path / "b.tif"
    with TiffWriter(deflated) as writer:
        pixels = tissue(256, 256)
        writer.write(pixels, photometric="rgb", tile=(128, 128), compression="deflate")
    assert "not JPEG" in lane(deflated, tile_size=384).reason


def test_without_the_kernel(tiff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "the kernel was not compiled" in lane(tiff, tile_size=384).reason
    summary = convert(tiff, str(tmp_path), ConvertOptions(tile_size=384, workers=2))
    assert "install a C compiler" in summary.notes[0]


def saved(pixels: Pixels, **settings: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **settings)
    return out.getvalue()


def test_tiles_that_are_left_out_are_white(tmp_path: Path) -> None:
    image = tissue(512, 256)
    rows = [[VARIANTS[3].tile(part) for part in row] for row in cut(image, 128)]
    rows[0][0] = rows[0][2] = rows[0][3] = rows[1][2] = rows[1][3] = b""
    slide = write_tiff(tmp_path / "a.tif", rows, (512, 256), 128, rgb=False)
    summary = convert(slide, str(tmp_path), ConvertOptions(tile_size=256, workers=2))
    tiles = {address[1:]: decode(jpeg) for address, jpeg in base_tiles(summary)}
    assert (tiles[0, 0][:128, :128] == 255).all()
    assert (tiles[1, 0] == 255).all()
    assert np.array_equal(tiles[0, 0][128:, :128], decode(rows[1][0]))


def test_a_white_tile_is_made_once(tmp_path: Path) -> None:
    """Of a size: a few megabytes of a file may state a hundred thousand of them."""
    first, *others = VARIANTS[3].tile(tissue(128, 128)), *[b""] * 99
    rows = [[first, *others[:9]], *([b""] * 10 for _ in range(9))]
    slide = write_tiff(tmp_path / "a.tif", rows, (1270, 1270), 128, rgb=False)
    copied._white.cache_clear()
    convert(slide, str(tmp_path), ConvertOptions(tile_size=128, workers=1))
    made = copied._white.cache_info()
    assert (made.misses, made.hits + made.misses) == (4, 99)


@pytest.mark.parametrize("name", ["rgb444", "ycc444", "ycc420"])
def test_padding_leaks_into_no_level(tmp_path: Path, name: str) -> None:
    """Tissue in front of magenta padding: nothing on any level is nearer to magenta than to it."""
    variant = next(variant for variant in VARIANTS if variant.name == name)
    image = np.full((336, 400, 3), (200, 160, 190), np.uint8)
    rows = [[variant.tile(part) for part in row] for row in cut(image, 128, MAGENTA)]
    slide = write_tiff(tmp_path / "a.tif", rows, (400, 336), 128, rgb=variant.rgb)
    summary = convert(slide, str(tmp_path), ConvertOptions(tile_size=128, workers=2, quality=95))
    for path in (Path(summary.target).parent / "DeepZoom_files").rglob("*.jpeg"):
        pixels = decode(path.read_bytes()).astype(int)
        to_tissue = np.abs(pixels - (200, 160, 190)).sum(axis=2)
        to_magenta = np.abs(pixels - MAGENTA).sum(axis=2)
        assert (to_tissue < to_magenta).all(), path
        assert to_tissue.max() < 40, path


def test_every_level_is_near_the_boxed_decode(real_slide: Path, tmp_path: Path) -> None:
    options = ConvertOptions(quality=95, subsampling="444", workers=2)
    folder = Path(convert(real_slide, str(tmp_path), options).target).parent
    with open_slide(real_slide) as slide:
        plan = make_plan(slide, options)
        whole = slide.read(0, 0, slide.size)
    reference = np.asarray(whole, float) @ [0.299, 0.587, 0.114]
    for level in plan.pyramid.levels[::-1]:
        for address in level.tiles():
            jpeg = (folder / f"DeepZoom_files/{address}.jpeg").read_bytes()
            tile = simplejpeg.decode_jpeg(jpeg, "GRAY")[:, :, 0]
            x, y = plan.pyramid.location(address)
            part = reference[y : y + tile.shape[0], x : x + tile.shape[1]]
            assert 10 * np.log10(255**2 / max(1e-9, np.mean((tile - part) ** 2))) >= 40, address
        even = np.pad(reference, [(0, n % 2) for n in reference.shape], "edge")
        reference = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


@pytest.mark.parametrize("pattern", ["zone plate", "checkerboard"])
def test_fine_patterns_have_no_coloured_fringes(tmp_path: Path, pattern: str) -> None:
    y, x = np.mgrid[:512, :512].astype(float)
    gray = {
        "zone plate": 127.5 + 127.5 * np.cos((x**2 + y**2) * np.pi / 1024),
        "checkerboard": 255 * ((x + y) % 2),
    }[pattern].astype(np.uint8)
    variant = Variant("rgb", rgb=True, quality=95)
    slide = slide_of(tmp_path / "a.tif", variant, np.dstack([gray] * 3), 128)
    summary = convert(slide, str(tmp_path), ConvertOptions(tile_size=384, quality=95, workers=2))
    assert slide_json(summary)["pyramid"]["lane"] == "lossless"
    for path in (Path(summary.target).parent / "DeepZoom_files").rglob("*.jpeg"):
        pixels = decode(path.read_bytes()).astype(int)
        assert (pixels.max(axis=2) - pixels.min(axis=2)).max() <= 4, path


def test_the_base_can_be_encoded_anew(real_slide: Path, tmp_path: Path) -> None:
    def size(folder: str, **options: Any) -> int:
        summary = convert(real_slide, str(tmp_path / folder), ConvertOptions(**options))
        document = slide_json(summary)["pyramid"]
        is_copied = options.get("base") != "reencode"
        assert document["lane"] == ("lossless" if is_copied else "pixels")
        assert document["base"] == ("copied" if is_copied else "encoded")
        assert document["decoded_by"] == (None if is_copied else "simplejpeg")
        assert verify(Path(summary.target), deep=True, against=real_slide).errors == []
        return sum(len(jpeg) for _, jpeg in base_tiles(summary))

    assert size("a", base="reencode", quality=50) < 0.7 * size("b")


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
@pytest.mark.parametrize("lane", ["lossless", "pixels"])
def test_subsampling_of_the_levels_above(
    small_slide: Path, tmp_path: Path, subsampling: Subsampling, lane: str
) -> None:
    options = ConvertOptions(subsampling=subsampling, lane=lane, tile_size=240, workers=2)
    summary = convert(small_slide, str(tmp_path), options)
    assert slide_json(summary)["pyramid"]["chroma_subsampling"] == ":".join(subsampling)
    tile = (Path(summary.target).parent / "DeepZoom_files/10/0_0.jpeg").read_bytes()
    assert simplejpeg.decode_jpeg_header(tile)[3] == subsampling
    assert verify(Path(summary.target), deep=True, against=small_slide).errors == []


def test_any_number_of_workers_makes_the_same_bytes(small_slide: Path, tmp_path: Path) -> None:
    versions = {
        slide_json(
            convert(
                small_slide,
                str(tmp_path / str(workers)),
                ConvertOptions(tile_size=240, workers=workers),
            )
        )["pyramid"]["version"]
        for workers in (1, 2, 7)
    }
    assert len(versions) == 1


def test_a_damaged_tile_within_a_join_is_named_or_white(real_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    forge_svs(slide, tissue=real_slide, size=(1500, 1100), levels=(1,))
    damage_tile(slide, 4, 1)
    with pytest.raises(TileError, match=r"tile 11/1_0 cannot be made.*column 4, row 1"):
        convert(slide, str(tmp_path), ConvertOptions(workers=2))
    summary = convert(slide, str(tmp_path), ConvertOptions(workers=2, on_error="blank"))
    assert slide_json(summary)["pyramid"]["blank_tiles"] == 1
    tiles = {address[1:]: decode(jpeg) for address, jpeg in base_tiles(summary)}
    assert (tiles[1, 0][240:480, 240:480] == 255).all()
    assert np.array_equal(tiles[1, 0][:240, :240], decode(source_tile(slide, 3, 0)))
    report = verify(Path(summary.target), deep=True, against=slide)
    assert report.errors == []
    assert any("not compared, since the slide is damaged there" in s for s in report.warnings)
