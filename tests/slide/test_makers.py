"""Slides whose makers' containers say what the JPEG data's colours are, and OpenSlide takes them at
their word: right, or refused by a sentence."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from openslide import OpenSlide
from PIL import Image
from tifffile import TiffWriter, imwrite

from tests.pyramid.test_copied import assert_copied
from tests.slide.test_every_picture import ENCODED, apart, options, published
from tests.support.forge_dicom import blocks
from tests.support.forge_makers import OVERLAP, RUN, SIDE, dicom, hamamatsu, leica, philips, ventana
from tests.support.forge_mirax import OVERLAP as SHARED
from tests.support.forge_mirax import SHOT, mirax
from tests.support.forge_tiffs import (
    JFIF,
    LABEL,
    PICTURE,
    SIZE,
    TILE,
    Row,
    adobe,
    jpeg,
    reduced,
    tiles,
    with_places,
)
from tests.support.tiles import Pixels
from vsv_pyramid.containers import tiff
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import SlideError, SlideUnavailable
from vsv_pyramid.inspection import info
from vsv_pyramid.jpeg.markers import segment
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide import handles
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.verification import verify

Make = Callable[[Path, list[bytes], str], Path]
SERIES = "copy all files of the series into one folder"
RESAMPLED = "DERIVED\\PRIMARY\\VOLUME\\RESAMPLED"


def as_philips(folder: Path, streams: list[bytes], tag: str) -> Path:
    return philips(folder / "a.tiff", streams, tag, PICTURE.shape, TILE)


def as_dicom(folder: Path, streams: list[bytes], tag: str) -> Path:
    photometric = {"rgb": "RGB", "ycbcr": "YBR_FULL_422"}[tag]
    return dicom(folder / "a.dcm", streams, SIZE, TILE, photometric=photometric)


STREAMS = {
    "rgb": tiles(rgb=True, marker=adobe(0)),
    "ycbcr": tiles(marker=JFIF),
    "ids RGB": tiles(rgb=True, ids=b"RGB"),
    "silent rgb": tiles(rgb=True),
    "silent ycbcr": tiles(),
    "silent 4:2:2": tiles(subsampling="4:2:2"),
    "ycbcr behind a large header": tiles(marker=segment(0xE2, bytes(5000)) + JFIF),
}
COUNT = len(STREAMS["rgb"])


@pytest.mark.parametrize("make", [as_philips, as_dicom])
@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("rgb", "rgb"),
        ("rgb", "ids RGB"),
        ("rgb", "silent rgb"),
        ("ycbcr", "ycbcr"),
        ("ycbcr", "silent ycbcr"),
        ("ycbcr", "silent 4:2:2"),
        ("ycbcr", "ycbcr behind a large header"),
    ],
)
def test_colours_that_are_as_stated_are_right(
    make: Make, tag: str, name: str, tmp_path: Path
) -> None:
    streams = STREAMS[name]
    twin = Row("", [jpeg(streams, tag)], streams=(tag == "rgb",))
    judged = twin.judged(twin.write(tmp_path / "twin.tif"))
    assert apart(judged, PICTURE) < 5
    slide = make(tmp_path, streams, tag)
    assert info(slide, options("auto"))["plan"]["lane"] == "lossless"
    summary = convert(slide, str(tmp_path), options("auto"))
    assert apart(published(summary), judged) < ENCODED
    assert verify(summary.target, against=slide).errors == []


@pytest.mark.parametrize("make", [as_philips, as_dicom])
@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("rgb", "ycbcr"),
        ("rgb", "silent 4:2:2"),
        ("rgb", "ycbcr behind a large header"),
        ("ycbcr", "rgb"),
        ("ycbcr", "ids RGB"),
    ],
)
@pytest.mark.parametrize("odd", [None, 0, COUNT // 2 + 1, COUNT - 1])
def test_a_single_tile_of_other_colours_is_refused_or_right(
    make: Make, tag: str, name: str, odd: int | None, tmp_path: Path
) -> None:
    streams = [STREAMS[name if odd in (None, i) else tag][i] for i in range(COUNT)]
    slide = make(tmp_path, streams, tag)
    if make is as_dicom:  # whose tiles are decoded one by one, each as what it is
        for lane in "auto", "pixels":
            summary = convert(slide, str(tmp_path / lane), options(lane))
            assert apart(published(summary), PICTURE) < 5
            assert verify(summary.target, against=slide).errors == []
        return
    with pytest.raises(SlideError) as refused:
        convert(slide, str(tmp_path), options("auto"))
    assert "would show them in false ones" in str(refused.value)
    with pytest.raises(SlideError) as planned:
        info(slide, options("auto"))
    assert str(planned.value) == str(refused.value)
    assert not list(tmp_path.rglob("*.dzi"))


def test_tiles_that_are_left_out_say_nothing(tmp_path: Path) -> None:
    def only_the_last(_: list[int], counts: list[int]) -> None:
        counts[:-1] = [0] * (COUNT - 1)

    streams = STREAMS["ycbcr"]
    slide = philips(
        tmp_path / "a.tiff", streams, "rgb", PICTURE.shape, TILE, with_places(only_the_last)
    )
    with pytest.raises(SlideError, match="in false ones"):
        info(slide, options("auto"))


@pytest.mark.parametrize(("tag", "other"), [("rgb", "ycbcr"), ("ycbcr", "rgb")])
def test_all_areas_of_a_slide_are_looked_at(tag: str, other: str, tmp_path: Path) -> None:
    right, wrong = STREAMS[tag], STREAMS[other]
    slide = leica(tmp_path / "a.scn", [right, right], tag, SIZE, TILE)
    with open_slide(slide) as opened:
        assert opened.metadata.vendor == "leica"
        for x in 0, 2 * SIZE[0]:
            shown = opened.read(x, 0, Size(*SIZE))[..., :3]
            assert apart(shown, PICTURE) < 5
    leica(slide, [right, [*right[:-1], wrong[-1]]], tag, SIZE, TILE)
    with pytest.raises(SlideError, match="in false ones"):
        info(slide, options("auto"))


def test_of_two_pages_the_one_that_is_told_of_is_shown(tmp_path: Path) -> None:
    """The other one may be of another focal plane."""
    right = STREAMS["rgb"]
    slide = leica(tmp_path / "a.scn", [right[::-1], right], "rgb", SIZE, TILE, told=[1])
    for bounds in False, True:
        wanted = replace(options("auto"), bounds=bounds)
        summary = convert(slide, str(tmp_path / f"to{bounds}"), wanted)
        assert verify(summary.target, against=slide, deep=True).errors == []
    assert apart(published(summary), PICTURE) < 5


def test_focal_planes_are_told(tissue: Pixels, tmp_path: Path) -> None:
    right = STREAMS["rgb"]
    areas = [right, right[::-1], right[::-1]]
    scn = leica(tmp_path / "a.scn", areas, "rgb", SIZE, TILE, planes=True)
    assert info(scn, options("auto"))["left_out"] == ["2 further focal planes"]
    bounded = replace(options("auto"), bounds=True)
    assert apart(published(convert(scn, str(tmp_path / "scn"), bounded)), PICTURE) < 5
    ndpi = hamamatsu(tmp_path / "b.ndpi", tissue, levels=2, planes=(0, 5000))
    assert info(ndpi, options("auto"))["left_out"] == ["1 further focal plane"]
    assert apart(published(convert(ndpi, str(tmp_path / "ndpi"), options("auto"))), tissue) < 5
    assert info(hamamatsu(ndpi, tissue, levels=2), options("auto"))["left_out"] == []


@pytest.mark.parametrize("at", [(0, 0), (30, 20), (17.4, 64.5)])
@pytest.mark.parametrize("tag", ["rgb", "ycbcr"])
def test_the_only_area_of_a_slide_is_copied_from_where_it_lies(
    tag: str, at: tuple[float, float], tmp_path: Path
) -> None:
    slide = leica(tmp_path / "a.scn", [STREAMS[tag]], tag, SIZE, TILE, at=at)
    x, y = map(int, at)
    with open_slide(slide) as opened:
        shown, judged = opened.read(0, 0, opened.size), OpenSlide(slide).read_region
        canvas = np.asarray(judged((0, 0), 0, opened.size))
        assert (shown[..., 3] == canvas[..., 3]).all()
        assert apart(shown[..., :3], canvas[..., :3]) < 1  # chroma, in the middle of its range
        assert apart(shown[y : y + SIZE[1], x : x + SIZE[0], :3], PICTURE) < 5
        beyond = [(x + SIZE[0] + n, y + SIZE[1] + n, 30, 30) for n in (0, 5, 20, 50)]
        beside = [(x + SIZE[0] + n, y, 30, 30) for n in (0, 5, 20, 50)]
        below = [(x, y + SIZE[1] + n, 30, 30) for n in (0, 5, 20, 50)]
        for part in (x + 190, y + 140, 30, 30), (x + 300, 0, 8, 8), *beyond, *beside, *below:
            left, top, width, height = (max(0, number) for number in part)
            expected = canvas[top : top + height, left : left + width]
            if not expected.size:
                continue
            region = opened.read(left, top, Size(*expected.shape[1::-1]))
            assert region.shape[2] == 4  # each is across the picture's edge
            assert (region[..., 3] == expected[..., 3]).all()
            assert apart(region[..., :3], expected[..., :3]) < 5
    bounded = replace(options("auto"), bounds=True)
    summary = convert(slide, str(tmp_path / "copied"), bounded)
    assert info(slide, bounded)["plan"]["lane"] == "lossless"
    assert_copied(slide, summary, TILE, subsampled=tag == "ycbcr")
    assert verify(summary.target, against=slide).errors == []
    whole = info(slide, options("auto"))
    assert whole["plan"]["lane"] == "pixels"
    assert "--bounds converts the picture alone" in whole["plan"]["lane_reason"]
    summary = convert(slide, str(tmp_path / "whole"), options("auto"))
    at_the_place = published(summary)[y : y + SIZE[1], x : x + SIZE[0]]
    assert apart(at_the_place, PICTURE) < 5
    assert verify(summary.target, against=slide).errors == []


def test_several_areas_are_not_copied(tmp_path: Path) -> None:
    slide = leica(tmp_path / "a.scn", [STREAMS["rgb"]] * 2, "rgb", SIZE, TILE)
    plan = info(slide, replace(options("auto"), bounds=True))["plan"]
    assert (plan["lane"], plan["lane_reason"]) == (
        "pixels",
        "its picture is of several areas, or another one of the file",
    )


def test_a_dicom_series_is_read_by_any_of_its_files(tmp_path: Path) -> None:
    """What is looked at are the frames of its base level, and not those of an icon beside them."""
    small, label = tiles(reduced(2), rgb=True), tiles(LABEL, marker=JFIF)
    level = dicom(
        tmp_path / "1.dcm", small, (100, 75), TILE, photometric="RGB", kind=RESAMPLED, instance=2
    )
    kind = "ORIGINAL\\PRIMARY\\LABEL\\NONE"
    beside = dicom(
        tmp_path / "2.dcm", label, (120, 80), TILE, photometric="RGB", kind=kind, instance=3
    )
    (tmp_path / "notes.txt").write_text("not of the series")
    (tmp_path / "folder").mkdir()
    for streams in STREAMS["rgb"], STREAMS["ycbcr"]:
        base = dicom(tmp_path / "9.dcm", streams, SIZE, TILE, photometric="RGB", icon=label[0])
        for slide in base, level, beside:
            facts = info(slide, options("auto"))
            assert (facts["width"], facts["height"]) == SIZE
            with open_slide(slide) as opened:
                assert apart(opened.read(0, 0, Size(*SIZE)), PICTURE) < 5


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (RESAMPLED, "ImageType RESAMPLED"),
        ("ORIGINAL\\PRIMARY\\LABEL\\NONE", "a DICOM file of a slide's label"),
        ("ORIGINAL\\PRIMARY\\OVERVIEW\\NONE", "a DICOM file of a slide's label"),
        ("DERIVED\\PRIMARY\\THUMBNAIL\\RESAMPLED", "a DICOM file of a slide's label"),
    ],
)
def test_a_part_of_a_dicom_series_is_refused(kind: str, said: str, tmp_path: Path) -> None:
    slide = dicom(
        tmp_path / "a.dcm", STREAMS["ycbcr"], SIZE, TILE, photometric="YBR_FULL_422", kind=kind
    )
    with pytest.raises(SlideError) as refused:
        convert(slide, str(tmp_path), options("auto"))
    assert said in str(refused.value)
    assert str(refused.value).endswith(SERIES)


@pytest.fixture
def tissue(real_slide: Path) -> Pixels:
    with OpenSlide(real_slide) as slide:
        return np.asarray(slide.read_region((0, 0), 0, (RUN * 4, 300)).convert("RGB"))


def test_an_ndpi_is_what_its_jpeg_is(
    tissue: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by OpenSlide, of a strip that is decoded a part at a time, and so may be of any size;
    judged by Pillow, of the JPEG as a whole."""
    monkeypatch.setattr(tiff, "_TILE_PIXELS", RUN * 100)
    path = hamamatsu(tmp_path / "a.ndpi", tissue, levels=2)
    whole = path.read_bytes()
    with Image.open(BytesIO(whole[whole.index(b"\xff\xd8\xff") :])) as image:
        wanted = np.asarray(image.convert("RGB"))
    facts = info(path)
    assert (facts["vendor"], facts["read_by"]) == ("hamamatsu", "OpenSlide")
    summary = convert(path, tmp_path, options("auto"))
    assert apart(published(summary), wanted) < ENCODED
    assert verify(summary.target.rpartition("/")[0], deep=True, against=path).errors == []


def test_a_bif_is_what_it_is_of(real_slide: Path, tmp_path: Path) -> None:
    """Put together of tiles that overlap, in an order of their own."""
    with OpenSlide(real_slide) as slide:
        size = (4 * (SIDE - OVERLAP) + OVERLAP, 3 * SIDE)
        picture = np.asarray(slide.read_region((300, 300), 0, size).convert("RGB"))
    path = ventana(tmp_path / "a.bif", picture)
    facts = info(path)
    assert (facts["vendor"], facts["mpp"]["x"], facts["read_by"]) == ("ventana", 0.5, "OpenSlide")
    summary = convert(path, tmp_path, replace(options("auto"), tile_size=1024))
    assert apart(published(summary), picture) < ENCODED
    # Of the tiles, and not its label.
    assert [found.name for found in tmp_path.glob("images/a/*.jpeg")] == ["thumbnail.jpeg"]


def test_a_bif_of_no_size_is_refused(tissue: Pixels, tmp_path: Path) -> None:
    """Nothing tells OpenSlide 4.0.1 how far apart its rows are, since it has only one."""
    path = ventana(tmp_path / "a.bif", tissue)
    with pytest.raises(SlideError, match=r"a\.bif: has a size of 504 x -\d+ px for OpenSlide; exp"):
        info(path)


def test_an_mrxs_is_what_it_is_of(real_slide: Path, tmp_path: Path) -> None:
    """Put together of shots that overlap; its label is a file of the private place's."""
    with OpenSlide(real_slide) as slide:
        size = (4 * (SHOT - SHARED) + SHARED, 3 * (SHOT - SHARED) + SHARED)
        picture = np.asarray(slide.read_region((300, 300), 0, size).convert("RGB"))
    path = mirax(tmp_path / "a.mrxs", picture, levels=3)
    facts = info(path)
    assert (facts["vendor"], facts["mpp"]["x"], facts["read_by"]) == ("mirax", 0.5, "OpenSlide")
    to, private = tmp_path / "to", tmp_path / "private"
    one_tile = replace(options("auto"), tile_size=2048, private_to=str(private))
    summary = convert(path, to, one_tile)
    assert apart(published(summary), picture) < ENCODED
    assert [found.name for found in to.rglob("images/a/*.jpeg")] == ["thumbnail.jpeg"]
    assert [found.name for found in private.rglob("images/a/*.jpeg")] == ["label.jpeg"]
    assert verify(summary.target.rpartition("/")[0], deep=True, against=path).errors == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"IMAGENUMBER_X": 50_000, "IMAGENUMBER_Y": 30_000}, "OpenSlide breaks down over it"),
        pytest.param(
            {"IMAGENUMBER_X": 30_000, "IMAGENUMBER_Y": 30_000},
            "OpenSlide breaks down over it",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory"),
        ),
        ({"DIGITIZER_WIDTH": 51, "DIGITIZER_HEIGHT": 51_999_999}, "51 x 51999999 px are too large"),
    ],
)
def test_an_mrxs_that_openslide_does_not_outlive(
    changes: dict[str, int], told: str, tissue: Pixels, tmp_path: Path, plain_opening: None
) -> None:
    """It has no sentence for what it lacks the memory for, but ends the process."""
    path = mirax(tmp_path / "a.mrxs", np.tile(tissue, (2, 2, 1)), levels=1)
    facts = tmp_path / "a/Slidedat.ini"
    said = facts.read_text()
    for name, value in changes.items():
        said, count = re.subn(f"^{name}=.*", f"{name}={value}", said, flags=re.MULTILINE)
        assert count == 1
    facts.write_text(said)
    with pytest.raises(SlideError, match=f"a\\.mrxs: .*{told}"):
        info(path)


def test_what_a_slide_says_is_not_told(tissue: Pixels, tmp_path: Path) -> None:
    path = mirax(tmp_path / "a.mrxs", np.tile(tissue, (2, 2, 1)), levels=1)
    facts = tmp_path / "a/Slidedat.ini"
    facts.write_text(f"{facts.read_text()}\nDOE JANE 1950-01-02\n")
    with pytest.raises(SlideError, match="contains line") as raised:
        info(path)
    assert "DOE" not in str(raised.value)


def test_no_other_account_sees_a_slide_s_name(
    tissue: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would among the words of a process."""
    path = mirax(tmp_path / "doe.mrxs", np.tile(tissue, (2, 2, 1)), levels=1)
    begun: list[list[str]] = []
    run = subprocess.run

    def noted(words: list[str], **how: Any) -> subprocess.CompletedProcess[bytes]:
        begun.append(words)
        return run(words, **how)

    monkeypatch.setattr(subprocess, "run", noted)
    info(path)
    assert begun
    assert "doe" not in str(begun)


def test_what_openslide_does_not_open_for_long_is_tried_again(
    tissue: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mirax(tmp_path / "a.mrxs", np.tile(tissue, (2, 2, 1)), levels=1)
    monkeypatch.setattr(handles, "_OPENING_SECONDS", -1)
    with pytest.raises(SlideUnavailable, match="needs more than -1 s to open it"):
        info(path)


def test_an_ndpi_that_can_only_be_decoded_as_a_whole(
    tissue: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hamamatsu(tmp_path / "a.ndpi", tissue, levels=2, run=0)
    convert(path, tmp_path, options("auto"))
    monkeypatch.setattr(tiff, "_TILE_PIXELS", RUN * 100)
    with pytest.raises(SlideError, match="its tiles of 512 x 300 px are too large"):
        convert(path, tmp_path / "again", options("auto"))


def jpeg_2000_svs(path: Path, kind: str, tiles: Sequence[bytes]) -> Path:
    with TiffWriter(path) as writer:
        writer.write(
            iter(tiles),
            shape=PICTURE.shape,
            dtype=np.uint8,
            photometric="rgb",
            tile=(TILE, TILE),
            compression=f"APERIO_JP2000_{kind}",
            description="Aperio Image Library v11.2.1 \r\n200x150 (64x64) J2K|MPP = 0.5",
            metadata=None,
        )
    return path


@pytest.mark.parametrize("place", [0, 5, None])
@pytest.mark.parametrize(("bits", "dtype"), [(7, "u1"), (12, "u2"), (16, "u2"), (8, "i1")])
@pytest.mark.parametrize("kind", ["RGB", "YCBC"])
def test_jpeg_2000_of_another_depth_is_told(
    kind: str, bits: int, dtype: str, place: int | None, tmp_path: Path
) -> None:
    """Of one tile, or of all."""

    def encoded(block: Pixels, odd: bool) -> bytes:
        made = (block >> 1).astype(dtype) if odd else block
        return bytes(
            imagecodecs.jpeg2k_encode(
                made, level=0, mct=False, codecformat="j2k", bitspersample=bits if odd else 8
            )
        )

    tiles = [encoded(block, place in (None, number)) for number, block in enumerate(blocks())]
    slide = jpeg_2000_svs(tmp_path / "a.svs", kind, tiles)
    with pytest.raises(SlideError, match=r"no APERIO_JP2000_.* tile of the slide's size, with"):
        convert(slide, str(tmp_path / "out"), options("auto"))


@pytest.mark.parametrize("place", [0, 5, 11])
def test_jpeg_2000_in_two_ways_is_right(place: int, tmp_path: Path) -> None:
    def encoded(block: Pixels, is_rgb: bool) -> bytes:
        made = block if is_rgb else np.asarray(Image.fromarray(block).convert("YCbCr"))
        return bytes(imagecodecs.jpeg2k_encode(made, level=0, mct=is_rgb, codecformat="j2k"))

    tiles = [encoded(block, number == place) for number, block in enumerate(blocks())]
    slide = jpeg_2000_svs(tmp_path / "a.svs", "YCBC", tiles)
    assert apart(published(convert(slide, str(tmp_path / "out"), options("auto"))), PICTURE) < 3


@pytest.mark.parametrize("compression", ["JPEG2000", "WEBP", "JPEGXL"])
def test_what_openslide_does_not_decode_of_a_maker_is(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    imwrite(
        path,
        PICTURE,
        tile=(TILE, TILE),
        photometric="rgb",
        compression=compression,
        compressionargs={"level": 0} if compression == "JPEG2000" else {"lossless": True},
        description="Aperio Image Library v11.2.1 \r\n200x150 (64x64)|MPP = 0.5",
        metadata=None,
    )
    assert apart(published(convert(path, str(tmp_path / "out"), options("auto"))), PICTURE) < 3
