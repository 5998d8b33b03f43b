"""Every defect that verify must find, planted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter, features
from tifffile import TiffFile, imwrite

from tests.conversion.test_conversion import linear_profile
from tests.support.forge import Encoding, forge_svs
from tests.support.forge_tiffs import (
    ALPHA,
    GRAY,
    JFIF,
    PICTURE,
    SIZE,
    Row,
    jpeg,
    tiles,
    with_places,
)
from tests.support.tiles import Pixels, tables_of, tissue
from vsv_pyramid.cli.display import report_lines
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import StoreError
from vsv_pyramid.jpeg.planes import Plane
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.verification import comparison, reference, verify


@pytest.fixture
def folder(published: Summary) -> Path:
    return Path(published.target).parent


def tile(folder: Path, name: str) -> Path:
    return folder / "DeepZoom_files" / f"{name}.jpeg"


def edit_json(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "slide.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def remove(folder: Path) -> None:
    tile(folder, "11/2_1").unlink()


def add(folder: Path) -> None:
    shutil.copy(tile(folder, "11/0_0"), tile(folder, "11/6_0"))


def add_level(folder: Path) -> None:
    shutil.copytree(folder / "DeepZoom_files/11", folder / "DeepZoom_files/12")


def remove_level(folder: Path) -> None:
    shutil.rmtree(folder / "DeepZoom_files/10")


def truncate(folder: Path) -> None:
    path = tile(folder, "11/2_1")
    path.write_bytes(path.read_bytes()[:-600])


def truncate_in_header(folder: Path) -> None:
    tile(folder, "11/2_1").write_bytes(tile(folder, "11/2_1").read_bytes()[:100])


def resize(folder: Path) -> None:
    Image.new("RGB", (255, 256)).save(tile(folder, "11/2_1"))


def shrink(folder: Path) -> None:
    Image.new("RGB", (90, 70), "red").save(tile(folder, "11/2_1"))
    Image.new("RGB", (90, 70), "red").save(tile(folder, "9/0_0"))


def swap(folder: Path) -> None:
    """Two tiles of one level in each other's place: the sizes and the bytes in all are right."""
    one, other = tile(folder, "11/3_1").read_bytes(), tile(folder, "11/4_2").read_bytes()
    tile(folder, "11/3_1").write_bytes(other)
    tile(folder, "11/4_2").write_bytes(one)


def damage_descriptor(folder: Path) -> None:
    (folder / "DeepZoom.dzi").write_bytes((folder / "DeepZoom.dzi").read_bytes()[:80])


def other_descriptor(folder: Path) -> None:
    path = folder / "DeepZoom.dzi"
    path.write_text(path.read_text().replace('Overlap="0"', 'Overlap="1"'))


def absurd_descriptor(folder: Path) -> None:
    path = folder / "DeepZoom.dzi"
    text = re.sub('(Width|Height|TileSize)="[0-9]+"', r'\1="2147483647"', path.read_text())
    path.write_text(text.replace('TileSize="2147483647"', 'TileSize="1"'))


def damage_json(folder: Path) -> None:
    (folder / "slide.json").write_text((folder / "slide.json").read_text()[:200])


def remove_json(folder: Path) -> None:
    (folder / "slide.json").unlink()


def fewer_levels(folder: Path) -> None:
    edit_json(folder, lambda document: document["pyramid"]["levels"].pop())


def remove_thumbnail(folder: Path) -> None:
    (folder / "thumbnail.jpeg").unlink()


def damage_thumbnail(folder: Path) -> None:
    (folder / "thumbnail.jpeg").write_text("not a picture")


def add_profile(folder: Path) -> None:
    (folder / "icc.icc").write_text("a profile")


def state_profile(folder: Path) -> None:
    edit_json(folder, lambda document: document.update(icc_profile="published"))


def no_pyramid(folder: Path) -> None:
    edit_json(folder, lambda document: document.pop("pyramid"))


DEFECTS = [
    (remove, "tile 11/2_1 is missing"),
    (add, "DeepZoom_files/11/6_0.jpeg is not part of the pyramid"),
    (add_level, "DeepZoom_files/12/0_0.jpeg is not part of the pyramid"),
    (remove_level, "tile 10/0_0 is missing"),
    (truncate, "slide.json says"),
    (truncate_in_header, "tile 11/2_1 is not a JPEG"),
    (resize, "tile 11/2_1 is 255x256 px instead of 256x256"),
    (shrink, "tile 11/2_1 is 90x70 px instead of 256x256"),
    (shrink, "tile 9/0_0 is 90x70 px instead of 256x256"),
    (damage_descriptor, "the descriptor is not XML"),
    (other_descriptor, "another overlap"),
    (absurd_descriptor, "52 of the 6,148,914,686,941,549,910 tiles"),
    (damage_json, "slide.json is damaged"),
    (remove_json, "slide.json is missing"),
    (fewer_levels, "do not agree on the levels"),
    (no_pyramid, "slide.json is damaged (it has no pyramid)"),
    (remove_thumbnail, "the thumbnail image is missing"),
    (damage_thumbnail, "the thumbnail image is damaged"),
    (add_profile, "the ICC profile is there, and was not to be published"),
    (state_profile, "the ICC profile is missing"),
]
DEEP_DEFECTS = [
    *DEFECTS,
    (truncate, "tile 11/2_1 is damaged: it cannot be decoded to its end"),
    (swap, "tile 11/3_1 does not show what tile 10/1_0 shows at its place"),
    (swap, "tile 11/4_2 does not show what tile 10/2_1 shows at its place"),
]


def test_a_good_pyramid_is_good(folder: Path, small_slide: Path) -> None:
    report = verify(folder, deep=True, against=small_slide, workers=2)
    assert report.errors == report.warnings == []
    assert report.tiles == 52
    assert report.compared == 30 + 4
    assert report.lowest_psnr is not None
    assert 30 < report.lowest_psnr < 60


def test_the_descriptor_names_the_pyramid_too(folder: Path) -> None:
    assert verify(folder / "DeepZoom.dzi").errors == []


@pytest.mark.parametrize(("defect", "sentence"), DEFECTS)
def test_defects(folder: Path, defect: Callable[[Path], None], sentence: str) -> None:
    defect(folder)
    assert any(sentence in error for error in verify(folder).errors), verify(folder).errors


@pytest.mark.parametrize(("defect", "sentence"), DEEP_DEFECTS)
def test_deep_defects(folder: Path, defect: Callable[[Path], None], sentence: str) -> None:
    defect(folder)
    errors = verify(folder, deep=True, workers=2).errors
    assert any(sentence in error for error in errors), errors


def test_tiles_that_look_alike_are_told_apart_by_the_digest(folder: Path) -> None:
    """Another resolution in a header: it decodes as before."""
    path = tile(folder, "10/2_1")
    data = bytearray(path.read_bytes())
    data[data.index(b"JFIF") + 9] ^= 1
    path.write_bytes(data)
    assert verify(folder).errors == []
    assert "version digest" in verify(folder, deep=True).errors[0]


def test_a_tile_from_another_place_does_not_show_the_slide(folder: Path, small_slide: Path) -> None:
    swap(folder)
    errors = verify(folder, against=small_slide).errors
    assert [error.split(" (")[0] for error in errors] == [
        "tile 11/3_1 does not show the slide at its place",
        "tile 11/4_2 does not show the slide at its place",
    ]


def test_a_tile_that_cannot_be_compared_is_an_error(folder: Path, small_slide: Path) -> None:
    truncate(folder)
    errors = verify(folder, against=small_slide).errors
    assert "tile 11/2_1 does not show the slide at its place (0.0 dB)" in errors


def recoloured(folder: Path, name: str, colour: Callable[[Image.Image], Image.Image]) -> None:
    path = tile(folder, name)
    with Image.open(path) as image:
        colour(image.convert("YCbCr")).convert("RGB").save(path, quality=95, subsampling=0)


def gray(image: Image.Image) -> Image.Image:
    return image.getchannel(0).convert("L").convert("YCbCr")


def swapped(image: Image.Image) -> Image.Image:
    y, cb, cr = image.split()
    return Image.merge("YCbCr", (y, cr, cb))


def taken_for_rgb(image: Image.Image) -> Image.Image:
    return Image.merge("RGB", image.split()).convert("YCbCr")


@pytest.mark.parametrize("colour", [gray, swapped, taken_for_rgb])
def test_a_tile_of_other_colours(
    folder: Path, small_slide: Path, colour: Callable[[Image.Image], Image.Image]
) -> None:
    recoloured(folder, "11/3_1", colour)
    recoloured(folder, "9/0_0", colour)
    errors = verify(folder, deep=True, workers=2).errors
    for name, above in ("11/3_1", "10/1_0"), ("9/0_0", "8/0_0"):
        assert any(
            error.startswith((f"tile {name} has other colours than tile {above}",
                              f"tile {name} does not show what tile {above}"))
            for error in errors
        ), errors  # fmt: skip
    errors = verify(folder, against=small_slide).errors
    assert any(error.startswith(("tile 11/3_1 has other colours than the slide has at its place (",
                                 "tile 11/3_1 does not show the slide at its place"))
               for error in errors)  # fmt: skip


@pytest.mark.parametrize("reader", ["tifffile and imagecodecs", "OpenSlide"])
@pytest.mark.parametrize("colour", [gray, swapped])
def test_a_pyramid_of_other_colours(
    folder: Path,
    small_slide: Path,
    colour: Callable[[Image.Image], Image.Image],
    reader: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its levels do agree."""
    if reader == "OpenSlide":
        monkeypatch.setattr(reference, "reference", lambda _: None)
    for path in (folder / "DeepZoom_files").rglob("*.jpeg"):
        recoloured(folder, f"{path.parent.name}/{path.stem}", colour)
    report = verify(folder, against=small_slide)
    wrong = [error for error in report.errors if "has other colours than the slide" in error]
    assert len(wrong) > report.compared / 2
    assert report.reader == reader


ENCODINGS = [
    Encoding(256, 30, "4:2:0", rgb=False),
    Encoding(256, 91, "4:2:2", rgb=False, whole=True),
    Encoding(256, 91, "4:4:4", rgb=False),
    Encoding(240, 30, "4:4:4", rgb=True),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 80, "tile_size": None},
        {"quality": 10, "tile_size": None, "subsampling": "444"},
        {"quality": 30, "tile_size": 128, "lane": "pixels"},
        {"quality": 95, "tile_size": 240, "lane": "pixels", "subsampling": "422"},
    ],
)
def test_whatever_its_coding_a_good_pyramid_is_good(
    real_slide: Path, tmp_path: Path, encoding: Encoding, options: dict[str, Any]
) -> None:
    slide = tmp_path / "a.svs"
    forge_svs(slide, tissue=real_slide, size=(1001, 703), levels=(1,), encoding=encoding)
    summary = convert(slide, str(tmp_path / "to"), ConvertOptions(workers=2, **options))
    report = verify(Path(summary.target), deep=True, against=slide, workers=2)
    assert report.errors == report.warnings == []
    assert report.reader == "tifffile and imagecodecs"
    if summary.tile_size % 256 == 0:  # the lossless lane's
        assert (report.lowest_psnr or 0) > 25


def leave_out(offsets: list[int], counts: list[int]) -> None:
    offsets[5] = counts[5] = 0


@pytest.mark.table
@pytest.mark.parametrize("lane", ["auto", "pixels"])
@pytest.mark.parametrize("quality", [30, 80])
@pytest.mark.parametrize("background", ["white", "black", "#808080"])
def test_backgrounds_and_profiles_are_no_other_light(
    tmp_path: Path, lane: str, quality: int, background: str
) -> None:
    """Tiles that are left out, what is transparent, and colours that a profile changes."""
    sparse = Row(
        "",
        [jpeg(tiles(PICTURE), "ycbcr", iccprofile=linear_profile())],
        patch=with_places(leave_out),
    ).write(tmp_path / "sparse.tif")
    Image.fromarray(np.dstack([PICTURE, ALPHA])).save(tmp_path / "clear.png")
    for slide in (sparse, tmp_path / "clear.png"):
        for color in ("none", "srgb") if features.check("littlecms2") else ("none",):
            options = ConvertOptions(
                lane=lane,
                quality=quality,
                background=background,
                color=color,
                tile_size=64,
                slide_id=f"{slide.stem}-{color}",
                workers=1,
            )
            report = verify(convert(slide, str(tmp_path), options).target, deep=True, against=slide)
            assert (report.errors, report.unread) == ([], 0)


@pytest.mark.parametrize(
    ("name", "reader"), [("a.png", "Pillow"), ("jp2.tif", "tifffile and imagecodecs")]
)
def test_the_report_says_how_the_slide_was_read(
    real_slide: Path, tmp_path: Path, name: str, reader: str
) -> None:
    pixels = tissue(300, 200)
    if name == "a.png":
        Image.fromarray(pixels).save(tmp_path / name)
    else:
        imwrite(
            tmp_path / name,
            pixels,
            photometric="rgb",
            tile=(128, 128),
            compression="aperio_jp2000_rgb",
            description="Aperio Image Library v10\r\n300x200 (128x128) J2K/KDU Q=70|AppMag = 40",
            metadata=None,
        )
    summary = convert(tmp_path / name, str(tmp_path / "to"), ConvertOptions(workers=1))
    report = verify(Path(summary.target), deep=True, against=tmp_path / name)
    assert (report.reader, report.errors) == (reader, [])


@pytest.fixture
def without_eoi(real_slide: Path, tmp_path: Path) -> Path:
    """A slide, one of whose tiles lacks its last marker: the kernel copies it."""
    slide = tmp_path / "a.svs"
    forge_svs(slide, tissue=real_slide, size=(700, 500), levels=(1,))
    with TiffFile(slide, mode="r+") as tiff:
        page = tiff.pages.first
        counts = list(page.databytecounts)
        counts[4] -= 2
        page.tags["TileByteCounts"].overwrite(counts)
    return slide


@pytest.mark.parametrize("reader", ["tifffile and imagecodecs", "OpenSlide"])
def test_a_tile_that_the_reader_cannot_read_is_counted(
    without_eoi: Path, tmp_path: Path, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ConvertOptions(tile_size=240, lane="lossless", workers=1)
    summary = convert(without_eoi, str(tmp_path / "to"), options)
    if reader == "OpenSlide":
        monkeypatch.setattr(reference, "reference", lambda _: None)
    report = verify(Path(summary.target), against=without_eoi)
    assert (report.errors, report.warnings, report.unread) == ([], [], 0)
    assert report.reader == reader
    others = {"simplejpeg": 2} if reader == "OpenSlide" else {}
    assert report.compared_by == {reader: report.compared - sum(others.values()), **others}
    last = report_lines(report)[-1]
    assert f"as read by {reader}{', or by simplejpeg (2)' if others else ''} (lowest" in last


def jfif_under_rgb(path: Path, pixels: Pixels) -> Path:
    """Tiles that are YCbCr by themselves, in a TIFF that says RGB: OpenSlide shows false colours,
    and imagecodecs takes gray ones for damaged."""
    return Row("", [jpeg(tiles(pixels, marker=JFIF), "rgb")]).write(path)


@pytest.mark.parametrize(
    ("pixels", "second"),
    [
        (PICTURE, "no imagecodecs"),
        (PICTURE, "imagecodecs"),
        (GRAY, "no imagecodecs"),
        (GRAY, "imagecodecs"),
    ],
)
def test_where_no_other_reader_reads_the_slide_the_first_one_judges(
    tmp_path: Path, pixels: Pixels, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if second == "no imagecodecs":
        monkeypatch.setattr(reference, "reference", lambda _: None)
    slide = jfif_under_rgb(tmp_path / "a.tif", pixels)
    good = convert(slide, str(tmp_path / "to"), ConvertOptions(workers=1))
    report = verify(good.target, against=slide)
    assert (report.errors, report.unread) == ([], 0)
    assert report.compared
    other = jfif_under_rgb(tmp_path / "other.tif", tissue(*SIZE, 1))
    wrong = convert(other, str(tmp_path / "to"), ConvertOptions(workers=1))
    assert "does not show the slide" in verify(wrong.target, against=slide).errors[0]


def test_where_nothing_can_be_compared_nothing_is_good(tmp_path: Path) -> None:
    data = [tile[:200] for tile in tiles(PICTURE, marker=JFIF)]
    slide = Row("", [jpeg(data, "ycbcr")]).write(tmp_path / "a.tif")
    summary = convert(slide, str(tmp_path / "to"), ConvertOptions(workers=1, on_error="blank"))
    report = verify(summary.target, against=slide)
    assert report.compared == 0
    assert report.reader is None
    assert report.errors == [
        "no tile could be compared with the slide, since the slide is damaged there, or simplejpeg "
        "cannot decode it"
    ]


def lit(change: Callable[[NDArray[Any]], NDArray[Any]], path: Path) -> None:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(float)
    changed = change(pixels).clip(0, 255).astype(np.uint8)
    Image.fromarray(changed).save(path, quality=95, subsampling=0)


LIGHTS: list[tuple[Callable[[NDArray[Any]], NDArray[Any]], str]] = [
    (lambda pixels: pixels / 4, "is darker"),
    (lambda pixels: pixels / 16, "is darker"),
    (lambda pixels: pixels * 0.9, "is darker"),
    (lambda pixels: 255 * (pixels / 255) ** 0.6, "is lighter"),
    (lambda pixels: 120 + pixels / 2, "is lighter"),
    (lambda pixels: 144 + pixels / 3, "is of other contrast"),
]


@pytest.mark.table
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize(("change", "said"), LIGHTS)
def test_a_pyramid_of_another_light(
    tmp_path: Path, change: Callable[[NDArray[Any]], NDArray[Any]], said: str, gray: bool
) -> None:
    slide = tmp_path / "a.png"
    Image.fromarray(tissue(600, 500)).convert("L" if gray else "RGB").save(slide)
    summary = convert(slide, str(tmp_path), ConvertOptions(workers=1, tile_size=128))
    folder = Path(summary.target).parent
    base = folder / "DeepZoom_files/10"
    for path in base.glob("*.jpeg"):
        lit(change, path)
    errors = verify(folder, deep=True).errors
    assert any(error.startswith("tile 10/1_1 ") and said in error for error in errors), errors
    for path in (folder / "DeepZoom_files").glob("[0-9]/*.jpeg"):
        lit(change, path)
    report = verify(folder, deep=True, against=slide)
    assert not [error for error in report.errors if " than tile " in error]
    found = [error for error in report.errors if " than the slide " in error]
    assert len(found) > report.compared / 2
    assert any(said in error for error in found)


@pytest.mark.parametrize("quality", [5, 80])
@pytest.mark.parametrize("is_black_and_white", [False, True])
def test_noise_is_good_however_coarsely_it_is_coded(
    tmp_path: Path, quality: int, is_black_and_white: bool
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    if is_black_and_white:
        noise = noise[..., :1].repeat(3, 2) // 128 * 255
    slide = tmp_path / "a.png"
    Image.fromarray(noise).save(slide)
    target = convert(slide, str(tmp_path), ConvertOptions(tile_size=256, quality=quality)).target
    assert verify(target, against=slide).errors == []


@pytest.mark.parametrize("lane", ["lossless", "pixels"])
@pytest.mark.parametrize("quality", [20, 80])
def test_a_blurred_pyramid(real_slide: Path, tmp_path: Path, lane: str, quality: int) -> None:
    options = ConvertOptions(lane=lane, quality=quality)
    folder = Path(convert(real_slide, str(tmp_path), options).target).parent
    assert verify(folder, against=real_slide).errors == []
    for path in (folder / "DeepZoom_files").glob("*/*.jpeg"):
        with Image.open(path) as image:
            blurred = image.convert("RGB").filter(ImageFilter.GaussianBlur(2))
        blurred.save(path, qtables=tables_of(path))
    report = verify(folder, against=real_slide)
    found = [error for error in report.errors if "does not have the slide's detail" in error]
    assert len(found) > report.compared / 4


def test_another_slide_is_refused(folder: Path, real_slide: Path, tmp_path: Path) -> None:
    """Where the pyramid fits into it, by its pixels; else by its size."""
    report = verify(folder, against=real_slide)
    assert "not the one that was converted" in report.warnings[0]
    assert report.errors == [] or "does not show" in report.errors[0]
    smaller = tmp_path / "smaller.png"
    Image.new("RGB", (100, 100)).save(smaller)
    assert "is not of this slide" in verify(folder, against=smaller).errors[0]


def test_without_options_nothing_can_be_compared(folder: Path, small_slide: Path) -> None:
    edit_json(folder, lambda document: document["options"].update(lane="none"))
    assert "no usable options" in verify(folder, against=small_slide).errors[-1]
    damage_json(folder)
    assert verify(folder, against=small_slide).compared == 0


def test_many_defects_are_counted(folder: Path) -> None:
    shutil.rmtree(folder / "DeepZoom_files/11")
    errors = verify(folder).errors
    assert len(errors) == 21
    assert errors[-1] == "... and 10 more like the last one"


def test_what_does_not_belong_is_warned_of(folder: Path) -> None:
    (folder / "notes.txt").write_text("by hand")
    report = verify(folder)
    assert report.errors == []
    assert report.warnings == ["images/small/notes.txt is not part of the layout"]


@pytest.mark.parametrize("parent", ["images", "copies"])
def test_a_pyramid_under_another_id(folder: Path, parent: str) -> None:
    other = folder.parents[1] / parent / "other"
    other.parent.mkdir(exist_ok=True)
    folder.rename(other)
    report = verify(other)
    said = "slide.json is of the id 'small', the folder is 'other'"
    if parent == "images":
        assert [error.partition(";")[0] for error in report.errors] == [said]
    else:
        assert (report.errors, report.warnings) == ([], [said])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.full((9, 9), 100), np.full((9, 9), 110), True),
        (np.full((9, 9), 100), np.full((9, 9), 200), False),
        (np.full((9, 9), 100), np.full((9, 8), 100), False),
        (np.arange(0, 162, 2).reshape(9, 9), np.arange(162, 0, -2).reshape(9, 9), False),
        (np.arange(0, 162, 2).reshape(9, 9), np.arange(80, 161).reshape(9, 9), True),
    ],
)
def test_same_place(one: Plane, other: Plane, same: bool) -> None:
    assert comparison.same_place(one.astype(np.uint8), other.astype(np.uint8)) is same


def test_no_pyramid(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no DeepZoom\.dzi"):
        verify(tmp_path)


@pytest.mark.parametrize("quality", [5, 10, 30, 100])
def test_a_good_pyramid_is_good_at_low_quality_too(
    small_slide: Path, tmp_path: Path, quality: int
) -> None:
    options = ConvertOptions(tile_size=128, quality=quality, workers=2)
    summary = convert(small_slide, str(tmp_path), options)
    report = verify(Path(summary.target), deep=True, against=small_slide, workers=2)
    assert report.errors == []
