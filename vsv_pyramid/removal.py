"""A pyramid taken away: which objects are its own, and in which order they go.

First goes what shows it: the descriptor, and the object that the tiles are packed in. Objects that
others have replaced go a day later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from vsv_pyramid.catalog import Catalog
from vsv_pyramid.errors import StoreError, StoreRefused
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.packed.published import is_published, key_in, packed_key
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide_json import parse
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import StoredObject

DAY = 24 * 60 * 60.0  # seconds


def delete(store: Store, folder: str) -> None:
    """Removes the pyramid: what shows it, then its entry in the catalog beside its folder, where
    there is one, then the rest; where the store takes no entry, as a disk that is full, the tiles
    before it.

    Raises StoreBusy while it is written, and StoreError. What has ended it before its end, the same
    once more goes on with, since slide.json is there as long as the entry is; but a catalog that is
    damaged is to be made anew whatever is done, and keeps nothing.
    """
    with store.exclusive(folder):
        remove(store, folder)


def remove(store: Store, folder: str) -> None:
    """The same by who has the folder to itself already."""
    store.check_removable(folder)
    own = pyramid_keys(store, folder)
    store.delete(*(key for key in own if is_shown(key)))
    try:
        with_room(store, folder, lambda: unlist(store, folder))
    except StoreError as exc:
        if exc.environment:
            raise
        store.delete(*own)
        unlist(store, folder)  # goes well where it was slide.json that could not be read
    else:
        store.delete(*own)


def withdraw(store: Store, folder: str) -> Callable[[], None]:
    """Has no viewer open the pyramid any more, and gives what shows it again. Raises StoreError."""
    shows = keys.slide_json_key(folder)
    if packed_key(store, folder):
        shown = store.get(shows)
        store.put(shows, to_json({**parse(shown), "packed": None}))
        return lambda: store.put(shows, shown)
    shows = keys.descriptor_key(folder)
    found = store.tagged(shows)
    store.delete(shows)
    return lambda: store.put(shows, found.data) if found else None


def tidy(store: Store, folder: str, *, dry_run: bool = False) -> list[StoredObject]:
    """Removes the objects of a published pyramid that tiles were packed in, and that slide.json has
    not named for a day: no viewer has one open any more. In a dry run it only finds them.

    Raises StoreBusy while the pyramid is written, StoreError, and DescriptorError.
    """
    with contextlib.nullcontext() if dry_run else store.exclusive(folder):
        store.check_removable(folder)
        found = _pyramid(store, folder)
        shows = keys.slide_json_key(folder)
        since = next((each.written for each in found if each.key == shows), None)
        if since is None or clock.time() - since < DAY or not is_published(store, folder):
            return []
        shown = key_in(parse(store.get(shows)), folder)
        former = [
            each
            for each in found
            if keys.is_packed(each.key.rpartition("/")[2]) and each.key != shown
        ]
        if not dry_run:
            store.delete(*(each.key for each in former))
        return former


def unlist(store: Store, folder: str) -> None:
    """Removes the entry of a pyramid that is not there from the catalog beside its folder, where
    there is one."""
    images, _, slide_id = folder.rpartition("/")
    Catalog(store, images, create=False).update([slide_id])


def with_room(store: Store, folder: str, write: Callable[[], None]) -> None:
    """Writes what is to be said of a pyramid that is on its way out, and has no descriptor any
    more: once more without its tiles where the store refuses it, since it may be full."""
    try:
        write()
    except StoreRefused:
        own = own_keys(store, folder)
        store.delete(*(key for key in own if key != keys.slide_json_key(folder)))
        write()


def is_shown(key: str) -> bool:
    """Whether that is what a viewer opens, without which there is no pyramid."""
    name = key.rpartition("/")[2]
    return name == keys.DESCRIPTOR or keys.is_packed(name)


def own_keys(store: Store, folder: str) -> list[str]:
    """The keys of the pyramid in the folder, whole or not, and of nothing else that lies there."""
    return [found.key for found in _own(store, folder)]


def pyramid_keys(store: Store, folder: str) -> list[str]:
    """The same; raises StoreError where there is no pyramid."""
    return [found.key for found in _pyramid(store, folder)]


def _own(store: Store, folder: str) -> list[StoredObject]:
    return [found for found in store.keys(f"{folder}/") if keys.is_own(folder, found.key)]


def _pyramid(store: Store, folder: str) -> list[StoredObject]:
    if not (own := _own(store, folder)):
        raise StoreError(
            f"{store}/{folder}", "there is no pyramid; give the folder that is named by the id"
        )
    return own
