"""A backlog: the slides of a bucket that are not published yet, as array jobs of AWS Batch.

What is listed on both sides lies in a database on disk, which is nobody's and goes with the
process: a million slides take gigabytes of memory. A merge of two sorted lists does not do, since
ids are made of names, and have another order than keys.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from vsv_pyramid.aws import session
from vsv_pyramid.aws.batch import Queue
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.catalog_json import Entry
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.records import Kept, deleted
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.files import is_in_s3
from vsv_pyramid.slide.remote import fingerprint_of_all
from vsv_pyramid.slide.series import stem_of
from vsv_pyramid.store import open_store
from vsv_pyramid.unattended.inventory import objects_in
from vsv_pyramid.unattended.listed import Listed, objects_at, slides_among
from vsv_pyramid.unattended.manifests import handed_to, is_below
from vsv_pyramid.words import IS_ODD, digest, is_plain

DEFAULTS = ConvertOptions()
_CACHE_KIB = 32 << 10  # of the database, in memory
_TABLES = """
CREATE TABLE objects (slide TEXT, key TEXT, size INTEGER, etag TEXT, modified REAL, archived);
CREATE TABLE published (id TEXT PRIMARY KEY, size TEXT, etag TEXT, place TEXT) WITHOUT ROWID;
CREATE TABLE first (id TEXT PRIMARY KEY, key TEXT) WITHOUT ROWID;
CREATE TABLE waiting (key TEXT, size INTEGER, modified REAL);
CREATE TABLE refused (sentence TEXT);
"""

Row = TypeVar("Row")


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


class _Database(sqlite3.Connection):
    """One on disk without a name, closed when nobody has it any more."""

    def __del__(self) -> None:
        self.close()


class Rows(Collection[Row], Generic[Row]):
    """A table's, in their order, each read when it is asked for."""

    def __init__(self, database: sqlite3.Connection, table: str, made: Callable[..., Row]) -> None:
        self._database = database
        self._table = table
        self._made = made

    def __len__(self) -> int:
        (number,) = self._database.execute(f"SELECT COUNT(*) FROM {self._table}").fetchone()
        return int(number)

    def __iter__(self) -> Iterator[Row]:
        for row in self._database.execute(f"SELECT * FROM {self._table} ORDER BY rowid"):
            yield self._made(*row)

    def __contains__(self, wanted: object) -> bool:
        return any(row == wanted for row in self)


class Backlog:
    """The slides that wait, in order of their keys; how many are published, and how many archived:
    these would wait, but must be restored first; and of those that cannot be, a sentence each. The
    layout is what they get."""

    def __init__(self, bucket: str, layout: str) -> None:
        self.layout = layout
        self._bucket = bucket
        self._database = sqlite3.connect("", factory=_Database, check_same_thread=False)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.executescript(_TABLES)
        self.slides: Rows[Waiting] = Rows(self._database, "waiting", partial(_waiting, bucket))
        self.refused: Rows[str] = Rows(self._database, "refused", str)
        self.published = self.archived = 0

    @property
    def newest(self) -> float:
        """When the last slide came (Unix time); 0 where there is none."""
        (moment,) = self._database.execute("SELECT MAX(modified) FROM objects").fetchone()
        return float(moment or 0.0)

    def note_published(self, store: Destination) -> None:
        """Takes what the store has, and what was deleted there and is to be scanned anew."""
        self._note_entries(deleted(store))
        for entries in Catalog(store).parts():
            self._note_entries(entries)
        for kept in Kept(store).parts() if store.private else ():
            self._database.executemany(
                "UPDATE published SET place = ? WHERE id = ?",
                (
                    (ascii(digest(entry["location"])), slide_id)
                    for slide_id, entry in kept.items()
                    if entry.get("location")
                ),
            )

    def note_objects(self, objects: Iterator[Listed]) -> None:
        """Takes what is listed of slides."""
        self._database.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", objects)

    def sort_out(self, options: ConvertOptions) -> None:
        """Finds what waits."""
        listed = self._database.execute("SELECT * FROM objects ORDER BY slide, key")
        for key, rows in groupby(listed, itemgetter(0)):
            self._sort(*_sum(key, [Listed(*row) for row in rows]), options)

    def _sort(
        self,
        key: str,
        size: int,
        etag: str,
        modified: float,
        archived: bool,
        options: ConvertOptions,
    ) -> None:
        url = session.S3Url(self._bucket, key)
        if why := _unfit(url, size, options):
            self._refuse(f"{url}: {why}")
            return
        slide_id = options.id_of(stem_of(str(url)))
        if (first := self._first(slide_id, key)) != key:
            other = session.S3Url(self._bucket, first)
            self._refuse(f"{url}: has the same id as {other}; rename one of them")
            return
        entry = self._database.execute(
            "SELECT size, etag, place FROM published WHERE id = ?", (slide_id,)
        ).fetchone()
        own = map(ascii, (size, etag, digest(str(url).rstrip("/"))))
        # What an entry does not state is as it should be.
        same = [stated in (None, this) for stated, this in zip(entry or (), own, strict=False)]
        if entry and all(same[:2]):
            self.published += 1
        elif entry and not same[2]:
            self._refuse(
                f"{url}: a slide of this name in another place is published; rename one of them, "
                "or delete its pyramid"
            )
        elif archived:
            self.archived += 1
        else:
            row = (key, size, modified)
            self._database.execute("INSERT INTO waiting VALUES (?, ?, ?)", row)

    def _first(self, slide_id: str, key: str) -> str:
        """The key of the first slide with that id."""
        self._database.execute("INSERT OR IGNORE INTO first VALUES (?, ?)", (slide_id, key))
        (first,) = self._database.execute(
            "SELECT key FROM first WHERE id = ?", (slide_id,)
        ).fetchone()
        return str(first)

    def _refuse(self, sentence: str) -> None:
        self._database.execute("INSERT INTO refused VALUES (?)", (sentence,))

    def _note_entries(self, entries: dict[str, Entry]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?)",
            ((key, *_stated(entry)) for key, entry in entries.items() if keys.is_id(key)),
        )


def find(
    slides: str,
    destination: str,
    options: ConvertOptions = DEFAULTS,
    inventory: str | None = None,
) -> Backlog:
    """The slides at the s3:// URL and below that are not published at the destination; of the
    options, how ids are made, what is excluded, and how S3 is spoken to. They are listed, or those
    that the inventory has, by the URL of its manifest.json.

    Published is what the catalog has, and has of this very object; what was deleted, and is to be
    scanned anew, counts as such. Raises StoreError and OptionError.
    """
    url = session.object_url(slides)
    store = open_destination(destination, options.private_to, options.s3)
    options = ids.keyed(options, store)
    if inventory:
        items = objects_in(inventory, url.bucket, options.s3)
    else:
        items = objects_at(url, options.s3)
    try:
        found = Backlog(url.bucket, store.layout(None))
        found.note_published(store)
        found.note_objects(slides_among(items, url, options))
        found.sort_out(options)
    except sqlite3.OperationalError as exc:
        raise StoreError(
            tempfile.gettempdir(),
            f"the lists of slides cannot be kept there ({exc}); make room, or set TMPDIR to a "
            "folder that has it",
        ) from exc
    return found


def submit(
    slides: Collection[Waiting],
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
        bucket = next(iter(slides)).url.bucket
        store = open_store(f"s3://{bucket}/.vsv-pyramid", options.s3)
    return handed_to((str(slide.url) for slide in slides), store, queue, told)


def _waiting(bucket: str, key: str, size: int, modified: float) -> Waiting:
    changed = datetime.fromtimestamp(modified, timezone.utc)
    return Waiting(session.S3Url(bucket, key), size, changed)


def _stated(entry: Entry) -> list[str | None]:
    """Size, ETag and place of the file that the entry is of, as text whatever they are; an entry of
    version 1 has published the whole place."""
    source = dict(entry.get("source", {}))
    if location := entry.get("location"):
        source["place"] = digest(location)
    return [ascii(source[name]) if name in source else None for name in ("size", "etag", "place")]


def _unfit(url: session.S3Url, size: int, options: ConvertOptions) -> str:
    """Why a slide cannot be converted from there, empty where it can be."""
    if not is_plain(url.key):
        return IS_ODD
    if not is_below(str(url), f"s3://{url.bucket}"):
        return "a key with '.' or '..' for a folder; rename the object"
    if not is_in_s3(url.key):
        return "a slide of several files; it cannot be taken from S3"
    stem = stem_of(str(url))
    try:
        options.id_of(stem)
    except OptionError:
        return (
            f"{stem!r} cannot be an id; rename the object, or have ids made of names with "
            "--ids safe"
        )
    return "" if size else "is empty; it waits for what is put in its place"


def _sum(key: str, parts: Sequence[Listed]) -> tuple[str, int, str, float, bool]:
    """Key, bytes, ETag, last change of a slide's objects, and whether one is archived."""
    size, etag = parts[0].size, parts[0].etag.strip('"')
    if key.endswith("/"):
        items = [{"Key": part.key, "Size": part.size, "ETag": part.etag} for part in parts]
        said = fingerprint_of_all(items)
        size, etag = int(str(said["size"])), str(said["etag"])
    modified = max(part.modified for part in parts)
    return key, size, etag, modified, any(part.is_archived for part in parts)
