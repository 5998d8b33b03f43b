"""A store in one uncompressed zip file, written in one go and there when complete.

A .zip has the layout's own names, a .szi those of SZI; whichever names there are, are read.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vsv_pyramid.errors import UNSUPPORTED, NoSuchObject, StoreError, StoreUnavailable, passing
from vsv_pyramid.layout import keys, szi
from vsv_pyramid.store.base import FrontLast, Part, Store, StoredObject, Tagged
from vsv_pyramid.store.disk import check_own, locked, naming, real, written_front_last

_MOST_OF_OTHERS = 1 << 26  # bytes
_LOCAL_HEADER = 30  # bytes, before a member's name
_DATE = (1980, 1, 1, 0, 0, 0)  # the same pyramid is to be the same file, whenever it is made
# RuntimeError is zipfile's for an encrypted member or an unknown compression.
_DAMAGED = (zipfile.BadZipFile, EOFError, RuntimeError, zlib.error)


@dataclass(frozen=True, eq=False)
class _Opened:
    """The archive as it was read, its members by the layout's keys, and the inode, size and time of
    the file that this holds for."""

    stamp: tuple[int, int, int]
    archive: zipfile.ZipFile
    root: str | None  # SZI's
    members: Mapping[str, zipfile.ZipInfo]


class Szi(NamedTuple):
    """What an SZI is besides its objects: its root folder, its index where it has one, and where in
    the file the bytes of each key are."""

    root: str
    index_data: bytes | None
    places: Mapping[str, range]


class ArchiveStore:
    """Objects as the members of a zip file, which holds one folder, and the catalog beside it.
    Implements Store, but for `put` and `delete`: a zip is written anew, by `replacing`.

    It stays open once it was read, and is opened anew where another file took its place.
    """

    parallel_puts = 0
    remote = False
    sealed = True

    def __init__(self, path: Path) -> None:
        self.packed = path.suffix.lower() == ".szi"
        self._path = path
        self._held: _Opened | None = None
        self._opening = threading.Lock()

    def __str__(self) -> str:
        return str(self._path)

    def put(self, key: str, data: bytes) -> None:
        raise StoreError(self._path, f"{key} cannot be put into it alone; convert the slide again")

    def delete(self, *keys: str) -> None:
        if keys:
            raise StoreError(self._path, "nothing can be removed from it; delete the file itself")

    def get(self, key: str) -> bytes:
        return self.read(key, 0).data

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        with self._opened() as opened:
            found = opened.members.get(key)
            if found is None:
                raise NoSuchObject(f"{self._path}/{key}")
            if found.compress_type != zipfile.ZIP_STORED:  # of which some bytes can be any number
                raise StoreError(self._path, f"{key} is compressed; make it anew without that")
            with opened.archive.open(found) as member:
                member.seek(start)
                data = member.read(-1 if end is None else end - start)
        return Part(data, found.file_size, f"{found.CRC:x}-{found.file_size:x}")

    def head(self, key: str) -> int | None:
        if not self._path.exists():
            return None
        with self._opened() as opened:
            member = opened.members.get(key)
            return None if member is None else member.file_size

    def tagged(self, key: str) -> Tagged | None:
        return None if self.head(key) is None else Tagged(self.get(key), "")

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        self.put(key, data)
        return True

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/".lstrip("/")
        below = (found.key.removeprefix(prefix).partition("/") for found in self.keys(prefix))
        return list({name + slash for name, slash, _ in below})

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        if not self._path.exists():
            return
        with self._opened() as opened:
            for key, member in opened.members.items():
                if key.startswith(prefix):
                    yield StoredObject(key, member.file_size)

    def check_rights(self, *, put: Iterable[str] = (), delete: Iterable[str] = ()) -> None:
        """What is refused is so before the archive is replaced."""

    @contextmanager
    def exclusive(self, folder: str) -> Iterator[None]:
        with naming(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path, 0):
            yield

    @contextmanager
    def replacing(self, folder: str) -> Iterator[Store]:
        path = real(self._path)
        partial = path.with_name(f".{path.name}.partial")
        with self.exclusive(folder):
            check_own(partial)
            for found in self.keys(""):
                if not found.key.startswith(folder + "/") and found.key != keys.catalog_key():
                    raise StoreError(
                        self._path, f"holds {found.key}, and is for one slide; give another file"
                    )
            try:
                if self.packed:
                    yield _Packed(self._path, partial)
                else:
                    with naming(self._path), zipfile.ZipFile(partial, "w") as archive:
                        yield _Written(self._path, archive)
                        for name, data in self.others(folder):
                            if (key := f"{folder}/{name}") not in archive.NameToInfo:
                                archive.writestr(zipfile.ZipInfo(key, _DATE), data)
                with naming(self._path):
                    _save(partial)
                    self._held = None  # Windows replaces no open file
                    partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)

    def as_szi(self) -> Szi | None:
        """What an SZI is besides its objects; None of a file with the layout's own names. Raises
        StoreError."""
        with self._opened() as opened, self._path.open("rb") as file:
            if opened.root is None:
                return None
            index = opened.archive.NameToInfo.get(f"{opened.root}/{szi.INDEX}")
            return Szi(
                opened.root,
                opened.archive.read(index) if index else None,
                {key: _place(file, member) for key, member in opened.members.items()},
            )

    def others(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """What the layout does not know in the slide's folder, by the names there."""
        if not self._path.exists():
            return
        with self._opened() as opened:
            own = {member.filename for key, member in opened.members.items() if keys.is_key(key)}
            root = opened.root or folder
            own.update(f"{opened.root}/{name}" for name in (szi.INDEX, szi.PROPERTIES))
            for member in opened.archive.infolist():
                name = member.filename
                if name.startswith(f"{root}/") and name not in own:
                    if member.file_size > _MOST_OF_OTHERS:
                        raise StoreError(
                            self._path, f"holds {name}, which is large and not the slide's; move it"
                        )
                    yield name[len(root) + 1 :], opened.archive.read(name)

    @contextmanager
    def _opened(self) -> Iterator[_Opened]:
        """The archive, which several threads may read at the same time."""
        try:
            with naming(self._path):
                yield self._current()
        except _DAMAGED as exc:
            if cause := passing(exc):  # zipfile takes it for the end of the file
                what = f"{cause.strerror or cause}; check the disk or share, and try again"
                raise StoreUnavailable(self._path, what) from exc
            what = f"is no whole zip file ({exc}); move it away and convert again"
            raise StoreError(self._path, what) from exc

    def _current(self) -> _Opened:
        stat = self._path.stat()
        stamp = stat.st_ino, stat.st_size, stat.st_mtime_ns
        held = self._held
        if held is None or held.stamp != stamp:
            with self._opening:
                held = self._held
                if held is None or held.stamp != stamp:
                    # The one before closes when the last thread is done with it.
                    held = self._held = _opened(stamp, zipfile.ZipFile(self._path))
                    weakref.finalize(held, held.archive.close)
        return held


def _opened(stamp: tuple[int, int, int], archive: zipfile.ZipFile) -> _Opened:
    if any(member.header_offset < 0 for member in archive.infolist()):
        archive.close()
        raise zipfile.BadZipFile("its begin is missing")
    roots = szi.roots(archive.namelist())
    if len(roots) > 1:
        archive.close()
        names = " and ".join(roots[:2])
        raise StoreError(
            archive.filename, f"holds more than one pyramid ({names}); take them apart"
        )
    root = roots[0] if roots else None
    if root is None:
        return _Opened(stamp, archive, None, archive.NameToInfo)
    key_of = szi.keys_in(root)
    found = ((key_of(member.filename), member) for member in archive.infolist())
    return _Opened(stamp, archive, root, {key: member for key, member in found if key})


def _place(file: BinaryIO, member: zipfile.ZipInfo) -> range:
    """Where the member's bytes are, behind a header whose length it says itself."""
    file.seek(member.header_offset)
    head = file.read(_LOCAL_HEADER)
    start = member.header_offset + len(head) + sum(struct.unpack("<2H", head[-4:]))
    return range(start, start + member.file_size)


def _save(path: Path) -> None:
    """Waits until the file is on the disk, where the file system knows how."""
    with path.open("rb+") as file:  # Windows saves no file that is open to be read
        try:
            os.fsync(file.fileno())
        except OSError as exc:
            if exc.errno not in UNSUPPORTED:
                raise


class _Packed(ArchiveStore):
    """The .szi file as it will be: `partial` until it is whole."""

    def __init__(self, path: Path, partial: Path) -> None:
        super().__init__(path)
        self._partial = partial

    @contextmanager
    def front_last(self) -> Iterator[FrontLast]:
        with naming(self._path), written_front_last(self._partial) as file:
            yield file


class _Written(ArchiveStore):
    """The archive as it will be."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        super().__init__(path)
        self._archive = archive
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        with self._lock, naming(self._path):
            self._archive.writestr(zipfile.ZipInfo(key, _DATE), data)

    def head(self, key: str) -> int | None:
        return next((found.size for found in self.keys(key) if found.key == key), None)

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        with self._lock:
            members = self._archive.infolist()
        for member in members:
            if member.filename.startswith(prefix):
                yield StoredObject(member.filename, member.file_size)
