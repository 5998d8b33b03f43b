"""Wrong tries to enter, which make whoever tries wait."""

from __future__ import annotations

from collections.abc import Hashable

from vsv_pyramid.runtime import clock

FREE = 5  # tries, that mistakes may take
LONGEST_SECONDS = 60.0  # of a wait: nobody is kept out for ever
FORGOTTEN_SECONDS = 600.0  # after the last wait
_PLACES = 4096  # in memory, whoever tries; two that share one wait for each other


class Tries:
    """How often each of some keys, such as a name and an address, was tried in vain. After the free
    ones each try doubles the wait until the next."""

    def __init__(self) -> None:
        self._tried: dict[int, tuple[int, float]] = {}  # how often, and the wait's end

    def wait(self, *keys: Hashable) -> float:
        """Seconds until the next try of all the keys; 0 where it may come now."""
        ends = (self._tried.get(_place(key), (0, 0.0))[1] for key in keys)
        return max(0.0, *(end - clock.monotonic() for end in ends))

    def failed(self, *keys: Hashable) -> None:
        """Counts a try that was wrong."""
        now = clock.monotonic()
        for place in map(_place, keys):
            count, end = self._tried.get(place, (0, now))
            count = 1 if now > end + FORGOTTEN_SECONDS else count + 1
            wait = 0.0 if count < FREE else min(2.0 ** min(count - FREE, 9), LONGEST_SECONDS)
            self._tried[place] = count, now + wait

    def forget(self, key: Hashable) -> None:
        """After a try that was right."""
        self._tried.pop(_place(key), None)


def _place(key: Hashable) -> int:
    return hash(key) % _PLACES  # Python's hashes of texts are others in each process
