"""What a slide says of itself, read from OpenSlide's properties. Pure functions of a mapping.

Published are technical facts only: keys that can carry a person's name or free text (User, Title,
Patient, Accession, Barcode, Filename...) are on no list here and so stay behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from vsv_pyramid.geometry import Size
from vsv_pyramid.slide import scale
from vsv_pyramid.slide.scale import number

# Aperio keys that hold a number; a value that is none is withheld, whatever it says.
_NUMERIC_KEYS = (
    "AppMag",
    "MPP",
    "StripeWidth",
    "Left",
    "Top",
    "LineAreaXOffset",
    "LineAreaYOffset",
    "LineCameraSkew",
    "Focus Offset",
    "Filtered",
    "Gamma",
    "Exposure Time",
    "Exposure Scale",
    "DisplayColor",
    "OriginalWidth",
    "OriginalHeight",
    "Originalheight",
    "Rack",
    "Slide",
)

# Where the vendors' readers put a scan's date and time, and its format.
_TIMESTAMPS = (
    ("leica.creation-date", "%Y-%m-%dT%H:%M:%S"),
    ("mirax.GENERAL.SLIDE_CREATIONDATETIME", "%d/%m/%Y %H:%M:%S"),
    ("tiff.DateTime", "%Y:%m:%d %H:%M:%S"),
)
_SCANNERS = ("aperio.ScanScope ID", "leica.device-model", "tiff.Model")

# um/px: the limits of light, and of what is called a microscope; and how oblong a pixel can be.
_LEAST_MPP, _MOST_MPP, _MOST_OBLONG = 0.02, 50.0, 2.0

# "GMT-0500", "GMT-05:00"; and "GMT+429496728800": -8 hours, printed by the scanner as unsigned
_ZONE = re.compile(r"GMT([+-])(\d{1,2}|42949672\d\d):?(\d\d)")
_UINT32 = 1 << 32
# With a digit or a maker's name in it, since a person's can be typed there, too; makers that are
# people's names (Philips, Zeiss) do not count.
_SCANNER = re.compile(
    r"(?=.*(?:[0-9]|aperio|hamamatsu|leica|nanozoomer|olympus|pannoramic|scanscope|ventana))"
    r"[a-z0-9._-]{1,64}",
    re.ASCII | re.IGNORECASE,
)
_IMAGE_ID = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True)
class Metadata:
    """A slide's description of itself; None where it says nothing, or nothing that makes sense.

    mpp_x and mpp_y are in um/px, both or none; `scanned` is ISO 8601, with the zone where the slide
    states one.
    `bounds` is the scanned area as (x, y, width, height) in px of the slide's level 0.
    """

    vendor: str | None
    scanner: str | None
    image_id: str | None
    objective_power: float | None
    mpp_x: float | None
    mpp_y: float | None
    scanned: str | None
    bounds: tuple[int, int, int, int] | None
    properties: Mapping[str, str]


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
        scanner=next(
            filter(None, (_matching(properties.get(key), _SCANNER) for key in _SCANNERS)), None
        ),
        image_id=_matching(properties.get("aperio.ImageID"), _IMAGE_ID),
        objective_power=_positive(number(power)),
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        scanned=_scanned(properties),
        bounds=_bounds(properties),
        properties={
            key: properties[f"aperio.{key}"]
            for key in _NUMERIC_KEYS
            if number(properties.get(f"aperio.{key}")) is not None
        },
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
            return (y, x) if swapped else (x, y)
    return None, None


def _is_plausible(least: float, most: float) -> bool:
    return least >= _LEAST_MPP and most <= min(_MOST_MPP, _MOST_OBLONG * least)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _matching(text: str | None, pattern: re.Pattern[str]) -> str | None:
    return text if text is not None and pattern.fullmatch(text) else None


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
                return moment.replace(tzinfo=_zone(properties.get("aperio.Time Zone"))).isoformat()
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


def _zone(text: str | None) -> timezone | None:
    match = _ZONE.fullmatch((text or "").strip())
    if not match:
        return None
    sign, hours, minutes = match[1], int(match[2]), int(match[3])
    if hours >= _UINT32 - 24:
        sign, hours = "-", _UINT32 - hours
    if hours > 14 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset)
