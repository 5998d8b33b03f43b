"""A store in a directory: a pyramid is built beside the slide's folder, and then moved into it.

What the layout does not know in that folder is somebody else's, and is not touched. The moves are
few, the descriptor's the first one out and the last one in, and each state between them is one that
`_settle` can tell and bring to its end, in this process or in a later one:

    .ID.partial  what is being made; of no worth to anybody else
    .ID.old      what was there; comes back unless there is .ID.new, or a descriptor
    .ID.new      what is whole, and goes on into its place
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_IWUSR

from filelock import BaseFileLock, FileLock, Timeout

from vsv_pyramid import clock, dzi
from vsv_pyramid.errors import (
    NoSuchObject,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    passing,
)
from vsv_pyramid.store.base import StoredObject, Tagged

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
        """Where the object is a link, into the file that it leads to."""
        path = real(self.path(key))
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
        paths = {self.path(key) for key in (*put, *delete)}
        folders = {next(filter(Path.exists, path.parents)) for path in paths}
        for path in sorted(folders | paths):
            _check_changeable(path)

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
        staging, aside, whole = _beside(target)
        with self.exclusive(folder):
            _check_way(target)
            if staging.exists():
                what = "is left of an earlier conversion, and cannot be removed; remove it yourself"
                raise StoreError(staging, what)
            try:
                with naming(staging):
                    staging.mkdir()
                yield _StagedStore(self.root, folder, staging)
                with naming(target):
                    if hasattr(os, "sync"):  # or a power cut could leave empty files
                        os.sync()
                with naming(aside):
                    aside.mkdir()
                with naming(target):
                    _take_out(target, aside, {path.name for path in staging.iterdir()})
                    staging.rename(whole)
            finally:
                try:
                    _settle(target)
                except BaseException:  # a signal amid the moves
                    _settle(target)
                    raise


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
                is_broken = entry.is_symlink() and not Path(entry.path).exists()
                yield prefix + entry.name, entry.stat(follow_symlinks=not is_broken).st_size


def _beside(target: Path) -> tuple[Path, Path, Path]:
    """Where its new content is made, where the old one waits, and where the new one does."""
    staging, aside, whole = (
        target.with_name(f".{target.name}.{word}") for word in ("partial", "old", "new")
    )
    return staging, aside, whole


def real(path: Path) -> Path:
    """The file that a link leads to, be it there or not."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _lock(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _sweep(folder: Path) -> None:
    """Brings to an end what dead processes left beside a target whose lock nobody holds."""
    kinds = (".lock", ".old", ".new", ".partial")
    helpers = (path for path in folder.glob(".*") if path.suffix in kinds)
    for target in {path.with_name(path.stem.removeprefix(".")) for path in helpers}:
        with contextlib.suppress(StoreError), locked(target, 0):
            _settle(target)


def _check_way(target: Path) -> None:
    """Raises StoreError for what is in the way of a pyramid, which is nobody's to move but its
    owner's: a link, a file for a folder or a folder for a file, a folder that is protected."""
    if not target.exists() and not target.is_symlink():
        return
    _check_kind(target, is_folder=True)
    for path in target.iterdir():
        if dzi.is_own_name(path.name):
            _check_kind(path, is_folder=dzi.is_tiles_name(path.name))


def _check_kind(path: Path, *, is_folder: bool) -> None:
    if path.is_symlink():
        what = f"is a link, to {path.readlink()}, and no pyramid is put in its place"
        raise StoreError(path, f"{what}; remove the link, or publish in another folder")
    if path.is_dir() != is_folder:
        found, wanted = ("file", "folder") if is_folder else ("folder", "file")
        what = f"is a {found} in the way of a {wanted} of the pyramid"
        raise StoreError(path, f"{what}; move it away, or publish in another folder")
    _check_changeable(path)


def _check_changeable(path: Path) -> None:
    """Raises StoreError for a folder whose names may not be changed, and for a file that is
    protected: its owner may not write it, though its mode says so."""
    try:
        stat = path.lstat()
    except OSError:
        return  # it is not there
    is_folder = S_ISDIR(stat.st_mode)
    if S_ISLNK(stat.st_mode) or os.access(path, os.W_OK | os.X_OK * is_folder):
        return
    user = os.geteuid() if hasattr(os, "geteuid") else stat.st_uid
    if is_folder or (user == stat.st_uid and stat.st_mode & S_IWUSR):
        raise StoreError(path, _REMEDIES[errno.EACCES])


def _take_out(target: Path, aside: Path, names: set[str]) -> None:
    """Moves what of the layout is in the target aside, and what has one of the names."""
    if target.exists():
        for path in _descriptor_first(target):
            if dzi.is_own_name(path.name) or path.name in names:
                with naming(path):
                    path.rename(aside / path.name)


def _settle(target: Path) -> None:
    """Leaves either the whole new pyramid in its place, or what was there; and nothing beside."""
    staging, aside, whole = _beside(target)
    with naming(target):
        if whole.is_dir():
            _put_in(whole, target)
        elif aside.is_dir() and not (target / dzi.DESCRIPTOR).exists():
            _put_in(aside, target)
    shutil.rmtree(staging, ignore_errors=True)
    if aside.is_dir():
        with contextlib.suppress(OSError):
            aside.rename(staging)  # from here on it does not come back
        shutil.rmtree(staging, ignore_errors=True)


def _put_in(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in reversed(_descriptor_first(source)):
        path.rename(target / path.name)
    source.rmdir()


def _descriptor_first(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.name != dzi.DESCRIPTOR)


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
    path = _lock(target)
    lock = FileLock(path)
    end = clock.monotonic() + seconds
    with naming(target.parent):
        while not _acquired(lock):
            if clock.monotonic() >= end:
                raise StoreBusy(target, "another process writes it; wait for its end")
            clock.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows refuses, but removes it with the release
            path.unlink(missing_ok=True)
        lock.release()


def _acquired(lock: BaseFileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
