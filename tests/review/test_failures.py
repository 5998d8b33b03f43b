"""Slides that could not be converted: remembered, listed, tried again, dismissed, forgotten."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.destinations import keeping, opened, private_of
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.errors import OptionError, ReviewError, StoreError
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import failures
from vsv_pyramid.review.failures import Failed

ONE = Failed("170782", "/scans/170782.svs", "the slide is cut off; scan it again", exit_code=65)
OTHER = Failed("170783", "", "its job failed", job="job-1")


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("place") if request.param == "s3" else tmp_path / "to")


@pytest.fixture
def store(place: str, clock: FakeClock) -> Destination:
    store = opened(place)
    for failed in (OTHER, ONE):
        failures.remember(store, failed)
    return store


def ids(store: Destination, *, dismissed: bool = False) -> list[str]:
    return [failed.id for failed in failures.listed(store, dismissed=dismissed)]


def test_what_failed_is_listed(store: Destination) -> None:
    one, other = failures.listed(store)
    assert one == dataclasses.replace(ONE, failed_at=one.failed_at)
    assert one.failed_at.endswith("+00:00")
    assert (other.id, other.slide, other.job) == ("170783", "", "job-1")


def test_what_is_listed_as_before_is_not_read_again(
    store: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk lists them all the time, and there may be thousands."""
    read: list[str] = []
    get = Destination.get

    def told(self: Destination, key: str) -> bytes:
        read.append(key)
        return get(self, key)

    monkeypatch.setattr(Destination, "get", told)
    first = failures.listed(store)
    assert len(read) == 2
    assert failures.listed(store) == first
    assert len(read) == 2
    list(failures.retry(store, ["170782"], "anna"))
    read.clear()
    assert [failed.who for failed in failures.listed(store)] == ["anna", ""]
    assert read == ["private/failed/170782.json"]


def test_a_later_failure_takes_the_place_of_the_former(store: Destination) -> None:
    list(failures.dismiss(store, ["170782"], "anna"))
    failures.remember(store, dataclasses.replace(ONE, reason="another"))
    assert [failed.reason for failed in failures.listed(store)] == ["another", OTHER.reason]


def test_a_slide_that_is_converted_did_not_fail(
    store: Destination, place: str, real_slide: Path, tmp_path: Path
) -> None:
    slide = tmp_path / "170782.svs"
    slide.write_bytes(real_slide.read_bytes())
    options = keeping(ConvertOptions(workers=1, update=True), place)
    assert convert(slide, place, options).status == "converted"
    assert ids(store) == ["170783"]
    failures.remember(store, ONE)  # of a file that was put in its place, and taken away again
    assert convert(slide, place, options).status == "skipped"
    assert ids(store) == ["170783"]


def test_another_attempt_is_asked_for_and_taken_up(store: Destination) -> None:
    outcomes = list(failures.retry(store, ["170782", "170783", "170784", "../x"], "anna"))
    assert [outcome.id for outcome in outcomes if not outcome.error] == ["170782"]
    errors = [outcome.error for outcome in outcomes[1:]]
    assert [type(error) for error in errors] == [ReviewError, ReviewError, OptionError]
    assert "vsv-pyramid submit" in str(errors[0])
    assert "it has not failed" in str(errors[1])
    (asked,) = failures.asked_again(store)
    assert (asked.id, asked.who, asked.again > "2") == ("170782", "anna", True)
    failures.taken_up(store, asked)
    assert not failures.asked_again(store)
    assert ids(store) == ["170782", "170783"], "it is not converted yet"


def test_what_is_dismissed_is_shown_no_more(store: Destination) -> None:
    (outcome,) = failures.dismiss(store, ["170783"], "anna")
    assert outcome.error is None
    assert ids(store) == ["170782"]
    assert ids(store, dismissed=True) == ["170782", "170783"]
    list(failures.retry(store, ["170782"], "ben"))
    list(failures.dismiss(store, ["170782"], "anna"))
    assert not failures.asked_again(store)


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"no json", b'"text"', b"[" * 100_000, b'{"reason": 7, "again": []}']
)
def test_a_damaged_note_is_listed_and_dismissed(tmp_path: Path, damaged: bytes) -> None:
    place = tmp_path / "to"
    store = opened(place)
    failures.remember(store, ONE)
    (note,) = Path(private_of(place)).glob("private/failed/*")
    note.write_bytes(damaged)
    (found,) = failures.listed(store)
    assert (found.id, found.slide, found.again) == ("170782", "", "")
    (outcome,) = failures.dismiss(store, ["170782"], "anna")
    assert outcome.error is None
    assert not failures.listed(store)
    json.loads(note.read_bytes())


def test_what_others_have_put_there_is_no_note(tmp_path: Path) -> None:
    """Nobody could dismiss it."""
    place = tmp_path / "to"
    store = opened(place)
    failures.remember(store, ONE)
    folder = Path(private_of(place), "private/failed")
    for name in (".json", "a b.json", "notes.txt", ".170784.json"):
        (folder / name).write_text("{}")
    (folder / "deeper").mkdir()
    (folder / "deeper/170784.json").write_text("{}")
    (folder / "170785.json").mkdir()
    assert ids(store) == [ONE.id]


def test_without_a_private_place(tmp_path: Path) -> None:
    store = open_destination(tmp_path / "to")
    failures.remember(store, ONE)
    failures.forget(store, ONE.id)
    assert failures.listed(store) == []
    assert not (tmp_path / "to").exists()
    with pytest.raises(StoreError, match="no private place is given"):
        list(failures.retry(store, [ONE.id], "anna"))


def test_a_note_that_cannot_be_removed_is_told_of(
    store: Destination, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: str) -> None:
        raise StoreError("there", "is not allowed; ask for s3:DeleteObject")

    monkeypatch.setattr(store, "delete", refuse)
    failures.forget(store, ONE.id)
    assert "170782: the note that it could not be converted stays" in caplog.text
