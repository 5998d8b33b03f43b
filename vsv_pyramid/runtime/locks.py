"""Locks that processes hold on a file, and that the system lets go of when a process dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from stat import S_ISREG

from vsv_pyramid.runtime.folders import make_folder

_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # how systems say that another one holds it

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class NoLock(Exception):
    """The file at `path` cannot be locked, and `what` says why."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


class Lock:
    """The lock of the file at `path`, which is there as long as somebody holds it.

    Raises OSError where the file cannot be made, and NoLock where something else is in its
    place, or the file system knows no locks: only what another one holds is taken for held.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquired(self) -> bool:
        """Whether it is held by now; False where another one holds it, or removes its folder."""
        try:
            make_folder(self._path.parent)
            self._check_place()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            return False
        except PermissionError:
            if sys.platform == "win32":  # of a file that another process is about to remove
                return False
            raise
        try:
            if self._is_locked(descriptor):
                self._descriptor = descriptor
        finally:
            if self._descriptor != descriptor:
                os.close(descriptor)
        return self._descriptor == descriptor

    def release(self) -> None:
        """Removes the file and lets go of it, held or not: a signal may come when the file has just
        been made."""
        if self._descriptor < 0:
            with contextlib.suppress(OSError, NoLock):
                self.acquired()
        if self._descriptor < 0:
            return
        try:
            self._remove()
        except BaseException:  # a signal amid it
            self._remove()
            raise
        finally:
            os.close(self._descriptor)
            if sys.platform == "win32":  # which does not remove what is open
                with contextlib.suppress(OSError):  # another one holds it already
                    self._path.unlink(missing_ok=True)

    def _check_place(self) -> None:
        """A lock's file is empty: what is not is somebody else's, and so are links and pipes."""
        with contextlib.suppress(FileNotFoundError):
            stat = self._path.lstat()
            if not S_ISREG(stat.st_mode) or stat.st_size:
                raise NoLock(self._path, "is in the way of a lock; move it away")

    def _remove(self) -> None:
        """Nothing but the own file: as soon as it is gone, another one may have made the next. Once
        more where it is refused, as a share may for a moment."""
        for _ in range(2):
            with contextlib.suppress(OSError):  # Windows refuses that while it is open
                if self._is_of_path(self._descriptor):
                    self._path.unlink(missing_ok=True)
                return

    def _is_locked(self, descriptor: int) -> bool:
        try:
            _lock(descriptor)
        except OSError as exc:
            if exc.errno in _HELD:
                return False
            raise NoLock(
                self._path.parent,
                f"files there cannot be locked ({exc.strerror}); have the file system mounted with "
                "locks, or choose another folder",
            ) from exc
        return self._is_of_path(descriptor)  # unless it was removed since it was opened

    def _is_of_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
