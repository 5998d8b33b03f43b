"""A store in one uncompressed zip file, written in one go and there when complete.

A .zip has the layout's own names, a .szi those of SZI; whichever names there are, are read.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vsv_pyramid.errors import StoreError, StoreUnavailable, passing
from vsv_pyramid.layout import keys, szi
from vsv_pyramid.store.base import FrontLast, Store, StoredObject
from vsv_pyramid.store.disk import (
    check_own,
    check_plain,
    locked,
    naming,
    real,
    save,
    written_front_last,
)
from vsv_pyramid.store.zipped import DAMAGED, Members, Zipped, damage, members
from vsv_pyramid.words import one_line

_USUAL = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others have errors of their own
_MOST_OF_OTHERS = 1 << 26  # bytes in all
_DATE = (1980, 1, 1, 0, 0, 0)  # the same pyramid is to be the same file, whenever it is made


@dataclass(frozen=True, eq=False)
class _Held:
    """The archive as it was read, and the inode, size and time of the file that this holds for."""

    stamp: tuple[int, int, int]
    members: Members


class ArchiveStore(Zipped):
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
        self._held: _Held | None = None
        self._opening = threading.Lock()

    def __str__(self) -> str:
        return str(self._path)

    def put(self, key: str, data: bytes) -> None:
        raise self._not_alone(key)

    def delete(self, *keys: str) -> None:
        if keys:
            raise StoreError(self._path, "nothing can be removed from it; delete the file itself")

    def assembled(self, key: str) -> AbstractContextManager[FrontLast]:
        raise self._not_alone(key)

    def head(self, key: str) -> int | None:
        return super().head(key) if self._path.exists() else None

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        self.put(key, data)
        return True

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        if self._path.exists():
            yield from super().keys(prefix)

    def every(self, prefix: str) -> Iterator[StoredObject]:
        if self._path.exists():
            with self._opened() as opened:
                for key, member in opened.by_key.items():
                    if key.startswith(prefix):
                        yield StoredObject(key, member.file_size)

    def check_rights(self, *, put: Iterable[str] = (), delete: Iterable[str] = ()) -> None:
        """What is refused is so before the archive is replaced."""

    def check_way(self, folder: str) -> None:
        """Nothing is beside its members."""

    check_removable = check_way

    def leftovers(self, folder: str) -> list[str]:
        return []

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
            for name in self._strange(folder):
                what = f"holds {one_line(name)}, and is for one slide; give another file"
                raise StoreError(self._path, what)
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
                    save(partial)
                    self._held = None  # Windows replaces no open file
                    partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)

    def _strange(self, folder: str) -> Iterator[str]:
        """What is in the file beside the slide's folder, by its keys and its members' names."""
        for found in self.every(""):
            if not found.key.startswith(f"{folder}/") and found.key != keys.catalog_key():
                yield found.key
        if not self._path.exists():
            return
        with self._opened() as opened:
            for name in opened.archive.namelist() if opened.root else ():
                if not name.startswith(f"{opened.root}/"):
                    yield name

    def others(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """What the layout does not know in the slide's folder, by the names there."""
        if not self._path.exists():
            return
        with self._opened() as opened:
            own = {member.filename for key, member in opened.by_key.items() if keys.is_key(key)}
            root = opened.root or folder
            own.update(f"{opened.root}/{name}" for name in (szi.INDEX, szi.PROPERTIES))
            total = 0
            for member in opened.archive.infolist():
                name = member.filename
                if name.startswith(f"{root}/") and name not in own:
                    if member.compress_type not in _USUAL:
                        raise StoreError(
                            self._path, f"holds {name}, which is compressed oddly; move it"
                        )
                    total += member.file_size
                    if total > _MOST_OF_OTHERS:
                        raise StoreError(
                            self._path, f"holds {name}, which is large and not the slide's; move it"
                        )
                    yield name[len(root) + 1 :], opened.archive.read(name)

    def _not_alone(self, key: str) -> StoreError:
        return StoreError(self, f"{key} cannot be put into it alone; convert the slide again")

    @contextmanager
    def _file(self) -> Iterator[BinaryIO]:
        check_plain(self._path)
        with self._path.open("rb") as file:
            yield file

    @contextmanager
    def _opened(self) -> Iterator[Members]:
        try:
            with naming(self._path):
                yield self._current()
        except DAMAGED as exc:
            if cause := passing(exc):  # zipfile takes it for the end of the file
                what = f"{cause.strerror or cause}; check the disk or share, and try again"
                raise StoreUnavailable(self._path, what) from exc
            what = f"{damage(exc)}; move it away and convert again"
            raise StoreError(self._path, what) from exc

    def _current(self) -> Members:
        check_plain(self._path)
        stat = self._path.stat()
        stamp = stat.st_ino, stat.st_size, stat.st_mtime_ns
        held = self._held
        if held is None or held.stamp != stamp:
            with self._opening:
                held = self._held
                if held is None or held.stamp != stamp:
                    # The one before closes when the last thread is done with it.
                    archive = zipfile.ZipFile(self._path)
                    try:
                        held = self._held = _Held(stamp, members(archive))
                    except BaseException:
                        archive.close()
                        raise
                    weakref.finalize(held.members, archive.close)
        return held.members


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
