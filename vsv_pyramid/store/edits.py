"""Objects that several processes change, each on condition that nobody has since it was read."""

from __future__ import annotations

import random
from collections.abc import Callable

from vsv_pyramid.errors import StoreUnavailable
from vsv_pyramid.runtime import clock
from vsv_pyramid.store.base import Store

GIVE_UP_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 2.0


class Conflict(Exception):
    """Another process has written the object since it was read."""


def until_settled(place: str, attempt: Callable[[], bool]) -> None:
    """Makes the attempt again and again, until it says that nothing is left to write; after a
    Conflict with pauses, which grow. Raises StoreUnavailable where others write all the time."""
    end = clock.monotonic() + GIVE_UP_SECONDS
    pause = _FIRST_PAUSE
    while True:
        wait = 0.0
        try:
            if attempt():
                return
        except Conflict:
            wait = random.uniform(0, pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if clock.monotonic() + wait > end:
            what = f"others have been writing it for {GIVE_UP_SECONDS:.0f} s; try again"
            raise StoreUnavailable(place, what)
        clock.sleep(wait)


def edit(
    store: Store, key: str, place: str, change: Callable[[bytes | None], bytes | None]
) -> None:
    """Puts what the change makes of the object, of None where there is none; None or the same
    leaves it as it is. The change is made anew where another process came between."""

    def attempt() -> bool:
        found = store.tagged(key)
        data = change(found and found.data)
        if data is None or (found and found.data == data):
            return True
        if not store.put_if(key, data, found and found.tag):
            raise Conflict
        return True

    until_settled(place, attempt)
