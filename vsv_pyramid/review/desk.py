"""The technician's desk: slides are found, checked, corrected, deleted for a rescan, and sent.

A change is made in the slide's private record first. Then its review is published: in slide.json
and in the catalog, each made what the record says, whoever else is at it.
"""

from __future__ import annotations

import getpass
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

from vsv_pyramid import catalog, catalog_json, removal, slide_json
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.catalog_json import Entry
from vsv_pyramid.destination import Destination, is_in_reach
from vsv_pyramid.errors import (
    DescriptorError,
    NoSuchObject,
    OptionError,
    ReviewConflict,
    ReviewError,
    SlideAccessError,
    SlideError,
    StoreError,
    VsvPyramidError,
)
from vsv_pyramid.layout import keys
from vsv_pyramid.removal import own_keys
from vsv_pyramid.review import history, records, rescans, typed
from vsv_pyramid.review.checks import (
    GONE,
    check_not_deleted,
    check_ready,
    check_revision,
    since,
)
from vsv_pyramid.review.history import Changes, Record
from vsv_pyramid.review.outcome import Outcome
from vsv_pyramid.runtime.threads import WAITERS, Ending, Pool
from vsv_pyramid.slide.files import ANOTHER
from vsv_pyramid.slide.source import Source, find_source, is_of
from vsv_pyramid.store import S3Options

Slides = Mapping[str, int | None]  # ids, and the revisions that were looked at where they count


class Desk:
    """What `who` does to the slides of a store; `s3` is for scanned files and CDRs in S3,
    `time_zone` that of scanners that state none, and once `stopped` is set, no CDR is waited for.

    Raises OptionError for a name that cannot be one. Each action takes many slides, and goes on
    where one fails. A slide that has another revision than the one given is left as it is, with a
    ReviewConflict that says what was changed.
    """

    def __init__(
        self,
        store: Destination,
        who: str,
        s3: S3Options | None = None,
        time_zone: str | None = None,
        stopped: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._stopped = Ending(stopped)
        self._time_zone = time_zone
        self.who = typed.name(who)
        self._s3 = s3 or S3Options()

    def slides(self) -> list[Entry]:
        """The catalog's entries, or, of a store without one, what is published; each with what is
        kept of it, its review among it."""
        entries = Catalog(self._store, create=False).slides().values()
        kept = records.Kept(self._store).slides() if self._store.private else {}
        blank = Record("").review()
        return [
            {**entry, "review": {**blank, **entry.get("review", {})}, **kept.get(entry["id"], {})}
            for entry in entries or catalog.listed(self._store)
        ]

    def awaited(self) -> list[dict[str, Any]]:
        """The slides that were deleted, and whose rescan is to come; see records.deleted."""
        gone = records.deleted(self._store).values()
        return [slide for slide in gone if "rescanned_as" not in slide]

    def record(self, slide_id: str) -> Record:
        """Raises ReviewError where there is no such slide, OptionError where there can be none."""
        found = records.record(self._store, _checked(slide_id))
        self._check_exists(found)
        return found

    def set(
        self, slides: Slides, changes: Changes, note: str = "", *, confirmed: bool = True
    ) -> list[Outcome]:
        """Changes status and IDs; what was sent, and gets another ID, is to be sent again. A slide
        ID that was only read off the label is confirmed by setting it, even to the same, unless it
        is an undo that brings it back, and not `confirmed`.

        Raises OptionError for changes that cannot be.
        """
        wanted = history.checked(changes, note)

        def change(present: Record) -> Record:
            facts = {} if confirmed or history.LAB_ID not in wanted else history.confirmed(False)
            made = present.logged("set", self.who, wanted, note, facts)
            if made.value("status") == history.SENT and made.ids != present.ids:
                good = {**wanted, "status": history.GOOD}
                return present.logged("set", self.who, good, note, facts)
            return made

        def action(slide_id: str, revision: int | None) -> Record:
            self._check_rights(slide_id)
            return self._changed(slide_id, revision, change)

        return self._each(action, slides)

    def doubles(self, ids: Collection[str]) -> dict[str, str]:
        """Of these slides, those whose slide ID another slide has, too, and which one."""
        same = defaultdict(list)
        for slide in self.slides():
            same[slide["review"][history.LAB_ID]].append(slide["id"])
        same.pop(None, None)
        return {
            slide_id: next(other for other in group if other != slide_id)
            for group in same.values()
            if len(group) > 1
            for slide_id in group
            if slide_id in ids
        }

    def delete(self, slides: Slides, *, source: bool = False) -> list[Outcome]:
        """Removes the pyramids, the descriptor first, and remembers that a rescan is to come; with
        `source` the scanned files, too, where they are still those that the pyramids are of.

        Where any of it is not allowed, none is done, as far as that is to be known."""

        def action(slide_id: str, revision: int | None) -> Record:
            folder = keys.folder(slide_id)
            record = self.record(slide_id)
            scanned = _scanned(record, self._s3) if source else None
            self._store.check_removable(folder)
            with self._store.exclusive(folder):
                own = own_keys(self._store, folder)  # now that nothing is on its way any more
                if not own and not scanned:
                    raise ReviewError(slide_id, GONE)
                self._store.check_rights(
                    put=[keys.private_json_key(slide_id), keys.DELETED, keys.catalog_key()],
                    delete=own,
                )
                if not record.is_deleted:  # else it is a deletion that was interrupted
                    record = self._withdrawn(record, revision)
                if slide_id not in records.deleted(self._store):
                    awaited = record
                    removal.with_room(self._store, folder, lambda: self._await(awaited))
                if own:  # before a rescan can come, which would go with it
                    removal.remove(self._store, folder)
                if scanned:
                    _remove(slide_id, scanned)
                return record

        return self._each(action, slides, threads=1)  # a store takes one lease at a time

    def send(self, slides: Slides, url: str) -> list[Outcome]:
        """Sends each slide's record to the CDR at the URL, unless it was sent as it is; see
        cdr.send. Raises OptionError for a URL that cannot be."""
        from vsv_pyramid.review import cdr  # late: only sending needs urllib3

        cdr.check_url(url)
        check_apart(url, self._store)

        def action(slide_id: str, revision: int | None) -> Record:
            record = self.record(slide_id)
            check_revision(record, revision)
            check_not_deleted(record)
            made = cdr.metadata_record(self._facts(slide_id), record, self._time_zone)
            date, place = made["ScanDate"], cdr.address(url, slide_id)
            if record.value("status") == history.SENT and any(
                event.facts.get("to") == place and event.facts.get("date", date) == date
                for event in record.history
            ):
                return record
            check_ready(record)
            self._check_rights(slide_id)
            answer = {**cdr.send(made, url, self._s3, self._stopped), "date": date}

            def change(present: Record) -> Record:
                status = {} if present.revision > record.revision else {"status": history.SENT}
                return present.logged("sent", self.who, status, facts=answer)

            sent = records.changed(self._store, slide_id, change)
            if sent.value("status") != history.SENT:
                raise ReviewConflict(
                    slide_id,
                    "was changed while it was sent, and the old record was sent: "
                    f"{since(sent, record.revision)}; send it again",
                )
            return rescans.link(self._store, sent)

        return self._each(action, slides, threads=WAITERS)

    def _withdrawn(self, record: Record, revision: int | None) -> Record:
        """The record of the slide, which is BAD, and seen by nobody any more."""
        check_revision(record, revision)
        self._facts(record.id)  # what cannot be remembered is not deleted
        show_again = removal.withdraw(self._store, keys.folder(record.id))
        try:
            return self._changed(
                record.id,
                revision,
                lambda present: present.logged("deleted", self.who, {"status": history.BAD}),
            )
        except VsvPyramidError:  # another one was faster
            show_again()
            raise

    def _check_rights(self, slide_id: str) -> None:
        """Raises StoreError where a change could not be remembered, or not be published."""
        key = keys.slide_json_key(keys.folder(slide_id))
        self._store.check_rights(put=[keys.private_json_key(slide_id), key])

    def _await(self, record: Record) -> None:
        """Remembers that a rescan is to come of the slide."""
        deleted = record.history[-1]
        entry = {
            "id": record.id,
            **record.ids,
            "confirmed": record.is_confirmed,
            "who": deleted.who,
            "when": deleted.when,
            "source": catalog_json.identity(slide_json.source_facts(record.source)),
        }
        records.change_deleted(self._store, lambda slides: {**slides, record.id: entry})

    def _changed(
        self, slide_id: str, revision: int | None, change: Callable[[Record], Record]
    ) -> Record:
        seen = revision

        def checked(present: Record) -> Record:
            nonlocal seen
            self._check_exists(present)
            check_not_deleted(present)
            seen = present.revision if seen is None else seen
            check_revision(present, seen)
            return change(present)

        return records.changed(self._store, slide_id, checked)

    def _facts(self, slide_id: str) -> dict[str, Any]:
        """The slide's slide.json. Raises ReviewError where there is none."""
        try:
            return slide_json.parse(self._store.get(keys.slide_json_key(keys.folder(slide_id))))
        except (NoSuchObject, DescriptorError) as exc:
            raise ReviewError(slide_id, f"its slide.json cannot be read ({exc})") from exc

    def _check_exists(self, record: Record) -> None:
        folder = keys.folder(record.id)
        shown = (keys.descriptor_key(folder), keys.slide_json_key(folder))
        if not record.history and all(self._store.head(key) is None for key in shown):
            raise ReviewError(record.id, "there is no such slide; vsv-pyramid slides lists them")

    def _each(
        self,
        action: Callable[[str, int | None], Record],
        slides: Slides,
        *,
        threads: int | None = None,
    ) -> list[Outcome]:
        """The action's outcomes, published; in threads where the store is far away, or given."""

        if self._store.sealed:
            what = "is an archive, and stays as it is; convert into a folder or a bucket"
            raise StoreError(self._store, what)
        self._store.check_keeps()
        self._store.check_rights(put=[keys.catalog_key()])

        def outcome(slide_id: str, revision: int | None) -> Outcome:
            try:
                return Outcome(slide_id, action(_checked(slide_id), revision))
            except ReviewConflict as exc:
                return Outcome(slide_id, records.record(self._store, slide_id), exc)
            except VsvPyramidError as exc:
                return Outcome(slide_id, error=exc)

        with Pool(threads or min(WAITERS, self._store.parallel_puts) or 1) as pool:
            try:
                outcomes = list(pool.map(outcome, slides, slides.values()))
            except BaseException:
                self._stopped.set()
                raise
        changed = [outcome.id for outcome in outcomes if outcome.record]
        try:
            if changed:
                records.publish_reviews(self._store, changed)
        except StoreError as exc:
            what = f"what was changed is saved, but not published; do it once more ({exc})"
            raise type(exc)(self._store, what) from exc
        return outcomes


def user_name() -> str:
    """The name of whoever runs this program."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as in containers
        return "unknown"


def check_apart(cdr: str, store: Destination) -> None:
    """Raises OptionError for a CDR whose records those could read who read the slides."""
    if is_in_reach(cdr, store.published):
        raise OptionError(
            f"--cdr {cdr}: records would lie in the bucket that is published; give another one"
        )


def _checked(slide_id: str) -> str:
    """The id itself where there can be such a slide. Raises OptionError."""
    if not keys.is_id(slide_id):
        raise OptionError(f"{slide_id!r} cannot be an id; vsv-pyramid slides lists those there are")
    return slide_id


def _scanned(record: Record, s3: S3Options) -> Source:
    """The file that the slide is of. Raises ReviewError where it is not, or not there."""
    location = record.source.get("location")
    if not location:
        raise ReviewError(record.id, "its scanned file is not known; delete it yourself")
    try:
        source = find_source(location, request_payer=s3.request_payer)
    except SlideAccessError as exc:
        raise ReviewError(
            record.id, f"its scanned file cannot be deleted from here ({exc})"
        ) from exc
    if not is_of(record.source, source):
        raise ReviewError(record.id, f"{location} {ANOTHER}")
    try:
        source.check_removable()
    except (SlideAccessError, StoreError) as exc:
        raise ReviewError(record.id, f"its scanned file cannot be deleted ({exc})") from exc
    return source


def _remove(slide_id: str, scanned: Source) -> None:
    try:
        scanned.remove()
    except SlideError as exc:
        raise ReviewError(slide_id, f"is deleted, but its scanned file is not: {exc}") from exc
