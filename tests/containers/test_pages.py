"""Which page of a TIFF is the slide, and what a file that is not all there is taken for."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tifffile import TiffFile, imwrite

from tests.support.forge_tiffs import LABEL, PICTURE, PLACES, Row, Stored, beyond_the_end
from vsv_pyramid.containers.pages import (
    OmeImage,
    associated_kind,
    ome_images,
    stated_planes,
    stated_shape,
)
from vsv_pyramid.containers.tiff import tiff_base
from vsv_pyramid.errors import SlideError
from vsv_pyramid.inspection import info
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.planning.options import ConvertOptions

OME = '<OME><Image><Pixels SizeC="{}" SizeT="{}" SizeZ="{}" Type="uint8"/></Image></OME>'


@pytest.mark.parametrize(
    ("description", "samples", "planes"),
    [
        ("", 1, 1),
        ("ImageJ=1.53t\nimages=12\nslices=12\n", 1, 12),
        ("ImageJ=1.53t\nunit=micron\n", 1, 1),
        ("images=12", 1, 1),
        (OME.format(3, 1, 1), 3, 1),
        (OME.format(3, 1, 1), 1, 3),
        (OME.format(3, 2, 5), 3, 10),
        ("<OME></OME>", 3, 1),
    ],
)
def test_planes_that_a_description_states(description: str, samples: int, planes: int) -> None:
    assert stated_planes(description, samples) == planes


@pytest.mark.parametrize(
    ("description", "count"),
    [
        ('{"shape": [5, 150, 200]}', 150_000),
        ('{"shape": "large"}', 0),
        ('{"shape": null}', 0),
        ("[1, 2]", 0),
        ("Aperio", 0),
        ("[" * 100_000, 0),
    ],
)
def test_samples_that_a_description_states(description: str, count: int) -> None:
    assert stated_shape(description) == count


ONE, TWO = OmeImage(0, "a > b"), OmeImage(1, "")
UUID = '<UUID FileName="x">urn:uuid:{}</UUID></TiffData>'


@pytest.mark.parametrize(
    ("data", "images"),
    [
        ('<TiffData IFD="0" PlaneCount="2"/>|<TiffData IFD="2"/>', {0: ONE, 1: ONE, 2: TWO}),
        ('<TiffData FirstC="0" IFD="1"></TiffData>|', {1: ONE}),
        ('<TiffData IFD="3" PlaneCount="999999999"/>|<TiffData IFD="3"/>', {3: ONE}),
        ('<TiffData IFD="9"/>|<TiffData/>', {}),
        ('<TiffData IFD="-1"/>|<TiffData IFD="first" PlaneCount=""/>', {}),
        (f'<TiffData IFD="0">{UUID.format("b")}|<TiffData IFD="0"/>', {0: TWO}),
        (f'<TiffData IFD="0">{UUID.format("a")}|', {0: ONE}),
        ('|<TiffData IFD="0', {}),
    ],
)
def test_images_of_ome_xml(data: str, images: dict[int, OmeImage]) -> None:
    one, two = data.split("|")
    ome = f'<ome:OME UUID="urn:uuid:a"><ome:Image Name="a > b">{one}</ome:Image><Image>{two}'
    assert ome_images(ome, 4) == images


@pytest.mark.parametrize(
    ("name", "size", "kind"),
    [
        ("GFP label", Size(8000, 6000), None),
        ("GFP label", Size(800, 600), "label"),
        ("label", Size(8000, 6000), "label"),
        ("label image", Size(8000, 6000), "label"),
    ],
)
def test_what_is_larger_than_any_label_may_speak_of_one(
    name: str, size: Size, kind: str | None, tmp_path: Path
) -> None:
    imwrite(tmp_path / "a.tif", np.zeros((64, 64, 3), np.uint8), photometric="rgb", tile=(64, 64))
    base = tiff_base(tmp_path / "a.tif")
    assert base
    page = replace(base.page, size=size)
    assert associated_kind(replace(page, name=name)) == kind
    assert associated_kind(replace(page, image=OmeImage(0, name))) == kind


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.mrxs", "the preview of a MIRAX slide"),
        ("a.vsi", "data are in .ets files"),
        ("a.zvi", "a format of one scanner's maker"),
        ("a.LSM", "a format of one scanner's maker"),
        ("a.ndpi", "named as a Hamamatsu slide"),
        ("a.scn", "named as a Leica slide"),
        ("a.czi", "a Zeiss file"),
        ("a.svs", None),
        ("a.qptiff", None),
    ],
)
def test_a_tiled_tiff_named_as_a_scanners_file(
    name: str, said: str | None, order: str, tmp_path: Path
) -> None:
    row = Row("", [Stored(PICTURE, PLACES["tiles"])], file={"byteorder": order})
    slide = row.write(tmp_path / name)
    if said is None:
        assert info(slide, ConvertOptions())["width"] == PICTURE.shape[1]
        return
    with pytest.raises(SlideError, match=said):
        info(slide, ConvertOptions())


@pytest.mark.parametrize("is_first", [True, False])
def test_a_directory_that_cannot_be_read_is_told_by_any_name(
    is_first: bool, tmp_path: Path
) -> None:
    slide = Row("", [Stored(PICTURE, PLACES["tiles"])]).write(tmp_path / "a.ndpi")
    slide.write_bytes(slide.read_bytes()[: 100 if is_first else 5])
    with pytest.raises(SlideError, match="its TIFF directories cannot be read"):
        tiff_base(slide)


@pytest.mark.parametrize(("cut", "patch"), [(False, lambda path: None), (True, beyond_the_end(1))])
def test_a_label_that_is_not_all_there_is_told(cut: bool, patch: object, tmp_path: Path) -> None:
    """A slide that is still being written waits for it, and one that ends there does not."""
    assert callable(patch)
    pages = [Stored(PICTURE, PLACES["tiles"]), Stored(LABEL, PLACES["strips"])]
    base = tiff_base(Row("", pages, patch=patch).write(tmp_path / "a.tif"))
    assert base is not None
    assert base.cut == cut


@pytest.mark.parametrize("code", [256, 257, 322, 323])
@pytest.mark.parametrize("kind", range(1, 19))
@pytest.mark.parametrize("value", [64, -64])
def test_sizes_that_are_no_whole_numbers_are_told(
    code: int, kind: int, value: int, tmp_path: Path
) -> None:
    """Whatever type the tag is of."""
    path = tmp_path / "a.tif"
    imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb", tile=(64, 64))
    data = bytearray(path.read_bytes())
    with TiffFile(path) as tiff:
        offset = tiff.pages.first.aspage().tags[code].offset
    struct.pack_into("<H", data, offset + 2, kind)
    struct.pack_into("<i", data, offset + 8, value)
    path.write_bytes(data)
    try:
        base = tiff_base(path)
    except SlideError as exc:
        assert "\n" not in str(exc)
    else:
        assert base
        sides = (*base.size, *base.tile_size, *base.grid)
        assert {type(side) for side in sides} == {int} and min(sides) >= 0
