"""What the destination remembers of slides that are not published: attempts that failed, and jobs
that have them. Each is a file, watch/<hash of the slide's path>.json, which nobody serves. Those
that are set aside are told to people, too (review/failures.py)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import xxhash

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import StoreError, StoreUnavailable
from vsv_pyramid.layout import documents, keys, shapes
from vsv_pyramid.review import failures
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.unattended.looks import Look
from vsv_pyramid.words import raw

PAUSES = (60.0, 300.0, 1800.0, 7200.0)  # s, before each further attempt
_FOLDER = keys.WATCHED

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """Of one slide: attempts that failed, the reason of the last one and its exit code, and when
    the next is `due` (Unix time, None where it is set aside); or the job that has it."""

    slide: str
    look: Look
    attempts: int = 0
    reason: str = ""
    due: float | None = None
    job: str = ""
    exit_code: int | None = None

    @property
    def is_set_aside(self) -> bool:
        """Whether a person has to do something."""
        return not self.due and not self.job

    @property
    def is_due(self) -> bool:
        """Whether the slide may be tried again. A pause longer than any is of a clock that was
        wrong."""
        return self.due is not None and not 0 < self.due - clock.time() <= PAUSES[-1]


_FIELDS = frozenset(field.name for field in fields(Attempt))


class Attempts:
    """Those of a folder's slides, and their paths; `id_of` gives the id of a slide, or its stem
    that cannot be one. Raises StoreError, but not when one is put."""

    def __init__(self, store: Destination, folder: Path, id_of: Callable[[Path], str]) -> None:
        self._store = store
        self._folder = folder
        self._id_of = id_of
        self._of: dict[Path, Attempt] = {}
        self._begun: set[Path] = set()

    def __iter__(self) -> Iterator[tuple[Path, Attempt]]:
        return iter(list(self._of.items()))

    def get(self, path: Path) -> Attempt | None:
        return self._of.get(path)

    def begin(self, path: Path, look: Look) -> None:
        """Has this attempt count as one that failed until something else is said of it: what takes
        the process down says nothing. After a restart the slide is due at once, and the next time
        after the other slides."""
        before = self._of.get(path)
        failed = before.attempts if before and before.look == look else 0
        pause = PAUSES[min(failed, len(PAUSES)) - 1] if failed else 0
        self._begun.add(path)
        reason = f"{path}: the program ended while it was converted"
        self._write(path, Attempt(str(path), look, failed + 1, reason, clock.time() + pause))

    def leave(self, path: Path) -> None:
        """Has an attempt that was begun, and given up in good order, not count."""
        if path not in self._begun:
            return
        if before := self._of.get(path):
            self._write(path, before)
        else:
            self._store.delete(_key(path))
        self._begun.discard(path)

    def put(self, path: Path, attempt: Attempt) -> None:
        self._of[path] = attempt
        self._begun.discard(path)
        self._write(path, attempt)

    def _write(self, path: Path, attempt: Attempt) -> None:
        document = json.dumps(asdict(attempt) | {"look": attempt.look._asdict()}, indent=2) + "\n"
        try:
            self._store.put(_key(path), document.encode())
            if attempt.is_set_aside:
                told = Failed(
                    self._failed_id(path), str(path), attempt.reason, exit_code=attempt.exit_code
                )
                failures.remember(self._store, told)
        except StoreError as exc:
            _log.warning("%s is not remembered after a restart: %s", path, exc)

    def remove(self, path: Path) -> None:
        attempt = self._of.pop(path, None)
        if attempt or path in self._begun:
            self._store.delete(_key(path))
            self._begun.discard(path)
            if attempt and attempt.reason:
                failures.forget(self._store, self._failed_id(path))

    def take_up(self) -> None:
        """Makes those due of which a person has asked for another attempt."""
        if not any(attempt.is_set_aside for attempt in self._of.values()):
            return
        for failed in failures.asked_again(self._store):
            path = Path(failed.slide)
            if attempt := self._of.get(path):
                failures.taken_up(self._store, failed)
                self.put(path, replace(attempt, due=clock.time()))

    def _failed_id(self, path: Path) -> str:
        return keys.safe_id(self._id_of(path))

    def read(self) -> None:
        """Takes those that the destination has."""

        def parsed(name: str) -> Attempt | None:
            try:
                said = documents.read(self._store.get(f"{_FOLDER}/{name}"), shapes.Note)
            except StoreUnavailable:
                raise
            except (ValueError, StoreError):
                return None  # damaged, or removed by another watch
            look = Look(said["look"]["size"], said["look"]["mtime_ns"])
            known: dict[str, Any] = {key: value for key, value in said.items() if key in _FIELDS}
            return Attempt(**{**known, "look": look})

        with Pool(WAITERS) as pool:
            names = [name for name in self._store.names(_FOLDER) if name.endswith(".json")]
            for attempt in filter(None, pool.map(parsed, names)):
                path = Path(attempt.slide)
                if path.is_relative_to(self._folder):
                    met.meet([path])
                    self._of[path] = attempt


def _key(path: Path) -> str:
    return f"{_FOLDER}/{xxhash.xxh3_64_hexdigest(raw(str(path)))}.json"
