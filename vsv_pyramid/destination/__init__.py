"""A destination: what is published there, and the private place beside it, which nobody serves.

Keys of the private parts (keys.PRIVATE_PARTS) lead to the private place, all others to what is
published.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path

from vsv_pyramid.destination import former, layouts, tie
from vsv_pyramid.errors import NoSuchObject, OptionError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published
from vsv_pyramid.slide.files import normal
from vsv_pyramid.store import S3Options, Store, is_archive, open_private_store, open_store
from vsv_pyramid.store.base import FrontLast, Part, StoredObject, Tagged
from vsv_pyramid.store.directory import DirectoryStore, PrivateStore
from vsv_pyramid.store.enclosed import EnclosedStore
from vsv_pyramid.words import digest


class Destination:
    """Implements Store. Without a `private` store nothing is under the keys of private parts, and
    nothing can be put there, but for what `watch` remembers, which `state` takes then.

    The first call of a method sees to it that the two stores know each other, which raises
    OptionError where they do not; and looks whether private parts were left in the published root:
    they are read where the private place lacks the object.
    """

    def __init__(
        self, published: Store, private: Store | None = None, *, state: Store | None = None
    ) -> None:
        self.published = published
        self.private = private
        self.state = state
        self._former: list[str] | None = [] if published.sealed else None
        self._layout = layouts.of_archive(published) if published.sealed else None
        self._turn = threading.RLock()
        self.parallel_puts = published.parallel_puts
        self.remote = published.remote
        self.sealed = published.sealed

    def __str__(self) -> str:
        return str(self.published)

    def layout(self, asked: str | None) -> str:
        """That of a new pyramid: what was asked for, or that of the others. Raises OptionError
        where these two are not the same, and StoreError."""
        self._look()
        there = self._layout
        if there is None and asked == keys.PACKED and self._has_slides():
            there = keys.TILES
        if asked and there:
            layouts.check(self, asked, there)
        return asked or there or keys.TILES

    def remember_layout(self, layout: str) -> None:
        """Raises OptionError where it has another one by now, and StoreError."""
        self._look()
        if self._layout != layout:
            layouts.remember(self.published, layout)
            self._layout = layout

    def _has_slides(self) -> bool:
        folders = (f"{keys.IMAGES}/{name[:-1]}" for name in self.published.names(keys.IMAGES))
        return any(is_published(self.published, folder) for folder in folders)

    def place(self, key: str) -> str:
        """The object's place, for sentences."""
        return f"{self._store(key) or self.published}/{key}"

    def put(self, key: str, data: bytes) -> None:
        self._needed(key).put(key, data)

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        return self._needed(key).put_if(key, data, tag or None)

    def assembled(self, key: str) -> AbstractContextManager[FrontLast]:
        return self._needed(key).assembled(key)

    def get(self, key: str) -> bytes:
        return self.read(key, 0).data

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        for store, stored in self._found(key):
            with suppress(NoSuchObject):
                return store.read(stored, start, end)
        raise NoSuchObject(self.place(key))

    def head(self, key: str) -> int | None:
        sizes = (store.head(stored) for store, stored in self._found(key))
        return next((size for size in sizes if size is not None), None)

    def is_led_away(self, key: str) -> bool:
        """Whether a link leads from where the object may be to somewhere else."""
        return any(
            isinstance(store, DirectoryStore) and EnclosedStore(store.root).is_outside(stored)
            for store, stored in self._found(key)
        )

    def tagged(self, key: str) -> Tagged | None:
        """Of what lies in a former place only, the tag is empty: a put makes it anew."""
        for store, stored in self._found(key):
            if found := store.tagged(stored):
                return found if stored == key else found._replace(tag="")
        return None

    def names(self, folder: str) -> list[str]:
        listed = (store.names(stored) for store, stored in self._found(folder))
        return list(dict.fromkeys(chain.from_iterable(listed)))

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        return self._listed(prefix, lambda store: store.keys)

    def every(self, prefix: str) -> Iterator[StoredObject]:
        return self._listed(prefix, lambda store: store.every)

    def _listed(
        self, prefix: str, of: Callable[[Store], Callable[[str], Iterator[StoredObject]]]
    ) -> Iterator[StoredObject]:
        seen = set()
        for store, stored in self._found(prefix):
            for found in of(store)(stored):
                key = found.key.removeprefix(stored[: len(stored) - len(prefix)])
                if key not in seen:
                    seen.add(key)
                    yield found._replace(key=key)

    def delete(self, *keys: str) -> None:
        by_store: dict[int, tuple[Store, list[str]]] = {}
        for key in keys:
            for store, stored in self._found(key):
                by_store.setdefault(id(store), (store, []))[1].append(stored)
        for store, stored_keys in by_store.values():
            store.delete(*stored_keys)

    def check_rights(self, *, put: Iterable[str] = (), delete: Iterable[str] = ()) -> None:
        put, delete = list(put), list(delete)
        self._look()
        if self.private and any(self._store(key) is self.private for key in put):
            self._tie(self.private)
        for store in filter(None, (self.published, self.private)):
            store.check_rights(
                put=[key for key in put if self._store(key) is store],
                delete=[key for key in delete if self._store(key) is store],
            )

    def check_way(self, folder: str) -> None:
        self.published.check_way(folder)

    def check_removable(self, folder: str) -> None:
        """Of what is known of the slide, too."""
        self.published.check_removable(folder)
        if self.private:
            self.private.check_removable(keys.private_folder(folder.rpartition("/")[2]))
        self._look()
        if self._former:
            known = former.key(keys.private_folder(folder.rpartition("/")[2]))
            for its in (known.rpartition("/")[0], known):
                self.published.check_removable(its)

    def leftovers(self, folder: str) -> list[str]:
        return self.published.leftovers(folder)

    def exclusive(self, folder: str) -> AbstractContextManager[None]:
        self._look()
        return self.published.exclusive(folder)

    def replacing(self, folder: str) -> AbstractContextManager[Store]:
        self._look()
        return self.published.replacing(folder)

    def check_keeps(self) -> None:
        """Raises StoreError where there is no private place."""
        if self.private is None:
            raise self._keeps_nothing()

    def _keeps_nothing(self) -> StoreError:
        return StoreError(
            self,
            "no private place is given, and the log of each slide is kept only there; give a "
            f"folder or bucket that nobody serves as {tie.HOW}",
        )

    def _look(self) -> None:
        """Once, at the two stores together."""
        with self._turn:
            if self._former is None:
                root = self.published.tagged(keys.root_key())
                self._is_tied = tie.is_tied(self.published, self.private, root)
                self._layout = layouts.stated(self.published, root)
                names = former.beside(self.published)
                if keys.ROOT in names:
                    tie.check_publishes(self.published)
                self._former = former.parts(names)
                if self._former:
                    former.warn(self.published, former.not_empty(self.published))

    def _store(self, key: str) -> Store | None:
        if not keys.is_private(key):
            return self.published
        is_state = key.partition("/")[0] == keys.WATCHED
        return self.private or (self.state if is_state else None)

    def _needed(self, key: str) -> Store:
        """Where the object may be put."""
        self._look()
        store = self._store(key)
        if store is None:
            raise self._keeps_nothing()
        if store is self.private:
            self._tie(store)
        return store

    def _tie(self, private: Store) -> None:
        with self._turn:
            if not self._is_tied:
                tie.tie(self.published, private)
            self._is_tied = True

    def _found(self, key: str) -> Iterator[tuple[Store, str]]:
        """Where the object may be, and under which key there."""
        self._look()
        if store := self._store(key):
            yield store, key
        if self._former and keys.is_private(key):
            yield self.published, former.key(key)


def open_destination(
    place: str | Path,
    private_to: str | None = None,
    options: S3Options | None = None,
    stop: threading.Event | None = None,
    *,
    state: Path | None = None,
) -> Destination:
    """The destination at a path or URL, with the private place that was given for it; `state` is
    the folder for what `watch` remembers where there is none.

    Raises OptionError for a private place that cannot be this destination's. An archive has none.
    """
    published = _opened(place, options, stop)
    if published.sealed:
        return Destination(published)
    private = None
    if private_to:
        private = open_private_store(private_to, options, stop)
        _check_apart(published, private)
    tie.check_is_no_part(published)
    kept = None
    if state and private is None:
        _check_apart(published, PrivateStore(state))
        kept = PrivateStore(state / _digest(published))
    return Destination(published, private, state=kept)


def check_places(place: str | Path, private_to: str | None) -> None:
    """Raises OptionError for a destination that cannot be one, and for a private place that lies
    where it does; without a call of any store."""
    published = _opened(place)
    if private_to and not published.sealed:
        _check_apart(published, open_private_store(private_to))


def _opened(
    place: str | Path, options: S3Options | None = None, stop: threading.Event | None = None
) -> Store:
    if str(place).startswith("s3://") and is_archive(place):
        raise OptionError(
            f"{str(place)!r} is refused, because .zip and .szi files are written to a disk only; "
            "give a path, or s3://bucket/prefix"
        )
    return open_store(place, options, stop)


def _check_apart(published: Store, private: Store) -> None:
    what = f"{private}: private files cannot be kept here, because this place is"
    if isinstance(published, DirectoryStore) and isinstance(private, DirectoryStore):
        place = normal(private.root)
        roots = (normal(published.root), normal(published.root / keys.IMAGES))
        for root in roots:
            if place.is_relative_to(root):
                raise OptionError(f"{what} in {published}, which is published; give another folder")
            if root.is_relative_to(place):
                raise OptionError(f"{what} around {published}; give a folder beside it")
        for part in (*keys.PRIVATE_PARTS, keys.KEPT, keys.FAILED, keys.PLACES):
            if any(normal(private.root / part).is_relative_to(root) for root in roots):
                raise OptionError(f"{what} linked into {published} ({part}); remove the link")
        for folder in place.parents:
            if _publishes(folder):
                raise OptionError(f"{what} in {folder}, which is published; give another folder")
    elif is_in_reach(private, published):
        raise OptionError(f"{what} in the bucket that is published; give another bucket")


def _publishes(folder: Path) -> bool:
    try:
        return (folder / keys.catalog_key()).exists()
    except OSError:  # it may not be looked at
        return False


def check_scratch(published: Store, slide: str | Path, scratch: Path | None) -> None:
    """Raises OptionError where a slide from S3, with its label, would be fetched into the folder
    that is published, even if only for a while."""
    if not str(slide).startswith("s3://") or not isinstance(published, DirectoryStore):
        return
    folder = normal(Path(scratch or tempfile.gettempdir()))
    if folder.is_relative_to(normal(published.root)):
        raise OptionError(
            f"{folder}: slides cannot be fetched into this folder, because it is in {published} "
            "and so published; give another folder as --scratch"
        )


def is_in_reach(place: Store | str, published: Store) -> bool:
    """Whether the place, a store or a URL, is in the bucket that is published."""
    return _bucket(place) == _bucket(published) != ""


def _bucket(place: Store | str) -> str:
    scheme, slashes, rest = str(place).partition("://")
    return rest.partition("/")[0] if slashes and scheme == "s3" else ""


def _digest(store: Store) -> str:
    place = str(normal(store.root)) if isinstance(store, DirectoryStore) else str(store)
    return digest(place)
