"""What technicians find of a slide, its status and its IDs, as a log of who changed what and when.

The log is in the slide's private document, slide.private.json, which nobody serves. What it comes
to, without names and notes, is the `review` in slide.json and in the catalog. Pure functions.
"""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsv_pyramid import clock
from vsv_pyramid.errors import OptionError

VERSION = 1
NEW, GOOD, BAD, SENT = "NEW", "GOOD", "BAD", "SENT"
STATUSES = (NEW, GOOD, BAD, SENT)
GIVEN = (GOOD, BAD, NEW)  # by a technician; a slide is SENT by sending it
IDS = {"slide_id": "slide ID", "case_id": "case ID"}
FIELDS = {"status": "status", **IDS}

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:;/+#-]{0,63}")
_LONGEST_NOTE = 2000  # characters
_TOLD = {"to": "to", "rescan_of": "a rescan of", "rescanned_as": "by the rescan"}  # of the facts
_MAKING = ("converted", "rescanned", "deleted")

Changes = Mapping[str, str | None]


@dataclass(frozen=True)
class Event:
    """One line of the log. `action` is "converted", "rescanned", "set", "deleted", "replaced" (by
    a rescan under another id), "tied" (to the slide that it is a rescan of) or "sent";
    `changes` are [before, after] by field; `facts` are what else there is to remember; the `key`
    tells the event from any other."""

    action: str
    who: str
    when: str
    changes: Mapping[str, list[str | None]] = field(default_factory=dict)
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        changed = [
            f"{FIELDS.get(name, name)} {before or 'none'} -> {after or 'none'}"
            for name, (before, after) in self.changes.items()
        ]
        said = [f"“{self.note}”"] if self.note else []
        told = [f"{_TOLD[name]} {fact}" for name, fact in self.facts.items() if name in _TOLD]
        facts = ", ".join(changed + said + told)
        return ": ".join(filter(None, [f"{self.action} by {self.who}", facts]))


@dataclass(frozen=True)
class Document:
    """A slide's private document.

    `source` is the scanned file's location, name and fingerprint, `properties` all that OpenSlide
    reads of it; `images` are kept beside the document, and `barcode` is what became of the label's.
    """

    id: str
    source: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    barcode: str | None = None
    history: tuple[Event, ...] = ()

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return len(self.history)

    @property
    def is_deleted(self) -> bool:
        """Whether it was deleted, and not converted since."""
        made = (event.action for event in reversed(self.history) if event.action in _MAKING)
        return next(made, None) == "deleted"

    def value(self, name: str) -> str | None:
        """What a field is."""
        changed = next((event for event in reversed(self.history) if name in event.changes), None)
        return changed.changes[name][1] if changed else NEW if name == "status" else None

    @property
    def ids(self) -> dict[str, str | None]:
        """The slide ID and the case ID, as far as they are known."""
        return {name: self.value(name) for name in IDS}

    def review(self) -> dict[str, Any]:
        """What is published of it."""
        return {
            **{name: self.value(name) for name in FIELDS},
            "changed": self.history[-1].when if self.history else None,
            "revision": self.revision,
            "barcode": self.barcode,
            "label": "label" in self.images,
        }

    def logged(
        self,
        action: str,
        who: str,
        wanted: Changes,
        note: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> Document:
        """The document after the event; itself where that is a "set" that changes nothing."""
        changes = {
            name: [self.value(name), wanted[name]]
            for name in FIELDS
            if name in wanted and wanted[name] != self.value(name)
        }
        if action == "set" and not changes and not note:
            return self
        when = clock.utc().isoformat(timespec="seconds")
        event = Event(action, who, when, changes, note, facts or {})
        return dataclasses.replace(self, history=(*self.history, event))


def checked(changes: Changes, note: str = "") -> dict[str, str | None]:
    """The changes a technician asks for, with an empty ID as none. Raises OptionError."""
    if len(note) > _LONGEST_NOTE:
        raise OptionError(f"the note has more than {_LONGEST_NOTE} characters; make it shorter")
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


def write(document: Document) -> bytes:
    """The document as the ASCII bytes of a JSON file."""
    content = {"version": VERSION, **dataclasses.asdict(document)}
    return (json.dumps(content, indent=2) + "\n").encode()


def parse(data: bytes) -> Document:
    """The document that the bytes are. Raises ValueError where they are damaged."""
    try:
        said = json.loads(data)
        if said.pop("version") != VERSION:
            raise ValueError("its version is unknown")
        history = tuple(Event(**event) for event in said.pop("history"))
        return Document(**{**said, "images": tuple(said["images"])}, history=history)
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError(str(exc)) from exc
