"""A technician's morning at the desk, in a real browser: with the mouse, and by keyboard alone.

Thirty slides of ten cases have come in overnight. Two are bad scans, which are deleted and scanned
anew. Three labels bear a wrong barcode. In the end all thirty records are in the clinical data
repository, which fails every now and then.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import zxingcpp
from PIL import Image, ImageDraw, ImageOps
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support import cdr_stub
from tests.support.browser import serious_faults, window
from tests.support.cdr_stub import HANG_UP, HANG_UP_AFTERWARDS, Cdr
from tests.support.destinations import keeping, opened
from tests.support.forge import forge_svs
from tests.support.site import HOST, serving
from tests.support.viewed import SCREENSHOTS, button
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import cdr, failures
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.door import KEY
from vsv_pyramid.web.people import Owner

FIRST, SLIDES, BLOCKS = 170782, 30, 3
IDS = [str(FIRST + number) for number in range(SLIDES)]
BAD = IDS[4], IDS[17]
MISLABELLED = {IDS[1]: "S26-9001-A1", IDS[11]: "S26-9001-A2", IDS[23]: "S26-9001-A3"}
MANY = 10_000


def case_id(slide_id: str) -> str:
    return f"S26-{1041 + (int(slide_id) - FIRST) // BLOCKS}"


def right_id(slide_id: str) -> str:
    """What is printed on the slide's label."""
    return f"{case_id(slide_id)}-A{(int(slide_id) - FIRST) % BLOCKS + 1}"


def label(text: str, barcode: str) -> Image.Image:
    picture = Image.new("RGB", (420, 380), "white")
    for at, times, line in ((20, 4, text), (80, 2, "HE  Institute of Pathology")):
        printed = Image.new("RGB", (200, 12), "white")  # Pillow may be without scalable fonts
        ImageDraw.Draw(printed).text((0, 0), line, fill=0)
        picture.paste(ImageOps.scale(printed, times), (24, at))
    code = zxingcpp.create_barcode(barcode, zxingcpp.BarcodeFormat.DataMatrix)
    picture.paste(Image.fromarray(np.array(code.to_image(scale=8))), (90, 130))
    return picture


@dataclass
class Lab:
    """A scanner, the place its slides are published in, the desk, and the repository."""

    tissue: Path
    scans: Path
    target: str
    url: str
    door: str  # the address that the desk has printed
    repository: Cdr

    def scan(self, slide_id: str, width: int = 1500) -> None:
        """Drops the slide, and converts it as `watch` would."""
        path = self.scans / f"{slide_id}.svs"
        barcode = MISLABELLED.get(slide_id, right_id(slide_id))
        pictured = label(right_id(slide_id), barcode)
        forge_svs(
            path,
            tissue=self.tissue,
            size=(width, 1100),
            levels=(1, 4),
            associated={"label": pictured, "macro": pictured.resize((630, 200))},
            description={"AppMag": "40", "Date": "11/22/26", "Time": "22:15:00"},
        )
        options = keeping(ConvertOptions(workers=2, update=True), self.target)
        convert(path, self.target, options)

    def reviews(self) -> dict[str, dict[str, Any]]:
        slides = Desk(opened(self.target), "x").slides()
        return {slide["id"]: slide["review"] for slide in slides}


@contextlib.contextmanager
def working(
    target: str, folder: Path, tissue: Path, ids: Sequence[str] = tuple(IDS)
) -> Iterator[Lab]:
    (folder / "scans").mkdir()
    with cdr_stub.running() as repository:
        owner = Owner("anna")
        app = create_app(opened(target), entrance=Entrance(owner, cdr=repository.url), hosts=[HOST])
        with serving(app) as site:
            door = f"{site.url}/?{KEY}={owner.key}"
            lab = Lab(tissue, folder / "scans", target, site.url, door, repository)
            for slide_id in ids:
                lab.scan(slide_id)
            yield lab


@pytest.fixture(params=["directory", "s3"])
def lab(
    request: pytest.FixtureRequest,
    real_slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lab]:
    monkeypatch.setattr(cdr, "_RETRIES", cdr._RETRIES.new(backoff_factor=0, backoff_jitter=0))
    target = str(tmp_path / "to")
    if request.param == "s3":
        target = str(request.getfixturevalue("place"))
    with working(target, tmp_path, real_slide) as lab:
        yield lab


def rows(page: Page) -> Locator:
    return page.locator("tbody tr")


def row(page: Page, slide_id: str) -> Locator:
    return page.locator(f"[id='row-{slide_id}']")


def status(page: Page, slide_id: str) -> Locator:
    return row(page, slide_id).locator(".status")


def counted(page: Page, name: str) -> Locator:
    """How many slides a filter would show."""
    return page.locator(f"[data-filter={name}] span")


def saved(page: Page) -> None:
    expect(page.locator("#saving")).to_have_text("")


def refresh(page: Page) -> None:
    """What happens when the technician comes back to the window."""
    page.evaluate("dispatchEvent(new Event('focus'))")


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def unreliable(repository: Cdr) -> None:
    """Fails up to four times for each record, which is fewer than it is tried, and then refuses
    two for good. Not by the order in which they come: that is their threads' own."""
    chance = random.Random(7)
    kinds = (HANG_UP, HANG_UP_AFTERWARDS, 429, 500, 503)
    refusals = {IDS[12]: [422], IDS[13]: [409]}
    answers = {
        slide_id: itertools.chain(
            chance.choices(kinds, k=chance.choice((0, 0, 1, 2, 4))),
            refusals.get(slide_id, []),
            itertools.repeat(201),
        )
        for slide_id in IDS
    }
    repository.status = lambda image_id: next(answers[image_id])


def check(lab: Lab) -> None:
    """That it ended well, in the repository, and where it is published."""
    assert sorted(lab.repository.records) == IDS
    for slide_id, record in lab.repository.records.items():
        assert (record["SlideID"], record["CaseID"]) == (right_id(slide_id), case_id(slide_id))
        assert record["Filename"] == f"{slide_id}.svs"
        assert record["Status"] == "GOOD"
        assert record["width"] == (1700 if slide_id in BAD else 1500)
    desk = Desk(opened(lab.target), "x")
    assert desk.awaited() == []
    for slide_id, review in lab.reviews().items():
        assert (review["status"], review["slide_id"]) == ("SENT", right_id(slide_id))
        history = desk.record(slide_id).history
        who = {event.who for event in history if event.action in ("set", "deleted", "sent")}
        assert who == {"anna"}
        actions = [event.action for event in history]
        assert ("deleted" in actions) is ("rescanned" in actions) is (slide_id in BAD)


def mark_in_queue(page: Page, slide_id: str, name: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(slide_id)
    expect(page.locator(".pane > .message")).to_be_hidden()
    expect(page.locator("#pictures img").first).to_be_visible()
    button(page, name).click()


@pytest.mark.parametrize("lab", ["directory"], indirect=True)
def test_with_the_mouse(chromium: Browser, lab: Lab) -> None:
    with window(chromium, f"{lab.url}/desk/", lab.door) as seen:
        page = seen.page
        page.locator("[data-filter=new]").click()
        expect(page.locator("#count")).to_have_text("30 of 30 slides")

        # The first six in the viewer, one by one, the rest in the table.
        button(page, "Review").click()
        page.wait_for_url("**/desk/queue.html*")
        for number, slide_id in enumerate(IDS[:6]):
            expect(page.locator("#page")).to_have_text(f"{number + 1} of 30")
            if number == 3:
                seen.settled()
                keep(page, "queue")
            mark_in_queue(page, slide_id, "Bad" if slide_id in BAD else "Good")
        button(page, "Table").click()
        expect(counted(page, "new")).to_have_text("24")
        expect(counted(page, "bad")).to_have_text("1")
        page.locator("[data-filter=all]").click()
        page.keyboard.press("Home")
        page.get_by_label(f"Slide ID of {IDS[1]}").click()
        expect(page.locator("#close-up")).to_be_visible()
        seen.settled()
        keep(page, "desk")
        page.keyboard.press("Escape")
        page.locator("[data-filter=new]").click()
        page.get_by_label(f"Select {BAD[1]}").click()
        button(page, "Bad").click()
        page.get_by_label("Select all shown").check()
        button(page, "Good").click()
        saved(page)
        expect(counted(page, "new")).to_have_text("0")

        # The bad ones are scanned anew.
        page.locator("[data-filter=bad]").click()
        page.get_by_label("Select all shown").check()
        button(page, "Delete for rescan").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("listitem")).to_have_text(
            [f"{slide_id}, slide ID {right_id(slide_id)}, BAD" for slide_id in BAD]
        )
        dialog.get_by_label("also the scanned file").check()
        dialog.get_by_role("button", name="Delete").click()
        saved(page)
        page.locator("[data-filter=awaiting]").click()
        expect(rows(page)).to_have_count(2)
        assert not any((lab.scans / f"{slide_id}.svs").exists() for slide_id in BAD)
        for slide_id in BAD:
            lab.scan(slide_id, width=1700)
        refresh(page)
        expect(rows(page)).to_have_count(0)
        page.locator("[data-filter=new]").click()
        expect(rows(page)).to_have_count(2)
        page.get_by_label("Select all shown").check()
        button(page, "Good").click()

        # The wrong IDs, of which one is typed wrongly first.
        page.locator("[data-filter=all]").click()
        page.get_by_label("Search").fill("9001")
        expect(rows(page)).to_have_count(3)
        for slide_id in MISLABELLED:
            field = page.get_by_label(f"Slide ID of {slide_id}")
            field.fill("S26-7777")
            expect(page.locator("#close-up")).to_be_visible()
            field.press("Enter")
            saved(page)
            button(page, "Undo").click()
            expect(field).to_have_value(MISLABELLED[slide_id])
            field.fill(right_id(slide_id))
            field.press("Enter")
        saved(page)
        expect(rows(page)).to_have_count(0)

        # The case IDs, three slides at a time.
        for slide_id in IDS[::BLOCKS]:
            page.get_by_label("Search").fill(f"{case_id(slide_id)}-")
            expect(rows(page)).to_have_count(BLOCKS)
            page.get_by_label("Select all shown").check()
            field = page.get_by_label(f"Case ID of {slide_id}")
            field.fill(case_id(slide_id))
            field.press("Enter")
            saved(page)
        page.get_by_label("Search").fill("")
        expect(counted(page, "without-id")).to_have_text("0")
        # Off they go; what is refused is sent once more.
        unreliable(lab.repository)
        page.get_by_label("Select all shown").check()
        button(page, "Send").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("listitem")).to_have_count(30)
        dialog.get_by_role("button", name="Send").click()
        expect(page.locator("#notices li")).to_have_count(2)
        saved(page)
        expect(counted(page, "sent")).to_have_text("28")
        button(page, "Dismiss all").click()
        button(page, "Send").click()
        page.get_by_role("dialog").get_by_role("button", name="Send").click()
        expect(counted(page, "sent")).to_have_text("30")
        saved(page)
    check(lab)


@pytest.mark.parametrize("lab", ["s3"], indirect=True)
def test_with_the_keyboard_only(chromium: Browser, lab: Lab) -> None:
    with window(chromium, f"{lab.url}/desk/", lab.door) as seen:
        page = seen.page
        press = page.keyboard.press
        expect(page.locator("#count")).to_have_text("30 of 30 slides")

        press("v")
        page.wait_for_url("**/desk/queue.html*")
        for slide_id in IDS[:5]:
            expect(page.get_by_role("heading", level=1)).to_have_text(slide_id)
            expect(page.locator(".pane > .message")).to_be_hidden()
            press("b" if slide_id in BAD else "g")
        press("i")
        expect(page.get_by_label("Slide ID")).to_be_focused()
        press("Escape")
        press("Escape")
        expect(counted(page, "new")).to_have_text("25")
        expect(row(page, IDS[5])).to_have_class("current")
        press("Home")
        for slide_id in IDS:
            expect(row(page, slide_id)).to_have_class("current")
            if slide_id not in IDS[:5]:
                press("b" if slide_id in BAD else "g")
            press("j")
        saved(page)
        expect(counted(page, "good")).to_have_text("28")

        for slide_id in BAD:
            press("/")
            page.keyboard.insert_text(slide_id)
            press("Enter")
            press("d")
            dialog = page.get_by_role("dialog")
            expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
            press("Shift+Tab")
            press("Shift+Tab")
            expect(dialog.get_by_label("also the scanned file")).to_be_focused()
            press("Space")
            press("Tab")
            expect(dialog.get_by_role("button", name="Delete")).to_be_focused()
            press("Enter")
            expect(rows(page)).to_have_count(0)
        saved(page)
        expect(counted(page, "awaiting")).to_have_text("2")
        for slide_id in BAD:
            lab.scan(slide_id, width=1700)
        refresh(page)
        for slide_id in BAD:
            press("/")
            page.keyboard.insert_text(slide_id)
            press("Enter")
            expect(status(page, slide_id)).to_have_text("NEW")
            press("g")
            expect(status(page, slide_id)).to_have_text("GOOD")

        for slide_id in MISLABELLED:
            press("/")
            page.keyboard.insert_text(slide_id)
            press("Enter")
            expect(rows(page)).to_have_count(1)
            press("i")
            expect(page.get_by_label(f"Slide ID of {slide_id}")).to_be_focused()
            page.keyboard.insert_text(right_id(slide_id))
            press("Enter")
            saved(page)
            press("u")
            field = page.get_by_label(f"Slide ID of {slide_id}")
            expect(field).to_have_value(MISLABELLED[slide_id])
            press("i")
            page.keyboard.insert_text(right_id(slide_id))
            press("Enter")

        for slide_id in IDS[::BLOCKS]:
            press("/")
            page.keyboard.insert_text(f"{case_id(slide_id)}-")
            press("Enter")
            expect(rows(page)).to_have_count(BLOCKS)
            press("Home")
            press("a")
            press("c")
            page.keyboard.insert_text(case_id(slide_id))
            press("Enter")
            press("Escape")
            saved(page)
        press("/")
        press("Backspace")
        press("Escape")
        expect(page.locator("#count")).to_have_text("30 of 30 slides")

        unreliable(lab.repository)
        press("a")
        press("s")
        expect(page.get_by_role("dialog").get_by_role("button", name="Send")).to_be_focused()
        press("Enter")
        expect(page.locator("#notices li")).to_have_count(2)
        saved(page)
        for _ in range(2):
            press("n")
            press("Enter")
        expect(page.locator("#notices li")).to_have_count(0)
        press("s")
        press("Enter")
        expect(counted(page, "sent")).to_have_text("30")
        saved(page)
    check(lab)


@pytest.fixture
def few(real_slide: Path, tmp_path: Path) -> Iterator[Lab]:
    """Three slides."""
    with working(str(tmp_path / "to"), tmp_path, real_slide, IDS[:3]) as lab:
        yield lab


class Second(NamedTuple):
    """Another desk at the same slides."""

    url: str
    door: str
    cookie: str


@contextlib.contextmanager
def second_desk(lab: Lab) -> Iterator[Second]:
    owner = Owner("ben")
    with serving(create_app(opened(lab.target), entrance=Entrance(owner))) as site:
        cookie = site.entered(owner.key).cookie
        yield Second(f"{site.url}/desk/", f"{site.url}/?{KEY}={owner.key}", cookie)


def test_two_desks_at_the_same_slide(chromium: Browser, few: Lab) -> None:
    slide_id = IDS[1]
    with (
        second_desk(few) as other,
        window(chromium, f"{few.url}/desk/", few.door) as anna,
        window(chromium, other.url, other.door) as ben,
    ):
        for seen in (anna, ben):
            expect(rows(seen.page)).to_have_count(3)
        field = ben.page.get_by_label(f"Slide ID of {slide_id}")
        field.fill(right_id(slide_id))
        field.press("Enter")
        saved(ben.page)

        row(anna.page, slide_id).locator(".status").click()
        anna.page.keyboard.press("b")
        notice = anna.page.locator("#notices li")
        expect(notice).to_contain_text(
            "was changed since you looked (set by ben: slide ID S26-9001-A1 -> S26-1041-A2)"
        )
        expect(anna.page.get_by_label(f"Slide ID of {slide_id}")).to_have_value("S26-1041-A2")
        expect(status(anna.page, slide_id)).to_have_text("NEW")
        keep(anna.page, "conflict")
        notice.get_by_role("button", name="Set it nonetheless").click()
        expect(status(anna.page, slide_id)).to_have_text("BAD")
        saved(anna.page)
        refresh(ben.page)
        expect(status(ben.page, slide_id)).to_have_text("BAD")
    review = few.reviews()[slide_id]
    assert (review["status"], review["slide_id"]) == ("BAD", "S26-1041-A2")


def test_a_server_that_was_started_anew(chromium: Browser, few: Lab) -> None:
    """The cookie is no longer good, and the page says what to open. Then the page's token is no
    longer good either, and it gets another one by itself."""
    with window(chromium, f"{few.url}/desk/", few.door) as seen, second_desk(few) as other:
        page = seen.page
        expect(rows(page)).to_have_count(3)
        page.route("**/desk/api/**", lambda route: elsewhere(route, few.url, other.url, ""))
        refresh(page)
        expect(page.locator("#state")).to_have_text(
            "Open the address that the command has printed: it has the key to this desk; this list "
            "may be out of date."
        )
        page.unroute("**/desk/api/**")
        page.route(
            "**/desk/api/**", lambda route: elsewhere(route, few.url, other.url, other.cookie)
        )
        page.keyboard.press("g")
        expect(status(page, IDS[0])).to_have_text("GOOD")
        saved(page)
        seen.wants("403")
    assert few.reviews()[IDS[0]]["status"] == "GOOD"


def elsewhere(route: Route, url: str, other: str, cookie: str) -> None:
    """Answers as the other desk does."""
    origin = other.removesuffix("/desk/")
    headers = {**route.request.headers, "origin": origin, "cookie": cookie}
    route.fulfill(response=route.fetch(url=route.request.url.replace(url, origin), headers=headers))


def test_a_server_that_is_away(chromium: Browser, few: Lab) -> None:
    with window(chromium, f"{few.url}/desk/", few.door) as seen:
        page = seen.page
        expect(rows(page)).to_have_count(3)
        page.route("**/desk/api/set", lambda route: route.abort())
        page.keyboard.press("g")
        expect(page.locator("#notices li")).to_contain_text(
            f"The desk’s server does not answer; saving the change of {IDS[0]} may have failed. "
            "(Not set: status GOOD.)"
        )
        expect(status(page, IDS[0])).to_have_text("NEW")
        # Who tries again is asked where somebody else was at it in the meantime.
        Desk(opened(few.target), "ben").set({IDS[0]: None}, {"status": "BAD"})
        refresh(page)
        expect(status(page, IDS[0])).to_have_text("BAD")
        page.unroute("**/desk/api/set")
        button(page, "Try again").click()
        expect(page.locator("#notices li")).to_contain_text("It was changed meanwhile: status BAD.")
        button(page, "Leave it").click()
        expect(status(page, IDS[0])).to_have_text("BAD")
        seen.wants("net::ERR_FAILED")
    assert few.reviews()[IDS[0]]["status"] == "BAD"


def test_a_note_is_kept_without_another_change(chromium: Browser, few: Lab) -> None:
    with window(chromium, f"{few.url}/desk/queue.html?id={','.join(IDS[:3])}", few.door) as seen:
        page = seen.page
        expect(page.locator("#pictures img").first).to_be_visible()
        page.keyboard.press("e")
        page.keyboard.insert_text("a fold")
        page.keyboard.press("Enter")
        button(page, "Next").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(IDS[1])
        button(page, "Back").click()
        expect(page.locator("#history q")).to_have_text("a fold")
    assert Desk(opened(few.target), "x").record(IDS[0]).history[-1].note == "a fold"


def test_what_was_not_saved_is_not_left_behind(chromium: Browser, few: Lab) -> None:
    with window(chromium, f"{few.url}/desk/queue.html?id={','.join(IDS[:3])}", few.door) as seen:
        page = seen.page
        expect(page.locator("#pictures img").first).to_be_visible()
        page.route("**/desk/api/set", lambda route: route.abort())
        page.keyboard.press("g")
        expect(page.locator("#notices li")).to_contain_text("may have failed")
        page.keyboard.press("Escape")
        expect(button(page, "Try again")).to_be_focused()
        page.unroute("**/desk/api/set")
        page.keyboard.press("Enter")
        expect(page.locator("#notices li")).to_have_count(0)
        button(page, "Table").click()
        expect(status(page, IDS[0])).to_have_text("GOOD")
        seen.wants("net::ERR_FAILED")


def test_a_slide_id_that_another_slide_has_is_told(chromium: Browser, few: Lab) -> None:
    with window(chromium, f"{few.url}/desk/", few.door) as seen:
        page = seen.page
        page.get_by_label(f"Slide ID of {IDS[1]}").fill(right_id(IDS[0]))
        page.keyboard.press("Enter")
        expect(page.locator("#notices li")).to_have_text(
            f"{IDS[1]}: The slide {IDS[0]} has the slide ID {right_id(IDS[0])}, too.Dismiss"
        )
        saved(page)


def test_what_could_not_be_converted(chromium: Browser, few: Lab) -> None:
    store = opened(few.target)
    for slide_id in ("bad-1", "bad-2", "bad-3"):
        slide, reason = f"/scans/{slide_id}.svs", f"{slide_id}.svs: is cut off; copy it again"
        failures.remember(store, Failed(slide_id, slide, reason))
    with window(chromium, f"{few.url}/desk/", few.door) as seen:
        page = seen.page
        expect(counted(page, "failed")).to_have_text("3")
        expect(button(page, "Try again what could not be converted")).to_be_hidden()
        page.locator("[data-filter=failed]").click()
        expect(rows(page)).to_have_count(3)
        expect(row(page, "bad-1")).to_contain_text("bad-1.svs: is cut off; copy it again")
        expect(button(page, "Good")).to_be_disabled()
        seen.settled()
        keep(page, "failed")

        page.get_by_label("Select bad-1").check()
        page.get_by_label("Select bad-2").check()
        page.keyboard.press("g")  # is for other slides
        button(page, "Try again what could not be converted").click()
        expect(page.locator("#told")).to_have_text("bad-1, bad-2: will be tried again")
        expect(row(page, "bad-2")).to_contain_text("tried again soon")
        assert [failed.id for failed in failures.asked_again(store)] == ["bad-1", "bad-2"]

        page.keyboard.press("End")
        page.keyboard.press("m")
        expect(page.locator("#told")).to_have_text("bad-3: dismissed")
        expect(rows(page)).to_have_count(2)
        failures.forget(store, "bad-1")  # it is converted meanwhile
        page.get_by_label("Select bad-1").check()
        button(page, "Try again what could not be converted").click()
        expect(page.locator("#notices li")).to_contain_text("bad-1: it has not failed")
        expect(rows(page)).to_have_count(1)
        page.get_by_label("Search").fill("nothing like it")
        expect(page.locator("#empty")).to_have_text("No slide matches.")


def test_ten_thousand_slides(chromium: Browser, few: Lab) -> None:
    """What is not seen is not in the page, however many there are."""
    desk = Desk(opened(few.target), "x")
    entry = desk.slides()[0]
    entry["review"]["label"] = False
    document = {
        "slides": [{**entry, "id": f"slide-{number:05}"} for number in range(MANY)],
        "awaiting": [],
        "failed": [],
    }
    thumbnail = open_store(few.target).get(f"images/{IDS[0]}/thumbnail.jpeg")
    with window(chromium, "about:blank", few.door) as seen:
        page = seen.page
        page.route("**/desk/api/slides", lambda route: route.fulfill(json=document))
        page.route("**/DeepZoom_files/**", lambda route: route.fulfill(body=thumbnail))
        page.goto(f"{few.url}/desk/")
        expect(page.locator("#count")).to_have_text("10000 of 10000 slides")
        assert rows(page).count() < 40
        page.keyboard.press("End")
        expect(row(page, "slide-09999")).to_have_class("current")
        assert rows(page).count() < 40
        page.keyboard.press("/")
        page.keyboard.type("slide-0456")
        expect(rows(page)).to_have_count(10)
        assert row(page, "slide-04567").get_attribute("aria-rowindex") == "9"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", f"queue.html?id={IDS[0]}"])
def test_axe_finds_no_serious_fault(chromium: Browser, few: Lab, path: str, scheme: str) -> None:
    with window(chromium, f"{few.url}/desk/{path}", few.door, color_scheme=scheme) as seen:
        seen.settled()
        expect(seen.page.locator(".unconfirmed").first).to_be_visible()
        assert serious_faults(seen.page) == []
