"""What a slide says of itself, read from OpenSlide's properties. Pure functions of a mapping.

Taken are technical facts only: keys that can carry a person's name or free text (User, Title,
Patient, Accession, Barcode, Filename...) are on no list here and so stay behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from vsv_pyramid.facts import magnification, model, offset, rounded, year
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide import scale
from vsv_pyramid.slide.scale import number

# Where the vendors' readers put a scan's date and time, and its format.
_TIMESTAMPS = (
    ("leica.creation-date", "%Y-%m-%dT%H:%M:%S"),
    ("mirax.GENERAL.SLIDE_CREATIONDATETIME", "%d/%m/%Y %H:%M:%S"),
    ("tiff.DateTime", "%Y:%m:%d %H:%M:%S"),
)
_SCANNERS = (
    *("aperio.ScannerType", "aperio.ScanScope ID", "leica.device-model", "hamamatsu.Product"),
    *(
        "ventana.ScannerModel",
        "philips.DICOM_MANUFACTURERS_MODEL_NAME",
        "dicom.ManufacturerModelName",
    ),
    *("mirax.NONHIERLAYER_1_SECTION.SCANNER_HARDWARE_ID", "tiff.Model"),
)

# um/px: the limits of light, and of what is called a microscope; and how oblong a pixel can be.
_LEAST_MPP, _MOST_MPP, _MOST_OBLONG = 0.02, 50.0, 2.0


@dataclass(frozen=True)
class Metadata:
    """A slide's description of itself; None where it says nothing, or nothing that makes sense.

    mpp_x and mpp_y are in um/px, both or none; `scanned` is ISO 8601, with the zone where the slide
    states one.
    `bounds` is the scanned area as (x, y, width, height) in px of the slide's level 0.
    """

    vendor: str | None
    scanner: str | None
    objective_power: float | None
    mpp_x: float | None
    mpp_y: float | None
    scanned: str | None
    bounds: tuple[int, int, int, int] | None

    @property
    def published(self) -> dict[str, Any]:
        """As far as everybody may know it."""
        return {
            "mpp": {"x": self.mpp_x, "y": self.mpp_y},
            "objective_power": self.objective_power,
            "vendor": self.vendor,
            "scanner": self.scanner,
            "year": year(self.scanned),
        }


def metadata(
    properties: Mapping[str, str], stored: Size | None = None, *, swapped: bool = False
) -> Metadata:
    """The metadata that OpenSlide's properties state.

    `stored` is the picture's size as a TIFF holds it, whose sides are `swapped` where it is shown
    turned by a right angle.
    """
    mpp_x, mpp_y = _mpp(properties, stored, swapped=swapped)
    power = properties.get("openslide.objective-power", properties.get("aperio.AppMag"))
    return Metadata(
        vendor=properties.get("openslide.vendor"),
        scanner=next(filter(None, (model(properties.get(key)) for key in _SCANNERS)), None),
        objective_power=magnification(number(power)),
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        scanned=_scanned(properties),
        bounds=_bounds(properties),
    )


def native_tile(properties: Mapping[str, str]) -> Size | None:
    """The tile size of the slide's level 0 in px, None where it is not tiled."""
    width = number(properties.get("openslide.level[0].tile-width"))
    height = number(properties.get("openslide.level[0].tile-height"))
    return Size(int(width), int(height)) if width and height else None


def _mpp(
    properties: Mapping[str, str], stored: Size | None, *, swapped: bool
) -> tuple[float, float] | tuple[None, None]:
    """Microns per pixel across and down, as far as a microscope's scanner has stated them."""
    if properties.get("openslide.vendor") == "generic-tiff":
        said = scale.stated(properties, stored)
    else:
        keys = ("openslide.mpp-x", "openslide.mpp-y"), ("aperio.MPP", "aperio.MPP")
        said = ((number(properties.get(x)), number(properties.get(y))) for x, y in keys)
    for x, y in said:
        if x and y and _is_plausible(*sorted((x, y))):
            x, y = rounded(x), rounded(y)
            return (y, x) if swapped else (x, y)
    return None, None


def _is_plausible(least: float, most: float) -> bool:
    return least >= _LEAST_MPP and most <= min(_MOST_MPP, _MOST_OBLONG * least)


def _bounds(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    x, y, width, height = (
        number(properties.get(f"openslide.bounds-{side}")) for side in ("x", "y", "width", "height")
    )
    if x is None or y is None or not width or not height:
        return None
    return int(x), int(y), int(width), int(height)


def _scanned(properties: Mapping[str, str]) -> str | None:
    date, time = properties.get("aperio.Date"), properties.get("aperio.Time")
    if date and time:
        for pattern in ("%m/%d/%Y %H:%M:%S", "%m/%d/%y %H:%M:%S"):
            moment = _moment(f"{date.strip()} {time.strip()}", pattern)
            if moment:
                return moment.replace(tzinfo=offset(properties.get("aperio.Time Zone"))).isoformat()
    for key, pattern in _TIMESTAMPS:
        moment = _moment(properties.get(key, "").partition(".")[0].rstrip("Z"), pattern)
        if moment:
            utc = timezone.utc if properties[key].endswith("Z") else None
            return moment.replace(tzinfo=utc).isoformat()
    return None


def _moment(text: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(text, pattern)
    except ValueError:
        return None
