"""A folder as a server shows it: without what a link takes from outside."""

from __future__ import annotations

import os
from pathlib import Path

from vsv_pyramid.errors import NoSuchObject
from vsv_pyramid.layout import keys
from vsv_pyramid.store.base import Part, Tagged
from vsv_pyramid.store.directory import DirectoryStore


class EnclosedStore(DirectoryStore):
    """The store, to read from; without what a symbolic link takes from outside the part of it that
    the key is of: images/, or else the root. These two may be links themselves."""

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        if self.is_outside(key):
            raise NoSuchObject(self.path(key))
        return super().read(key, start, end)

    def head(self, key: str) -> int | None:
        return None if self.is_outside(key) else super().head(key)

    def tagged(self, key: str) -> Tagged | None:
        return None if self.is_outside(key) else super().tagged(key)

    def names(self, folder: str) -> list[str]:
        return [] if self.is_outside(folder) else super().names(folder)

    def is_outside(self, key: str) -> bool:
        """Whether a link leads from the key's place to one that is not of the same part."""
        is_image = f"{key}/".startswith(f"{keys.IMAGES}/")
        part = self.root / keys.IMAGES if is_image else self.root
        real, around = (os.path.realpath(path) for path in (self.path(key), part))
        return not Path(real).is_relative_to(around)
