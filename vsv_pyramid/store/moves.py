"""A pyramid that is built beside the slide's folder takes the place of the one there.

Where nothing else is in the folder, and the system can, the two folders change places in one step.
What the layout does not know is somebody else's, and is not touched: where there is any, the parts
of the pyramids are moved, the descriptor's first out and last in. Each state on the way is one that
`settle` can tell and bring to its end, in this process or in a later one:

    .ID.partial  what is being made; of no worth to anybody else
    .ID.old      what was there; comes back unless there is .ID.new, or a descriptor
    .ID.new      what is whole, and goes on into its place
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from vsv_pyramid import dzi
from vsv_pyramid.errors import StoreError
from vsv_pyramid.store.disk import check_changeable, exchanged, naming


def beside(target: Path) -> tuple[Path, Path, Path]:
    """Where its new content is made, where the old one waits, and where the new one does."""
    staging, aside, whole = (
        target.with_name(f".{target.name}.{word}") for word in ("partial", "old", "new")
    )
    return staging, aside, whole


def check_way(target: Path) -> None:
    """Raises StoreError for what is in the way of a pyramid, which is nobody's to move but its
    owner's: a link, a file for a folder or a folder for a file, a folder that is protected."""
    if not target.exists() and not target.is_symlink():
        return
    _check_kind(target, is_folder=True)
    with naming(target):
        own = [path for path in target.iterdir() if dzi.is_own_name(path.name)]
    for path in own:
        _check_kind(path, is_folder=dzi.is_tiles_name(path.name))


def _check_kind(path: Path, *, is_folder: bool) -> None:
    if path.is_symlink():
        what = f"is a link, to {path.readlink()}, and no pyramid is put in its place"
        raise StoreError(path, f"{what}; remove the link, or publish in another folder")
    if path.is_dir() != is_folder:
        found, wanted = ("file", "folder") if is_folder else ("folder", "file")
        what = f"is a {found} in the way of a {wanted} of the pyramid"
        raise StoreError(path, f"{what}; move it away, or publish in another folder")
    check_changeable(path)


def switch(target: Path) -> None:
    """Does it as far as `settle` needs to know which of the two is to be there."""
    staging, aside, whole = beside(target)
    new = {path.name for path in staging.iterdir()}

    def is_others(path: Path) -> bool:
        return not dzi.is_own_name(path.name) and path.name not in new

    present = _descriptor_first(target) if target.exists() else []
    is_whole = bool(present) and present[0].name == dzi.DESCRIPTOR
    if is_whole and not any(map(is_others, present)):
        shutil.copystat(target, staging)
        staging.rename(aside)
        if exchanged(aside, target):
            return
        aside.rename(staging)
    with naming(aside):
        aside.mkdir()
    for path in present:
        if not is_others(path):
            with naming(path):
                path.rename(aside / path.name)
    staging.rename(whole)


def settle(target: Path) -> None:
    """Leaves either the whole new pyramid in its place, or what was there; and nothing beside."""
    staging, aside, whole = beside(target)
    with naming(target):
        if whole.is_dir():
            _put_in(whole, target)
        elif aside.is_dir() and not (target / dzi.DESCRIPTOR).exists():
            _put_in(aside, target)
        elif aside.is_dir():
            for path in aside.iterdir():  # somebody was faster than the exchange
                if not dzi.is_own_name(path.name) and not (target / path.name).exists():
                    path.rename(target / path.name)
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
