"""What technicians find of a slide, its status and its IDs, as a log of who changed what and when.

The log is in the slide's private record, slide.private.json, which nobody serves. What it comes
to is the slide's review, of which status and IDs may be published. Pure functions.
"""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout import documents, shapes
from vsv_pyramid.review import typed
from vsv_pyramid.runtime import clock

VERSION = 1
NEW, GOOD, BAD, SENT = "NEW", "GOOD", "BAD", "SENT"
STATUSES = (NEW, GOOD, BAD, SENT)
GIVEN = (GOOD, BAD, NEW)  # by a technician; a slide is SENT by sending it
# The laboratory's own IDs, as JSON calls them; a slide is published under an id of another kind.
LAB_ID, CASE_ID = "slide_id", "case_id"
IDS = {LAB_ID: "slide ID", CASE_ID: "case ID"}
FIELDS = {"status": "status", **IDS}

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:;/+#-]{0,63}")
_LONGEST_NOTE = 2000  # characters
_IN_NOTES = f"\n\t{typed.VARIANTS}"  # of what else is refused
# Of the facts.
_TOLD = {"to": "to {}", "rescan_of": "a rescan of {}", "rescanned_as": "by the rescan {}"}
TIES = ("rescan_of", "rescanned_as")
_CONFIRMED = "confirmed"
_MAKING = ("converted", "rescanned", "deleted")

Changes = Mapping[str, str | None]


@dataclass(frozen=True)
class Event:
    """One line of the log. `action` is "converted", "rescanned", "set", "deleted", "replaced" (by
    a rescan under another id), "tied" (to the slide that it is a rescan of) or "sent";
    `changes` are [before, after] by field; `facts` are what else there is to remember; the `key`
    tells the event from any other; `more` is what a later release has written."""

    action: str
    who: str
    when: str
    changes: Mapping[str, list[str | None]] = field(default_factory=dict)
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    more: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        changed = [
            f"{FIELDS.get(name, name)} {before or 'none'} -> {after or 'none'}"
            for name, (before, after) in self.changes.items()
        ]
        said = [f"“{self.note}”"] if self.note else []
        told = [_TOLD[name].format(fact) for name, fact in self.facts.items() if name in _TOLD]
        if _CONFIRMED in self.facts:
            changed.append(f"slide ID {'' if self.facts[_CONFIRMED] else 'not '}confirmed")
        facts = ", ".join(changed + said + told)
        return ": ".join(filter(None, [f"{self.action} by {self.who}", facts]))


@dataclass(frozen=True)
class Record:
    """A slide's private record.

    `source` is the scanned file's location, name and fingerprint, `properties` all that OpenSlide
    reads of it; `images` are kept beside the record, and `barcode` is what became of the label's;
    `more` is what a later release has written.
    """

    id: str
    source: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    barcode: str | None = None
    history: tuple[Event, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return len(self.history)

    @property
    def is_deleted(self) -> bool:
        """Whether it was deleted, and not converted since."""
        made = (event.action for event in reversed(self.history) if event.action in _MAKING)
        return next(made, None) == "deleted"

    @property
    def made(self) -> str | None:
        """When the scan was converted (ISO 8601)."""
        made = (event.when for event in reversed(self.history) if event.action in _MAKING[:2])
        return next(made, None)

    def value(self, name: str) -> str | None:
        """What a field is."""
        changed = next((event for event in reversed(self.history) if name in event.changes), None)
        return changed.changes[name][1] if changed else NEW if name == "status" else None

    @property
    def lab_id(self) -> str | None:
        """The laboratory's slide ID."""
        return self.value(LAB_ID)

    @property
    def ids(self) -> dict[str, str | None]:
        """The laboratory's slide ID and case ID, as far as they are known."""
        return {name: self.value(name) for name in IDS}

    @property
    def is_confirmed(self) -> bool:
        """Whether the slide ID is what a technician has said, or is of the lab's own pattern. Else
        it was only read off a label, where anything can be written, a patient's name among it."""
        for event in reversed(self.history):
            if _CONFIRMED in event.facts:
                return bool(event.facts[_CONFIRMED])
            if LAB_ID in event.changes:
                return event.action == "set"
        return False

    def published(self) -> dict[str, str | None]:
        """What may be published of it: no ID that was only read off a label."""
        made = {name: self.value(name) for name in FIELDS}
        return made if self.is_confirmed else {**made, LAB_ID: None}

    def review(self) -> dict[str, Any]:
        """What it comes to, for the desk."""
        return {
            **{name: self.value(name) for name in FIELDS},
            "confirmed": self.is_confirmed,
            "changed": self.history[-1].when if self.history else None,
            "revision": self.revision,
            "barcode": self.barcode,
            "label": "label" in self.images,
        }

    def untied(self, other: str) -> Record:
        """The record that does not say any more that the slide is tied to the other one."""
        history = [
            dataclasses.replace(
                event,
                facts={k: v for k, v in event.facts.items() if k not in TIES or v != other},
            )
            for event in self.history
        ]
        return dataclasses.replace(self, history=tuple(history))

    def logged(
        self,
        action: str,
        who: str,
        wanted: Changes,
        note: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> Record:
        """The record after the event; itself where that is a "set" that changes nothing. One
        whose slide ID is what it was confirms it."""
        changes = {
            name: [self.value(name), wanted[name]]
            for name in FIELDS
            if name in wanted and wanted[name] != self.value(name)
        }
        same = wanted.get(LAB_ID) and LAB_ID not in changes
        confirms = action == "set" and bool(same) and not facts and not self.is_confirmed
        if action == "set" and not changes and not note and not confirms:
            return self
        facts = confirmed() if confirms else facts
        when = clock.utc().isoformat(timespec="seconds")
        event = Event(action, who, when, changes, note, facts or {})
        return dataclasses.replace(self, history=(*self.history, event))


def confirmed(said: bool = True) -> dict[str, Any]:
    """The facts of an event that says whether the slide ID is confirmed."""
    return {_CONFIRMED: said}


def checked(changes: Changes, note: str = "") -> dict[str, str | None]:
    """The changes a technician asks for, with an empty ID as none. Raises OptionError."""
    if len(note) > _LONGEST_NOTE:
        raise OptionError(f"the note has more than {_LONGEST_NOTE} characters; make it shorter")
    typed.checked("the note", note, _IN_NOTES)
    wanted: dict[str, str | None] = {}
    for name, value in changes.items():
        if name in IDS:
            wanted[name] = _checked_id(IDS[name], value)
        elif name == "status" and value in GIVEN:
            wanted[name] = value
        else:
            raise OptionError(f"{name} {value!r} is refused; a status is {', '.join(GIVEN)}")
    return wanted


def is_id(text: str) -> bool:
    """Whether the text can be a slide's or a case's ID: no spaces, so that no names get in."""
    return _ID.fullmatch(text) is not None


def _checked_id(name: str, value: str | None) -> str | None:
    text = (value or "").strip()
    if text and not is_id(text):
        raise OptionError(
            f"the {name} {text!r} is refused: letters, digits and . _ : ; / + # - only, beginning "
            "with a letter or digit, at most 64"
        )
    return text or None


def write(record: Record) -> bytes:
    """The record as the ASCII bytes of a JSON file."""
    history = [_flat(event) for event in record.history]
    content = {"version": VERSION, **_flat(record), "history": history}
    return (json.dumps(content, indent=2) + "\n").encode()


def parse(data: bytes) -> Record:
    """The record that the bytes are. Raises ValueError where they are damaged."""
    said: dict[str, Any] = dict(documents.read(data, shapes.Record))
    if said.pop("version") != VERSION:
        raise ValueError("its version is unknown")
    history = tuple(Event(**_known(Event, event)) for event in said.pop("history"))
    known = _known(Record, {**said, "images": tuple(said["images"])})
    return Record(**known, history=history)


def _flat(made: Event | Record) -> dict[str, Any]:
    """The fields, and what a later release has written beside them."""
    fields = dataclasses.asdict(made)
    return {**fields.pop("more"), **fields}


def _known(kind: type, said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the kind, and all else as `more`."""
    names = {field.name for field in dataclasses.fields(kind)} - {"more"}
    more = {name: value for name, value in said.items() if name not in names}
    return {**{name: value for name, value in said.items() if name in names}, "more": more}
