"""A packed pyramid in a store, read as if its tiles were objects."""

from __future__ import annotations

import errno
import io
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from vsv_pyramid.errors import CONVERT_AGAIN, StoreError, StoreUnavailable, passing
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import packed_key
from vsv_pyramid.store.base import Part, Reader, Store, StoredObject
from vsv_pyramid.store.zipped import DAMAGED, Members, Zipped, damage, members

_BLOCK_BYTES = 1 << 22
_BLOCKS = 8  # in memory: what is read lies close together


def with_tiles(store: Store, folder: str) -> Reader:
    """The store; where the folder's pyramid is packed, with its descriptor and its tiles under the
    keys that they would have. Raises StoreError."""
    key = packed_key(store, folder)
    return PackedStore(store, folder, key) if key else store


class PackedStore(Zipped):
    """The descriptor and the tiles of one pyramid, to read, out of the object under `key`."""

    def __init__(self, store: Store, folder: str, key: str) -> None:
        self.store = store
        self.key = key
        self.remote = store.remote
        self._folder = folder
        self._opening = threading.Lock()
        self._members: Members | None = None

    def __str__(self) -> str:
        return str(self.store)

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        if self._is_inside(key):
            return super().read(self._inner(key), start, end)
        return self.store.read(key, start, end)

    def head(self, key: str) -> int | None:
        return super().head(self._inner(key)) if self._is_inside(key) else self.store.head(key)

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        for found in self.store.keys(prefix):
            if not self._is_inside(found.key):
                yield found
        for found in super().keys(""):
            key = self._folder + found.key.removeprefix(self._root)
            if self._is_inside(key) and key.startswith(prefix):
                yield found._replace(key=key)

    def strangers(self) -> list[str]:
        """Also what nobody is to find in it: it is never changed, so no image with a name."""
        naming = {keys.associated_key(self._root, name) for name in keys.NAMING}
        return [*super().strangers(), *(one.key for one in super().keys("") if one.key in naming)]

    def _is_inside(self, key: str) -> bool:
        is_tile = key.startswith(keys.tiles_prefix(self._folder))
        return is_tile or key == keys.descriptor_key(self._folder)

    @property
    def _root(self) -> str:
        """The folder as the object itself calls it."""
        return keys.folder(self._folder.rpartition("/")[2])

    def _inner(self, key: str) -> str:
        return self._root + key.removeprefix(self._folder)

    @contextmanager
    def _opened(self) -> Iterator[Members]:
        place = f"{self.store}/{self.key}"
        try:
            with self._opening:
                if self._members is None:
                    with self._file() as file:
                        self._members = members(zipfile.ZipFile(file))
            yield self._members
        except DAMAGED as exc:
            if cause := passing(exc):
                what = f"{cause.strerror or cause}; check the disk or share, and try again"
                raise StoreUnavailable(place, what) from exc
            raise StoreError(place, f"{damage(exc)}; {CONVERT_AGAIN}") from exc

    @contextmanager
    def _file(self) -> Iterator[BinaryIO]:
        yield cast("BinaryIO", _Blocks(self.store, self.key))


class _Blocks(io.RawIOBase):
    """An object's bytes as a file, read a block at a time."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        self._size = store.read(key, 0, 1).size
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "before the first byte")
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        found = []
        while self._at < end:
            number, offset = divmod(self._at, _BLOCK_BYTES)
            data = self._block(number)[offset : offset + end - self._at]
            if not data:
                raise EOFError("it ends too soon")
            found.append(data)
            self._at += len(data)
        return b"".join(found)

    def _block(self, number: int) -> bytes:
        block = self._blocks.pop(number, None)
        if block is None:
            start = number * _BLOCK_BYTES
            block = self._store.read(self._key, start, start + _BLOCK_BYTES).data
        self._blocks[number] = block
        if len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)
        return block
