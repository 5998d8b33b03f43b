"""What the destination remembers of slides that are not published: attempts that failed, and jobs
that have them. Each is a file, watch/<hash of the slide's path>.json, which nobody serves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from vsv_pyramid.errors import StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.store import Store

_FOLDER = keys.WATCHED

_log = logging.getLogger(__name__)


class Look(NamedTuple):
    """A slide's files at a look: bytes in all, newest mtime in ns."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Attempt:
    """Of one slide: attempts that failed, the reason of the last one, and when the next is `due`
    (Unix time, None where it is set aside); or the job that has it."""

    slide: str
    look: Look
    attempts: int = 0
    reason: str = ""
    due: float | None = None
    job: str = ""


class Attempts:
    """Those of a folder's slides, and their paths. Raises StoreError, but not when one is put."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._notes: dict[Path, Attempt] = {}

    def __iter__(self) -> Iterator[tuple[Path, Attempt]]:
        return iter(list(self._notes.items()))

    def get(self, path: Path) -> Attempt | None:
        return self._notes.get(path)

    def put(self, path: Path, note: Attempt) -> None:
        self._notes[path] = note
        document = json.dumps(asdict(note) | {"look": note.look._asdict()}, indent=2) + "\n"
        try:
            self._store.put(_key(path), document.encode())
        except StoreError as exc:
            _log.warning("%s is not remembered after a restart: %s", path, exc)

    def remove(self, path: Path) -> None:
        if self._notes.pop(path, None):
            self._store.delete(_key(path))

    def read(self) -> None:
        """Takes those that the destination has."""

        def parsed(name: str) -> Attempt | None:
            try:
                said: dict[str, Any] = json.loads(self._store.get(f"{_FOLDER}/{name}"))
                return Attempt(**{**said, "look": Look(**said["look"])})
            except (ValueError, TypeError, KeyError, StoreError):
                return None  # damaged, or removed by another watch

        with Pool(WAITERS) as pool:
            names = [name for name in self._store.names(_FOLDER) if name.endswith(".json")]
            for note in filter(None, pool.map(parsed, names)):
                path = Path(note.slide)
                if path.is_relative_to(self._folder):
                    met.meet([path])
                    self._notes[path] = note


def _key(path: Path) -> str:
    return f"{_FOLDER}/{xxhash.xxh3_64_hexdigest(str(path).encode(errors='surrogateescape'))}.json"
