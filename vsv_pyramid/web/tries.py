"""Wrong tries to enter, which make whoever tries wait."""

from __future__ import annotations

from vsv_pyramid.runtime import clock

FREE = 5  # tries, that mistakes may take
LONGEST_SECONDS = 60.0  # of a wait: nobody is kept out for ever
FORGOTTEN_SECONDS = 600.0  # after the last wait
_PLACES = 4096  # in memory, whoever tries; two that share one wait for each other


class Tries:
    """How often each name was tried in vain, and from each address. After the free ones each try
    doubles the wait until the next."""

    def __init__(self) -> None:
        self._tried: dict[int, tuple[int, float]] = {}  # how often, and the wait's end
        self._came: set[int] = set()

    def wait(self, name: str, address: str) -> float:
        """Seconds until the next try; 0 where it may come now."""
        own = _place((name, address)) in self._came
        keys = [("address", address), *([] if own else [("name", name)])]
        ends = (self._tried.get(_place(key), (0, 0.0))[1] for key in keys)
        return max(0.0, *(end - clock.monotonic() for end in ends))

    def failed(self, name: str, address: str) -> None:
        """Counts a try that was wrong."""
        now = clock.monotonic()
        for place in (_place(("name", name)), _place(("address", address))):
            count, end = self._tried.get(place, (0, now))
            count = 1 if now > end + FORGOTTEN_SECONDS else count + 1
            wait = 0.0 if count < FREE else min(2.0 ** min(count - FREE, 9), LONGEST_SECONDS)
            self._tried[place] = count, now + wait

    def came(self, name: str, address: str) -> None:
        """After a try that was right: others' wrong tries of the name do not matter here any
        more."""
        self._tried.pop(_place(("name", name)), None)
        self._came.add(_place((name, address)))


def _place(key: tuple[str, str]) -> int:
    return hash(key) % _PLACES  # Python's hashes of texts are others in each process
