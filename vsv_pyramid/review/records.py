"""What is known of slides and nobody serves: their private records, and a list of the deleted.

All of it lies in the destination's private place, and is changed on condition that nobody else has
since it was read. What may be known of it is published in slide.json and in the catalog; and what a
table of all slides shows is in a list beside the records. Each is made what the private record
says, whoever else is at it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from vsv_pyramid import slide_json
from vsv_pyramid.catalog import Catalog, Part, ids_among, shard_of
from vsv_pyramid.catalog_json import Entry
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import (
    DescriptorError,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from vsv_pyramid.layout import documents, keys, shapes
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.review import history
from vsv_pyramid.review.history import Record
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide.metadata import metadata
from vsv_pyramid.store import edits

_REVIEW = Record("").review().keys()

Deleted = dict[str, dict[str, Any]]


def record(store: Destination, slide_id: str) -> Record:
    """The slide's private record, an empty one where there is none. Raises StoreError."""
    found = store.tagged(keys.private_json_key(slide_id))
    return _parsed(store, slide_id, found and found.data)


def sound_record(store: Destination, slide_id: str) -> Record:
    """The same; an empty one where it is damaged."""
    try:
        return record(store, slide_id)
    except StoreError as exc:
        if exc.environment:
            raise
        return Record(slide_id)


def changed(store: Destination, slide_id: str, change: Callable[[Record], Record]) -> Record:
    """The private record after the change, which is made anew where others come between, and may
    raise. Its last event counts as made once it is found in the log."""
    made = [Record(slide_id)]

    def edit(data: bytes | None) -> bytes:
        present = _parsed(store, slide_id, data)
        logged = {event.key for event in made[-1].history} - {
            event.key for event in made[0].history
        }
        if not logged or not logged <= {event.key for event in present.history}:
            made[:] = [present, change(present)]
            return history.write(made[-1])
        made.append(present)  # a put that was denied, and went well
        return history.write(present)

    key = keys.private_json_key(slide_id)
    edits.edit(store, key, store.place(key), edit)
    return made[-1]


def deleted(store: Destination) -> Deleted:
    """The slides that were deleted to be scanned anew, by id. Each has its id, slide_id, case_id,
    who deleted it and when, the identity of the file it was made of, its `source`, and which slide
    it was `rescanned_as`, once that is so."""
    found = store.tagged(keys.DELETED)
    return _deleted(store, found and found.data)


def change_deleted(store: Destination, change: Callable[[Deleted], Deleted]) -> None:
    """Writes what the change, which is made anew where others come between, makes of them."""

    def edit(data: bytes | None) -> bytes | None:
        slides = change(_deleted(store, data))
        if data is None and not slides:
            return None
        return to_json({"version": history.VERSION, "slides": list(slides.values())})

    edits.edit(store, keys.DELETED, store.place(keys.DELETED), edit)


def publish_reviews(store: Destination, ids: Iterable[str], *, create: bool = False) -> None:
    """Makes what is published of the slides' reviews, and what is listed of them, what their
    private records say; `create` makes a catalog where there is none. Raises StoreError."""
    ids = list(ids)
    with Pool(min(WAITERS, store.parallel_puts) or 1) as pool:
        list(pool.map(lambda slide_id: _publish_review(store, slide_id), ids))
    Catalog(store, create=create).update(ids)
    if store.private:
        Kept(store).update(ids)


def _publish_review(store: Destination, slide_id: str) -> None:
    with contextlib.suppress(DescriptorError):  # the catalog leaves it out
        renew(store, slide_id)


def renew(
    store: Destination,
    slide_id: str,
    details: str | None = None,
    time_zone: str | None = None,
    *,
    dry_run: bool = False,
) -> bool:
    """Makes the slide's slide.json what it is to be by what is kept of it, with those details, or
    the same as before; returns whether it had to be written, which a dry run does not do. Raises
    StoreError, and DescriptorError where slide.json is damaged."""
    folder = keys.folder(slide_id)
    key = keys.slide_json_key(folder)
    while True:
        found = store.tagged(key)
        if found is None:
            return False
        facts = slide_json.parse(found.data)
        present = _known(store, slide_id, details)
        is_this = not present.source or slide_json.is_of(facts, present.source)
        is_kept = bool(present.history) and is_this
        if not is_kept and details is None:
            return False  # whoever is at it publishes it afterwards
        wanted = slide_json.renewed(
            facts,
            details or facts.get("details", "none"),
            _kept(present) if is_kept else None,
            time_zone,
        )
        if wanted == facts or dry_run:
            return wanted != facts
        try:
            # On disk, a new pyramid is moved in at once, which an object's tag does not tell.
            with contextlib.nullcontext() if store.remote else store.exclusive(folder):
                if store.put_if(key, to_json(wanted), found.tag):
                    return True
        except StoreBusy:
            return True  # whoever is at it does the same afterwards


def _kept(record: Record) -> slide_json.Kept:
    said = metadata(record.properties)
    return slide_json.Kept(said.scanned, said.scanner, record.made, record.published())


def _known(store: Destination, slide_id: str, details: str | None) -> Record:
    """The private record; an empty one where nothing of it is needed, and it is damaged."""
    if store.private is None:
        return Record(slide_id)
    return sound_record(store, slide_id) if details == "none" else record(store, slide_id)


class Kept(Catalog):
    """The list of what is known of all slides, in the private place: of each its review, when it
    was scanned and by what, and its file's name and place. A part of it that lacks, or is damaged,
    is made anew of all slides that belong there."""

    def __init__(self, store: Destination, *, create: bool = True) -> None:
        super().__init__(store, keys.KEPT, create=create, mend=True)
        self._destination = store

    def rebuild(self) -> None:
        """Lists all slides, then those that came while it did."""
        before = self._all()
        if before:
            self.update(before)
            self.update(self._all() - before)

    def slides(self) -> dict[str, Entry]:
        """All entries by id, of the slides' records themselves where a part of the list lacks."""
        root = self._read(keys.CATALOG)
        parts = [root, *self._each(self._read, root.shards)]
        if not all(part.sound and all(map(_is_whole, part.slides.values())) for part in parts):
            return {entry["id"]: entry for entry in self.published(self._all()) if entry}
        return {key: entry for part in parts for key, entry in part.slides.items()}

    def parts(self) -> Iterator[dict[str, Entry]]:
        """The same, a document's at a time."""
        for name in self._read(keys.CATALOG).shards or [keys.CATALOG]:
            part = self._read(name)
            if part.sound and all(map(_is_whole, part.slides.values())):
                yield part.slides
            else:
                found = self.published(self._members(name))
                yield {entry["id"]: entry for entry in found if entry}

    def _members(self, name: str) -> set[str]:
        """The ids of all slides that belong into that document."""
        shards = self._read(keys.CATALOG).shards
        return {one for one in self._all() if not shards or shard_of(one, shards) == name}

    def _updated(self, name: str, record: Part, ids: Collection[str]) -> bool:
        if not record.sound:
            ids = self._members(name).union(ids)
        return super()._updated(name, record, ids)

    def _all(self) -> set[str]:
        return ids_among(self._destination.names(keys.KEPT))

    def _published(self, slide_id: str) -> Entry | None:
        try:
            present = record(self._destination, slide_id)
        except (StoreUnavailable, StoreRefused):
            raise
        except StoreError as exc:
            self.warnings[slide_id] = str(exc)
            return None
        if not present.history:
            return None
        said = metadata(present.properties)
        return {
            "id": slide_id,
            "review": present.review(),
            "scanned": said.scanned,
            "scanner": present.properties.get("aperio.ScanScope ID") or said.scanner,
            "file": present.source.get("name"),
            "location": present.source.get("location"),
        }


def _is_whole(entry: Entry) -> bool:
    return isinstance(entry.get("review"), dict) and entry["review"].keys() >= _REVIEW


def _parsed(store: Destination, slide_id: str, data: bytes | None) -> Record:
    try:
        return history.parse(data) if data is not None else Record(slide_id)
    except ValueError as exc:
        raise StoreError(
            store.place(keys.private_json_key(slide_id)),
            f"is damaged ({exc}); bring a former version back, or remove it and lose the log in it",
        ) from exc


def _deleted(store: Destination, data: bytes | None) -> Deleted:
    if data is None:
        return {}
    try:
        return {
            slide["id"]: dict(slide) for slide in documents.read(data, shapes.Deleted)["slides"]
        }
    except ValueError as exc:
        raise StoreError(
            store.place(keys.DELETED),
            "is damaged; remove it, then delete again the slides that still wait for a rescan "
            f"({exc})",
        ) from exc
