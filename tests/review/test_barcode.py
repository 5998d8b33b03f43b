"""Slide IDs read off labels, and what must not become one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from tests.support.forge import forge_svs
from vsv_pyramid.review.barcode import Barcode, lab_id_of, read_barcode
from vsv_pyramid.slide.pixels import open_slide

ID = "S21-12345-A1"
FORMATS = {
    "Data Matrix": zxingcpp.BarcodeFormat.DataMatrix,
    "QR Code": zxingcpp.BarcodeFormat.QRCode,
    "Code 128": zxingcpp.BarcodeFormat.Code128,
}
UNREADABLE = Barcode("unreadable")


def code(text: str, symbology: str = "Data Matrix", scale: int = 2) -> Image.Image:
    barcode = zxingcpp.create_barcode(text, FORMATS[symbology])
    return Image.fromarray(np.array(barcode.to_image(scale=scale)))


def label(*codes: Image.Image) -> Image.Image:
    """A label as a scanner sees it: barcodes between a laboratory's words and a patient's name."""
    picture = Image.new("L", (400, 460), 255)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 399, 459), outline=0)
    draw.text((10, 10), "INSTITUTE OF PATHOLOGY 2021", fill=0)
    draw.text((10, 430), "DOE, JANE   HE", fill=0)
    y = 40
    for barcode in codes:
        picture.paste(barcode, (10, y))
        y += barcode.height + 10
    return picture


def askew(picture: Image.Image) -> Image.Image:
    return picture.rotate(5, Image.Resampling.BICUBIC, expand=True, fillcolor=255)


def pale(picture: Image.Image) -> Image.Image:
    """Twenty levels of grey from ink to paper."""
    return picture.point([120 + level * 20 // 255 for level in range(256)])


def noisy(picture: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 20, picture.size[::-1])
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def on_glass(picture: Image.Image) -> Image.Image:
    """Its ink alone: what is paper is transparent, and black below."""
    ink = picture.point([255 - level for level in range(256)])
    return Image.merge("RGBA", (*[Image.new("L", picture.size, 0)] * 3, ink))


SIGHTS: list[Callable[[Image.Image], Image.Image]] = [
    lambda picture: picture,
    lambda picture: picture.convert("RGB"),
    lambda picture: picture.convert("1"),
    lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
    lambda picture: picture.transpose(Image.Transpose.ROTATE_270),
    lambda picture: picture.resize((300, 345), Image.Resampling.BICUBIC),
    lambda picture: picture.resize((1200, 1380)),
    lambda picture: pale(picture.resize((1200, 1380))),
    askew,
    pale,
    noisy,
    on_glass,
]


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("symbology", FORMATS)
def test_an_id_is_read(symbology: str, sight: Callable[[Image.Image], Image.Image]) -> None:
    picture = sight(label(code(ID, symbology)))
    assert read_barcode(picture) == Barcode("read", ID, symbology)


@pytest.mark.parametrize("symbology", ["Data Matrix", "QR Code"])
def test_a_blurred_id_is_read(symbology: str) -> None:
    picture = label(code(ID, symbology, scale=3)).filter(ImageFilter.GaussianBlur(1))
    assert read_barcode(pale(picture)) == Barcode("read", ID, symbology)


def test_a_tiny_id_is_read_enlarged() -> None:
    assert read_barcode(label(code(ID, scale=1))) == Barcode("read", ID, "Data Matrix")


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        ([code("CASE-7", "Code 128"), code(ID)], Barcode("read", ID, "Data Matrix")),
        ([code("CASE-7", "Code 128"), code(ID, "QR Code")], Barcode("read", ID, "QR Code")),
        ([code("CASE-7", "QR Code"), code(ID, scale=1)], Barcode("read", ID, "Data Matrix")),
        ([code("Jane Doe"), code(ID, "Code 128")], Barcode("read", ID, "Code 128")),
        ([code("Jane.Doe"), code(ID)], Barcode("read", ID, "Data Matrix")),
        ([code("Jane.Doe"), code("DOE", "QR Code"), code("Doe, J.", "Code 128")], UNREADABLE),
        ([code(ID), code(ID)], Barcode("read", ID, "Data Matrix")),
        ([code(ID), code("S21-12345-A2")], UNREADABLE),
    ],
)
def test_the_first_of_several(codes: list[Image.Image], found: Barcode) -> None:
    assert read_barcode(label(*codes)) == found


def test_other_barcodes_are_not_looked_for() -> None:
    aztec = zxingcpp.create_barcode(ID, zxingcpp.BarcodeFormat.Aztec).to_image(scale=3)
    assert read_barcode(label(Image.fromarray(np.array(aztec)))) == UNREADABLE


@pytest.mark.parametrize("size", [(400, 460), (1, 1), (0, 0)])
def test_a_label_without_a_barcode(size: tuple[int, int]) -> None:
    assert read_barcode(Image.new("RGBA", size)) == UNREADABLE


def test_no_label() -> None:
    assert read_barcode(None) == Barcode("no label")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    assert read_barcode(label(code(ID))) == Barcode("no reader")
    assert read_barcode(None) == Barcode("no label")


def test_what_the_library_raises_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of range")

    monkeypatch.setattr(zxingcpp, "read_barcodes", fail)
    assert read_barcode(label(code(ID))) == UNREADABLE


def test_a_slides_label(real_slide: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    images = {"thumbnail": Image.new("RGB", (100, 80)), "label": label(code(ID))}
    forge_svs(path, tissue=real_slide, size=(500, 400), levels=(1,), associated=images)
    with open_slide(path) as slide:
        assert read_barcode(slide.associated("label")) == Barcode("read", ID, "Data Matrix")
    with open_slide(real_slide) as slide:
        assert read_barcode(slide.associated("label")) == UNREADABLE


@pytest.mark.parametrize(
    ("text", "lab_id"),
    [
        (ID, ID),
        (f" {ID}\r\n", ID),
        ("7", "7"),
        ("H21/1234;A:2_3+b#4.c", "H21/1234;A:2_3+b#4.c"),
        ("7" * 64, "7" * 64),
        ("7" * 65, None),
        ("", None),
        ("Doe", None),
        ("Jane.Doe", None),
        ("Doe, Jane 7", None),
        ("Doe^Jane^7", None),
        ("-7", None),
        ("S\u0661", None),
        ("S7\u00e9", None),
        ("S7\nDoe", None),
        ("S7\x1dDoe", None),
    ],
)
def test_what_an_id_is(text: str, lab_id: str | None) -> None:
    assert lab_id_of(text) == lab_id


@given(st.text(max_size=80))
def test_an_id_is_plain(text: str) -> None:
    lab_id = lab_id_of(text)
    assert lab_id is None or (
        lab_id == text.strip()
        and lab_id.isascii()
        and any(letter.isdigit() for letter in lab_id)
        and not any(letter.isspace() for letter in lab_id)
    )
