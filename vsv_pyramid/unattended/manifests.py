"""The places of many slides as jobs of AWS Batch: array jobs, whose children find theirs in a
manifest, a JSON list of places that lies in S3."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from vsv_pyramid.errors import NoSuchObject, OptionError, TooLarge
from vsv_pyramid.layout import documents, keys
from vsv_pyramid.slide.series import stem_of
from vsv_pyramid.store import S3Options, Store, open_store

if TYPE_CHECKING:
    from vsv_pyramid.aws.batch import Queue

MOST_CHILDREN = 10_000  # of an array job, by AWS's quota
PACK = "pack "  # before a pyramid's URL, where a job has a slide's otherwise


def handed_to(
    places: Iterable[str], store: Store | None, queue: Queue, told: Callable[[str], object]
) -> list[str]:
    """The ids of jobs for these, with a manifest in the store for each array of them."""
    jobs = []
    left = iter(places)
    while some := list(islice(left, MOST_CHILDREN)):
        if len(some) == 1:
            jobs.append(queue.submit(some[0]))
        else:
            assert store
            manifest = json.dumps(some).encode()
            key = f"{keys.MANIFESTS}/{hashlib.sha256(manifest).hexdigest()[:32]}.json"
            store.put(key, manifest)
            jobs.append(queue.submit(f"{store}/{key}", len(some)))
        told(jobs[-1])
    return jobs


def place_in(url: str, number: int, s3: S3Options | None = None) -> str | None:
    """The place of that number, from 0, in the manifest; None where that slide was purged since.
    Raises StoreError and OptionError."""
    folder, _, name = url.rpartition("/")
    try:
        places = _read(open_store(folder or ".", s3), name)
    except ValueError as exc:
        raise OptionError(f"{url}: is no manifest; submit the slides again") from exc
    if not number < len(places):
        raise OptionError(f"{url}: has no slide of number {number}; submit the slides again")
    return places[number]


def name_of(place: str) -> str:
    """What the id of the slide at the place is made of; of a pyramid to pack the id itself."""
    return place.rpartition("/")[2] if place.startswith(PACK) else stem_of(place)


def naming(store: Store, is_its: Callable[[str], bool]) -> Iterator[str]:
    """The keys of the manifests in the store with such a place. Raises StoreError."""
    for found in store.keys(f"{keys.MANIFESTS}/"):
        if not keys.is_private_key(found.key):
            continue  # it is somebody else's
        with contextlib.suppress(NoSuchObject, TooLarge, ValueError):
            if any(place and is_its(place) for place in _read(store, found.key)):
                yield found.key


def leave_out(store: Store, key: str, is_its: Callable[[str], bool]) -> None:
    """Takes such places out of the manifest; the others keep their numbers. Raises StoreError."""
    places = [None if place and is_its(place) else place for place in _read(store, key)]
    store.put(key, json.dumps(places).encode())


def _read(store: Store, key: str) -> list[str | None]:
    return documents.read(store.get(key), list[str | None])


def is_below(place: str, root: str) -> bool:
    """Whether the path or URL is below the root, and no reader of it can be led out of there."""
    plain = place
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    is_tidy = {".", ".."}.isdisjoint(re.split(r"[/\\]", plain))
    if root.startswith("s3://"):
        above = f"{root.rstrip('/')}/"
        return is_tidy and place.startswith(above) and place != above
    return is_tidy and PurePath(root) in PurePath(place).parents
