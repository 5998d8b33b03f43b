"""Where the slide is whose pyramid is published under an id: of two that have the same name by
chance, none takes the other's place.

Nobody serves that: it is in the slide's private document, or else in what `watch` remembers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.review import records
from vsv_pyramid.slide.source import Source, places_of

_log = logging.getLogger(__name__)


def check(
    store: Destination, folder: str, document: Mapping[str, Any] | None, source: Source
) -> None:
    """Raises OptionError where what is published in the folder, of which the document is
    slide.json, is not of a file that was in the source's place, or nobody knows."""
    if document is None:
        return  # an interrupted one
    known = _known(store, folder.rpartition("/")[2], document)
    if not known:
        raise OptionError(
            f"{source}: {store}/{folder} is of another file, and of which place is not known here; "
            "give the private place that remembers it (--private-to), or replace the pyramid by "
            "convert --overwrite"
        )
    if known.isdisjoint(source.places):
        raise OptionError(
            f"{source}: {store}/{folder} is of a slide of this name in another place; rename one "
            "of them, or delete that pyramid"
        )


def remember(store: Destination, slide_id: str, place: str) -> None:
    """Remembers the place (see Source) of what is published, where that is not done by the slide's
    private document; warns where it cannot be."""
    if store.private is None and store.state:
        try:
            store.put(keys.place_key(slide_id), place.encode())
        except StoreError as exc:
            _log.warning("%s: from which place it is, is not remembered: %s", slide_id, exc)


def adopt(store: Destination, places: Mapping[str, str]) -> None:
    """Remembers those places, by id, of which nothing is known yet, since they were published by
    other means."""
    if store.private is None and store.state:
        for slide_id, place in places.items():
            if _stated(store, keys.place_key(slide_id)) is None:
                remember(store, slide_id, place)


def _known(store: Destination, slide_id: str, document: Mapping[str, Any]) -> frozenset[str]:
    """What its place may be called, nothing where it is not known; version 1 has published it."""
    location = records.document(store, slide_id).source.get("location") if store.private else None
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
