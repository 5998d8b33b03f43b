"""A pyramid that is built beside the slide's folder takes the place of the one there.

Where nothing else is in the folder, and the system can, the two folders change places in one step.
What the layout does not know, at whatever depth, is somebody else's, and is not touched: where
there is any, the parts of the pyramids are moved around it, the descriptor's first out and last in.
Each state on the way is one that `settle` can tell and bring to its end, in this process or in a
later one:

    .ID.partial  what is being made; of no worth to anybody else
    .ID.old      what was there; comes back unless there is .ID.new, or a descriptor
    .ID.new      what is whole, and goes on into its place

What has such a name, and may yet be somebody else's, stays as it is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import NamedTuple

from vsv_pyramid.errors import StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.store.disk import check_changeable, exchanged, naming

_log = logging.getLogger(__name__)


class _Parts(NamedTuple):
    """What is in a folder, by names with slashes: what is the layout's, the descriptor first and
    folders that hold nothing else as one, and what is not."""

    own: list[str]
    others: list[str]


def beside(target: Path) -> tuple[Path, Path, Path]:
    """Where its new content is made, where the old one waits, and where the new one does."""
    staging, aside, whole = (
        target.with_name(f".{target.name}.{word}") for word in ("partial", "old", "new")
    )
    return staging, aside, whole


def check_way(target: Path) -> None:
    """Raises StoreError for what is in the way of a pyramid, which is nobody's to move but its
    owner's: a link, a file for a folder or a folder for a file, what is protected, a mount point,
    and what has the name of something that is to be made beside it."""
    for path in beside(target):
        if os.path.lexists(path):
            raise StoreError(path, "is in the way of the pyramid that is to be made; move it away")
    if os.path.lexists(target):
        _check(target, is_folder=True)
        _check_below(target)


def check_removable(target: Path, key: str) -> None:
    """Raises StoreError where the slide's folder, which has that key, or a part of it, is a link:
    what that leads to may be another's, and is not looked for. And where the folder has that name
    only on a disk that does not tell capitals apart."""
    _check_name(target)
    for path in (target, *_parts_of(target, key)):
        check_no_link(path)


def _check_name(target: Path) -> None:
    other = target.with_name(target.name.swapcase())
    if other == target or not (target.exists() and other.exists() and target.samefile(other)):
        return
    names = [path.name for path in target.parent.iterdir()]
    if target.name not in names:
        own = next((name for name in names if name.lower() == target.name.lower()), other.name)
        what = f"is {own!r}, from which the disk does not tell it; give that name"
        raise StoreError(target, what)


def check_no_link(path: Path) -> None:
    """Raises StoreError for one."""
    if path.is_symlink():
        what = f"is a link, to {path.readlink()}, through which nothing is changed or removed"
        raise StoreError(path, f"{what}; remove the link, or work with what it leads to")


def _parts_of(target: Path, key: str, within: str = "") -> Iterator[Path]:
    if not (target / within).is_dir():
        return
    with naming(target / within), os.scandir(target / within) as entries:
        for entry in entries:
            name = within + entry.name
            if keys.is_folder(name):
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    yield from _parts_of(target, key, f"{name}/")
            elif entry.is_symlink() and (
                keys.is_file(name) or keys.is_private_key(f"{key}/{name}")
            ):
                yield Path(entry.path)


def _check_below(target: Path, within: str = "") -> None:
    with naming(target / within), os.scandir(target / within) as entries:
        for entry in entries:
            name = within + entry.name
            if keys.is_folder(name):
                _check(Path(entry.path), is_folder=True)
                _check_below(target, f"{name}/")
            elif keys.is_file(name):
                _check(Path(entry.path), is_folder=False)


def _check(path: Path, *, is_folder: bool) -> None:
    mode = path.lstat().st_mode
    if S_ISLNK(mode):
        what = f"is a link, to {path.readlink()}, and no pyramid is put in its place"
        raise StoreError(path, f"{what}; remove the link, or publish in another folder")
    if not (S_ISDIR if is_folder else S_ISREG)(mode):
        found = "folder" if S_ISDIR(mode) else "file" if S_ISREG(mode) else "pipe or a device"
        what = f"is a {found} in the way of a {'folder' if is_folder else 'file'} of the pyramid"
        raise StoreError(path, f"{what}; move it away, or publish in another folder")
    if is_folder and path.is_mount():
        what = "is a mount point, and no pyramid is put in its place"
        raise StoreError(path, f"{what}; unmount it, or publish in another folder")
    check_changeable(path)


def switch(target: Path) -> None:
    """Does it as far as `settle` needs to know which of the two is to be there."""
    staging, aside, whole = beside(target)
    present = _parts(target) if target.exists() else _Parts([], [])
    if present.own[:1] == [keys.DESCRIPTOR] and not present.others:
        shutil.copystat(target, staging)
        staging.rename(aside)
        if exchanged(aside, target):
            return
        aside.rename(staging)
    with naming(aside):
        aside.mkdir()
    for name in present.own:
        with naming(target / name):
            _move(target / name, aside / name)
    staging.rename(whole)


def settle(target: Path, *, made_here: bool = False) -> None:
    """Leaves either the whole new pyramid in its place, or what was there; and nothing beside.

    Unless all that is beside was `made_here`, by this process, only such folders count as hold
    nothing but what the layout knows; in .ID.old, beside a descriptor, may be what came late.
    """
    staging, aside, whole = beside(target)

    def is_ours(path: Path) -> bool:
        if path.is_symlink() or not path.is_dir():
            return False
        own, others = ([], []) if made_here else _parts(path)
        return not others or (path == aside and own[:1] == [keys.DESCRIPTOR])

    with naming(target):
        if is_ours(staging):
            _discard(staging)
        is_new = is_ours(whole)
        if is_new:
            _put_in(whole, target)
        if is_ours(aside):
            if is_new or (target / keys.DESCRIPTOR).exists():
                _give_back(aside, target)
            else:
                _put_in(aside, target)
            if aside.exists() and not _parts(aside).others:
                aside.rename(staging)  # from here on it does not come back
                _discard(staging)


def _parts(folder: Path, within: str = "") -> _Parts:
    own, others = [], []
    with os.scandir(folder / within) as entries:
        for entry in entries:
            name = within + entry.name
            if keys.is_folder(name) and entry.is_dir(follow_symlinks=False):
                inner = _parts(folder, f"{name}/")
                own += inner.own if inner.others else [name]
                others += inner.others
            elif keys.is_file(name) and entry.is_file(follow_symlinks=False):
                own.append(name)
            else:
                others.append(name)
    return _Parts(sorted(own, key=lambda name: name != keys.DESCRIPTOR), others)


def _put_in(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    _give_back(source, target)
    for name in reversed(_parts(source).own):
        _move(source / name, target / name)
    if not _parts(source).others:
        shutil.rmtree(source)


def _give_back(source: Path, target: Path) -> None:
    """What is not the layout's, unless there is another one of the name by now."""
    for name in _parts(source).others:
        if not os.path.lexists(target / name):
            _move(source / name, target / name)


def _move(path: Path, to: Path) -> None:
    if to.is_dir() and path.is_dir():  # in which somebody else's files have stayed
        for inner in path.iterdir():
            _move(inner, to / inner.name)
        path.rmdir()
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        path.rename(to)


def is_beside(name: str) -> bool:
    """Whether a folder of that name is one of those that are made beside a slide's."""
    return re.fullmatch(r"\.[A-Za-z0-9_-].*\.(partial|old|new|left)", name) is not None


def is_left(folder: str, name: str) -> bool:
    """Whether a folder of that name, with its slash, is what could not be removed of a pyramid."""
    return re.fullmatch(rf"\.{re.escape(folder)}\.[0-9a-f]{{8}}\.left/", name) is not None


def _discard(folder: Path) -> None:
    """What cannot be removed is not left in the way of the next conversion."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    left = folder.with_name(f"{folder.stem}.{uuid.uuid4().hex[:8]}.left")
    with contextlib.suppress(OSError):
        folder.rename(left)
        _log.warning("%s: what is left of an old pyramid cannot be removed; remove it", left)
