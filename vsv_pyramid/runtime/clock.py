"""The clock that the whole program goes by, and waits by; a test sets another in its place."""

from __future__ import annotations

import threading
import time as system
from datetime import datetime, timezone


def monotonic() -> float:
    """Seconds, of which only differences mean anything."""
    return system.monotonic()


def time() -> float:
    """Seconds since 1970."""
    return system.time()


def utc() -> datetime:
    return datetime.fromtimestamp(time(), timezone.utc)


_MONDAY = 345_600.0  # the first one of Unix time
_WEEK_HOURS, _WORKING_HOURS = 168.0, 120.0


def working_hours(since: float, until: float) -> float:
    """Hours of Monday to Friday (UTC) between two moments of Unix time."""

    def hours(moment: float) -> float:
        weeks, rest = divmod((moment - _MONDAY) / 3600, _WEEK_HOURS)
        return weeks * _WORKING_HOURS + min(rest, _WORKING_HOURS)

    return hours(until) - hours(since)


def sleep(seconds: float, stopped: threading.Event | None = None) -> bool:
    """A pause before going on, which `stopped` ends; and whether it did."""
    if stopped:
        return stopped.wait(seconds)
    system.sleep(seconds)
    return False


def wait(event: threading.Event, seconds: float) -> bool:
    """Waits for the event, for so long at most; and whether it came."""
    return event.wait(seconds)
