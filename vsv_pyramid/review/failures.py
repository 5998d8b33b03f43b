"""Slides that could not be converted, as the private place remembers them: of each a file,
private/failed/<id>.json, until the slide is converted.

Whoever converts without anybody beside it writes them. A person asks for another attempt, which
`watch` and the functions in AWS take up, or wants to see a failure no more.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import (
    NoSuchObject,
    OptionError,
    ReviewError,
    StoreError,
    TooLarge,
    VsvPyramidError,
)
from vsv_pyramid.layout import documents, keys, shapes
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.review import typed
from vsv_pyramid.review.outcome import Outcome
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.store.base import StoredObject

_log = logging.getLogger(__name__)
_SUFFIX = ".json"
_KEPT = 10_000  # notes


@dataclass(frozen=True)
class Failed:
    """Why a slide could not be converted. `id` is what it would be published under, or as near as
    can be where its name cannot be an id; `slide` its place, empty where that is not known; `job`
    the one of AWS Batch that had it. `again` and `dismissed` are when `who` asked for another
    attempt, or for it to be shown no more; all moments are UTC in ISO 8601."""

    id: str
    slide: str
    reason: str
    failed_at: str = ""
    exit_code: int | None = None
    job: str = ""
    again: str = ""
    dismissed: str = ""
    who: str = ""


Marks = Callable[[Failed], Failed]


def remember(store: Destination, failed: Failed) -> None:
    """Remembers the failure in the place of the slide's former one, where there is a private place.
    Raises StoreError."""
    if store.private:
        made = dataclasses.replace(failed, failed_at=failed.failed_at or _now())
        store.put(keys.failed_key(made.id), to_json(dataclasses.asdict(made)))


def forget(store: Destination, slide_id: str) -> None:
    """Forgets the failure of a slide that is converted, or gone; warns where it cannot."""
    key = keys.failed_key(slide_id)
    if store.private is None:
        return
    try:
        if store.head(key) is not None:
            store.delete(key)
    except StoreError as exc:
        _log.warning("%s: the note that it could not be converted stays: %s", slide_id, exc)


def listed(store: Destination, *, dismissed: bool = False) -> list[Failed]:
    """The slides that could not be converted, in the order of their ids; those that a person has
    dismissed only if they are asked for. What is listed as it was before is not read again. Raises
    StoreError."""
    if store.private is None:
        return []
    notes = {}
    for note in store.keys(f"{keys.FAILED}/"):
        slide_id = note.key.removeprefix(f"{keys.FAILED}/").removesuffix(_SUFFIX)
        if keys.is_id(slide_id) and note.key == keys.failed_key(slide_id):
            notes[slide_id] = note

    def read(slide_id: str) -> Failed | None:
        is_known = not store.remote or notes[slide_id].md5 is not None
        return _read_once(store, slide_id, notes[slide_id]) if is_known else _read(store, slide_id)

    with Pool(WAITERS) as pool:
        found = pool.map(read, sorted(notes))
        return [failed for failed in found if failed and (dismissed or not failed.dismissed)]


def asked_again(store: Destination) -> list[Failed]:
    """Those of which a person has asked for another attempt, and nobody has begun it."""
    return [failed for failed in listed(store) if failed.again]


def taken_up(store: Destination, failed: Failed) -> None:
    """Remembers that somebody makes the attempt that was asked for."""
    remember(store, dataclasses.replace(failed, again=""))


def retry(store: Destination, ids: Iterable[str], who: str) -> Iterator[Outcome]:
    """Asks for another attempt at each slide; what became of that, one by one."""

    def ask(failed: Failed) -> Failed:
        if not failed.slide:
            what = "where it is, is not known any more; vsv-pyramid submit finds it"
            raise ReviewError(failed.id, what)
        return dataclasses.replace(failed, again=_now(), dismissed="", who=name)

    name = typed.name(who)
    return _each(store, ids, ask)


def dismiss(store: Destination, ids: Iterable[str], who: str) -> Iterator[Outcome]:
    """Has each failure shown no more, until the slide fails anew; what became of that."""
    name = typed.name(who)
    return _each(
        store, ids, lambda failed: dataclasses.replace(failed, dismissed=_now(), again="", who=name)
    )


def _each(store: Destination, ids: Iterable[str], mark: Marks) -> Iterator[Outcome]:
    store.check_keeps()
    for slide_id in ids:
        try:
            if not keys.is_id(slide_id):
                raise OptionError(f"{slide_id!r} cannot be an id; see vsv-pyramid slides --failed")
            failed = _read(store, slide_id)
            if failed is None:
                what = "it has not failed, or is converted by now; see vsv-pyramid slides --failed"
                raise ReviewError(slide_id, what)
            remember(store, mark(failed))
            yield Outcome(slide_id)
        except VsvPyramidError as exc:
            yield Outcome(slide_id, error=exc)


def _read(store: Destination, slide_id: str) -> Failed | None:
    """None where it is gone by now; of a damaged one only that."""
    try:
        said: Any = documents.read(store.get(keys.failed_key(slide_id)), shapes.Failed)
    except NoSuchObject:
        return None
    except (ValueError, TooLarge):
        return Failed(slide_id, "", "the note of why it failed is damaged; dismiss it")
    known = {name: said[name] for name in said.keys() & _FIELDS}
    return Failed(**{"slide": "", "reason": "", **known, "id": slide_id})


@lru_cache(maxsize=_KEPT)
def _read_once(store: Destination, slide_id: str, note: StoredObject) -> Failed | None:
    """The same of a note that its listing tells from any other."""
    return _read(store, slide_id)


_FIELDS = frozenset(field.name for field in dataclasses.fields(Failed))


def _now() -> str:
    return clock.utc().isoformat(timespec="seconds")
