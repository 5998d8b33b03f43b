"""Tiles that decode to the right picture, and are none of ours."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.forge_tiffs import JFIF, PICTURE, Row, cut3, jpeg, stream, tiles
from tests.support.tiles import tables_of, tissue
from tests.verification.test_verification import edit_json, tile
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.jpeg.markers import APP0, APP14, DQT, segment
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.publication import TileDigest
from vsv_pyramid.verification import verify


@pytest.fixture
def folder(published: Summary) -> Path:
    return Path(published.target).parent


def stated(folder: Path) -> None:
    """Has slide.json tell of the tiles that are there."""
    digest, size = TileDigest(), 0
    for address in Descriptor.parse((folder / "DeepZoom.dzi").read_bytes()).pyramid.tiles():
        data = tile(folder, str(address)).read_bytes()
        digest.add(address, data)
        size += len(data)
    edit_json(
        folder, lambda document: document["pyramid"].update(bytes=size, version=digest.hexdigest())
    )


def saved(path: Path, **settings: Any) -> None:
    options = {"qtables": tables_of(path), "subsampling": 0, **settings}
    with Image.open(path) as image:
        made = io.BytesIO()
        if options["qtables"] is None:
            del options["qtables"]
        mode = options.pop("mode", "RGB")
        image.convert("RGB").convert(mode).save(made, "JPEG", **options)
    path.write_bytes(made.getvalue())


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    saved(path, exif=exif)


def with_text(code: int, at: int) -> Callable[[Path], None]:
    """In a segment of a kind that tiles have, but do not need."""

    def change(path: Path) -> None:
        data, text = path.read_bytes(), bytes((at,)) + b"Zebulon".ljust(64, b"\1")
        path.write_bytes(data[:2] + segment(code, text) + data[2:])

    return change


def behind(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"Zebulon")


ODD: list[tuple[Callable[[Path], None], str]] = [
    (turned, "holds more than its picture (marker FFE1)"),
    (lambda path: saved(path, comment=b"Zebulon"), "holds more than its picture (marker FFFE)"),
    (with_text(APP0, 0x4A), "holds more than its picture (marker FFE0)"),
    (with_text(APP14, 0x41), "holds more than its picture (marker FFEE)"),
    (with_text(DQT, 3), "holds more than its picture (marker FFDB)"),
    (behind, "goes on behind the end of its picture"),
    (lambda path: saved(path, progressive=True), "is coded in another way than tiles are"),
    (lambda path: saved(path, mode="CMYK"), "is coded in another way than tiles are"),
]


@pytest.mark.parametrize("name", ["11/2_1", "10/1_1"])
@pytest.mark.parametrize(("change", "said"), ODD)
def test_odd_tiles(
    folder: Path, small_slide: Path, name: str, change: Callable[[Path], None], said: str
) -> None:
    change(tile(folder, name))
    stated(folder)
    of_header = [] if said.startswith("goes on") else verify(folder).errors
    for errors in (
        verify(folder, deep=True).errors,
        verify(folder, deep=True, sample=52).errors,
        verify(folder, against=small_slide).errors if name == "11/2_1" else [],
        of_header,
    ):
        assert not errors or any(f"tile {name} {said}" in error for error in errors), errors
    assert verify(folder, deep=True).errors


@pytest.mark.parametrize("quality", [5, 60, 90])
@pytest.mark.parametrize("lane", ["lossless", "pixels"])
def test_tiles_of_another_quality(
    small_slide: Path, tmp_path: Path, lane: str, quality: int
) -> None:
    options = ConvertOptions(lane=lane, tile_size=240, workers=2)
    folder = Path(convert(small_slide, str(tmp_path), options).target).parent
    report = verify(folder, deep=True, against=small_slide)
    assert report.errors == report.warnings == []
    for path in (folder / "DeepZoom_files/11").glob("*.jpeg"):
        saved(path, qtables=None, quality=quality, subsampling=2)
    stated(folder)
    if lane == "pixels":
        said = "tile 11/1_1 is not coded at the quality that slide.json states (80)"
        assert said in verify(folder).errors
        assert said in verify(folder, deep=True).errors
    else:
        said = "tile 11/0_0 is not coded as the slide's own tiles are"
        assert said in verify(folder, against=small_slide).errors


def test_upper_tiles_of_another_subsampling(folder: Path) -> None:
    saved(tile(folder, "9/1_0"))
    stated(folder)
    assert verify(folder).errors == ["tile 9/1_0 is not subsampled as slide.json states (420)"]


def test_upper_tiles_of_another_quality(folder: Path) -> None:
    saved(tile(folder, "9/1_0"), qtables=None, quality=40, subsampling=2)
    stated(folder)
    said = "tile 9/1_0 is not coded at the quality that slide.json states (80)"
    assert verify(folder).errors == [said]


@pytest.mark.parametrize("quality", [1, 10, 50, 96, 100])
@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
@pytest.mark.parametrize("size", [(300, 200), (17, 1), (1, 1), (65, 64)])
def test_whatever_is_made_is_coded_as_it_says(
    tmp_path: Path, quality: int, subsampling: Any, size: tuple[int, int]
) -> None:
    slide = tmp_path / "a.png"
    Image.fromarray(tissue(*size)).save(slide)
    options = ConvertOptions(quality=quality, subsampling=subsampling, tile_size=64, workers=1)
    report = verify(convert(slide, str(tmp_path), options).target, deep=True, against=slide)
    assert report.errors == report.warnings == []


@pytest.mark.parametrize("colour", [0, 255, 90])
@pytest.mark.parametrize("side", [16, 32, 60])
def test_spots(folder: Path, small_slide: Path, colour: int, side: int) -> None:
    """Of a tile in whose middle a square is lost; its level above is right."""
    path = tile(folder, "11/3_2")
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    spot = (slice(96, 96 + side),) * 2
    colour = colour if abs(int(pixels[spot].mean()) - colour) > 60 else 200
    pixels[spot] = colour
    Image.fromarray(pixels).save(path, qtables=tables_of(path), subsampling=0)
    stated(folder)
    for report in (verify(folder, deep=True), verify(folder, against=small_slide)):
        assert any(error.startswith("tile 11/3_2 is ") for error in report.errors), report


def green(pixels: NDArray[Any]) -> NDArray[Any]:
    """Of the same light."""
    y = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    return np.stack([y - 30, y + 21, y - 30], -1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [32, 64])
def test_spots_of_another_colour(folder: Path, small_slide: Path, side: int) -> None:
    path = tile(folder, "11/3_2")
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    spot = (slice(96, 96 + side),) * 2
    pixels[spot] = green(pixels[spot])
    Image.fromarray(pixels).save(path, qtables=tables_of(path), subsampling=2)
    stated(folder)
    for report in (verify(folder, deep=True), verify(folder, against=small_slide)):
        said = ("tile 11/3_2 has other colours than ", "tile 11/3_2 is of other colours in a spot")
        assert any(error.startswith(said) for error in report.errors), report


@pytest.mark.parametrize("lane", ["lossless", "pixels"])
@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pixels[..., ::-1],
        lambda pixels: pixels // 2,
        lambda pixels: pixels.mean(2, keepdims=True).repeat(3, 2).astype(np.uint8),
    ],
)
def test_slivers(tmp_path: Path, lane: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    """The last column is 8 px wide."""
    slide = Row("", [jpeg(tiles(marker=JFIF), "ycbcr")]).write(tmp_path / "a.tif")
    options = ConvertOptions(lane=lane, tile_size=64, workers=1)
    folder = Path(convert(slide, str(tmp_path), options).target).parent
    assert verify(folder, deep=True, against=slide).errors == []
    for path in (folder / "DeepZoom_files/8").glob("3_*.jpeg"):
        with Image.open(path) as image:
            changed = np.ascontiguousarray(change(np.array(image.convert("RGB"))))
        Image.fromarray(changed).save(path, qtables=tables_of(path), subsampling=2)
    stated(folder)
    assert verify(folder, against=slide).errors


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("lane", ["lossless", "pixels"])
def test_spots_of_full_colours_are_good(tmp_path: Path, lane: str, subsampling: str) -> None:
    """Which a reader that gives RGB cuts off, and the tile does not."""
    pixels = np.full((*PICTURE.shape[:2], 3), 255, np.uint8)
    for n, colour in enumerate([(255, 0, 0), (0, 0, 255), (0, 255, 0)]):
        for x in range(8 + 13 * n, pixels.shape[1] - 6, 40):
            pixels[20 + 9 * n :: 30, x : x + 6] = colour
    data = tiles(pixels, marker=JFIF, subsampling=subsampling, quality=85)
    slide = Row("", [jpeg(data, "ycbcr")]).write(tmp_path / "a.tif")
    options = ConvertOptions(tile_size=64, lane=lane, workers=1)
    report = verify(convert(slide, tmp_path, options).target, deep=True, against=slide)
    assert report.errors == report.warnings == []


@pytest.mark.table
@pytest.mark.parametrize("kind", ["tissue", "print", "blocks"])
@pytest.mark.parametrize("quality", [3, 10, 30, 80])
@pytest.mark.parametrize("tile_size", [64, 240])
def test_good_ones_of_any_quality(tmp_path: Path, kind: str, quality: int, tile_size: int) -> None:
    """As coarse as that, a tile hardly shows what the one below it does."""
    random = np.random.default_rng(3)
    pixels = {
        "tissue": tissue(700, 500),
        "print": np.kron(random.integers(0, 2, (125, 175)) * 255, np.ones((4, 4)))[..., None]
        .repeat(3, 2)
        .astype(np.uint8),
        "blocks": (random.integers(0, 2, (25, 35, 3), np.uint8) * 255).repeat(20, 0).repeat(20, 1),
    }[kind]
    slide = tmp_path / "a.png"
    Image.fromarray(pixels).save(slide)
    options = ConvertOptions(quality=quality, tile_size=tile_size, workers=1)
    assert verify(convert(slide, str(tmp_path), options).target, deep=True).errors == []


def test_copies_of_a_slide_whose_tiles_are_coded_in_several_ways(tmp_path: Path) -> None:
    data = [
        stream(part, quality=40 + 5 * n)
        for n, part in enumerate(chain.from_iterable(cut3(PICTURE)))
    ]
    slide = Row("", [jpeg(data, "ycbcr")]).write(tmp_path / "a.tif")
    options = ConvertOptions(tile_size=64, lane="lossless", workers=1)
    folder = Path(convert(slide, tmp_path, options).target).parent
    report = verify(folder, deep=True, against=slide)
    assert report.errors == report.warnings == []
    base = max(folder.glob("DeepZoom_files/*"), key=lambda path: int(path.name))
    saved(base / "1_1.jpeg", qtables=None, quality=15)
    stated(folder)
    (error,) = verify(folder, against=slide).errors
    assert error == f"tile {base.name}/1_1 is not coded as the slide's own tiles are"
