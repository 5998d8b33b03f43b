"""Objects in a zip file, read by the layout's keys, whoever has written it, and wherever it is."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import itemgetter
from typing import BinaryIO, NamedTuple

from vsv_pyramid.errors import NoSuchObject, StoreError
from vsv_pyramid.layout import bounds, szi
from vsv_pyramid.store.base import Part, StoredObject, Tagged
from vsv_pyramid.store.listing import plain

# RuntimeError is zipfile's for an encrypted member or an unknown compression; what the directory
# says may be no text, or no numbers.
DAMAGED = (
    zipfile.BadZipFile,
    EOFError,
    RuntimeError,
    zlib.error,
    UnicodeDecodeError,
    struct.error,
)

_LOCAL_HEADER = 30  # bytes, before a member's name
_END, _END_MAGIC = 22, b"PK\5\6"  # bytes, of the end record without a comment


def damage(exc: Exception) -> str:
    """What one of these says of the file."""
    is_one = "Bad CRC-32" in str(exc)  # of its members, in a file that is whole
    return f"holds a damaged file ({exc})" if is_one else f"is no whole zip file ({exc})"


@dataclass(frozen=True, eq=False)
class Members:
    """The archive, its members by the layout's keys, and SZI's root folder, None where the members
    have the layout's own names."""

    archive: zipfile.ZipFile
    root: str | None
    by_key: Mapping[str, zipfile.ZipInfo]


class Szi(NamedTuple):
    """What an SZI is besides its objects: its root folder, its index where it has one, and where in
    the file the bytes of each key are."""

    root: str
    index_data: bytes | None
    places: Mapping[str, range]


def members(archive: zipfile.ZipFile) -> Members:
    """Raises zipfile's errors, and StoreError for more than one pyramid."""
    if any(member.header_offset < 0 for member in archive.infolist()):
        raise zipfile.BadZipFile("its begin is missing")
    if sum(member.compress_size for member in archive.infolist()) > archive.start_dir:
        raise zipfile.BadZipFile("its members are more than there are bytes")
    roots = szi.roots(archive.namelist())
    if len(roots) > 1:
        names = " and ".join(roots[:2])
        raise StoreError(
            archive.filename, f"holds more than one pyramid ({names}); take them apart"
        )
    if not roots:
        return Members(archive, None, archive.NameToInfo)
    key_of = szi.keys_in(roots[0])
    found = ((key_of(member.filename), member) for member in archive.infolist())
    return Members(archive, roots[0], {key: member for key, member in found if key})


class Zipped(ABC):
    """The part of Store that reads, of a zip file."""

    @abstractmethod
    def _opened(self) -> AbstractContextManager[Members]:
        """The members, which several threads may read at the same time."""

    @abstractmethod
    def _file(self) -> AbstractContextManager[BinaryIO]:
        """The file's bytes."""

    def get(self, key: str) -> bytes:
        return self.read(key, 0).data

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        with self._opened() as opened:
            found = opened.by_key.get(key)
            if found is None:
                raise NoSuchObject(f"{self}/{key}")
            self._check_stored(found, key)
            if end is None:
                bounds.check(f"{self}/{key}", key, found.file_size)
            with opened.archive.open(found) as member:
                member.seek(start)
                data = member.read(-1 if end is None else end - start)
        return Part(data, found.file_size, f"{found.CRC:x}-{found.file_size:x}")

    def _check_stored(self, member: zipfile.ZipInfo, name: str) -> None:
        """Some compressed bytes can be any number of others."""
        if member.compress_type != zipfile.ZIP_STORED:
            raise StoreError(self, f"{name} is compressed; make it anew without that")

    def head(self, key: str) -> int | None:
        with self._opened() as opened:
            member = opened.by_key.get(key)
            return None if member is None else member.file_size

    def tagged(self, key: str) -> Tagged | None:
        return None if self.head(key) is None else Tagged(self.get(key), "")

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/".lstrip("/")
        below = (found.key.removeprefix(prefix).partition("/") for found in self.keys(prefix))
        return list({name + slash for name, slash, _ in below})

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        with self._opened() as opened:
            for key, member in plain(str(self), opened.by_key.items(), itemgetter(0)):
                if key.startswith(prefix):
                    yield StoredObject(key, member.file_size)

    def strangers(self) -> list[str]:
        """The names of an SZI's members that the layout has no key for."""
        with self._opened() as opened:
            known = {member.filename for member in opened.by_key.values()}
            return [name for name in opened.archive.namelist() if name not in known]

    def is_plain(self) -> bool:
        """Whether the file is its members, from the first byte, and their directory, to the last
        one."""
        with self._opened() as opened, self._file() as file:
            first = min((member.header_offset for member in opened.archive.infolist()), default=0)
            file.seek(-_END, os.SEEK_END)
            return first == 0 and file.read(4) == _END_MAGIC

    def as_szi(self) -> Szi | None:
        """What an SZI is besides its objects; None of a file with the layout's own names. Raises
        StoreError."""
        with self._opened() as opened, self._file() as file:
            if opened.root is None:
                return None
            index = opened.archive.NameToInfo.get(f"{opened.root}/{szi.INDEX}")
            if index:
                self._check_stored(index, index.filename)
                bounds.check(f"{self}/{index.filename}", szi.INDEX, index.file_size)
            return Szi(
                opened.root,
                opened.archive.read(index) if index else None,
                {key: _place(file, member) for key, member in opened.by_key.items()},
            )


def _place(file: BinaryIO, member: zipfile.ZipInfo) -> range:
    """Where the member's bytes are, behind a header whose length it says itself."""
    file.seek(member.header_offset)
    head = file.read(_LOCAL_HEADER)
    if len(head) < _LOCAL_HEADER:
        raise zipfile.BadZipFile(f"{member.filename} is behind its end")
    start = member.header_offset + len(head) + sum(struct.unpack("<2H", head[-4:]))
    return range(start, start + member.file_size)
