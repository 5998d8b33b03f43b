"""Folders to write into, also while others remove what a delete has left empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_TRIES = 20


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """With what is above it, all of this mode. Raises OSError."""
    for left in reversed(range(_TRIES)):
        try:
            for path in reversed((folder, *folder.parents)):
                if not path.exists():
                    path.mkdir(mode, exist_ok=True)
        except (FileNotFoundError, FileExistsError):
            if not left:
                raise
        else:
            return


def in_folder(folder: Path, work: Callable[[], Result], mode: int = 0o777) -> Result:
    """What the work gives, for which the folder is made where it is lacking. Raises OSError."""
    for _ in range(_TRIES):
        try:
            return work()
        except FileNotFoundError:
            make_folder(folder, mode)
    return work()
