"""A slide's private document: what its log comes to, and what may be in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsv_pyramid.errors import OptionError
from vsv_pyramid.review import history
from vsv_pyramid.review.history import Record

values = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(history.STATUSES),
        "slide_id": st.none() | st.from_regex(r"[A-Z][0-9]{1,3}", fullmatch=True),
        "case_id": st.none() | st.from_regex(r"[A-Z][0-9]{1,3}", fullmatch=True),
    },
)


def test_a_slide_that_nobody_looked_at() -> None:
    assert Record("170782").review() == {
        "status": "NEW",
        "slide_id": None,
        "case_id": None,
        "confirmed": False,
        "changed": None,
        "revision": 0,
        "barcode": None,
        "label": False,
    }


def test_the_log_says_who_changed_what() -> None:
    document = Record("170782").logged("converted", "vsv-pyramid", {"slide_id": "A1"})
    document = document.logged("set", "anna", {"slide_id": "A2", "status": "GOOD"}, "wrong label")
    assert document.ids == {"slide_id": "A2", "case_id": None}
    assert document.revision == 2
    assert [str(event) for event in document.history] == [
        "converted by vsv-pyramid: slide ID none -> A1",
        "set by anna: status NEW -> GOOD, slide ID A1 -> A2, “wrong label”",
    ]
    assert document.review()["changed"] == document.history[-1].when


def test_nothing_is_logged_of_what_changes_nothing() -> None:
    document = Record("170782").logged("set", "anna", {"status": "GOOD"})
    assert document.logged("set", "ben", {"status": "GOOD"}) is document
    assert document.logged("set", "ben", {}, "a note").revision == 2


def test_a_deleted_slide_is_so_until_its_rescan() -> None:
    document = Record("170782").logged("deleted", "anna", {"status": "BAD"})
    assert document.is_deleted
    assert document.logged("set", "ben", {}, "a note").is_deleted
    assert not document.logged("rescanned", "vsv-pyramid", {}).is_deleted


READ = Record("a").logged("converted", "vsv-pyramid", {"slide_id": "ROE-1952"})


class TestConfirmed:
    """What was read off a label is not published before somebody has confirmed it."""

    def test_what_was_read_is_not(self) -> None:
        assert READ.value("slide_id") == "ROE-1952"
        assert not READ.is_confirmed and not READ.review()["confirmed"]
        assert READ.published() == {"status": "NEW", "slide_id": None, "case_id": None}

    def test_what_is_typed_is(self) -> None:
        document = READ.logged("set", "anna", {"slide_id": "S26-1"})
        assert document.is_confirmed
        assert document.published()["slide_id"] == "S26-1"

    def test_the_same_once_more_confirms_it(self) -> None:
        document = READ.logged("set", "anna", {"slide_id": "ROE-1952", "status": "GOOD"})
        assert document.published()["slide_id"] == "ROE-1952"
        assert str(document.history[-1]) == "set by anna: status NEW -> GOOD, slide ID confirmed"
        assert document.logged("set", "ben", {"slide_id": "ROE-1952"}) is document

    @pytest.mark.parametrize("changes", [{"status": "GOOD"}, {"case_id": "C1"}, {}])
    def test_nothing_else_does(self, changes: dict[str, str]) -> None:
        assert not READ.logged("set", "anna", changes, "a note").is_confirmed

    def test_an_undo_brings_back_what_it_was(self) -> None:
        typed = READ.logged("set", "anna", {"slide_id": "S26-1"})
        facts = history.confirmed(False)
        undone = typed.logged("set", "anna", {"slide_id": "ROE-1952"}, facts=facts)
        assert undone.value("slide_id") == "ROE-1952"
        assert not undone.is_confirmed
        assert undone.logged("set", "anna", {"slide_id": "ROE-1952"}).is_confirmed

    def test_what_is_read_again_of_a_rescan_changes_nothing(self) -> None:
        typed = READ.logged("set", "anna", {"slide_id": "S26-1"})
        assert typed.logged("rescanned", "vsv-pyramid", {"status": "NEW"}).is_confirmed


@given(st.lists(st.tuples(st.sampled_from(["anna", "ben"]), values, st.text())))
def test_a_document_survives_its_writing(events: list[tuple[str, dict[str, Any], str]]) -> None:
    document = Record("a", {"size": 1}, {"aperio.User": "Doe\udcff"}, ("label",), "read")
    state: dict[str, Any] = {"status": "NEW", "slide_id": None, "case_id": None}
    for who, changes, note in events:
        document = document.logged("set", who, changes, note)
        state |= changes
    assert history.parse(history.write(document)) == document
    assert {name: document.value(name) for name in state} == state


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"history": 3},
        {"history": [{"action": "set"}]},
        {"images": None},
    ],
)
def test_a_damaged_document(damage: dict[str, Any]) -> None:
    content = json.loads(history.write(Record("a")))
    with pytest.raises(ValueError):
        history.parse(json.dumps({**content, **damage}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff"])
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(ValueError):
        history.parse(data)


@pytest.mark.parametrize("text", ["A", "S26-1041-A1", "S26.1041;A;1;HE", "7" * 64, "a:b/c+d#e_f"])
def test_what_can_be_an_id(text: str) -> None:
    assert history.checked({"slide_id": f" {text} "}) == {"slide_id": text}


@pytest.mark.parametrize("text", ["Doe, Jane", "Doe^Jane", "-A", "7" * 65, "Ä1", "A\nB", "A B"])
@pytest.mark.parametrize("name", ["slide_id", "case_id"])
def test_what_cannot_be_an_id(name: str, text: str) -> None:
    with pytest.raises(OptionError, match="is refused: letters, digits"):
        history.checked({name: text})


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_id_is_none(empty: str | None) -> None:
    assert history.checked({"case_id": empty}) == {"case_id": None}


@pytest.mark.parametrize(
    "changes", [{"status": "SENT"}, {"status": "good"}, {"status": None}, {"who": "x"}]
)
def test_what_nobody_sets(changes: dict[str, str | None]) -> None:
    with pytest.raises(OptionError, match="is refused; a status is GOOD, BAD, NEW"):
        history.checked(changes)


def test_a_note_has_an_end() -> None:
    history.checked({}, "x" * 2000)
    with pytest.raises(OptionError, match="more than 2000 characters"):
        history.checked({}, "x" * 2001)


def test_a_note_has_lines_and_nothing_unseen() -> None:
    history.checked({}, "one\n\ttwo")
    for wrong in ("\x1b[2J", "\u202e", "\u2028", "\ud800", "\r\n"):
        with pytest.raises(OptionError, match="the note has a character that is not seen"):
            history.checked({}, f"a{wrong}b")
