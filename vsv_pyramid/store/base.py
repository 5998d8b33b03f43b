"""The store protocol: objects under slash-separated keys, and the replacement of a whole folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from vsv_pyramid.store.versions import Version


class StoredObject(NamedTuple):
    """One object of a listing: its key, its size in bytes, and where they are known its MD5 (hex)
    and when it was written (seconds since 1970)."""

    key: str
    size: int
    md5: str | None = None
    written: float | None = None

    def holds(self, data: bytes) -> bool:
        """Whether these are its bytes, as far as the listing tells."""
        return (
            self.size == len(data)
            and self.md5 is not None
            and self.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
        )


class Tagged(NamedTuple):
    """An object's bytes, and a tag that they have in common with no others."""

    data: bytes
    tag: str


class Part(NamedTuple):
    """Some of an object's bytes, the size of the whole, and a tag that it has had in common with
    no other object under its key."""

    data: bytes
    size: int
    tag: str


class FrontLast(Protocol):
    """An object of which the front is known last; it is there once that has come."""

    def append(self, data: bytes) -> None:
        """Adds bytes behind those that came before."""

    def finish(self, front: bytes) -> None:
        """Takes what stands before all others."""


class Reader(Protocol):
    """A flat set of objects, to read. All methods raise StoreError, which names the key. A `remote`
    one's objects travel over a network."""

    remote: bool

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises NoSuchObject where it is not there."""

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        """The object's bytes from `start` to `end`, which is after it, as far as it has them.
        Raises NoSuchObject where it is not there."""

    def head(self, key: str) -> int | None:
        """The object's size in bytes, None where there is no such object."""

    def tagged(self, key: str) -> Tagged | None:
        """The object with its tag, None where there is no such object."""

    def names(self, folder: str) -> list[str]:
        """The names directly in the folder, those of folders with a slash at the end; only plain
        ones (words.is_plain), and of others it warns."""

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys start with `prefix`, in no particular order; only plain ones, and
        of others it warns."""


class Store(Reader, Protocol):
    """The same, to write, too.

    `parallel_puts` says how many puts it is worth making at the same time. A `remote` store's
    objects appear one by one under their final keys: what an interrupted publication has put is
    there, and goes on from there. A `sealed` one takes objects by `replacing` only.
    """

    parallel_puts: int
    sealed: bool

    def every(self, prefix: str) -> Iterator[StoredObject]:
        """The same as `keys`, with those that are not plain: for what takes all away."""

    def put(self, key: str, data: bytes) -> None:
        """Writes the object, whole or not at all; safe from several threads."""

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        """Puts the object only where it still has the tag, or, of None, where there is none; and
        whether it did. After trouble on the way, a put that went well may be denied: look anew.
        """

    def assembled(self, key: str) -> AbstractContextManager[FrontLast]:
        """The object, piece by piece until the block ends; what is there under the key stays until
        then. Of one that was interrupted, a remote store goes on with what it has."""

    def delete(self, *keys: str) -> None:
        """Removes the objects; one that is not there is no error."""

    def check_rights(self, *, put: Iterable[str] = (), delete: Iterable[str] = ()) -> None:
        """Raises StoreError where these objects may not be put, or deleted, as far as a store tells
        that beforehand; for what is done in several steps. Nothing is another thing after it."""

    def check_way(self, folder: str) -> None:
        """Raises StoreError for what is in the way of a pyramid in the folder, and is nobody's to
        replace but its owner's, such as a link."""

    def check_removable(self, folder: str) -> None:
        """Raises StoreError where the pyramid in the folder, or a part of it, is there by a link:
        what that leads to may be another's."""

    def leftovers(self, folder: str) -> list[str]:
        """The keys in the folder of what puts that were ended amid them have left, if a store has
        such; `exclusive` removes them."""

    def exclusive(self, folder: str) -> AbstractContextManager[None]:
        """Keeps other processes from writing to the folder until the block ends. Raises StoreBusy
        where another one is at it."""

    def replacing(self, folder: str) -> AbstractContextManager[Store]:
        """A store to put the new objects under `folder` into, exclusively. Where the store is not
        remote, they take the place of the present ones at the block's end, and vanish where the
        block raises.
        """


@runtime_checkable
class Versioned(Store, Protocol):
    """A store that may keep what was replaced and deleted."""

    def versions(self, prefix: str) -> list[Version]:
        """All versions of the objects whose keys start with `prefix`, marks of deletion, too."""

    def remove_versions(self, found: Iterable[Version]) -> list[str]:
        """Removes them for good; of each that stays the code for why."""

    def versions_never_end(self, prefix: str) -> bool:
        """Whether all that is replaced under keys which start so is kept for ever, as far as one is
        allowed to know."""


@runtime_checkable
class Sealed(Store, Protocol):
    """A store that is one file, as it is written."""

    def front_last(self) -> AbstractContextManager[FrontLast]:
        """The file itself, until the block ends."""

    def others(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """What somebody else has put into the folder, by its name there."""
