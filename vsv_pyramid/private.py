"""What is known of slides and nobody serves: their private documents, and a list of the deleted.

All of it lies in the destination's private place, and is changed on condition that nobody else has
since it was read. What may be known of it is published in slide.json and in the catalog, each made
what the private document says, whoever else is at it.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vsv_pyramid import clock, dzi, record, review
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import DescriptorError, StoreBusy, StoreError, StoreUnavailable
from vsv_pyramid.publish import to_json
from vsv_pyramid.review import Document
from vsv_pyramid.threads import Pool

_GIVE_UP_SECONDS = 30.0
_LONGEST_PAUSE = 0.2
_THREADS = 16

Deleted = dict[str, dict[str, Any]]


def document(store: Destination, slide_id: str) -> Document:
    """The slide's private document, an empty one where there is none. Raises StoreError."""
    found = store.tagged(dzi.private_json_key(slide_id))
    return _parsed(store, slide_id, found and found.data)


def changed(store: Destination, slide_id: str, change: Callable[[Document], Document]) -> Document:
    """The private document after the change, which is made anew where others come between, and may
    raise. Its last event counts as made once it is found in the log."""
    made = [Document(slide_id)]

    def edit(data: bytes | None) -> bytes:
        present = _parsed(store, slide_id, data)
        logged = {event.key for event in made[-1].history} - {
            event.key for event in made[0].history
        }
        if not logged or not logged <= {event.key for event in present.history}:
            made[:] = [present, change(present)]
            return review.write(made[-1])
        made.append(present)  # a put that was denied, and went well
        return review.write(present)

    _edit(store, dzi.private_json_key(slide_id), edit)
    return made[-1]


def deleted(store: Destination) -> Deleted:
    """The slides that were deleted to be scanned anew, by id. Each has its id, slide_id, case_id,
    who deleted it and when, the identity of the file it was made of, its `source`, and which slide
    it was `rescanned_as`, once that is so."""
    found = store.tagged(dzi.DELETED)
    return _deleted(store, found and found.data)


def change_deleted(store: Destination, change: Callable[[Deleted], Deleted]) -> None:
    """Writes what the change, which is made anew where others come between, makes of them."""

    def edit(data: bytes | None) -> bytes | None:
        slides = change(_deleted(store, data))
        if data is None and not slides:
            return None
        return to_json({"version": review.VERSION, "slides": list(slides.values())})

    _edit(store, dzi.DELETED, edit)


def publish(store: Destination, ids: Iterable[str], *, create: bool = False) -> None:
    """Makes the reviews in the slides' slide.json, and their entries in the catalog, what their
    private documents say; `create` makes a catalog where there is none. Raises StoreError."""
    ids = list(ids)
    with Pool(min(_THREADS, store.parallel_puts) or 1) as pool:
        list(pool.map(lambda slide_id: _publish_review(store, slide_id), ids))
    Catalog(store, create=create).update(ids)


def _publish_review(store: Destination, slide_id: str) -> None:
    folder = dzi.folder(slide_id)
    key = dzi.slide_json_key(folder)
    while True:
        found = store.tagged(key)
        present = document(store, slide_id)
        if found is None or not present.history:
            return
        try:
            facts = record.parse(found.data)
        except DescriptorError:
            return  # the catalog leaves it out
        if facts.get("review") == present.review() or not _is_of(facts["source"], present):
            return
        try:
            # On disk, a new pyramid is moved in at once, which an object's tag does not tell.
            with contextlib.nullcontext() if store.remote else store.exclusive(folder):
                store.put_if(key, to_json({**facts, "review": present.review()}), found.tag)
        except StoreBusy:
            return  # whoever is at it publishes the review afterwards, too


def _is_of(published: Mapping[str, Any], present: Document) -> bool:
    """Whether the document speaks of the scan that is published, and not yet of the one before."""
    return all(
        published.get(name, value) == value
        for name, value in present.source.items()
        if name not in ("location", "name")
    )


def _parsed(store: Destination, slide_id: str, data: bytes | None) -> Document:
    try:
        return review.parse(data) if data is not None else Document(slide_id)
    except ValueError as exc:
        raise StoreError(
            store.place(dzi.private_json_key(slide_id)),
            f"is damaged ({exc}); bring a former version back, or remove it, and with it the log",
        ) from exc


def _deleted(store: Destination, data: bytes | None) -> Deleted:
    if data is None:
        return {}
    try:
        return {slide["id"]: slide for slide in json.loads(data)["slides"]}
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreError(
            store.place(dzi.DELETED),
            "is damaged; remove it, and delete anew what still waits for its rescan",
        ) from exc


def _edit(store: Destination, key: str, edit: Callable[[bytes | None], bytes | None]) -> None:
    """Puts what `edit` makes of the object, of None where there is none; again where another
    process came between."""
    end = clock.monotonic() + _GIVE_UP_SECONDS
    while True:
        found = store.tagged(key)
        data = edit(found and found.data)
        if data is None or (found and found.data == data):
            return
        if store.put_if(key, data, found and found.tag):
            return
        if clock.monotonic() > end:
            what = f"others have been writing it for {_GIVE_UP_SECONDS:.0f} s; try again"
            raise StoreUnavailable(store.place(key), what)
        clock.sleep(random.uniform(0, _LONGEST_PAUSE))
