"""Microns per pixel of a TIFF that OpenSlide knows no maker of.

Its resolution is its printer's, its camera's or nobody's (72 dpi, 1/cm), unless the file says where
it comes from; what OME-XML says of itself comes first. Pure functions of OpenSlide's properties.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping

from vsv_pyramid.layout.geometry import Size

_NAMES = "|".join(
    (
        *("OME", "Bio-Formats", "QuPath", "Micro-?Manager", "Aperio", "Hamamatsu", "NanoZoomer"),
        *("Leica Biosystems", "SCN400", "IntelliSite", "Ventana", "iScan", "3DHISTECH", "MIRAX"),
        *("Pannoramic", "Axio ?Scan", "OlyVIA", "cellSens", "NIS-Elements", "Motic", "Grundium"),
        *("TissueScope", "Sakura", "PreciPoint", "KFBIO"),
    )
)
# Microscopes' scanners and programs, as whole words; makers of cameras, too, are here by those.
_MICROSCOPE = re.compile(rf"(?<![^\W\d_])(?:{_NAMES})(?![^\W\d_])", re.IGNORECASE)
_ORIGINS = ("tiff.Software", "tiff.Make", "tiff.Model")
# A description is anybody's text: what counts is what a program begins its own with.
_HEAD = re.compile(
    r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*(?:<(?:\w+:)?OME\b"
    r"|<image\b(?=[^>]*\bvips\b).*?<name>openslide\."  # libvips, on what it has of the slide
    rf"|(?:{_NAMES})(?: Image Library)? ?(?:=| v?\d))",
    re.IGNORECASE | re.DOTALL,
)
_IMAGEJ = re.compile(r"ImageJ\s*=")
_IMAGEJ_UNIT = re.compile(r"^unit=([^\r\n]*)", re.MULTILINE)
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^<>]*)>")
_ATTRIBUTE = re.compile(r"""(?<![\w:])(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

# ImageJ escapes the letter; and there are two of it, one of which was UTF-8 taken for Latin-1.
_MICRONS = ("um", "µm", "μm", "Âµm", "\\u00B5m", "micron", "microns", "micrometer")
_UM = {  # of OME's units of length
    **dict.fromkeys(_MICRONS, 1.0),
    **{"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6},
    **{"thou": 25.4, "mil": 25.4, "in": 25400.0},
}

# What printers and scanners of paper and film are set to. (Coarser ones are no microscope's.)
_DPI = (600, 720, 800, 1200, 1440, 1600, 2400, 2880, 3200, 3600, 4000, 4800, 6400, 7200, 9600)
_ROUNDED = 0.001  # 1200 dpi is 472 a cm
_INCH = 25400.0  # um


def stated(
    properties: Mapping[str, str], stored: Size | None
) -> Iterator[tuple[float | None, float | None]]:
    """What the file says of microns per pixel across and down, the best first; `stored` is the size
    of the picture as it is stored."""
    description = properties.get("tiff.ImageDescription", "")
    by_ome = _of_ome(description, stored)
    if by_ome:
        yield by_ome
        return
    x, y = (number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    if _IMAGEJ.match(description):
        unit = _IMAGEJ_UNIT.search(description)
        if not unit or unit[1].strip() not in _MICRONS:
            return
        across, down = (number(properties.get(f"tiff.{axis}Resolution")) for axis in "XY")
        yield (1 / across if across else None), (1 / down if down else None)
    elif not (
        _HEAD.match(description)
        or any(_MICROSCOPE.search(properties.get(key, "")) for key in _ORIGINS)
    ):
        return
    if not any(_is_printers(length) for length in (x, y)):
        yield x, y


def _of_ome(description: str, stored: Size | None) -> tuple[float | None, float | None] | None:
    """The pixel's size that OME-XML states of the picture, if it is all of one; None where it does
    not state any."""
    pixels = [
        {name: html.unescape(one or other) for name, one, other in _ATTRIBUTE.findall(attributes)}
        for attributes in _PIXELS.findall(description)
    ]
    if stored:
        size = [str(length) for length in stored]
        of_it = [said for said in pixels if [said.get("SizeX"), said.get("SizeY")] == size]
        if not of_it and any("SizeX" in said for said in pixels):
            return None, None  # it is of the picture that this one was made of
        pixels = of_it or pixels
    sizes = {
        (_um(said, "X"), _um(said, "Y"))
        for said in pixels
        if "PhysicalSizeX" in said and "PhysicalSizeY" in said
    }
    if not sizes:
        return None
    return sizes.pop() if len(sizes) == 1 else (None, None)


def _um(said: Mapping[str, str], axis: str) -> float | None:
    length = number(said[f"PhysicalSize{axis}"])
    unit = _UM.get(said.get(f"PhysicalSize{axis}Unit", "µm").strip())
    return length * unit if length and unit else None


def _is_printers(um: float | None) -> bool:
    return um is not None and any(abs(um * dpi / _INCH - 1) < _ROUNDED for dpi in _DPI)


def number(text: str | None) -> float | None:
    """The finite number that the text is, with a decimal point or comma."""
    try:
        value = float((text or "").strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
