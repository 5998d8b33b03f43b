"""Folders that slides from S3 are fetched into for a while.

Beside each is a file that its process keeps locked: where nobody does, the process was killed, and
what it has left, a whole slide, goes with the next folder that is made.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsv_pyramid.runtime.locks import Lock, NoLock

_log = logging.getLogger(__name__)

_NAME = "vsv-pyramid-"


@contextmanager
def made_in(scratch: Path) -> Iterator[Path]:
    """A new folder within `scratch`, for this account only, until the block ends. Raises OSError.

    Where files there cannot be locked, nobody would remove what is left of it.
    """
    token, lock = _locked(scratch)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{_NAME}{token}-", dir=scratch) as made:
            yield Path(made)
    finally:
        if lock:
            lock.release()


def sweep(scratch: Path) -> None:
    """Removes what processes of this account that have been killed have left within `scratch`."""
    for path in scratch.glob(f".{_NAME}*.lock"):
        lock = Lock(path)
        with suppress(OSError, NoLock):  # nobody's business
            if _is_own(path) and lock.acquired():
                try:
                    _remove(scratch, path.name[1 : -len(".lock")])
                finally:
                    lock.release()


def _remove(scratch: Path, name: str) -> None:
    for left in scratch.glob(f"{name}-*"):
        if _is_own(left) and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
            gone = "cannot be removed; remove it" if left.exists() else "is removed"
            _log.warning("%s: a process that was killed has left it, and it %s", left, gone)


def _locked(scratch: Path) -> tuple[str, Lock | None]:
    """A name that nobody else has, with its lock: a sweep may have taken that of the first one."""
    while True:
        token = uuid.uuid4().hex[:12]
        path = scratch / f".{_NAME}{token}.lock"
        lock = Lock(path)
        try:
            if lock.acquired():
                return token, lock
        except NoLock:
            with suppress(OSError):
                path.unlink()
            return token, None


def _is_own(path: Path) -> bool:
    """Whether this account has made it, as far as the system tells."""
    return os.name == "nt" or path.lstat().st_uid == os.geteuid()
