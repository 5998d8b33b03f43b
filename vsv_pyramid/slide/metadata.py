"""What a slide says of itself, read from OpenSlide's properties. Pure functions of a mapping.

Taken are technical facts only: keys that can carry a person's name or free text (User, Title,
Patient, Accession, Barcode, Filename...) are on no list here and so stay behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
_DIGITS = 6
_MOST_POWER = 400.0  # what is more is another number, such as a patient's

# "GMT-0500", "GMT-05:00"; and "GMT+429496728800": -8 hours, printed by the scanner as unsigned
_ZONE = re.compile(r"GMT([+-])(\d{1,2}|42949672\d\d):?(\d\d)")
_UINT32 = 1 << 32
_ZONE_NAME = re.compile(r"[A-Z][A-Za-z0-9+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
# What a scanner calls itself is typed by people, too: only what is on this list is a model.
_MODELS = (
    *(
        "ScanScope",
        "ScanScope AT",
        "ScanScope AT2",
        "ScanScope CS",
        "ScanScope CS2",
        "ScanScope CSO",
    ),
    *(
        "ScanScope FL",
        "ScanScope GL",
        "ScanScope OS",
        "ScanScope T2",
        "ScanScope T3",
        "ScanScope XT",
    ),
    *("Aperio AT", "Aperio AT2", "Aperio CS2", "Aperio CSO", "Aperio LV1", "Aperio VERSA"),
    *("Aperio GT 450", "Aperio GT 450 DX", "AT2", "CS2", "GT450", "GT450DX", "VERSA"),
    *("Leica SCN400", "Leica SCN400F", "SCN400", "SCN400F", "NanoZoomer", "NanoZoomer 2.0-HT"),
    *("NanoZoomer 2.0-RS", "NanoZoomer RS", "NanoZoomer SQ", "NanoZoomer XR", "NanoZoomer S20"),
    *(
        "NanoZoomer S60",
        "NanoZoomer S60v2",
        "NanoZoomer S210",
        "NanoZoomer S360",
        "NanoZoomer S360MD",
    ),
    *(
        "C9600-02",
        "C9600-12",
        "C10730-12",
        "C10730-13",
        "C12000-02",
        "C12000-22",
        "C13140",
        "C13210",
    ),
    *("C13210-01", "C13210-04", "C13220-01", "C13239-01", "C14833-01", "C16300-01"),
    *("iScan", "iScan Coreo", "iScan HT", "VENTANA DP 200", "VENTANA DP 600", "DP 200", "DP 600"),
    *(
        "UFS Scanner",
        "Ultra Fast Scanner",
        "SG20",
        "SG60",
        "SG300",
        "Pannoramic 250",
        "Pannoramic 1000",
    ),
    *(
        "Pannoramic 480",
        "Pannoramic DESK",
        "Pannoramic MIDI",
        "Pannoramic SCAN",
        "Pannoramic FLASH",
    ),
    *("VS110", "VS120", "VS200", "Axio Scan.Z1", "Axioscan 7", "KF-PRO-005", "KF-PRO-120"),
)
_MODEL_OF = {re.sub("[^a-z0-9]", "", model.lower()): model for model in _MODELS}


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


def model(text: str | None) -> str | None:
    """The scanner's model as the list has it, None for what is none of them."""
    return _MODEL_OF.get(re.sub(r"[\s._-]", "", text.lower())) if text else None


def magnification(stated: float | None) -> float | None:
    """What is stated as such, None where no microscope magnifies so."""
    return rounded(stated) if stated is not None and 0 < stated <= _MOST_POWER else None


def rounded(value: float) -> float:
    """To as many digits as are measured: another number could be hidden in the others."""
    return float(f"{value:.{_DIGITS}g}")


def zoned(moment: str | None, time_zone: str | None) -> str | None:
    """The moment (ISO 8601) with an offset: the one that it has, else the zone's at that time, if a
    zone is given; see zone_of."""
    if moment is None or time_zone is None:
        return moment
    read = datetime.fromisoformat(moment)
    return moment if read.tzinfo else read.replace(tzinfo=zone_of(time_zone)).isoformat()


def zone_of(name: str) -> tzinfo:
    """The time zone of that name ("Europe/Berlin"), or at that offset ("+01:00"). Raises ValueError
    where there is no such zone."""
    offset = _zone(f"GMT{name}")
    if offset:
        return offset
    try:
        if _ZONE_NAME.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError(f"there is no time zone {name!r}")


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
