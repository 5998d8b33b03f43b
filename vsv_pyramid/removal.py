"""A pyramid taken away: which objects are its own, and in which order they go.

First goes what shows it: the descriptor, and the object that the tiles are packed in.
"""

from __future__ import annotations

from collections.abc import Callable

from vsv_pyramid.catalog import Catalog
from vsv_pyramid.errors import StoreError, StoreRefused
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.packed.published import packed_key
from vsv_pyramid.slide_json import parse
from vsv_pyramid.store import Store


def delete(store: Store, folder: str) -> None:
    """Removes the pyramid: what shows it, then its entry in the catalog beside its folder, where
    there is one, then the rest; where the store takes no entry, as a disk that is full, the tiles
    before it.

    Raises StoreBusy while it is written, and StoreError. What has ended it before its end, the same
    once more goes on with, since slide.json is there as long as the entry is; but a catalog that is
    damaged is to be made anew whatever is done, and keeps nothing.
    """
    with store.exclusive(folder):
        own = pyramid_keys(store, folder)
        store.delete(*(key for key in own if is_shown(key)))
        try:
            with_room(store, folder, lambda: unlist(store, folder))
        except StoreError as exc:
            if not exc.environment:
                store.delete(*own)
            raise
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
    return [found.key for found in store.keys(folder + "/") if keys.is_own(folder, found.key)]


def pyramid_keys(store: Store, folder: str) -> list[str]:
    """The same; raises StoreError where there is no pyramid."""
    own = own_keys(store, folder)
    if not own:
        raise StoreError(
            f"{store}/{folder}", "there is no pyramid; give the folder that is named by the id"
        )
    return own
