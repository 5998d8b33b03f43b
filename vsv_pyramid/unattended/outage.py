"""A time in which what all slides need is away: the store, the login, the room on the disk."""

from __future__ import annotations

import threading
from pathlib import Path

from vsv_pyramid.errors import is_environment
from vsv_pyramid.runtime import clock

PAUSES = (60.0, 180.0)  # s, before each try, the last one again and again


class Outage:
    """Whether there is one, and which slide is handed on nonetheless, to see if it is over.

    One that has failed in it is tried again `grace` seconds after the others could be. And one that
    failed in it while another one went well is suspected: the next time, the trouble is its own.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._lock = threading.Lock()
        self._due: float | None = None  # when the next try is, None where there is no outage
        self._tries = 0
        self._probe: Path | None = None
        self._failed: dict[Path, float] = {}  # until when they are left to the others
        self._suspects: set[Path] = set()
        self._told: set[str] = set()

    def admits(self, path: Path) -> bool:
        """Whether the slide may be handed on; `left` must be called then."""
        with self._lock:
            if self._due is None:
                return True
            if self._probe or clock.monotonic() < max(self._due, self._failed.get(path, 0.0)):
                return False
            self._probe = path
            return True

    def left(self, path: Path) -> None:
        """Whatever became of the slide."""
        with self._lock:
            if self._probe == path:
                self._probe = None

    def is_cause(self, path: Path, exc: Exception) -> bool:
        """Whether the slide failed by what would have any other one fail."""
        return is_environment(exc) and path not in self._suspects

    def goes_on(self, path: Path, exc: Exception) -> bool:
        """Takes note of such a failure; and whether it is to be told: once for each trouble."""
        kind = str(getattr(exc, "what", None) or getattr(exc, "strerror", None) or exc)
        with self._lock:
            if self._due is None or self._probe == path:
                self._due = clock.monotonic() + PAUSES[min(self._tries, len(PAUSES) - 1)]
                self._tries += 1
            self._failed[path] = self._due + self._grace
            is_new = kind not in self._told
            self._told.add(kind)
            return is_new

    def ends(self, path: Path) -> bool:
        """Takes note of a slide that went well; and whether that has ended an outage."""
        with self._lock:
            self._suspects.discard(path)
            if self._due is None:
                return False
            self._suspects |= self._failed.keys() - {path}
            self._due, self._tries = None, 0
            self._failed.clear()
            self._told.clear()
            return True
