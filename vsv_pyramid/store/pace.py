"""How many puts a second a server has shown that it takes."""

from __future__ import annotations

import threading
from collections import deque

from vsv_pyramid.runtime import clock

# S3 answers 503 to a rate that it has not grown used to: 3,500 puts a second in a prefix, of all
# that write there. Nobody knows of the others, so that each takes back his own part.
_AT_FIRST = 500.0  # puts a second
_GROWTH = 50.0  # puts a second, each second, until the first refusal

_KEPT = 0.5  # of the rate that was refused
_NEAR = 0.9  # of it, to which the rate comes back soon: within so many seconds
_SOON = 1.0
_SLOWLY = 0.02  # of it, by which the rate grows each second from there
_ONE = 1.0  # s, in which all refusals are one
_LEAST = 1.0  # put a second
_COUNTED = 64  # puts, of which the rate is measured


class Pace:
    """Lets so many puts a second go that the server can grow used to them, fewer where it says that
    they are too many, and no more than the maximum."""

    def __init__(self, maximum: float) -> None:
        self._maximum = maximum
        self._next = self._at = clock.monotonic()
        self._rate = min(_AT_FIRST, maximum)
        self._refused: float | None = None  # puts a second
        self._refused_at = 0.0
        self._sent: deque[float] = deque(maxlen=_COUNTED)
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when the next put may go."""
        if delay := self.turn():
            clock.sleep(delay)

    def turn(self) -> float:
        """Takes the next turn; in how many seconds that is."""
        with self._lock:
            now = clock.monotonic()
            self._grow(now)
            slot = max(self._next, now)
            self._next = slot + 1 / self._rate
            self._sent.append(slot)
        return slot - now

    def refused(self) -> None:
        """The server said that there are too many puts."""
        with self._lock:
            now = clock.monotonic()
            self._grow(now)
            if self._refused is None or now - self._refused_at >= _ONE:
                self._refused = max(_LEAST, min(self._rate, self._measured(now)))
                self._refused_at = now
                self._rate = max(_LEAST, _KEPT * self._refused)

    def _measured(self, now: float) -> float:
        """The rate at which puts went: mostly not as many as may."""
        past = [at for at in self._sent if at <= now]
        return len(past) / max(now - past[0], 1 / self._rate) if past else self._rate

    def _grow(self, now: float) -> None:
        passed, self._at = now - self._at, now
        if self._refused is None:
            grown = self._rate + _GROWTH * passed
        else:
            near = _NEAR * self._refused
            fast = (_NEAR - _KEPT) * self._refused / _SOON
            soon = max(0.0, min(passed, (near - self._rate) / fast))
            grown = self._rate + fast * soon + _SLOWLY * self._refused * (passed - soon)
        self._rate = min(grown, self._maximum)
