"""The border that lists come in by: names that are not what they seem stay outside."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from vsv_pyramid.words import is_plain, left_out

Item = TypeVar("Item")

_log = logging.getLogger(__name__)
_told: set[str] = set()  # places, for as long as this process runs


def plain(
    place: str, found: Iterable[Item], name_of: Callable[[Item], str] = str
) -> Iterator[Item]:
    """Those whose names are plain; of the others, one sentence is logged for each place."""
    odd: list[str] = []
    for item in found:
        if is_plain(name := name_of(item)):
            yield item
        else:
            odd.append(name)
    place = place.rstrip("/")
    if odd and place not in _told:
        _told.add(place)
        _log.warning("%s: %s", place, left_out(odd))
