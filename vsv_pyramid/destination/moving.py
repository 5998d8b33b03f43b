"""Moves what was private beside the pyramids into the private place; see former."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import groupby

from vsv_pyramid.destination import former
from vsv_pyramid.errors import NoSuchObject, StoreBusy, StoreError, is_environment
from vsv_pyramid.layout import keys
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import StoredObject, Versioned
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.store.disk import flush, naming
from vsv_pyramid.words import counted

_log = logging.getLogger(__name__)

_KEPT = f"{former.key(keys.KEPT)}/"
_JPEG = b"\xff\xd8"


def move(published: Store, private: Store, moved: Callable[[str], object]) -> list[str]:
    """Moves the parts into the private place, slide by slide, and tells of each key; what could not
    be moved is said in sentences. What is interrupted can be gone on with. What the private place
    has by now stays there, if it is sound, and not older; and so does what is somebody else's.

    Nothing is removed before it is on the private place's disk; of a bucket that keeps versions,
    these are removed, too. Raises StoreError where the places themselves cannot be used.
    """
    stays = []
    for part in former.parts(former.beside(published)):
        for link in former.links(published, part):
            stays.append(f"{link}: is a link; remove it, and move what it leads to yourself")
        for slide_id, found in groupby(list(former.own(published, part)), key=_slide):
            try:
                with _held(published, slide_id):
                    stays += _move(published, private, list(found), moved)
            except StoreError as exc:
                if is_environment(exc):
                    raise
                stays.append(str(exc))
        if others := former.strangers(published, part):
            _log.warning(
                "%s/%s: is not of this program, and stays, as %s; move what nobody is to read",
                published,
                others[0],
                counted(len(others), "file"),
            )
    return stays + _without_versions(published)


def _slide(found: StoredObject) -> str:
    """The id of the slide that the object is of, if its folder says so."""
    folder = found.key.removeprefix(_KEPT).partition("/")
    return folder[0] if found.key.startswith(_KEPT) and folder[1] else ""


def _held(published: Store, slide_id: str) -> AbstractContextManager[None]:
    """Nobody deletes the slide meanwhile, or it came back."""
    return published.exclusive(keys.folder(slide_id)) if slide_id else nullcontext()


def _move(
    published: Store,
    private: Store,
    found: Sequence[StoredObject],
    moved: Callable[[str], object],
) -> Iterator[str]:
    taken = []
    for one in found:
        to = one.key.removeprefix(".")
        try:
            data = published.get(one.key)
            if _take(private, to, data, one.written):
                taken.append(one.key)
            else:
                yield (
                    f"{published}/{one.key}: is newer than {private}/{to}, and another one; look "
                    "at both, and remove one of them"
                )
        except NoSuchObject:
            continue  # it was removed, or moved by another process
        except StoreBusy:
            yield f"{private}/{to}: is being written; do it once more"
        except StoreError as exc:
            if is_environment(exc):
                raise
            yield str(exc)
    if isinstance(private, DirectoryStore) and taken:
        with naming(private.root):
            flush(private.root)
    for key in taken:
        published.delete(key)
        moved(key)


def _take(private: Store, to: str, data: bytes, written: float | None) -> bool:
    """Whether the private place has the object now, or a later one. Raises StoreBusy where another
    process is at it."""
    there = private.tagged(to)
    if there and there.data != data and _is_sound(to, there.data):
        since = next((one.written for one in private.keys(to) if one.key == to), None)
        return (since or 0) >= (written or 0)
    if there is None or there.data != data:
        private.put_if(to, data, there.tag if there else None)  # not all servers put on condition
        there = private.tagged(to)
        if there is None or there.data != data:
            raise StoreBusy(f"{private}/{to}", "is being written")
    return True


def _is_sound(key: str, data: bytes) -> bool:
    """Whether it is more than what a power cut, say, has left."""
    if key.endswith(".jpeg"):
        return data.startswith(_JPEG)
    if key.endswith(".json"):
        with suppress(ValueError):
            return bool(json.loads(data))
        return False
    return bool(data)


def _without_versions(published: Store) -> list[str]:
    try:
        found = former.versions(published)
    except StoreError as exc:
        return [f"{exc}; whether former versions are left in {published} is not known"]
    if not (found and isinstance(published, Versioned)):
        return []
    if not (refused := published.remove_versions(found)):
        return []
    what = f"{counted(len(refused), 'former version')} cannot be removed ({refused[0]})"
    return [
        f"{published}/{found[0].key}: {what}; look for an Object Lock, and for "
        "s3:DeleteObjectVersion"
    ]
