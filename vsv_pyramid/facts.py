"""What may be said of a slide to everybody: numbers as far as they are measured, models that are on
a list, a year, and a time in a time zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vsv_pyramid.runtime import clock

_DIGITS = 6
_MOST_POWER = 400.0  # what is more is another number, such as a patient's
_FIRST_YEAR = 1990

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
    stated = offset(f"GMT{name}")
    if stated:
        return stated
    try:
        if _ZONE_NAME.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError(f"there is no time zone {name!r}")


def year(moment: str | None) -> int | None:
    """The year of a time (ISO 8601), None where no slide can be scanned: of a birth, perhaps."""
    said = int(moment[:4]) if moment else 0
    return said if _FIRST_YEAR <= said <= clock.utc().year + 1 else None


def offset(text: str | None) -> timezone | None:
    """The offset that a scanner states as GMT-0500, None where that is none."""
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
