"""Slides laid out as the scanners do: copied to the bit, wherever their tiles lie in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from tifffile import TiffFile

from tests.pyramid.test_copied import assert_copied, slide_json
from tests.support.forge import Encoding, forge_svs, store_in_order
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.verification import verify

SIZE = (1501, 1103)  # px: the tiles of the last column and row are cut
THUMBNAIL, LABEL, MACRO = (Image.new("RGB", (300, 200), name) for name in ("pink", "red", "gray"))


class Layout(NamedTuple):
    """`order` is by (column, row); an ICC profile of `icc` bytes, with nothing in it to use."""

    name: str
    encoding: Encoding | None
    order: Callable[[int, int], Any]
    icc: int
    bigtiff: bool = False
    described: bool = True


def column_by_column(column: int, row: int) -> tuple[int, int]:
    return column, row


def bottom_row_first(column: int, row: int) -> tuple[int, int]:
    return -row, column


def row_by_row(column: int, row: int) -> tuple[int, int]:
    return row, column


def gt450(subsampling: str) -> Layout:
    encoding = Encoding(256, 91, subsampling, rgb=False, whole=True)
    return Layout(f"GT450 {subsampling}", encoding, bottom_row_first, 13 << 20, True, False)


LAYOUTS = [
    Layout("AT2 240 px", None, column_by_column, 142 << 10),
    Layout("AT2 256 px", Encoding(256, 70, "4:4:4", rgb=True), column_by_column, 1700 << 10),
    gt450("4:4:4"),
    gt450("4:2:2"),
    gt450("4:2:0"),
    Layout("Versa", Encoding(512, 75, "4:2:0", rgb=False), row_by_row, 0),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_scanners_layout_is_copied(layout: Layout, real_slide: Path, tmp_path: Path) -> None:
    slide, profile = tmp_path / "a.svs", bytes(range(256)) * (layout.icc // 256)
    forge_svs(
        slide,
        tissue=real_slide,
        size=SIZE,
        levels=(1, 4),
        encoding=layout.encoding,
        associated={"thumbnail": THUMBNAIL, "label": LABEL, "macro": MACRO},
        described=layout.described,
        icc=profile or None,
        bigtiff=layout.bigtiff,
    )
    store_in_order(slide, layout.order)
    tile = layout.encoding.tile if layout.encoding else 240
    with TiffFile(slide) as tiff:
        assert tiff.is_bigtiff == layout.bigtiff
        assert bool(tiff.pages.first.jpegtables) != bool(layout.encoding and layout.encoding.whole)
        assert bool(tiff.pages[-1].aspage().description) == layout.described
        columns = -(-SIZE[0] // tile)
        places = np.argsort(tiff.pages.first.dataoffsets)
        keys = [layout.order(place % columns, place // columns) for place in places]
        assert keys == sorted(keys)
    options = ConvertOptions(associated=("thumbnail", "label", "macro"), workers=2)
    summary = convert(slide, str(tmp_path), options)
    document = slide_json(summary)
    assert document["vendor"] == "aperio"
    assert document["associated_images"]["published"] == ["label", "macro", "thumbnail"]
    pyramid = document["pyramid"]
    assert (pyramid["lane"], pyramid["base"]) == ("lossless", "copied")
    assert (pyramid["fallback_tiles"], pyramid["blank_tiles"]) == ({}, 0)
    subsampled = layout.encoding is not None and layout.encoding.subsampling != "4:4:4"
    assert_copied(slide, summary, tile, subsampled)
    folder = Path(summary.target).parent
    assert document["icc_profile"] == ("withheld" if profile else None)
    assert not (folder / "icc.icc").exists()
    for name, image in ("label", LABEL), ("macro", MACRO):
        with Image.open(folder / f"{name}.jpeg") as published:
            assert published.size == image.size
            assert np.abs(np.asarray(published, int) - np.asarray(image, int)).max() <= 4
    assert verify(Path(summary.target), deep=True, against=slide).errors == []
