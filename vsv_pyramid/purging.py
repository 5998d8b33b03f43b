"""A slide of which nothing is left, as where a patient asks for it: no former version that a bucket
keeps, no note, and no list that names it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from vsv_pyramid import deletion, removal
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.deletion import Found
from vsv_pyramid.destination import Destination, former
from vsv_pyramid.errors import (
    NoSuchObject,
    ReviewError,
    SlideAccessError,
    StoreError,
    TooLarge,
)
from vsv_pyramid.layout import documents, keys, shapes
from vsv_pyramid.planning import ids
from vsv_pyramid.review import rescans
from vsv_pyramid.review.records import Kept, deleted, record, sound_record
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.files import ANOTHER
from vsv_pyramid.slide.source import find_source, is_of
from vsv_pyramid.store import S3Options, Store, moves, open_store
from vsv_pyramid.store.base import Versioned
from vsv_pyramid.unattended import manifests
from vsv_pyramid.words import counted, is_plain

_log = logging.getLogger(__name__)

IsIts = Callable[[str], bool]

if TYPE_CHECKING:
    from vsv_pyramid.store.versions import Version


class Left(NamedTuple):
    """Something of a slide that is there: where, and its bytes. `version` is that of S3, where the
    bucket keeps some."""

    store: Store
    key: str
    size: int
    version: Version | None = None

    @property
    def is_former(self) -> bool:
        """Whether something else is under the key by now, or nothing."""
        return self.version is not None and not self.version.is_latest


def left(destination: Destination, slide_id: str) -> list[Left]:
    """All that is there of the slide: its pyramid in either layout, whole or not, its entry in the
    catalog, what is remembered of it, notes of its failures; and all versions of these that a
    bucket keeps, former catalogs among them. What others have put into its folder is not its own.
    Raises StoreError."""
    is_its = _naming(destination, slide_id)
    return [*_objects(destination, slide_id, is_its), *_entries(destination, slide_id, is_its)]


def _objects(destination: Destination, slide_id: str, is_its: IsIts) -> list[Left]:
    """The same without the documents that list other slides, too."""
    destination.check_removable(keys.folder(slide_id))
    if parts := former.not_empty(destination.published):
        raise StoreError(
            destination,
            f"{' and '.join(parts)} may tell of the slide, too; move what is there first: "
            f"vsv-pyramid private move {destination} --private-to PLACE",
        )
    found = [*_residues(destination, slide_id)]
    for store, prefix, is_own in _places(destination, slide_id, is_its):
        present = {one.key: one.size for one in store.every(prefix) if is_own(one.key)}
        if isinstance(store, Versioned):
            for one in store.versions(prefix):
                if is_own(one.key):
                    present.pop(one.key, None)
                    found.append(Left(store, one.key, one.size, one))
        found += [Left(store, key, size) for key, size in present.items()]
    return [*found, *_former_lists(destination)]


def scanned(destination: Destination, slide_id: str, s3: S3Options) -> list[Left]:
    """The file that the slide was made of, with all versions that a bucket keeps of it; nothing
    where the slide's record does not say where that is. Raises ReviewError where another scan is
    there by now, or the whole share may be away, and SlideAccessError for a slide of several files.
    """
    its = record(destination, slide_id).source
    location = str(its.get("location") or "")
    if not location:
        _log.warning(
            "%s: where its scanned file is, is not known; if it is there, delete it yourself",
            slide_id,
        )
        return []
    is_remote = location.startswith("s3://")
    folder, name = location.rsplit("/", 1) if is_remote else os.path.split(location)
    store = open_store(folder, s3)
    size = store.head(name)
    try:
        source = find_source(location, request_payer=s3.request_payer)
    except SlideAccessError:
        if size is not None:
            raise
        if not is_remote and not any(store.names("")):
            raise ReviewError(
                slide_id,
                f"{folder} is empty or not there, where its scanned file was; mount it, or purge "
                "without --source if the file is gone",
            ) from None
    else:
        if not is_of(its, source):
            raise ReviewError(slide_id, f"{location} {ANOTHER}")
        source.check_removable()
    versions = store.versions(name) if isinstance(store, Versioned) else []
    if any(one.key.startswith(f"{name}/") for one in versions):  # which find_source did not see
        raise SlideAccessError(location, "is a slide of several files; delete them yourself")
    its_keys = (name, f"{name}{keys.NEVER_THERE}")  # the mark that asking for the right leaves
    found = [Left(store, one.key, one.size, one) for one in versions if one.key in its_keys]
    present = [Left(store, name, size)] if size is not None and not found else []
    return [*present, *found]


def purge(destination: Destination, slide_id: str, scanned: Sequence[Left] = ()) -> list[Left]:
    """Removes all that is there of the slide, so that no version is left, and returns what it was;
    its scanned file first, since the slide's record tells where that is.

    Raises StoreBusy while a conversion is under way, and StoreError, also for what cannot be
    removed, as under a lock; done again, it goes on where it ended.
    """
    if stay := _removed(scanned):
        raise _stays(scanned, stay)
    is_its = _naming(destination, slide_id)
    there = [*scanned, *_objects(destination, slide_id, is_its)]
    folder = keys.folder(slide_id)
    if destination.private:
        for key in manifests.naming(destination.private, is_its):
            manifests.leave_out(destination.private, key, is_its)
        rescans.unname(destination, slide_id)
    remembered = rescans.remembered(destination, slide_id)
    published = removal.own_keys(destination, folder)
    if published or remembered:
        deletion.remove(destination, folder, Found(published, remembered))
    removal.unlist(destination, folder)
    if destination.private:
        rescans.forget(destination, slide_id)
    seen: list[Left] = []
    refused: list[str] = []
    while more := [one for one in _objects(destination, slide_id, is_its) if one not in seen]:
        seen += more
        refused += _removed(more)
    if stays := left(destination, slide_id):
        raise _stays(stays, refused)
    return there


def _removed(found: Sequence[Left]) -> list[str]:
    """Removes these; of each that stays the code for why."""
    refused: list[str] = []
    for store in {id(one.store): one.store for one in found}.values():
        its = [one for one in found if one.store is store]
        store.delete(*(one.key for one in its if one.version is None))
        if isinstance(store, Versioned):
            refused += store.remove_versions(one.version for one in its if one.version)
    return refused


def _stays(found: Sequence[Left], refused: Sequence[str]) -> StoreError:
    why = f" ({refused[0]})" if refused else ""
    return StoreError(
        f"{found[0].store}/{found[0].key}",
        f"cannot be removed{why}, as {counted(len(found), 'version')} in all; look whether the "
        "bucket has an Object Lock or a legal hold, and for s3:DeleteObjectVersion",
    )


def receipt(slide_id: str, gone: Sequence[Left], by: str) -> dict[str, Any]:
    """What to keep of a purge: the id, how much was removed, when and by whom; no name."""
    return {
        "id": slide_id,
        "purged_at": clock.utc().isoformat(timespec="seconds"),
        "by": by,
        "places": sorted({str(one.store) for one in gone}),
        "objects": len({(str(one.store), one.key) for one in gone}),
        "former_versions": sum(one.is_former for one in gone),
        "bytes": sum(one.size for one in gone),
    }


def _places(
    destination: Destination, slide_id: str, is_its: IsIts
) -> Iterator[tuple[Store, str, Callable[[str], bool]]]:
    """Where there may be something of the slide: a store, a prefix there, and which of its keys."""
    folder = keys.folder(slide_id)
    lease = keys.lease_key(folder)
    yield destination.published, f"{folder}/", lambda key: _is_own(folder, key)
    if destination.published.remote:
        yield destination.published, lease, lambda key: key == lease
    if destination.private:
        known = keys.private_folder(slide_id)
        yield destination.private, f"{known}/", lambda key: key.startswith(f"{known}/")
        for its in (keys.place_key(slide_id), keys.failed_key(slide_id)):
            yield destination.private, its, its.__eq__
    kept = destination.private or destination.state
    if kept:
        notes = set(_notes(kept, is_its))
        yield kept, f"{keys.WATCHED}/", lambda key: key in notes


def _residues(destination: Destination, slide_id: str) -> Iterator[Left]:
    """What was left in folders by writes that were ended amid them, of this slide, or of what may
    name it."""
    published, private = destination.published, destination.private
    for store, folders in (
        (published, (keys.folder(slide_id), keys.IMAGES)),
        (private, (keys.PRIVATE, keys.KEPT, keys.FAILED, keys.MANIFESTS)),
        (private or destination.state, (keys.WATCHED, keys.PLACES)),
    ):
        if store:
            for key in chain.from_iterable(map(store.leftovers, folders)):
                yield Left(store, key, store.head(key) or 0)
    if not published.remote:
        for name in published.names(keys.IMAGES):
            if moves.is_left(slide_id, name):
                for one in published.every(f"{keys.IMAGES}/{name}"):
                    yield Left(published, one.key, one.size)


def _is_own(folder: str, key: str) -> bool:
    """Whether it is the pyramid's, or the mark that asking for the right to delete it has left; or
    what no list shows."""
    is_mark = key.rpartition("/")[2] == keys.NEVER_THERE
    return keys.is_own(folder, key) or is_mark or not is_plain(key)


def _naming(destination: Destination, slide_id: str) -> IsIts:
    """Whether a path or URL is that of the slide's file, or of its pyramid: by its name, of which
    the id is made, or as the slide's record says."""
    location = key = None
    if destination.private:
        location = sound_record(destination, slide_id).source.get("location")
        key = ids.key_at(destination)

    def is_its(place: str) -> bool:
        name = manifests.name_of(place)
        made = {name, keys.safe_id(name)} | ({keys.opaque_id(name, key)} if key else set())
        return place == location or slide_id in made

    return is_its


def _notes(store: Store, is_its: IsIts) -> Iterator[str]:
    """The keys of what `watch` remembers of the slide's failures."""
    for found in store.keys(f"{keys.WATCHED}/"):
        if not keys.is_private_key(found.key):
            continue
        try:
            slide = documents.read(store.get(found.key), shapes.OfSlide)["slide"]
        except (NoSuchObject, TooLarge, ValueError):
            continue
        if is_its(slide):
            yield found.key


def _former_lists(destination: Destination) -> Iterator[Left]:
    """Former versions of what lists many slides, of which nobody can be taken out, and of notes of
    failures, whose keys do not tell of which slide they are; and of what was private beside the
    pyramids once."""
    for one in former.versions(destination.published):
        yield Left(destination.published, one.key, one.size, one)
    for store, folder, begins in (
        (destination.published, keys.IMAGES, "index"),
        (destination.private, keys.KEPT, "index"),
        (destination.private, keys.PRIVATE, "deleted"),
        (destination.private, keys.WATCHED, ""),
        (destination.private, keys.MANIFESTS, ""),
    ):
        if isinstance(store, Versioned):
            for one in store.versions(f"{folder}/{begins}"):
                name = one.key.removeprefix(f"{folder}/")
                is_list = name == keys.CATALOG or keys.is_shard(name) or one.key == keys.DELETED
                is_note = folder in (keys.WATCHED, keys.MANIFESTS) and keys.is_private_key(one.key)
                if (is_list or is_note) and not one.is_latest:
                    yield Left(store, one.key, one.size, one)


def _entries(destination: Destination, slide_id: str, is_its: IsIts) -> Iterator[Left]:
    """The documents that list the slide now."""

    def is_listed(key: str, catalog: Catalog) -> bool:
        return destination.head(key) is not None and slide_id in catalog.slides()

    if is_listed(keys.catalog_key(), Catalog(destination)):
        yield Left(destination.published, keys.catalog_key(), 0)
    if destination.private:
        key = f"{keys.KEPT}/{keys.CATALOG}"
        if is_listed(key, Kept(destination)):
            yield Left(destination.private, key, 0)
        if slide_id in deleted(destination):
            yield Left(destination.private, keys.DELETED, 0)
        for key in manifests.naming(destination.private, is_its):
            yield Left(destination.private, key, 0)
