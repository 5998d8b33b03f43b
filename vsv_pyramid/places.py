"""Where the slide is whose pyramid is published under an id: of two that have the same name by
chance, none takes the other's place.

Nobody serves that: it is in the slide's private record, or else in what `watch` remembers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.review import records
from vsv_pyramid.slide.files import places_of

_log = logging.getLogger(__name__)


def remember(store: Destination, slide_id: str, place: str) -> None:
    """Remembers the place (see Source) of what is published, where that is not done by the slide's
    private record; warns where it cannot be."""
    if store.private is None and store.state:
        try:
            store.put(keys.place_key(slide_id), place.encode())
        except StoreError as exc:
            _log.warning("%s: the place of its file is not remembered: %s", slide_id, exc)


def adopt(store: Destination, places: Mapping[str, str]) -> None:
    """Remembers those places, by id, of which nothing is known yet, since they were published by
    other means."""
    if store.private is None and store.state:
        for slide_id, place in places.items():
            if _stated(store, keys.place_key(slide_id)) is None:
                remember(store, slide_id, place)


def known(store: Destination, slide_id: str, document: Mapping[str, Any]) -> frozenset[str]:
    """What the place of the published file may be called, by what is remembered of it and its
    slide.json, where version 1 has stated it; nothing where it is not known."""
    location = records.record(store, slide_id).source.get("location") if store.private else None
    if location:
        return places_of(str(location))
    stated = document["source"].get("place") or _stated(store, keys.place_key(slide_id))
    return frozenset([str(stated)] if stated else [])


def _stated(store: Destination, key: str) -> str | None:
    try:
        found = store.tagged(key)
    except StoreError:  # what cannot be read is not known
        return None
    return found.data.decode(errors="replace") if found else None
