"""What a conversion leaves for the technician: the slide's private record, and the tie between a
rescan and the slide it takes the place of."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import SlideError
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published
from vsv_pyramid.pyramid.images import encoded, opaque
from vsv_pyramid.review import history
from vsv_pyramid.review.barcode import Barcode, read_barcode
from vsv_pyramid.review.history import LAB_ID, Event, Record
from vsv_pyramid.review.records import (
    Deleted,
    Kept,
    change_deleted,
    changed,
    deleted,
    record,
    sound_record,
)
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.source import Source, is_of

PICTURES = ("label", "macro")
_PICTURE_QUALITY = 85
_WHITE = (255, 255, 255)
_PROGRAM = "vsv-pyramid"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """What is to be remembered of a slide's file, and nobody serves: its location, name and
    fingerprint, all properties, the JPEGs of its pictures, and what its barcode says."""

    source: Mapping[str, Any]
    properties: Mapping[str, str]
    pictures: Mapping[str, bytes]
    barcode: Barcode


def scan(source: Source, slide: Slide) -> Scan:
    """The open slide's."""
    pictures = {name: picture for name in PICTURES if (picture := _picture(slide, name))}
    return Scan(
        source={"location": source.location, "name": source.name, **source.fingerprint},
        properties=slide.all_properties,
        pictures={
            name: encoded(np.asarray(picture), _PICTURE_QUALITY, "420")
            for name, picture in pictures.items()
        },
        barcode=read_barcode(pictures.get("label")),
    )


def remember(
    store: Destination, slide_id: str, source: Source, scan: Scan, pattern: str | None = None
) -> None:
    """Remembers the scan that is published under the id. Raises StoreError; done again, it goes on
    where it ended. What is read off the label as slide ID is confirmed where the pattern, a regular
    expression, is of all of it.

    A file other than the one before is a rescan: the slide is NEW, and keeps its IDs. A slide
    whose barcode says what one that awaits a rescan had as its slide ID is that one's.
    """
    for name, jpeg in scan.pictures.items():
        store.put(keys.private_image_key(slide_id, name), jpeg)
    former = [keys.private_image_key(slide_id, n) for n in PICTURES if n not in scan.pictures]
    store.delete(*(key for key in former if store.head(key) is not None))

    def change(present: Record) -> Record:
        made = dataclasses.replace(
            present,
            source=scan.source,
            properties=scan.properties,
            images=tuple(scan.pictures),
            barcode=scan.barcode.state,
        )
        is_rescan = bool(present.source) and not is_of(present.source, source)
        if present.history and not is_rescan and not present.is_deleted:
            return made
        read = {} if present.lab_id else {LAB_ID: scan.barcode.lab_id}
        action, facts = (
            ("rescanned", {"replaced": dict(present.source)}) if is_rescan else ("converted", {})
        )
        if pattern and re.fullmatch(pattern, read.get(LAB_ID) or ""):
            facts |= history.confirmed()
        return made.logged(action, _PROGRAM, {"status": history.NEW, **read}, facts=facts)

    link(store, changed(store, slide_id, change))


def link(store: Destination, record: Record) -> Record:
    """Ties the slide to the deleted one that it is the rescan of, by its id or its slide ID, and
    whose IDs it takes over where it has none; returns its record. Done again, it goes on where it
    ended."""
    lab_id = record.lab_id
    gone = deleted(store)
    if record.id in gone:
        change_deleted(store, lambda slides: _without(slides, record.id))
        return record
    replaced = {"rescanned_as": record.id}
    former = next(
        (
            slide
            for slide in gone.values()
            if lab_id
            and slide[LAB_ID] == lab_id
            and slide.get("rescanned_as", record.id) == record.id
        ),
        None,
    )
    if former is None or _is_same(store, former["id"], record):
        return record
    rescan = {"rescan_of": former["id"]}
    if "rescanned_as" in former and _is_said(record, rescan):
        return record

    def replace(present: Record) -> Record:
        said = _is_said(present, replaced)
        return present if said else present.logged("replaced", _PROGRAM, {}, facts=replaced)

    def tie(present: Record) -> Record:
        ids = {name: former[name] for name in history.IDS if not present.value(name)}
        known = history.confirmed() if former.get("confirmed") else {}
        return present.logged("tied", _PROGRAM, ids, facts={**rescan, **known})

    changed(store, former["id"], replace)
    change_deleted(store, lambda slides: {**slides, former["id"]: {**former, **replaced}})
    return changed(store, record.id, tie)


def _is_same(store: Destination, former: str, present: Record) -> bool:
    """Whether the slide is a copy of the deleted one, and no rescan of it."""
    names = ("size", "etag", "digest")
    before = record(store, former).source
    return bool(before) and all(before.get(n) == present.source.get(n) for n in names)


def _is_said(record: Record, facts: Mapping[str, Any]) -> bool:
    """Whether the log says so, since the slide was deleted if it was."""
    since: list[Event] = []
    for event in record.history:
        since = [] if event.action == "deleted" else [*since, event]
    return any(facts.items() <= event.facts.items() for event in since)


def is_set_aside(store: Destination, slide_id: str, source: Source) -> bool:
    """Whether the slide was deleted as a bad scan, and this is still that scan: its data are."""
    present = record(store, slide_id)
    data = {name: value for name, value in source.fingerprint.items() if name != "mtime_ns"}
    return present.is_deleted and data.items() <= present.source.items()


def is_cleared(store: Destination, folder: str) -> bool:
    """Whether no pyramid is in the slide's folder, but for what an interrupted deletion has left;
    what somebody else has put there is not in the way."""
    own = any(keys.is_own(folder, found.key) for found in store.keys(f"{folder}/"))
    return not own or record(store, folder.rpartition("/")[2]).is_deleted


def check_rights(store: Destination, slide_id: str) -> None:
    """Raises StoreError where a scan could not be remembered, or a pyramid that is published not be
    replaced to the end."""
    if store.sealed:
        return
    folder = keys.folder(slide_id)
    put, delete = [keys.private_json_key(slide_id)], []
    if is_published(store, folder):
        put += [keys.slide_json_key(folder), keys.DELETED, keys.catalog_key()]
        delete = [keys.private_image_key(slide_id, "label")]
    store.check_rights(put=put, delete=delete)


def forget(store: Destination, slide_id: str) -> None:
    """Removes what is known of a slide that is deleted for good."""
    change_deleted(store, lambda slides: _without(slides, slide_id))
    store.delete(*remembered(store, slide_id))
    if store.private:
        Kept(store, create=False).update([slide_id])


def unname(store: Destination, slide_id: str) -> None:
    """Has nothing that is known of another slide say that it is tied to this one, as its rescan or
    as what it was scanned anew as. Raises StoreError."""
    others = {
        fact
        for event in sound_record(store, slide_id).history
        for name, fact in event.facts.items()
        if name in history.TIES
    }
    gone = {one for one, slide in deleted(store).items() if slide.get("rescanned_as") == slide_id}
    for other in (others | gone) - {slide_id}:
        if sound_record(store, other).history:
            changed(store, other, lambda present: present.untied(slide_id))
    if gone:
        change_deleted(store, lambda slides: _untied(slides, slide_id))


def _untied(slides: Deleted, slide_id: str) -> Deleted:
    """They still do not wait for a rescan."""
    return {
        one: {**slide, "rescanned_as": ""} if slide.get("rescanned_as") == slide_id else slide
        for one, slide in slides.items()
    }


def remembered(store: Destination, slide_id: str) -> list[str]:
    """The keys of what is known of a slide."""
    return [found.key for found in store.keys(f"{keys.private_folder(slide_id)}/")]


def _without(slides: Deleted, slide_id: str) -> Deleted:
    return {key: slide for key, slide in slides.items() if key != slide_id}


def _picture(slide: Slide, name: str) -> Image.Image | None:
    """The slide's associated image, None where it has none that can be read."""
    if name not in slide.associated_names:
        return None
    try:
        return Image.fromarray(opaque(np.asarray(slide.associated(name)), _WHITE))
    except SlideError as exc:
        _log.warning("%s", exc)
        return None
