"""The slide's ID, read off the barcode on its label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from PIL import Image, ImageOps

from vsv_pyramid.review.history import is_id

# Those that laboratories print, the surest first; a label's other code is often a case's or a name.
_SYMBOLOGIES = {"DataMatrix": "Data Matrix", "QRCode": "QR Code", "Code128": "Code 128"}
_SMALL, _ENLARGED = 1000, 3  # px of the longer side, and how many times as large it is read


@dataclass(frozen=True)
class Barcode:
    """What the label image's barcode says. `state` is "read", "unreadable" (there is none, or none
    that can be read as an ID), "no label" or "no reader" (zxing-cpp is not installed)."""

    state: str
    lab_id: str | None = None
    symbology: str | None = None


def lab_id_of(text: str) -> str | None:
    """The slide ID that the text is, without blanks around it; None where it is none.

    An ID holds a digit: a name alone, or a sentence, is none.
    """
    stripped = text.strip()
    return stripped if is_id(stripped) and any(map(str.isdecimal, stripped)) else None


def read_barcode(label: Image.Image | None) -> Barcode:
    """The first barcode of the label that is a slide's ID: Data Matrix, QR, then Code 128."""
    if label is None:
        return Barcode("no label")
    try:
        return next(_found(label), Barcode("unreadable"))
    except ImportError:
        return Barcode("no reader")
    except (ValueError, RuntimeError, OSError):  # of a picture that Pillow or the reader refuses
        return Barcode("unreadable")


def _found(label: Image.Image) -> Iterator[Barcode]:
    import zxingcpp  # optional, and not needed where there is no label

    pictures = tuple(_pictures(label))
    for (name, symbology), picture in product(_SYMBOLOGIES.items(), pictures):
        codes = zxingcpp.read_barcodes(
            picture,
            formats=zxingcpp.BarcodeFormats(getattr(zxingcpp.BarcodeFormat, name)),
            text_mode=zxingcpp.TextMode.Plain,
        )
        ids = set(filter(None, (lab_id_of(code.text) for code in codes)))
        if len(ids) > 1:  # which of them is the slide's, nobody can tell
            yield Barcode("unreadable")
        elif ids:
            yield Barcode("read", ids.pop(), symbology)


def _pictures(label: Image.Image) -> Iterator[Image.Image]:
    """The label in grey over white: as it is, then with more contrast and, if small, enlarged."""
    rgba = label.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    grey = Image.alpha_composite(white, rgba).convert("L")
    yield grey
    contrasted = ImageOps.autocontrast(grey, cutoff=1)
    if max(grey.size) > _SMALL:
        yield contrasted
    else:
        yield ImageOps.scale(contrasted, _ENLARGED, Image.Resampling.BICUBIC)
