"""Slide IDs that were only read off the label, at the desk: they are marked, and published once a
technician has confirmed them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import window
from tests.support.destinations import opened
from tests.support.viewed import button
from tests.system.test_morning import IDS, Lab, counted, refresh, right_id, row, saved, working
from vsv_pyramid.layout import keys
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.store import open_store

ONE, TWO = IDS[0], IDS[2]
READ = "read off the label, not confirmed"


@pytest.fixture
def two(real_slide: Path, tmp_path: Path) -> Iterator[Lab]:
    """Two slides, whose labels say what they are."""
    with working(str(tmp_path / "to"), tmp_path, real_slide, [ONE, TWO]) as lab:
        yield lab


def field(page: Page, slide_id: str) -> Locator:
    return page.get_by_label(f"Slide ID of {slide_id}")


def mark(page: Page, slide_id: str) -> Locator:
    return row(page, slide_id).get_by_role("img", name=READ)


def published(lab: Lab, slide_id: str) -> str | None:
    """The slide ID that everybody may know."""
    key = keys.slide_json_key(keys.folder(slide_id))
    said: str | None = json.loads(open_store(lab.target).get(key))["review"]["slide_id"]
    return said


def log(lab: Lab, slide_id: str) -> list[str]:
    """What was done to the slide since it was converted."""
    history = Desk(opened(lab.target), "x").record(slide_id).history
    return [str(event) for event in history[1:]]


def test_the_table_marks_it_until_enter_confirms_it(chromium: Browser, two: Lab) -> None:
    with window(chromium, f"{two.url}/desk/", two.door) as seen:
        page = seen.page
        for slide_id in (ONE, TWO):
            expect(mark(page, slide_id)).to_have_text("?")
            expect(field(page, slide_id)).to_have_accessible_description(READ)
        for key in ("Escape", "Tab"):  # which leave it as it is
            field(page, ONE).press(key)
            expect(mark(page, ONE)).to_be_visible()
        field(page, ONE).press("Enter")
        expect(page.locator("#told")).to_have_text(f"{ONE}: slide ID {right_id(ONE)} confirmed")
        expect(mark(page, ONE)).to_be_hidden()
        expect(field(page, ONE)).to_have_accessible_description("")
        saved(page)
        expect(button(page, "Undo")).to_be_disabled()
        page.reload()
        expect(mark(page, TWO)).to_be_visible()
        expect(mark(page, ONE)).to_be_hidden()
        requests = len(seen.requests)
        field(page, ONE).press("Enter")  # there is nothing left to confirm
        saved(page)
        assert not any(url.endswith("/set") for url in seen.requests[requests:])
    assert (published(two, ONE), published(two, TWO)) == (right_id(ONE), None)
    assert log(two, ONE) == ["set by anna: slide ID confirmed"]
    assert log(two, TWO) == []


def test_good_for_many_confirms_none(chromium: Browser, two: Lab) -> None:
    with window(chromium, f"{two.url}/desk/", two.door) as seen:
        page = seen.page
        expect(mark(page, ONE)).to_be_visible()
        page.keyboard.press("a")
        page.keyboard.press("g")
        expect(counted(page, "good")).to_have_text("2")
        saved(page)
        for slide_id in (ONE, TWO):
            expect(mark(page, slide_id)).to_be_visible()
            assert published(two, slide_id) is None


def test_an_undo_does_not_confirm_what_it_brings_back(chromium: Browser, two: Lab) -> None:
    with window(chromium, f"{two.url}/desk/", two.door) as seen:
        page = seen.page
        field(page, ONE).fill("S26-7")
        field(page, ONE).press("Enter")
        expect(mark(page, ONE)).to_be_hidden()
        saved(page)
        assert published(two, ONE) == "S26-7"
        button(page, "Undo").click()
        expect(field(page, ONE)).to_have_value(right_id(ONE))
        expect(mark(page, ONE)).to_be_visible()
        saved(page)
        expect(mark(page, ONE)).to_be_visible()
        assert published(two, ONE) is None

        # But what was confirmed before is brought back so.
        field(page, ONE).press("Enter")
        saved(page)
        field(page, ONE).fill("S26-7")
        field(page, ONE).press("Enter")
        saved(page)
        button(page, "Undo").click()
        expect(field(page, ONE)).to_have_value(right_id(ONE))
        saved(page)
        expect(mark(page, ONE)).to_be_hidden()
    assert published(two, ONE) == right_id(ONE)


def test_what_was_not_saved_is_not_confirmed(chromium: Browser, two: Lab) -> None:
    with window(chromium, f"{two.url}/desk/", two.door) as seen:
        page = seen.page
        expect(mark(page, ONE)).to_be_visible()
        page.route("**/desk/api/set", lambda route: route.abort())
        field(page, ONE).press("Enter")
        expect(page.locator("#notices li")).to_contain_text("may have failed")
        expect(mark(page, ONE)).to_be_visible()
        page.unroute("**/desk/api/set")
        button(page, "Try again").click()
        expect(mark(page, ONE)).to_be_hidden()
        saved(page)
        seen.wants("net::ERR_FAILED")
    assert published(two, ONE) == right_id(ONE)


def test_so_is_the_id_of_a_deleted_slide(chromium: Browser, two: Lab) -> None:
    desk = Desk(opened(two.target), "ben")
    desk.set({TWO: None}, {"slide_id": right_id(TWO)})
    desk.delete({ONE: None, TWO: None})
    with window(chromium, f"{two.url}/desk/#filter=awaiting", two.door) as seen:
        expect(mark(seen.page, ONE)).to_be_visible()
        expect(row(seen.page, TWO)).to_contain_text(right_id(TWO))
        expect(mark(seen.page, TWO)).to_be_hidden()


def test_good_in_the_queue_confirms_what_is_seen_beside_the_label(
    chromium: Browser, two: Lab
) -> None:
    with window(chromium, f"{two.url}/desk/queue.html?id={ONE},{TWO}", two.door) as seen:
        page = seen.page
        said = page.locator("#unconfirmed")
        label = page.get_by_alt_text("The slide’s label")
        expect(said).to_have_text(READ)
        expect(page.get_by_label("Slide ID")).to_have_accessible_description(READ)
        expect(label).to_be_visible()
        seen.settled()
        button(page, "Good").click()
        told = f"{ONE}: GOOD, slide ID {right_id(ONE)} confirmed"
        expect(page.locator("#told")).to_have_text(told)
        expect(page.get_by_role("heading", level=1)).to_have_text(TWO)
        expect(said).to_have_text(READ)
        expect(label).to_be_visible()
        seen.settled()
        button(page, "Bad").click()
        saved(page)
        assert (published(two, ONE), published(two, TWO)) == (right_id(ONE), None)

        for _ in range(2):
            page.keyboard.press("PageUp")
        expect(page.get_by_role("heading", level=1)).to_have_text(ONE)
        expect(said).to_be_hidden()
        latest = page.locator("#history li").first.locator("strong")
        expect(latest).to_have_text("status NEW → GOOD, slide ID confirmed")

        # The undo of Good takes back the confirmation, too.
        for slide_id in (TWO, ONE):
            page.keyboard.press("u")
            expect(page.get_by_role("heading", level=1)).to_have_text(slide_id)
        expect(said).to_have_text(READ)
        saved(page)
        expect(latest).to_have_text("status GOOD → NEW, slide ID not confirmed")
    assert published(two, ONE) is None
    reviews = two.reviews()
    assert [reviews[slide_id]["status"] for slide_id in (ONE, TWO)] == ["NEW", "NEW"]


def test_enter_in_the_queue_confirms_it_too(chromium: Browser, two: Lab) -> None:
    with window(chromium, f"{two.url}/desk/queue.html?id={ONE}", two.door) as seen:
        page = seen.page
        expect(page.locator("#unconfirmed")).to_have_text(READ)
        page.keyboard.press("i")
        page.keyboard.press("Enter")
        expect(page.locator("#unconfirmed")).to_be_hidden()
        latest = page.locator("#history li").first.locator("strong")
        expect(latest).to_have_text("slide ID confirmed")
        expect(page.locator(".status")).to_have_text("NEW")
        expect(button(page, "Undo")).to_be_disabled()
    assert published(two, ONE) == right_id(ONE)


def test_without_a_label_to_see_good_confirms_nothing(chromium: Browser, two: Lab) -> None:
    with window(chromium, "about:blank", two.door) as seen:
        page = seen.page
        page.route("**/label.jpeg*", lambda route: route.fulfill(status=404))
        page.goto(f"{two.url}/desk/queue.html?id={ONE}")
        expect(page.locator("#unconfirmed")).to_have_text(READ)
        seen.settled()
        button(page, "Good").click()
        expect(page.locator("#told")).to_have_text(f"{ONE}: GOOD")
        saved(page)
        seen.wants("404")
    assert two.reviews()[ONE]["status"] == "GOOD"
    assert published(two, ONE) is None


def test_what_another_desk_has_set_is_not_confirmed_unseen(chromium: Browser, two: Lab) -> None:
    """The field shows what was there when it was begun."""
    with window(chromium, f"{two.url}/desk/", two.door) as seen:
        page = seen.page
        field(page, ONE).focus()
        ben = Desk(opened(two.target), "ben")
        ben.set({ONE: None}, {"slide_id": "S26-8"}, confirmed=False)
        with page.expect_response("**/desk/api/slides"):
            refresh(page)
        expect(field(page, ONE)).to_have_value(right_id(ONE))
        field(page, ONE).press("Enter")
        expect(field(page, ONE)).to_have_value("S26-8")
        expect(mark(page, ONE)).to_be_visible()
        saved(page)
    assert published(two, ONE) is None
