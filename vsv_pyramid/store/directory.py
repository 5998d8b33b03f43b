"""A store in a directory: a folder is built beside the present one and then takes its place."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsv_pyramid import clock
from vsv_pyramid.errors import (
    NoSuchObject,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    passing,
)
from vsv_pyramid.store.base import StoredObject, Tagged
from vsv_pyramid.store.locks import Lock

_SWEEP_SECONDS = 2.0  # for which another process, sweeping or putting, may hold a lock
_LOOK_SECONDS = 0.05  # between looks whether it still does

_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_REMEDIES = {
    errno.EACCES: "no permission; choose another folder, or have it made accessible",
    errno.EPERM: "no permission; choose another folder, or have it made accessible",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the quota is used up; free some space or choose another folder",
    errno.ENOTDIR: "a file is in the way of a folder; choose another folder",
    errno.EEXIST: "a file is in the way of a folder; choose another folder",
    errno.ENOENT: "there is no such object; check the path",
    errno.EISDIR: "a folder is in the way of a file; choose another folder",
}


_CLOSED = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT)  # to all that is to be written


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a StoreError that names the path, StoreUnavailable for a
    trouble that passes."""
    try:
        yield
    except OSError as exc:
        if passing(exc):
            what = f"{exc.strerror or exc}; check the disk or share, and try again"
            raise StoreUnavailable(path, what) from exc
        what = _REMEDIES.get(exc.errno or 0, f"{exc.strerror or exc}; check the disk and try again")
        raise (StoreRefused if exc.errno in _CLOSED else StoreError)(path, what) from exc


class DirectoryStore:
    """Objects as files below `root`. Implements Store."""

    parallel_puts = 0
    remote = False
    sealed = False

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """Where the object lies, or would lie."""
        return self.root / key

    def put(self, key: str, data: bytes) -> None:
        path = self.path(key)
        partial = path.with_name(f".{path.name}.partial")
        with naming(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(data)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def get(self, key: str, *, first: int | None = None) -> bytes:
        path = self.path(key)
        with naming(path):
            try:
                with path.open("rb") as file:
                    return file.read(-1 if first is None else first)
            except _NOT_THERE as exc:
                raise NoSuchObject(path) from exc

    def head(self, key: str) -> int | None:
        with naming(self.path(key)):
            try:
                return self.path(key).stat().st_size
            except _NOT_THERE:
                return None

    def tagged(self, key: str) -> Tagged | None:
        with naming(self.path(key)):
            try:
                data = self.path(key).read_bytes()
            except _NOT_THERE:
                return None
        return Tagged(data, hashlib.sha256(data).hexdigest())

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        path = self.path(key)
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with locked(path, _SWEEP_SECONDS):
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
                    return [entry.name + "/" * entry.is_dir() for entry in entries]
            except _NOT_THERE:
                return []

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        folder = prefix.rpartition("/")[0]
        with naming(self.path(folder)):
            for key, size in _files(self.path(folder), folder + "/" if folder else ""):
                if key.startswith(prefix):
                    yield StoredObject(key, size)

    def delete(self, *keys: str) -> None:
        """Removes folders, too, which are left empty by it."""
        paths = [self.path(key) for key in keys]
        for path in paths:
            with naming(path):
                path.unlink(missing_ok=True)
        folders = {
            folder for path in paths for folder in path.parents if self.root in folder.parents
        }
        for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
            if self.root in folder.parents:
                with contextlib.suppress(OSError):
                    folder.rmdir()

    @contextmanager
    def exclusive(self, folder: str) -> Iterator[None]:
        target = self.path(folder)
        with _made(target.parent):
            _sweep(target.parent)
            with locked(target, _SWEEP_SECONDS):
                yield

    @contextmanager
    def replacing(self, folder: str) -> Iterator[DirectoryStore]:
        target = self.path(folder)
        staging, aside = _staging(target), _aside(target)
        with self.exclusive(folder):
            try:
                with naming(target):
                    staging.mkdir()
                yield _StagedStore(self.root, folder, staging)
                with naming(target):
                    if hasattr(os, "sync"):  # or a power cut could leave empty files
                        os.sync()
                    _swap(staging, target, aside)
            finally:
                _clear(aside, staging)


class EnclosedStore(DirectoryStore):
    """The store, to read from; without what a symbolic link takes from outside the root."""

    def get(self, key: str, *, first: int | None = None) -> bytes:
        if self._is_outside(key):
            raise NoSuchObject(self.path(key))
        return super().get(key, first=first)

    def tagged(self, key: str) -> Tagged | None:
        return None if self._is_outside(key) else super().tagged(key)

    def _is_outside(self, key: str) -> bool:
        real, root = (os.path.realpath(path) for path in (self.path(key), self.root))
        return not Path(real).is_relative_to(root)


class _StagedStore(DirectoryStore):
    """The store as it will be: what belongs under `folder` lies in `staging` for now."""

    def __init__(self, root: Path, folder: str, staging: Path) -> None:
        super().__init__(root)
        self._folder = folder + "/"
        self._staging = staging
        self._made_folders: set[str] = set()

    def path(self, key: str) -> Path:
        if (key + "/").startswith(self._folder):
            return self._staging / key[len(self._folder) :]
        return super().path(key)

    def put(self, key: str, data: bytes) -> None:
        """Writes in place: nobody sees the folder before it is whole."""
        path, folder = self.path(key), key.rpartition("/")[0]
        with naming(path):
            if folder not in self._made_folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._made_folders.add(folder)
            path.write_bytes(data)


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat().st_size


def _staging(target: Path) -> Path:
    """Where what will take the target's place is built."""
    return target.with_name(f".{target.name}.partial")


def _aside(target: Path) -> Path:
    """Where what the target held is put while its place is taken."""
    return target.with_name(f".{target.name}.old")


def _lock(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _sweep(folder: Path) -> None:
    """Clears what dead processes left: what lies beside a target whose lock nobody holds."""
    helpers = (path for path in folder.glob(".*") if path.suffix in (".lock", ".old", ".partial"))
    for target in {path.with_name(path.stem.removeprefix(".")) for path in helpers}:
        with contextlib.suppress(StoreError), locked(target, 0):
            if _aside(target).exists() and not target.exists():
                _aside(target).rename(target)  # it died between _swap's two renames
            _clear(_aside(target), _staging(target))


def _clear(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes the folder, and removes what it made where the block leaves it empty."""
    lacking = [path for path in (folder, *folder.parents) if not path.exists()]
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for path in lacking:
                path.rmdir()


@contextmanager
def locked(target: Path, seconds: float) -> Iterator[None]:
    """Holds the folder's lock, waited for that long; the system releases it when a process dies."""
    lock = Lock(_lock(target))
    end = clock.monotonic() + seconds
    with naming(target.parent):
        while not lock.acquired():
            if clock.monotonic() >= end:
                raise StoreBusy(target, "another process writes it; wait for its end")
            clock.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _swap(new: Path, target: Path, aside: Path) -> None:
    """Puts `new` in the place of `target`: in one step where the system can, else in two."""
    if not target.exists():
        new.rename(target)
    elif not _exchanged(new, target):
        target.rename(aside)
        new.rename(target)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the two folders changed places atomically: Linux's renameat2 (RENAME_EXCHANGE = 2),
    which not every file system has."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    at_cwd, exchange = -100, 2
    return (
        renameat2 is not None
        and renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0
    )
