"""The store protocol: objects under slash-separated keys, and the replacement of a whole folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """One object of a listing: its key and its size in bytes."""

    key: str
    size: int


class Store(Protocol):
    """A flat set of objects. All methods raise StoreError, which names the key."""

    def put(self, key: str, data: bytes) -> None:
        """Writes the object, whole or not at all; safe from several threads."""

    def get(self, key: str, *, first: int | None = None) -> bytes:
        """The object's bytes, or only its `first` bytes."""

    def head(self, key: str) -> int | None:
        """The object's size in bytes, None where there is no such object."""

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys start with `prefix`, in no particular order."""

    def delete(self, key: str) -> None:
        """Removes the object; one that is not there is no error."""

    def replacing(self, folder: str) -> AbstractContextManager[Store]:
        """A store whose objects under `folder` take the place of the present ones at the block's
        end, and vanish where the block raises. Only one such block runs for a folder at a time:
        a second one raises StoreError.
        """
