"""A slide taken away: its pyramid, its entry in the catalog, what is remembered of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vsv_pyramid import removal
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout import keys
from vsv_pyramid.review import failures, rescans
from vsv_pyramid.store import S3Options, Store


class Found(NamedTuple):
    """The keys of a pyramid's objects, and of what is remembered of its slide."""

    published: list[str]
    remembered: list[str]


def find(store: Store | Destination, folder: str) -> Found:
    """What there is to delete. Raises StoreError where there is nothing, and for links."""
    store.check_removable(folder)
    remembered = rescans.remembered(store, _id(folder)) if isinstance(store, Destination) else []
    listed = removal.own_keys if remembered else removal.pyramid_keys
    return Found(listed(store, folder), remembered)


def remove(store: Store | Destination, folder: str, found: Found) -> None:
    """Deletes what was found, the descriptor first. Raises StoreBusy while a conversion is under
    way there, and StoreError; done again, it goes on where it ended."""
    entries = [f"{folder.rpartition('/')[0]}/{keys.CATALOG}".lstrip("/")]
    if isinstance(store, Destination):
        entries.append(keys.DELETED)
    store.check_rights(put=entries, delete=[*found.published, *found.remembered])
    if found.published:
        removal.delete(store, folder)
    else:
        removal.unlist(store, folder)
    if isinstance(store, Destination):
        if found.remembered:
            rescans.forget(store, _id(folder))
        failures.forget(store, _id(folder))


def delete(
    destination: str | Path,
    slide_id: str,
    *,
    private_to: str | None = None,
    s3: S3Options | None = None,
) -> int:
    """Deletes the slide that is published under the id at the destination (the folder, or
    s3://bucket/prefix, that images/ is in), with what its private place remembers of it, and
    returns how many published objects there were.

        delete("www", "170782")

    Raises OptionError for what is no id, and where the destination has another private place,
    StoreError where no such slide is published, and StoreBusy while it is being converted.
    """
    if not keys.is_id(slide_id):
        raise OptionError(
            f"{slide_id!r} cannot be an id; the catalog lists those that are published"
        )
    store = open_destination(destination, private_to, s3 or S3Options())
    folder = keys.folder(slide_id)
    found = find(store, folder)
    remove(store, folder, found)
    return len(found.published)


def _id(folder: str) -> str:
    return folder.removeprefix(f"{keys.IMAGES}/")
