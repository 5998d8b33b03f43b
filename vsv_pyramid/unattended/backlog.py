"""A backlog: the slides of a bucket that are not published yet, as array jobs of AWS Batch."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from vsv_pyramid.aws import session
from vsv_pyramid.aws.batch import Queue
from vsv_pyramid.aws.costs import SLIDE_BYTES, Estimate, estimate
from vsv_pyramid.aws.retry import with_retries
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.catalog_json import Entry
from vsv_pyramid.containers.tiff import base_pixels
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.records import Kept, deleted
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.files import is_in_s3
from vsv_pyramid.slide.names import is_dicom_name, is_slide
from vsv_pyramid.slide.remote import fingerprint_of_all
from vsv_pyramid.slide.search import is_slide_key
from vsv_pyramid.slide.series import stem_of
from vsv_pyramid.store import S3Options, open_store
from vsv_pyramid.unattended.manifests import handed_to, is_below
from vsv_pyramid.words import digest

DEFAULTS = ConvertOptions()
Item = Mapping[str, Any]  # as S3 lists it
_SAMPLED = 20
_BLOCK = 1 << 16
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # Glacier Instant Retrieval is read like any other class


class Waiting(NamedTuple):
    """A slide in S3 without a pyramid of its own."""

    url: session.S3Url
    size: int
    modified: datetime

    @property
    def stem(self) -> str:
        return stem_of(str(self.url))

    @property
    def hours(self) -> float:
        """For which it has been there."""
        return (clock.time() - self.modified.timestamp()) / 3600


@dataclass(frozen=True)
class Backlog:
    """The slides that wait, in order of their keys; how many are published, and how many archived:
    these would wait, but must be restored first; and of those that cannot be, a sentence each."""

    slides: tuple[Waiting, ...]
    published: int
    archived: int
    refused: tuple[str, ...]


def find(slides: str, destination: str, options: ConvertOptions = DEFAULTS) -> Backlog:
    """The slides at the s3:// URL and below that are not published at the destination; of the
    options, how ids are made, what is excluded, and how S3 is spoken to.

    Published is what the catalog has, and has of this very object; what was deleted, and is to be
    scanned anew, counts as such. Raises StoreError and OptionError.
    """
    url = session.object_url(slides)
    store = open_destination(destination, options.private_to, options.s3)
    options = ids.keyed(options, store)
    entries = {**deleted(store), **Catalog(store).slides()}
    kept = Kept(store).slides() if store.private else {}
    waiting = []
    refused = []
    first: dict[str, session.S3Url] = {}  # with each id
    published = archived = 0
    for found, etag, is_archived in _listed(url, options):
        try:
            slide_id = options.id_of(found.stem)
        except OptionError:
            slide_id = ""
        if not keys.is_printable_key(found.url.key):
            refused.append(f"{found.url}: a key with control characters; rename the object")
        elif not is_below(str(found.url), f"s3://{found.url.bucket}"):
            refused.append(f"{found.url}: a key with '.' or '..' for a folder; rename the object")
        elif not is_in_s3(found.url.key):
            refused.append(f"{found.url}: a slide of several files; it cannot be taken from S3")
        elif not slide_id:
            refused.append(
                f"{found.url}: {found.stem!r} cannot be an id; rename the object, or have ids made "
                "of names with --ids safe"
            )
        elif not found.size:
            refused.append(f"{found.url}: is empty; it waits for what is put in its place")
        elif first.setdefault(slide_id, found.url) != found.url:
            refused.append(f"{found.url}: has the same id as {first[slide_id]}; rename one of them")
        elif slide_id in entries and _is_of(entries[slide_id], found.size, etag):
            published += 1
        elif slide_id in entries and not _is_from(
            {**entries[slide_id], **kept.get(slide_id, {})}, found.url
        ):
            refused.append(
                f"{found.url}: a slide of this name in another place is published; rename one of "
                "them, or delete its pyramid"
            )
        elif is_archived:
            archived += 1
        else:
            waiting.append(found)
    return Backlog(tuple(waiting), published, archived, tuple(refused))


def submit(
    slides: Sequence[Waiting],
    destination: str,
    queue: Queue,
    told: Callable[[str], object] = lambda job: None,
    options: ConvertOptions = DEFAULTS,
) -> list[str]:
    """The ids of the jobs that the slides are handed to, as many as fit one array job each, each
    told once there is the job; their manifests lie in the destination's private place, or, where it
    has none, in the slides' own bucket."""
    store = open_destination(destination, options.private_to, options.s3).private
    if slides and not store:
        store = open_store(f"s3://{slides[0].url.bucket}/.vsv-pyramid", options.s3)
    return handed_to([str(slide.url) for slide in slides], store, queue, told)


def estimated(slides: Sequence[Waiting], s3: S3Options | None = None) -> Estimate:
    """What converting them takes, going by their bytes, and by the size in px that some state."""
    sampled = slides[:: max(1, len(slides) // _SAMPLED)]
    account = _account(sampled[0].url, s3) if sampled else None
    stated = [
        (pixels, slide) for slide in sampled if account and (pixels := _pixels(account, slide))
    ]
    density = 1e9 / SLIDE_BYTES
    if stated:
        density = sum(pixels for pixels, _ in stated) / sum(slide.size for _, slide in stated)
    return estimate(len(slides), sum(slide.size for slide in slides) * density / 1e9)


def _account(url: session.S3Url, s3: S3Options | None) -> session.Account:
    return session.Account(url, RequestPayer=s3.request_payer if s3 else None)


def _listed(url: session.S3Url, options: ConvertOptions) -> list[tuple[Waiting, str, bool]]:
    """The slides at the URL and below, with their ETags, and whether they cannot be read as yet."""
    account = _account(url, options.s3)
    excluded = Excluded(options.exclude)
    itself = not url.key or url.key.endswith("/") or is_slide(url.key.rpartition("/")[2])
    prefix = url.key if itself else f"{url.key}/"
    above = prefix.rpartition("/")[0]

    def listed() -> list[tuple[Waiting, str, bool]]:
        pages = account.client.get_paginator("list_objects_v2").paginate(
            Bucket=url.bucket, Prefix=prefix, OptionalObjectAttributes=["RestoreStatus"]
        )
        items = [item for page in pages for item in page.get("Contents", ())]
        return [
            (
                Waiting(session.S3Url(url.bucket, key), size, modified),
                etag,
                any(map(_is_archived, parts)),
            )
            for key, parts in _slides(items, len(above), excluded).items()
            for size, etag, modified in [_sum(key, parts)]
        ]

    try:
        return with_retries(url, listed, logging.WARNING)
    except session.ERRORS as exc:
        raise session.refusal(url, exc) from exc


def _slides(items: Sequence[Item], above: int, excluded: Excluded) -> dict[str, list[Item]]:
    """The objects of each slide by its key, that of a folder for DICOM; so many characters of all
    keys are not looked at."""
    found: dict[str, list[Item]] = {}
    for item in items:
        key: str = item["Key"]
        if is_slide_key(key[above:].removeprefix("/"), excluded):
            folder, _, name = key.rpartition("/")
            found.setdefault(f"{folder}/" if is_dicom_name(name) else key, []).append(item)
    return found


def _sum(key: str, parts: Sequence[Item]) -> tuple[int, str, datetime]:
    """Bytes, ETag and last change of a slide's objects."""
    modified = max(item["LastModified"] for item in parts)
    if key.endswith("/"):
        said = fingerprint_of_all(parts)
        return int(str(said["size"])), str(said["etag"]), modified
    return parts[0]["Size"], parts[0]["ETag"].strip('"'), modified


def _is_archived(item: Item) -> bool:
    return item.get("StorageClass") in _ARCHIVES and not _is_restored(item)


def _is_restored(item: Item) -> bool:
    """Whether an archived object can be read for a while."""
    return "RestoreExpiryDate" in item.get("RestoreStatus", {})


def _is_of(entry: Entry, size: int, etag: str) -> bool:
    """Whether the entry is of that object, as far as it says what it is of."""
    stated = entry.get("source", {})
    return (stated.get("size", size), stated.get("etag", etag)) == (size, etag)


def _is_from(entry: Entry, url: session.S3Url) -> bool:
    """Whether the entry is of an object at the URL, as far as it says where it is from: version 1
    of the catalog has published the place."""
    location, place = entry.get("location"), str(url).rstrip("/")
    stated = digest(location) if location else entry.get("source", {}).get("place", digest(place))
    return bool(stated == digest(place))


def _pixels(account: session.Account, slide: Waiting) -> int | None:
    """The base level's pixels, out of the few kilobytes of the object that state them."""
    try:
        return base_pixels(io.BufferedReader(_Ranged(account.client, slide), _BLOCK))
    except session.ERRORS:
        return None


class _Ranged(io.RawIOBase):
    """An object in S3 as a file: each read is a request."""

    def __init__(self, client: Any, slide: Waiting) -> None:
        self._client = client
        self._slide = slide
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._slide.size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._slide.size)
        if end <= self._at:
            return 0
        url = self._slide.url
        wanted = f"bytes={self._at}-{end - 1}"
        answer = self._client.get_object(Bucket=url.bucket, Key=url.key, Range=wanted)
        data: bytes = answer["Body"].read()
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
