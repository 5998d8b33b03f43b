"""Tiles that cannot be joined: right all the same, or said, or left blank; and counted."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import jpeglib
import numpy as np
import pytest
from PIL import Image

from tests.pyramid.test_copied import base_tiles, saved, slide_json, write_tiff
from tests.support.tiles import Pixels, cut, decode, tissue
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import SlideError, TileError
from vsv_pyramid.inspection import info
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.verification import verify

IMAGE = tissue(512, 384)
TILE, JOINED = 128, 256  # px
BASE = {(0, 0), (1, 0), (0, 1), (1, 1)}


def ordinary(pixels: Pixels) -> bytes:
    return saved(pixels, quality=80, subsampling=0)


def progressive(pixels: Pixels) -> bytes:
    return saved(pixels, quality=80, subsampling=0, progressive=True)


def arithmetic(pixels: Pixels) -> bytes:
    with tempfile.TemporaryDirectory() as folder, jpeglib.version("turbo210"):
        path = Path(folder) / "tile.jpeg"
        tile = jpeglib.from_spatial(np.ascontiguousarray(pixels))
        tile.write_spatial(str(path), qt=80, flags=["+ARITH_CODE"])
        return path.read_bytes()


def other_quality(pixels: Pixels) -> bytes:
    return saved(pixels, quality=60, subsampling=0)


def other_sampling(pixels: Pixels) -> bytes:
    return saved(pixels, quality=80, subsampling=2)


def twelve_bits(pixels: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels.astype(np.uint16) << 4, bitspersample=12))


def cmyk(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(out, "JPEG")
    return out.getvalue()


def smaller(pixels: Pixels) -> bytes:
    return ordinary(pixels[:64, :64])


def larger(pixels: Pixels) -> bytes:
    return ordinary(np.pad(pixels, ((0, 64), (0, 64), (0, 0)), "edge"))


def of_one_name(pixels: Pixels) -> bytes:
    """Three components that share an id, which libjpeg takes in their order."""
    jpeg = bytearray(ordinary(pixels))
    frame, scan = jpeg.index(b"\xff\xc0"), jpeg.index(b"\xff\xda")
    for place in (*range(frame + 10, frame + 19, 3), *range(scan + 5, scan + 11, 2)):
        jpeg[place] = 1
    return bytes(jpeg)


class Kind(NamedTuple):
    """How a tile is encoded, and why it is not joined to ordinary ones, or not to its like."""

    encode: Callable[[Pixels], bytes]
    reason: str
    joins_its_like: bool = False


DECODED = [
    Kind(progressive, "a progressive JPEG (SOF2)"),
    Kind(arithmetic, "a hierarchical or arithmetic JPEG (SOF9)"),
    Kind(of_one_name, "a frame (SOF) that names a component twice"),
    Kind(other_quality, "other quantisation tables than its neighbours'", True),
    Kind(other_sampling, "other components or sampling factors than its neighbours'", True),
]
NOT_DECODED = [
    Kind(twelve_bits, "12 bits a sample"),
    Kind(cmyk, "4 components"),
    Kind(smaller, "64 x 64 px where the slide's tiles are 128 x 128"),
    Kind(larger, "192 x 192 px where the slide's tiles are 128 x 128"),
]


def slide_of(kind: Kind, places: set[tuple[int, int]], folder: Path) -> tuple[Path, Pixels]:
    """A slide whose tiles at these places (column, row) are of that kind, and what it shows.

    Where Pillow's decode is not of the tile's size, it shows the image.
    """
    rows, shown = [], IMAGE.copy()
    for y, row in enumerate(cut(IMAGE, TILE)):
        encoders = [kind.encode if (x, y) in places else ordinary for x in range(len(row))]
        rows.append([encode(part) for encode, part in zip(encoders, row, strict=True)])
        for x in range(len(row)):
            if kind in DECODED or (x, y) not in places:
                shown[y * TILE :, x * TILE :][:TILE, :TILE] = decode(rows[y][x])
    size = (IMAGE.shape[1], IMAGE.shape[0])
    return write_tiff(folder / "a.tif", rows, size, TILE, rgb=False), shown


def converted(slide: Path, folder: Path, on_error: str = "fail") -> Summary:
    options = ConvertOptions(
        tile_size=JOINED, quality=100, subsampling="444", on_error=on_error, workers=2
    )
    return convert(slide, str(folder), options)


def differences(summary: Summary, shown: Pixels) -> dict[tuple[int, int], float]:
    """Of each base tile, the mean absolute difference from what is shown there."""
    found = {}
    for address, jpeg in base_tiles(summary):
        tile = decode(jpeg).astype(int)
        x, y = address.column * JOINED, address.row * JOINED
        found[address.column, address.row] = float(
            np.abs(tile - shown[y : y + JOINED, x : x + JOINED]).mean()
        )
    assert set(found) == BASE
    return found


@pytest.mark.parametrize("place", [(0, 0), (2, 1)], ids=str)
@pytest.mark.parametrize("kind", DECODED, ids=lambda kind: kind.encode.__name__)
def test_a_join_with_one_odd_tile_is_decoded(
    kind: Kind, place: tuple[int, int], tmp_path: Path
) -> None:
    """Wherever it is: (2, 1) is the first that the choice of the lane looks at."""
    slide, shown = slide_of(kind, {place}, tmp_path)
    summary = converted(slide, tmp_path)
    pyramid = slide_json(summary)["pyramid"]
    assert (pyramid["lane"], pyramid["blank_tiles"]) == ("lossless", 0)
    assert pyramid["fallback_tiles"] == {kind.reason: 1}
    far = differences(summary, shown)
    assert 0 < far.pop((place[0] // 2, place[1] // 2)) < 1  # decoded and encoded anew
    assert set(far.values()) == {0}
    assert verify(Path(summary.target), deep=True, against=slide).errors == []


@pytest.mark.parametrize("kind", DECODED, ids=lambda kind: kind.encode.__name__)
def test_odd_tiles_throughout_are_right(kind: Kind, tmp_path: Path) -> None:
    """Joined where they are alike, else all of them decoded."""
    slide, shown = slide_of(kind, {(x, y) for x in range(4) for y in range(3)}, tmp_path)
    summary = converted(slide, tmp_path)
    pyramid = slide_json(summary)["pyramid"]
    is_refused = kind.encode is of_one_name  # and not before its tiles are joined
    joined = kind.joins_its_like or is_refused
    assert pyramid["lane"] == ("lossless" if joined else "pixels")
    assert (kind.reason in pyramid["lane_reason"]) != joined
    fallbacks = {kind.reason: len(BASE)} if is_refused else {}
    assert (pyramid["fallback_tiles"], pyramid["blank_tiles"]) == (fallbacks, 0)
    assert max(differences(summary, shown).values()) < 1
    assert verify(Path(summary.target), deep=True, against=slide).errors == []


@pytest.mark.parametrize("kind", NOT_DECODED, ids=lambda kind: kind.encode.__name__)
def test_one_tile_that_cannot_be_decoded_is_named_or_blank(kind: Kind, tmp_path: Path) -> None:
    slide, shown = slide_of(kind, {(2, 2)}, tmp_path)
    why = "cannot be decoded|holds JPEG data of a kind that is not read"
    with pytest.raises(TileError, match=rf"a\.tif: tile 9/1_1 (?:{why}) .*--on-error blank"):
        converted(slide, tmp_path)
    assert not (tmp_path / "images").exists()
    summary = converted(slide, tmp_path, "blank")
    pyramid = slide_json(summary)["pyramid"]
    assert (pyramid["lane"], pyramid["blank_tiles"]) == ("lossless", 1)
    assert pyramid["fallback_tiles"] == {kind.reason: 1}
    shown[JOINED:, JOINED:] = 255
    assert set(differences(summary, shown).values()) == {0}
    assert verify(Path(summary.target), deep=True, against=slide).errors == []


@pytest.mark.parametrize("kind", NOT_DECODED[2:], ids=lambda kind: kind.encode.__name__)
def test_where_no_tile_can_be_decoded_all_are_blank(kind: Kind, tmp_path: Path) -> None:
    slide, shown = slide_of(kind, {(x, y) for x in range(4) for y in range(3)}, tmp_path)
    with pytest.raises(TileError, match=r"a\.tif: tile 9/\d_\d cannot be decoded"):
        converted(slide, tmp_path)
    assert not (tmp_path / "images").exists()
    summary = converted(slide, tmp_path, "blank")
    pyramid = slide_json(summary)["pyramid"]
    assert (pyramid["lane"], pyramid["blank_tiles"]) == ("pixels", len(BASE))
    assert kind.reason in pyramid["lane_reason"]
    assert set(differences(summary, np.full_like(shown, 255)).values()) == {0}


@pytest.mark.parametrize("on_error", ["fail", "blank"])
@pytest.mark.parametrize("kind", NOT_DECODED[:2], ids=lambda kind: kind.encode.__name__)
def test_a_slide_of_tiles_that_no_library_decodes_is_none(
    kind: Kind, on_error: str, tmp_path: Path
) -> None:
    slide, _ = slide_of(kind, {(x, y) for x in range(4) for y in range(3)}, tmp_path)
    with pytest.raises(SlideError, match=rf"of a kind that is not read \({kind.reason}\); save it"):
        converted(slide, tmp_path, on_error)
    with pytest.raises(SlideError, match=kind.reason):
        info(slide, ConvertOptions())
    assert not (tmp_path / "images").exists()
