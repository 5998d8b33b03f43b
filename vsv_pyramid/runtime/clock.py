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


def sleep(seconds: float, stopped: threading.Event | None = None) -> bool:
    """A pause before going on, which `stopped` ends; and whether it did."""
    if stopped:
        return stopped.wait(seconds)
    system.sleep(seconds)
    return False


def wait(event: threading.Event, seconds: float) -> bool:
    """Waits for the event, for so long at most; and whether it came."""
    return event.wait(seconds)
