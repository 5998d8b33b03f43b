"""A store in a directory: a folder is built beside the present one and then takes its place."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vsv_pyramid.errors import StoreError
from vsv_pyramid.store.base import StoredObject

_REMEDIES = {
    errno.EACCES: "no permission; choose another folder with --to, or have it made writable",
    errno.EPERM: "no permission; choose another folder with --to, or have it made writable",
    errno.EROFS: "the file system is read-only; choose another folder with --to",
    errno.ENOSPC: "the disk is full; free some space or choose another folder with --to",
    errno.EDQUOT: "the quota is used up; free some space or choose another folder with --to",
    errno.ENOTDIR: "a file is in the way of a folder; choose another folder with --to",
    errno.EEXIST: "a file is in the way of a folder; choose another folder with --to",
    errno.ENOENT: "there is no such object; check the path",
    errno.EISDIR: "a folder is in the way of a file; choose another folder with --to",
}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a StoreError that names the path."""
    try:
        yield
    except OSError as exc:
        what = _REMEDIES.get(exc.errno or 0, f"{exc.strerror or exc}; check the disk and try again")
        raise StoreError(path, what) from exc


class DirectoryStore:
    """Objects as files below `root`. Implements Store."""

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
        with _naming(path):
            try:
                self._write(partial, data)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def get(self, key: str, *, first: int | None = None) -> bytes:
        path = self.path(key)
        with _naming(path), path.open("rb") as file:
            return file.read(-1 if first is None else first)

    def head(self, key: str) -> int | None:
        try:
            return self.path(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        folder = prefix.rpartition("/")[0]
        with _naming(self.path(folder)):
            for key, size in _files(self.path(folder), folder + "/" if folder else ""):
                if key.startswith(prefix):
                    yield StoredObject(key, size)

    def delete(self, key: str) -> None:
        with _naming(self.path(key)):
            self.path(key).unlink(missing_ok=True)

    @contextmanager
    def replacing(self, folder: str) -> Iterator[DirectoryStore]:
        target = self.path(folder)
        staging = target.with_name(f".{target.name}.partial")
        aside = target.with_name(f".{target.name}.old")
        with _made(target.parent), _locked(target):
            with _naming(target):
                if aside.exists() and not target.exists():  # a crash between _swap's two renames
                    aside.rename(target)
                _clear(aside, staging)
                staging.mkdir()
            try:
                yield _StagedStore(self.root, folder, staging)
                with _naming(target):
                    if hasattr(os, "sync"):  # or a power cut could leave renamed but empty files
                        os.sync()
                    _swap(staging, target, aside)
            finally:
                _clear(aside, staging)

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class _StagedStore(DirectoryStore):
    """The store as it will be: what belongs under `folder` lies in `staging` for now."""

    def __init__(self, root: Path, folder: str, staging: Path) -> None:
        super().__init__(root)
        self._folder = folder + "/"
        self._staging = staging
        self._made_folders: set[Path] = set()

    def path(self, key: str) -> Path:
        if (key + "/").startswith(self._folder):
            return self._staging / key[len(self._folder) :]
        return super().path(key)

    def put(self, key: str, data: bytes) -> None:
        """Writes in place: nobody sees the folder before it is whole."""
        path = self.path(key)
        with _naming(path):
            self._write(path, data)

    def _write(self, path: Path, data: bytes) -> None:
        if path.parent not in self._made_folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made_folders.add(path.parent)
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


def _clear(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes the folder, and removes what it made where the block leaves it empty."""
    lacking = [path for path in (folder, *folder.parents) if not path.exists()]
    with _naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for path in lacking:
                path.rmdir()


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Holds the folder's lock, which the system releases when a process dies."""
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    with _naming(target.parent):
        try:
            lock.acquire(timeout=0)
        except Timeout as exc:
            raise StoreError(target, "another process writes it; wait for its end") from exc
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows refuses, but removes it with the release
            path.unlink(missing_ok=True)
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
