"""Every file of the forged table is published as what it is, or refused by a sentence."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, features
from tifffile import TiffFile

from tests.support.forge_tiffs import (
    JFIF,
    LIBTIFF,
    PICTURE,
    PLACES,
    SIZE,
    TILE,
    Row,
    Stored,
    jpeg,
    stream,
    tiles,
)
from tests.support.raw_tiff import LONG, SHORT, write
from tests.support.tiff_rows import ROWS
from tests.support.tiles import tissue
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import SlideError
from vsv_pyramid.inspection import info
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.verification import reference, verify

# Encoding once more, in the finest quality, changes no pixel by more on average.
ENCODED = 0.8
NO_LIBTIFF = "this Pillow has no libtiff"


def options(lane: str) -> ConvertOptions:
    return ConvertOptions(lane=lane, quality=100, subsampling="444", workers=1)


def said_of(row: Row) -> str:
    if row.said != LIBTIFF:
        return row.said
    return "" if features.check("libtiff") else NO_LIBTIFF


def published(summary: Summary) -> NDArray[Any]:
    """The base level, which is one tile."""
    folder = Path(summary.target).parent / "DeepZoom_files"
    level = max(int(path.name) for path in folder.iterdir())
    (tile,) = (folder / str(level)).iterdir()
    with Image.open(io.BytesIO(tile.read_bytes())) as image:
        return np.asarray(image.convert("RGB"))


def apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.table
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_file_is_right_or_refused(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = row.write(tmp_path / "a.tif")
    if said := said_of(row):
        for lane in "auto", "pixels":
            with pytest.raises(SlideError) as refused:
                convert(slide, str(tmp_path / lane), options(lane))
            assert said in str(refused.value)
            assert "\n" not in str(refused.value)
        with pytest.raises(SlideError) as planned:
            info(slide, options("auto"))
        assert str(planned.value) == str(refused.value)
        assert not list(tmp_path.rglob("*.dzi"))
        return
    judged = row.judged(slide)
    assert apart(judged, row.truth) < (5 if row.is_lossy else 0.6)
    for lane in "auto", "pixels":
        summary = convert(slide, str(tmp_path / lane), options(lane))
        assert apart(published(summary), judged) < ENCODED
        report = verify(summary.target, against=slide)
        assert (report.errors, report.warnings) == ([], [])
        document = json.loads(Path(summary.target).with_name("slide.json").read_text())
        told = [note for note in summary.notes if note.startswith("left out")]
        assert bool(told) == bool(row.left) == bool(document["left_out"])
        assert row.left in "".join(told)
        assert row.left in ", ".join(document["left_out"])
    monkeypatch.setattr(reference, "reference", lambda _: None)  # as without imagecodecs
    assert verify(summary.target, against=slide).errors == []


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    ("compression", "place"),
    [(None, "tile"), ("packbits", "tile"), (None, "rowsperstrip"), ("webp", "tile")],
)
def test_a_predictor_that_the_compression_has_not(
    compression: str | None, place: str, byteorder: str, tmp_path: Path
) -> None:
    """Of which libtiff takes no notice, and tifffile would; it is the picture as it was stored."""
    settings: dict[str, Any] = {
        place: (TILE, TILE) if place == "tile" else 40,
        "compression": compression,
        "compressionargs": {"level": 100, "lossless": True} if compression == "webp" else None,
        "extratags": [(318, "H", 1, 2, True)],  # renamed, since tifffile writes no 317 here
    }
    slide = Row("", [Stored(PICTURE, settings)], file={"byteorder": byteorder}).write(
        tmp_path / "a.tif"
    )
    with TiffFile(slide) as tiff:
        place_of_tag = tiff.pages.first.tags[318].offset
    with slide.open("r+b") as file:
        file.seek(place_of_tag)
        file.write((317).to_bytes(2, "little" if byteorder == "<" else "big"))
    with TiffFile(slide) as tiff:
        assert tiff.pages.first.predictor == 2
    summary = convert(slide, str(tmp_path), options("auto"))
    assert apart(published(summary), PICTURE) < ENCODED
    assert verify(summary.target, against=slide).errors == []


def test_sampling_factors_that_are_not_read_are_told(tmp_path: Path) -> None:
    """As 4:1:0: sound for libjpeg, so that another scan would not help, nor blank tiles."""

    def odd(stream: bytes) -> bytes:
        at = stream.index(b"\xff\xc0") + 11
        return stream[:at] + b"\x42" + stream[at + 1 :]

    slide = Row("", [jpeg([odd(one) for one in tiles(marker=JFIF)], "ycbcr")]).write(
        tmp_path / "a.tif"
    )
    for on_error in "fail", "blank":
        with pytest.raises(SlideError, match="the sampling factors of its JPEG data"):
            convert(slide, tmp_path, dataclasses.replace(options("auto"), on_error=on_error))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Pyramids of pictures of the same size: of another place, and of other colours."""
    folder = tmp_path_factory.mktemp("others")
    pictures = {"elsewhere": tissue(*SIZE, 1), "swapped": PICTURE[..., ::-1]}
    for name, pixels in pictures.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")
    return [
        convert(folder / f"{name}.png", str(folder), options("auto")).target for name in pictures
    ]


SHOWN = [row for row in ROWS if not said_of(row) and row.truth.shape == PICTURE.shape]


@pytest.mark.table
@pytest.mark.parametrize("row", SHOWN, ids=lambda row: row.name)
def test_another_picture_is_told_from_it(row: Row, tmp_path: Path, others: list[str]) -> None:
    slide = row.write(tmp_path / "a.tif")
    for other in others:
        report = verify(other, against=slide)
        assert report.errors
        assert not report.unread


@pytest.mark.parametrize("lane", ["auto", "pixels"])
@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (imagecodecs.jpeg8_encode(np.zeros((TILE, TILE, 4), np.uint8)), "4 components"),
        (
            imagecodecs.jpeg8_encode(np.zeros((TILE, TILE, 3), np.uint16), bitspersample=12),
            "12 bits a sample",
        ),
    ],
)
def test_a_tile_of_a_kind_that_is_not_read_is_no_damage(
    odd: bytes, reason: str, lane: str, tmp_path: Path
) -> None:
    streams = [*tiles(marker=JFIF)[:-1], bytes(odd)]
    slide = Row("", [jpeg(streams, "ycbcr")]).write(tmp_path / "a.tif")
    with pytest.raises(SlideError) as refused:
        convert(slide, str(tmp_path), options(lane))
    assert f"a kind that is not read ({reason}); save the slide as RGB" in str(refused.value)
    assert "copy" not in str(refused.value)
    blank = dataclasses.replace(options(lane), on_error="blank")
    notes = convert(slide, str(tmp_path), blank).notes
    assert notes == ("1 damaged tile was left blank, the first is 8/0_0",)


@pytest.mark.parametrize(
    ("place", "width", "height", "is_right"),
    [
        (0, 63, 64, False),
        (3, 8, 64, True),
        (3, 20, 64, True),
        (3, 7, 64, False),
        (3, 8, 40, False),
        (3, 72, 64, False),
        (8, 64, 22, True),
        (8, 64, 21, False),
        (11, 8, 22, True),
        (11, 64, 22, True),
        (11, 64, 72, False),
    ],
)
def test_a_tile_at_the_edge_may_end_with_the_picture(
    place: int, width: int, height: int, is_right: bool, tmp_path: Path
) -> None:
    row, column = divmod(place, -(-SIZE[0] // TILE))
    padded = np.pad(PICTURE, ((0, TILE), (0, TILE), (0, 0)), "edge")
    part = padded[row * TILE :, column * TILE :][:height, :width]
    streams = tiles(marker=JFIF)
    streams[place] = stream(np.ascontiguousarray(part), marker=JFIF)
    slide = Row("", [jpeg(streams, "ycbcr")]).write(tmp_path / "a.tif")
    judged = np.zeros_like(padded)
    for i, data in enumerate(streams):
        y, x = (TILE * at for at in divmod(i, -(-SIZE[0] // TILE)))
        inside = np.asarray(imagecodecs.jpeg8_decode(data))[: SIZE[1] - y, : SIZE[0] - x]
        judged[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    judged = judged[: SIZE[1], : SIZE[0]]
    for lane in "auto", "pixels":
        if not is_right:
            with pytest.raises(SlideError, match=f"{width} x {height} px where the slide's tiles"):
                convert(slide, str(tmp_path / lane), options(lane))
            continue
        summary = convert(slide, str(tmp_path / lane), options(lane))
        assert apart(published(summary), judged) < ENCODED
        assert verify(summary.target, against=slide).errors == []
        document = json.loads(Path(summary.target).with_name("slide.json").read_text())
        assert sum(document["pyramid"]["fallback_tiles"].values()) == (lane == "auto")


def test_a_turn_that_only_xmp_states_is_nobodys(tmp_path: Path) -> None:
    """Pillow alone turns by it."""
    said = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    image, text = Image.fromarray(PICTURE), PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", said.decode())
    image.save(tmp_path / "a.png", pnginfo=text)
    image.save(tmp_path / "a.jpg", quality=95, xmp=said)
    data = (tmp_path / "a.png").read_bytes()
    chunk = data.index(b"iTXt") - 4
    length = int.from_bytes(data[chunk : chunk + 4], "big") + 12
    end = data.index(b"IEND") - 4
    moved = data[:chunk] + data[chunk + length : end] + data[chunk : chunk + length] + data[end:]
    (tmp_path / "b.png").write_bytes(moved)
    for name in "a.png", "a.jpg", "b.png":
        with Image.open(tmp_path / name) as turned:
            turned.load()
            # Before 11, Pillow did not look into a JPEG's.
            is_old = int(PIL.__version__.partition(".")[0]) < 11
            assert "Orientation" in str(turned.info) or (is_old and name == "a.jpg")
        folder = str(tmp_path / name.replace(".", "-"))
        summary = convert(tmp_path / name, folder, options("auto"))
        assert apart(published(summary), PICTURE) < 5


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits"])
def test_strips_that_cannot_be_decoded_are_damaged(compression: str, tmp_path: Path) -> None:
    settings = {**PLACES["strips"], "compression": compression}
    slide = Row("", [Stored(PICTURE, settings)]).write(tmp_path / "a.tif")
    with TiffFile(slide) as tiff:
        offset, count = tiff.pages[0].dataoffsets[1], tiff.pages[0].databytecounts[1]
    data = slide.read_bytes()
    slide.write_bytes(data[:offset] + b"\x55" * count + data[offset + count :])
    with pytest.raises(SlideError) as refused:
        info(slide, options("auto"))
    assert ("damaged or cut off" if features.check("libtiff") else NO_LIBTIFF) in str(refused.value)


@pytest.mark.parametrize("order", ["<", ">"])
def test_bits_in_reverse_are_named(order: str, tmp_path: Path) -> None:
    tags = {
        256: (LONG, [SIZE[0]]),
        257: (LONG, [SIZE[1]]),
        258: (SHORT, [8]),
        259: (SHORT, [1]),
        262: (SHORT, [0]),
        266: (SHORT, [2]),
        278: (LONG, [SIZE[1]]),
    }
    slide = write(tmp_path / "a.tif", [(tags, [bytes(SIZE[0] * SIZE[1])])], order)
    with pytest.raises(SlideError, match="stored in reverse"):
        info(slide, options("auto"))
