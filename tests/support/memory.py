"""Where tests put their files: into memory where there is room, since a disk takes its time to have
each of them for sure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30  # bytes; what a container gives by itself is less


def memory() -> Path | None:
    """A folder in memory where programs can be started, too; None where there is none."""
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return None
    may_execute = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    return _MEMORY if may_execute and shutil.disk_usage(_MEMORY).free >= _ROOM else None
