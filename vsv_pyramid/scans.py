"""What a conversion leaves for the technician: the slide's private document, and the tie between a
rescan and the slide it takes the place of."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
from PIL import Image

from vsv_pyramid import dzi, review
from vsv_pyramid.errors import SlideError
from vsv_pyramid.private import Deleted, change_deleted, changed, deleted, document
from vsv_pyramid.pyramid.leaves import encoded, opaque
from vsv_pyramid.review import Document
from vsv_pyramid.slide import Slide, Source
from vsv_pyramid.slide.barcodes import read_barcode
from vsv_pyramid.slide.source import is_of
from vsv_pyramid.store import Store

PICTURES = ("label", "macro")
_PICTURE_QUALITY = 85
_WHITE = (255, 255, 255)
_PROGRAM = "vsv-pyramid"

_log = logging.getLogger(__name__)


def converted(
    store: Store, slide_id: str, source: Source, slide: Slide, *, private: bool
) -> dict[str, Any]:
    """Remembers what is known of a slide that was converted, and returns its review; `private`, all
    properties and the pictures, too.

    A file other than the one before is a rescan: the slide is NEW, and keeps its IDs. A slide
    whose barcode says what one that awaits a rescan had as its slide ID is that one's.
    """
    pictures = {name: picture for name in PICTURES if (picture := _picture(slide, name))}
    barcode = read_barcode(pictures.get("label"))
    kept = pictures if private else {}
    for name, picture in kept.items():
        jpeg = encoded(np.asarray(picture), _PICTURE_QUALITY, "420")
        store.put(dzi.private_image_key(slide_id, name), jpeg)
    store.delete(*(dzi.private_image_key(slide_id, name) for name in PICTURES if name not in kept))
    known: dict[str, Any] = {
        "source": {"location": source.location, "name": source.name, **source.fingerprint},
        "properties": dict(slide.properties) if private else {},
        "images": tuple(kept),
        "barcode": barcode.state,
    }

    def change(present: Document) -> Document:
        made = dataclasses.replace(present, **known)
        is_rescan = bool(present.source) and not is_of(present.source, source)
        if present.history and not is_rescan and not present.is_deleted:
            return made
        read = {} if present.value("slide_id") else {"slide_id": barcode.slide_id}
        action, facts = (
            ("rescanned", {"replaced": dict(present.source)}) if is_rescan else ("converted", {})
        )
        return made.logged(action, _PROGRAM, {"status": review.NEW, **read}, facts=facts)

    return link(store, changed(store, slide_id, change)).review()


def link(store: Store, document: Document) -> Document:
    """Ties the slide to the deleted one that it is the rescan of, by its id or its slide ID, and
    whose IDs it takes over where it has none; returns its document."""
    slide_id = document.value("slide_id")
    gone = deleted(store)
    if document.id in gone:
        change_deleted(store, lambda slides: _without(slides, document.id))
        return document
    awaiting = (slide for slide in gone.values() if "rescanned_as" not in slide)
    former = next((slide for slide in awaiting if slide_id and slide["slide_id"] == slide_id), None)
    if former is None:
        return document

    def tie(present: Document) -> Document:
        ids = {name: former[name] for name in review.IDS if not present.value(name)}
        return present.logged("tied", _PROGRAM, ids, facts={"rescan_of": former["id"]})

    def replace(present: Document) -> Document:
        return present.logged("replaced", _PROGRAM, {}, facts={"rescanned_as": document.id})

    changed(store, former["id"], replace)
    replaced = {**former, "rescanned_as": document.id}
    change_deleted(store, lambda slides: {**slides, former["id"]: replaced})
    return changed(store, document.id, tie)


def is_set_aside(store: Store, slide_id: str, source: Source) -> bool:
    """Whether the slide was deleted as a bad scan, and this is still that scan: its data are."""
    if store.sealed:
        return False
    present = document(store, slide_id)
    data = {name: value for name, value in source.fingerprint.items() if name != "mtime_ns"}
    return present.is_deleted and data.items() <= present.source.items()


def is_cleared(store: Store, folder: str) -> bool:
    """Whether nothing is in the slide's folder but what an interrupted deletion has left."""
    keys = [found.key for found in store.keys(f"{folder}/")]
    is_deleted = bool(keys) and document(store, folder.rpartition("/")[2]).is_deleted
    return all(is_deleted and dzi.is_own(folder, key) for key in keys)


def forget(store: Store, slide_id: str) -> None:
    """Removes what is known of a slide that is deleted for good."""
    change_deleted(store, lambda slides: _without(slides, slide_id))
    store.delete(*remembered(store, slide_id))


def remembered(store: Store, slide_id: str) -> list[str]:
    """The keys of what is known of a slide."""
    return [found.key for found in store.keys(f"{dzi.private_folder(slide_id)}/")]


def _without(slides: Deleted, slide_id: str) -> Deleted:
    return {key: slide for key, slide in slides.items() if key != slide_id}


def _picture(slide: Slide, name: str) -> Image.Image | None:
    """The slide's associated image, None where it has none that can be read."""
    if name not in slide.associated_names:
        return None
    try:
        return opaque(slide.associated(name), _WHITE)
    except SlideError as exc:
        _log.warning("%s", exc)
        return None
