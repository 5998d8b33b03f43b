"""Private parts that were kept in the published root before there were private places: under the
same keys with a dot before them, in reach of whoever may read the slides."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from vsv_pyramid.errors import StoreBusy, StoreError, StoreRefused
from vsv_pyramid.layout import keys
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import StoredObject
from vsv_pyramid.store.directory import DirectoryStore

_log = logging.getLogger(__name__)
_told: set[str] = set()  # places, for as long as this process runs


def key(private: str) -> str:
    """Where the object with that key in a private place was before."""
    return f".{private}"


def beside(published: Store) -> set[str]:
    """The names in the root, if they may be listed. Raises StoreError where one of the parts is a
    link: what it leads to may be the private place itself."""
    try:
        names = set(published.names(""))
    except StoreRefused:
        return set()
    for part in parts(names):
        if isinstance(published, DirectoryStore) and published.path(part).is_symlink():
            what = "is a link, to what can be read by whoever may read the slides"
            raise StoreError(published.path(part), f"{what}; remove the link")
    return names


def parts(names: set[str]) -> list[str]:
    """Those among the names in a root; some servers keep those that are empty by now."""
    return [key(part) for part in keys.PRIVATE_PARTS if f"{key(part)}/" in names]


def not_empty(published: Store) -> list[str]:
    """Those that something of ours is in, which takes a list of all."""
    return [part for part in parts(beside(published)) if next(_own(published, part), None)]


def _own(published: Store, part: str) -> Iterator[StoredObject]:
    """What is in the part, without what has such a name, and is somebody else's."""
    found = published.keys(f"{part}/")
    return (one for one in found if keys.is_private_key(one.key.removeprefix(".")))


def warn(published: Store, found: list[str]) -> None:
    """Once for each place."""
    if found and str(published) not in _told:
        _told.add(str(published))
        _log.warning("%s", sentence(published, found))


def sentence(published: Store, found: list[str]) -> str:
    return (
        f"{published}: {' and '.join(found)} can be read by whoever may read the slides; move "
        f"what is there: vsv-pyramid private move {published} --private-to PLACE"
    )


def move(published: Store, private: Store, moved: Callable[[str], object]) -> None:
    """Moves the parts into the private place, object by object, and tells of each key: what is
    interrupted can be gone on with. What the private place has by now is newer, and stays; and so
    does what is somebody else's."""
    for part in parts(beside(published)):
        for found in list(_own(published, part)):
            to = found.key.removeprefix(".")
            if private.head(to) is None:  # not all servers put on condition
                private.put_if(to, published.get(found.key), None)
                if private.head(to) is None:
                    raise StoreBusy(f"{private}/{to}", "is being written; do it once more")
            published.delete(found.key)
            moved(to)
