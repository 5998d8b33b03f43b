"""A store in a directory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path, PurePath
from stat import S_ISDIR

from vsv_pyramid.errors import NoSuchObject, StoreBusy, StoreError
from vsv_pyramid.layout import bounds
from vsv_pyramid.layout import keys as layout
from vsv_pyramid.runtime.folders import in_folder, make_folder
from vsv_pyramid.store.base import FrontLast, Part, StoredObject, Tagged
from vsv_pyramid.store.disk import (
    check_changeable,
    check_own,
    check_plain,
    check_readable,
    flush,
    locked,
    made,
    naming,
    real,
    save,
    write,
    written_front_last,
)
from vsv_pyramid.store.listing import plain
from vsv_pyramid.store.moves import (
    beside,
    check_no_link,
    check_removable,
    check_way,
    settle,
    switch,
)

_HELD_SECONDS = 2.0  # for which another process that only puts may hold a lock

_PARTIAL = re.compile(r"\.(.+)\.partial")  # of a file that is written
_ASSEMBLED = ".assembled.partial"  # one at a time, in a folder that is held
_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class DirectoryStore:
    """Objects as files below `root`. Implements Store."""

    parallel_puts = 0
    remote = False
    sealed = False
    _folder_mode = 0o777

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """Where the object lies, or would lie. Raises NoSuchObject for one outside the root."""
        return self.root / self._below(key)

    def _below(self, key: str) -> str:
        if ".." in key or ":" in key or "\0" in key or key[:1] in ("/", "\\"):  # seldom
            within = PurePath(key)
            if within.anchor or ".." in within.parts or "\0" in key:
                raise NoSuchObject(self.root, f"{key!r} leads out of it; give a key below it")
        return key

    def put(self, key: str, data: bytes) -> None:
        """Where the object is a link, into the file that it leads to."""
        path = real(self.path(key))
        partial = path.with_name(f".{path.name}.partial")

        def write_it() -> None:
            self._write(partial, data)
            partial.replace(path)

        check_plain(path)
        check_own(partial)
        with naming(path):
            try:
                in_folder(path.parent, write_it, self._folder_mode)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    @contextmanager
    def assembled(self, key: str) -> Iterator[FrontLast]:
        path = real(self.path(key))
        partial = path.with_name(_ASSEMBLED)
        check_plain(path)
        check_own(partial)
        with naming(path):
            make_folder(path.parent, self._folder_mode)
            try:
                with written_front_last(partial) as file:
                    yield file
                save(partial)
                partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)
                    path.parent.rmdir()  # where nothing else is in it

    def get(self, key: str) -> bytes:
        return self.read(key, 0).data

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        path = self.path(key)
        check_plain(path)
        with naming(path):
            try:
                with path.open("rb") as file:
                    stat = os.fstat(file.fileno())
                    if end is None:
                        bounds.check(path, key, stat.st_size)
                        end = stat.st_size
                    file.seek(start)
                    data = file.read(max(0, end - start))
            except _NOT_THERE as exc:
                raise NoSuchObject(path) from exc
        tag = f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"
        return Part(data, stat.st_size, tag)

    def head(self, key: str) -> int | None:
        with naming(self.path(key)):
            try:
                stat = self.path(key).stat()
            except _NOT_THERE:
                return None
        return None if S_ISDIR(stat.st_mode) else stat.st_size

    def tagged(self, key: str) -> Tagged | None:
        self.path(key)  # raises for one that leads out
        try:
            data = self.read(key, 0).data
        except NoSuchObject:
            return None
        return Tagged(data, hashlib.sha256(data).hexdigest())

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        path = self.path(key)
        with naming(path):
            make_folder(path.parent, self._folder_mode)
        try:
            with locked(path, _HELD_SECONDS):
                found = self.tagged(key)
                if (found and found.tag) != tag:
                    return False
                self.put(key, data)
                return True
        except StoreBusy:
            return False

    def names(self, folder: str) -> list[str]:
        with naming(self.path(folder)):
            try:
                with os.scandir(self.path(folder)) as entries:
                    found = [entry.name + "/" * _leads_to_folder(entry) for entry in entries]
                return list(plain(f"{self}/{folder}", found))
            except _NOT_THERE:
                return []

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        return plain(f"{self}/{prefix}", self.every(prefix), attrgetter("key"))

    def every(self, prefix: str) -> Iterator[StoredObject]:
        folder = prefix.rpartition("/")[0]
        with naming(self.path(folder)):
            for key, stat in _files(self.path(folder), folder + "/" if folder else ""):
                if key.startswith(prefix):
                    yield StoredObject(key, stat.st_size, written=stat.st_mtime)

    def delete(self, *keys: str) -> None:
        """Removes folders, too, which are left empty by it. What is refused keeps nothing else."""
        paths = [self.path(key) for key in keys]
        refused = []
        for path in paths:
            try:
                with naming(path):
                    path.unlink(missing_ok=True)
            except StoreError as exc:
                refused.append(exc)
        folders = {
            folder for path in paths for folder in path.parents if self.root in folder.parents
        }
        for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
            if self.root in folder.parents:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        if refused:
            raise refused[0]

    def check_rights(self, *, put: Iterable[str] = (), delete: Iterable[str] = ()) -> None:
        """What is put is read before, as all that is changed."""
        changed = {real(self.path(key)) for key in put}
        paths = {*changed, *map(self.path, delete)}
        folders = {
            next(filter(Path.exists, (parent, *parent.parents)))
            for parent in {path.parent for path in paths}
        }
        for path in sorted({path.parent for path in paths}):
            _check_slide(path)
        for path in sorted(folders | paths):
            check_changeable(path)
        for path in sorted(changed):
            check_readable(path)

    def check_way(self, folder: str) -> None:
        check_way(self.path(folder))

    def check_removable(self, folder: str) -> None:
        check_removable(self.path(folder), folder)

    def leftovers(self, folder: str) -> list[str]:
        found = ((name, _PARTIAL.fullmatch(name)) for name in self.names(folder))
        return [f"{folder}/{name}" for name, of in found if of and _is_ours(f"{folder}/{of[1]}")]

    @contextmanager
    def exclusive(self, folder: str) -> Iterator[None]:
        target = self.path(folder)
        _check_slide(target)
        with made(target.parent), locked(target, _HELD_SECONDS):
            settle(target)
            with naming(target):
                for left in target.glob(f"{_ASSEMBLED}*"):  # by a process that was killed
                    left.unlink()
                for key in self.leftovers(folder):
                    self.path(key).unlink(missing_ok=True)
            yield

    @contextmanager
    def replacing(self, folder: str) -> Iterator[DirectoryStore]:
        target = self.path(folder)
        staging = beside(target)[0]
        with self.exclusive(folder):
            check_way(target)
            try:
                with naming(staging):
                    staging.mkdir()
                yield _StagedStore(self.root, folder, staging)
                with naming(target):
                    flush(staging)
                    switch(target)
            finally:
                try:
                    settle(target, made_here=True)
                except BaseException:  # a signal amid the moves
                    settle(target, made_here=True)
                    raise

    def _write(self, path: Path, data: bytes) -> None:
        write(path, data)


class PrivateStore(DirectoryStore):
    """A store for this account only: what it makes are folders of mode 0700 and files of 0600,
    where the system knows modes."""

    _folder_mode = 0o700

    def _write(self, path: Path, data: bytes) -> None:
        path.unlink(missing_ok=True)  # or it kept its mode
        write(path, data, 0o600)


class _StagedStore(DirectoryStore):
    """The store as it will be: what belongs under `folder` lies in `staging` for now."""

    def __init__(self, root: Path, folder: str, staging: Path) -> None:
        super().__init__(root)
        self._folder = folder + "/"
        self._staging = staging
        self._places: dict[str, str] = {}

    def path(self, key: str) -> Path:
        if (key + "/").startswith(self._folder):
            return self._staging / self._below(key)[len(self._folder) :]
        return super().path(key)

    def put(self, key: str, data: bytes) -> None:
        """Writes in place: nobody sees the folder before it is whole."""
        folder, _, name = key.rpartition("/")
        try:
            place = self._places.get(folder)
            if place is None:
                made = self.path(folder)
                made.mkdir(parents=True, exist_ok=True)
                place = self._places[folder] = str(made)
            write(f"{place}/{name}", data)
        except OSError:
            with naming(self.path(key)):
                raise


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    left = [(str(folder), prefix)] if folder.is_dir() else []  # at any depth
    while left:
        path, prefix = left.pop()
        with naming(Path(path)), os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    is_broken = entry.is_symlink() and not Path(entry.path).exists()
                    yield prefix + entry.name, entry.stat(follow_symlinks=not is_broken)


def _check_slide(folder: Path) -> None:
    """Raises StoreError where a slide's folder is a link, as to another slide's."""
    if folder.parent.name == layout.IMAGES:
        check_no_link(folder)


def _is_ours(key: str) -> bool:
    return layout.is_key(key) or layout.is_private(key) or key == layout.root_key()


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False
