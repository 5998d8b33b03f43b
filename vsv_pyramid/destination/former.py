"""Private parts that were kept in the published root before there were private places: under the
same keys with a dot before them, in reach of whoever may read the slides."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vsv_pyramid.errors import StoreError, StoreRefused
from vsv_pyramid.layout import keys
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import StoredObject, Versioned
from vsv_pyramid.store.directory import DirectoryStore

if TYPE_CHECKING:
    from vsv_pyramid.store.versions import Version

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
    """Those that something of ours is in, or a link, which takes a list of all."""
    return [
        part
        for part in parts(beside(published))
        if next(own(published, part), None) or next(links(published, part), None)
    ]


def own(published: Store, part: str) -> Iterator[StoredObject]:
    """What is in the part, without what has such a name, and is somebody else's."""
    return (one for one in published.keys(f"{part}/") if _is_own(one.key))


def strangers(published: Store, part: str) -> list[str]:
    """The keys of what is somebody else's."""
    return [one.key for one in published.every(f"{part}/") if not _is_own(one.key)]


def links(published: Store, part: str) -> Iterator[Path]:
    """The links to folders in the part: what these lead to is read as if it were in it."""
    if isinstance(published, DirectoryStore):
        paths = (published.path(one.key) for one in published.every(f"{part}/"))
        yield from (path for path in paths if path.is_symlink() and path.is_dir())


def versions(published: Store) -> list[Version]:
    """What a bucket keeps of the parts' objects that are not there any more. Raises StoreError."""
    if not isinstance(published, Versioned):
        return []
    found = []
    for part in map(key, keys.PRIVATE_PARTS):
        there = {one.key for one in published.every(f"{part}/")}
        found += [
            one
            for one in published.versions(f"{part}/")
            if _is_own(one.key) and not (one.is_latest and one.key in there)
        ]
    return found


def _is_own(stored: str) -> bool:
    return keys.is_private_key(stored.removeprefix("."))


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
