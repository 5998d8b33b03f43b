"""What to do about what is published under an id: a row a situation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.planning.decision import Decision, Present, Refuse, decide
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide.source import Source, find_source
from vsv_pyramid.slide_json import ALGORITHM, AS_GOOD, source_facts

PLACE = "to/images/a"
PLAIN = ConvertOptions()
UPDATE = ConvertOptions(update=True)
OVERWRITE = ConvertOptions(overwrite=True)
FINER = ConvertOptions(quality=90)


@pytest.fixture
def source(small_slide: Path) -> Source:
    return find_source(small_slide)


def document(source: Source, other: dict[str, Any]) -> dict[str, Any]:
    """slide.json, as far as the decision reads it."""
    said = {
        "layout": 1,
        "source": source_facts(source.fingerprint),
        "options": PLAIN.recorded(),
        "pyramid": {"algorithm": ALGORITHM},
    }
    return said | other


def told(decision: Decision) -> str:
    """Its name, with what it says."""
    said = decision.error if isinstance(decision, Refuse) else getattr(decision, "why", "")
    return f"{type(decision).__name__} {said}".strip()


ANOTHER = {"source": {"file": "another", "digest": "one"}}
FORMER = {"pyramid": {"algorithm": min(AS_GOOD) - 1}}
ROUNDED_UP: dict[str, Any] = {"pyramid": {}}  # as it was before there was an algorithm
LATER = {"pyramid": {"algorithm": ALGORITHM + 1}}
OLD_OPTIONS = {"options": {"quality": 80, "tile_size": "auto"}}  # before the others were there
HELD = "holds another file's pyramid, or this one's with other options"
LEFT = "holds parts of a pyramid, and no DeepZoom.dzi"
BAD = "Skip it was deleted as a bad scan"
ELSEWHERE = "is of a slide of this name in another place"
UNKNOWN = "the place of that file is not known here"


@pytest.mark.parametrize(
    ("present", "options", "expected"),
    [
        ({}, PLAIN, "Resume"),
        ({}, UPDATE, "Resume"),
        ({"is_set_aside": True}, PLAIN, BAD),
        ({"is_set_aside": True}, UPDATE, BAD),
        ({"is_left": True}, PLAIN, LEFT),
        ({"is_left": True}, UPDATE, LEFT),
        ({"is_left": True, "is_set_aside": True}, OVERWRITE, "Replace"),
        ({"document": {}}, PLAIN, "Skip"),
        ({"document": {}}, UPDATE, "Skip"),
        ({"document": {}}, OVERWRITE, "Replace"),
        ({"twin": "S1"}, OVERWRITE, "is of the slide 'S1', from which the disk does not tell this"),
        ({"document": OLD_OPTIONS}, PLAIN, "Skip"),
        ({"document": {}}, FINER, HELD),
        ({"document": {}}, dataclasses.replace(FINER, update=True), "Skip"),
        ({"document": FORMER}, PLAIN, "this slide's pyramid as an earlier release made it"),
        ({"document": ROUNDED_UP}, PLAIN, "Skip"),
        ({"document": LATER}, PLAIN, "this slide's pyramid as a later release made it"),
        ({"document": FORMER}, UPDATE, "Skip"),
        ({"document": {"layout": 2}}, PLAIN, "Skip"),
        ({"document": {"layout": 3}}, PLAIN, HELD),
        ({"document": None}, PLAIN, "whose slide.json cannot be read"),
        ({"document": None}, UPDATE, "Replace"),
        ({"document": ANOTHER}, PLAIN, HELD),
        ({"document": ANOTHER}, UPDATE, UNKNOWN),
        ({"document": ANOTHER, "origins": "elsewhere"}, UPDATE, ELSEWHERE),
        ({"document": ANOTHER, "origins": "here"}, UPDATE, "Replace"),
        ({"document": ANOTHER, "origins": "here", "is_set_aside": True}, UPDATE, BAD),
        ({"document": ANOTHER, "origins": "elsewhere"}, OVERWRITE, "Replace"),
    ],
)
def test_what_is_done(
    source: Source, present: dict[str, Any], options: ConvertOptions, expected: str
) -> None:
    known = dict(present)
    if "document" in known:
        known["is_published"] = True
        if known["document"] is not None:
            known["document"] = document(source, known["document"])
    if "origins" in known:
        here = known["origins"] == "here"
        known["origins"] = source.places if here else frozenset(["/mnt/other/a.svs"])
    decision = decide(Present(PLACE, **known), source, options)
    assert expected in told(decision)
    if isinstance(decision, Refuse):
        assert PLACE in str(decision.error)
        assert isinstance(decision.error, OptionError if options.update else StoreError) or (
            expected == LEFT
        )
