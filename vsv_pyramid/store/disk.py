"""Files and folders on a disk or a share: errors in words, rights, links, locks."""

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
from stat import S_ISDIR, S_ISLNK, S_ISREG, S_IWUSR
from typing import BinaryIO

from vsv_pyramid.errors import (
    UNSUPPORTED,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    passing,
)
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.folders import make_folder
from vsv_pyramid.runtime.locks import Lock, NoLock
from vsv_pyramid.store.base import FrontLast

_MADE_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
_IS_LINUX = sys.platform == "linux"
_COPIED_AT_ONCE = 1 << 20
_LOOK_SECONDS = 0.05  # between looks whether another process still holds a lock

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
    errno.EXDEV: "is on another file system than its folder; choose a folder without mount points",
    errno.ELOOP: "is a link that leads round in a circle; remove it",
    errno.EFBIG: "the file is larger than the file system allows; choose another folder",
    errno.ENAMETOOLONG: "the name is longer than the file system allows; choose a shorter one",
    errno.EMFILE: "too many files are open; allow more of them (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; end other programs",
}
_CLOSED = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT)  # to all that is to be written


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a StoreError that names the path, StoreUnavailable for a
    trouble that passes."""
    try:
        yield
    except OSError as exc:
        what = _REMEDIES.get(exc.errno or 0)
        if passing(exc):
            said = what or f"{exc.strerror or exc}; check the disk or share, and try again"
            raise StoreUnavailable(path, said) from exc
        what = what or f"{exc.strerror or exc}; check the disk and try again"
        raise (StoreRefused if exc.errno in _CLOSED else StoreError)(path, what) from exc


def write(path: str | Path, data: bytes, mode: int = 0o666) -> None:
    """Makes a file of these bytes, or writes it anew; a file object would take as long as the file
    system. Raises OSError."""
    number = os.open(path, _MADE_ANEW, mode)
    try:
        written = os.write(number, data)
        while written < len(data):  # of very large data, or on a disk that becomes full
            more = os.write(number, memoryview(data)[written:])
            if not more:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            written += more
    finally:
        os.close(number)


class _FrontLast:
    def __init__(self, path: Path, tail: BinaryIO) -> None:
        self._path = path
        self._tail = tail

    def append(self, data: bytes) -> None:
        self._tail.write(data)

    def finish(self, front: bytes) -> None:
        self._tail.seek(0)
        with self._path.open("wb") as file:
            file.write(front)
            shutil.copyfileobj(self._tail, file, _COPIED_AT_ONCE)


@contextmanager
def written_front_last(path: Path) -> Iterator[FrontLast]:
    """Makes the file, by way of another one beside it. Raises OSError."""
    beside = path.with_name(f"{path.name}.tail")
    check_own(beside)
    try:
        with beside.open("w+b") as tail:
            yield _FrontLast(path, tail)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def save(path: Path) -> None:
    """Waits until the file is on the disk, where the file system knows how. Raises OSError."""
    with path.open("rb+") as file:  # Windows saves no file that is open to be read
        try:
            os.fsync(file.fileno())
        except OSError as exc:
            if exc.errno not in UNSUPPORTED:
                raise


def real(path: Path) -> Path:
    """The file that a link leads to, be it there or not."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def check_changeable(path: Path) -> None:
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


def check_readable(path: Path) -> None:
    """Raises StoreError for a file that is there, and may not be read, or is none."""
    check_plain(path)
    if path.exists() and not os.access(path, os.R_OK):
        raise StoreError(path, _REMEDIES[errno.EACCES])


def check_plain(path: Path) -> None:
    """Raises StoreError for a pipe or a device, which would be waited for."""
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        if not (S_ISREG(mode) or S_ISDIR(mode)):
            raise StoreError(path, "is a pipe or a device, and no file; move it away")


def check_own(path: Path) -> None:
    """Raises StoreError for what is in the place of a file that is ours for a moment, and is none
    that one of ours has left: a link, a hard link, too, a folder, a pipe."""
    with contextlib.suppress(OSError):
        stat = path.lstat()
        if not S_ISREG(stat.st_mode) or stat.st_nlink > 1:
            raise StoreError(path, "is in the way of a file that is to be made; move it away")


def flush(folder: Path) -> None:
    """Waits until what was written to the folder's file system is on its disk: or a power cut could
    leave empty files. On Linux no other file system, which may not answer, is waited for.

    Raises OSError where it cannot be written there.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if _IS_LINUX else None
    if syncfs is None:
        getattr(os, "sync", lambda: None)()  # Windows has none
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(opened):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(opened)


def exchanged(one: Path, other: Path) -> bool:
    """Whether the two folders changed places in one step: Linux's renameat2 (RENAME_EXCHANGE = 2),
    which not every file system has."""
    if not _IS_LINUX:
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    at_cwd, exchange = -100, 2
    return (
        renameat2 is not None
        and renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0
    )


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Makes the folder, and removes what it made where the block leaves it empty."""
    lacking = [path for path in (folder, *folder.parents) if not path.exists()]
    with naming(folder):
        make_folder(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for path in lacking:
                path.rmdir()


@contextmanager
def locked(target: Path, seconds: float) -> Iterator[None]:
    """Holds the folder's lock, waited for that long; the system releases it when a process dies."""
    lock = Lock(target.with_name(f".{target.name}.lock"))
    end = clock.monotonic() + seconds
    try:
        with naming(target.parent):
            while not _is_held(lock):
                if clock.monotonic() >= end:
                    raise StoreBusy(target, "another process is writing it; wait until that ends")
                clock.sleep(_LOOK_SECONDS)
        yield
    finally:
        lock.release()


def _is_held(lock: Lock) -> bool:
    try:
        return lock.acquired()
    except NoLock as exc:
        raise StoreError(exc.path, exc.what) from exc
