"""The gallery in a real browser: found, sorted, opened; ten thousand slides; private links."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.conftest import Run
from tests.support.browser import Window, serious_faults, window
from tests.support.destinations import keeping
from tests.support.forge import forge_svs
from tests.support.site import Site, serving
from tests.support.viewed import SCREENSHOTS, button, opened
from tests.web.test_app import PROGRAM
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.web import signing
from vsv_pyramid.web.app import create_app

MANY = 10_000


@pytest.fixture(scope="module")
def root(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real slide twice, and two others of another objective and size."""
    folder = tmp_path_factory.mktemp("root")
    for number, power in ((7, "40"), (12, "40")):
        path = folder / f"case-{number}.svs"
        stated = {"AppMag": power, "Date": f"03/0{number % 10}/24"}
        size = (900 + 100 * number, 700)
        forge_svs(path, tissue=real_slide, size=size, levels=(1,), description=stated)
        convert(path, str(folder), keeping(ConvertOptions(), folder))
    for slide_id in ("real", "real-again"):
        convert(real_slide, str(folder), keeping(ConvertOptions(slide_id=slide_id), folder))
    return folder


@pytest.fixture(scope="module")
def site(root: Path) -> Iterator[Site]:
    with serving(create_app(open_root(str(root)))) as site:
        yield site


@pytest.fixture
def gallery(chromium: Browser, site: Site) -> Iterator[Window]:
    with window(chromium, f"{site.url}/") as seen:
        expect(seen.page.locator(".card").first).to_be_visible()
        yield seen


def names(window: Window) -> list[str]:
    return window.page.locator(".card strong").all_inner_texts()


def test_all_slides_are_listed_with_their_facts(gallery: Window) -> None:
    page = gallery.page
    assert page.url.split("#")[0].endswith("/viewer/gallery/")
    assert names(gallery) == ["case-7", "case-12", "real", "real-again"]
    card = page.locator(".card", has_text="real").first
    assert card.inner_text().split("\n") == ["real", "2220 × 2967 px", "20x, 2009-12-29"]
    expect(page.locator("#count")).to_have_text("4 slides")
    gallery.settled()
    loaded = "(image) => image.complete && image.naturalWidth > 50"
    assert all(image.evaluate(loaded) for image in page.locator(".card img").all())
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "gallery.png")


def test_search_filter_and_order(gallery: Window) -> None:
    page = gallery.page
    page.get_by_label("Search").fill("real 2009")
    assert names(gallery) == ["real", "real-again"]
    expect(page.locator("#count")).to_have_text("2 of 4 slides")
    page.get_by_label("Search").fill("")
    page.get_by_label("Objective").select_option("40x")
    assert names(gallery) == ["case-7", "case-12"]
    page.get_by_label("Objective").select_option("all")
    page.get_by_label("Sort by").select_option("scan date, newest first")
    assert names(gallery)[:2] == ["case-7", "case-12"]
    page.get_by_label("Sort by").select_option("size, largest first")
    assert names(gallery) == ["real", "real-again", "case-12", "case-7"]
    page.get_by_label("Search").fill("case")
    page.reload()
    expect(page.locator(".card")).to_have_count(2)
    assert names(gallery) == ["case-12", "case-7"]
    page.get_by_label("Search").fill("nobody")
    expect(page.get_by_role("alert")).to_have_text("No slide matches.")


def offered(page: Page) -> list[str]:
    """What the slides can be sorted by."""
    return page.get_by_label("Sort by").locator("option").all_inner_texts()


SIZE = "size, largest first"
LACKING = "Slide IDs, status and dates are not published here."


def test_with_a_labs_details_nothing_is_lacking(gallery: Window) -> None:
    page = gallery.page
    expect(page.locator("#lacking")).to_be_hidden()
    dates = ["scan date, newest first", "publication, newest first"]
    assert offered(page) == ["ID", *dates, SIZE]
    expect(page.get_by_label("Search")).to_have_attribute("placeholder", "ID, scanner, date")


@pytest.fixture(scope="module")
def public(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Slides as they are published by default: of a known scanner, and of one that is none."""
    folder = tmp_path_factory.mktemp("public")
    for number, year in ((1, 24), (2, 26)):
        path = folder / f"case-{number}.svs"
        stated = {"Date": f"03/01/{year}"}
        forge_svs(path, tissue=real_slide, size=(900, 700), levels=(1,), description=stated)
        convert(path, str(folder), ConvertOptions())
    with serving(create_app(open_root(str(folder)))) as site:
        yield site


def test_without_details_it_says_what_it_lacks(chromium: Browser, public: Site) -> None:
    """And neither offers it, nor asks for it where an address of before does."""
    before = "#status=GOOD&order=created"
    with window(chromium, f"{public.url}/viewer/gallery/{before}") as seen:
        page = seen.page
        expect(page.locator(".card")).to_have_count(2)
        expect(page.locator("#lacking")).to_have_text(LACKING)
        expect(page.get_by_label("Status")).to_be_hidden()
        assert offered(page) == ["ID", "year of the scan, newest first", SIZE]
        expect(page.get_by_label("Sort by")).to_have_value("id")
        expect(page.get_by_label("Search")).to_have_attribute("placeholder", "ID, scanner, year")
        texts = [text.split("\n") for text in page.locator(".card").all_inner_texts()]
        assert texts == [
            ["case-1", "900 × 700 px", "20x, 2024"],
            ["case-2", "900 × 700 px", "20x, 2026"],
        ]
        page.get_by_label("Sort by").select_option("year of the scan, newest first")
        assert names(seen) == ["case-2", "case-1"]
        page.get_by_label("Search").fill("2024")
        assert names(seen) == ["case-1"]


@contextlib.contextmanager
def gallery_of(
    chromium: Browser, site: Site, index: dict[str, Any], at: str = ""
) -> Iterator[Window]:
    """The gallery of the site with another list of its slides."""
    with window(chromium, "about:blank") as seen:
        seen.host = site.url.removeprefix("http://")
        seen.page.route("**/images/index.json", lambda route: route.fulfill(json=index))
        seen.page.goto(f"{site.url}/viewer/gallery/{at}")
        expect(seen.page.locator(".card")).to_have_count(len(index["slides"]))
        yield seen


def test_what_no_slide_says_is_not_offered(chromium: Browser, public: Site) -> None:
    bare = json.loads(public.ask("/images/index.json").body)
    for slide in bare["slides"]:
        slide |= {"year": None, "scanner": None, "vendor": None}
    with gallery_of(chromium, public, bare) as seen:
        page = seen.page
        assert offered(page) == ["ID", SIZE]
        expect(page.get_by_label("Search")).to_have_attribute("placeholder", "ID")


def test_some_slides_without_details_are_sorted_among_the_others(
    chromium: Browser, public: Site
) -> None:
    mixed = json.loads(public.ask("/images/index.json").body)
    mixed["slides"][0] |= {"scanned": "2027-01-02T03:04:05", "created": "2027-01-03T00:00:00+00:00"}
    with gallery_of(chromium, public, mixed, "#order=scanned") as seen:
        page = seen.page
        expect(page.locator("#lacking")).to_have_text(
            "Slide IDs, status and dates of some slides are not published here."
        )
        assert names(seen) == ["case-1", "case-2"]
        assert "year of the scan, newest first" not in offered(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_without_details(
    chromium: Browser, public: Site, scheme: str
) -> None:
    with window(chromium, f"{public.url}/", color_scheme=scheme) as seen:
        expect(seen.page.locator("#lacking")).to_be_visible()
        assert serious_faults(seen.page) == []


REVIEWS: dict[str, dict[str, Any]] = {
    "case-7": {"status": "GOOD", "slide_id": "S24-00117-A1", "case_id": "S24-00117"},
    "real": {"status": "NEW", "slide_id": None, "case_id": "S24-00200"},
}


def reviewed(site: Site, key: str) -> dict[str, Any]:
    """The site's document, as if REVIEWS were in it."""
    document: dict[str, Any] = json.loads(site.ask(f"/images/{key}").body)
    for slide in document.get("slides", [document]):
        if slide["id"] in REVIEWS:
            slide["review"] = {**REVIEWS[slide["id"]], "changed": None, "revision": 1}
    return document


def test_without_reviews_no_status_is_spoken_of(gallery: Window) -> None:
    expect(gallery.page.get_by_label("Status")).to_be_hidden()


def test_a_review_is_shown_searched_and_asked_for(chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/viewer/") as seen:
        page = seen.page
        page.route(
            "**/images/index.json", lambda route: route.fulfill(json=reviewed(site, "index.json"))
        )
        page.goto(f"{site.url}/viewer/gallery/")
        cards = page.locator(".card")
        expect(cards).to_have_count(4)
        texts = [text.split("\n") for text in cards.all_inner_texts()]
        lines = {text[0]: text[3:] for text in texts}
        assert lines == {
            "case-7": ["GOOD, S24-00117-A1"],
            "case-12": ["NEW"],
            "real": ["NEW"],
            "real-again": ["NEW"],
        }
        inside = "(card) => card.scrollHeight <= card.clientHeight"
        assert all(card.evaluate(inside) for card in cards.all())
        page.get_by_label("Status").select_option("good")
        assert names(seen) == ["case-7"]
        page.reload()
        expect(cards).to_have_count(1)
        page.get_by_label("Status").select_option("all")
        for words, found in (("s24-00117-a1", ["case-7"]), ("s24 2009", ["real"])):
            page.get_by_label("Search").fill(words)
            assert names(seen) == found


def test_a_review_is_among_the_facts(chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/viewer/") as seen:
        page = seen.page
        page.route(
            "**/slide.json", lambda route: route.fulfill(json=reviewed(site, "case-7/slide.json"))
        )
        page.goto(f"{site.url}/viewer/?id=case-7")
        opened(seen)
        rows = page.locator("#facts > dl").inner_text().split("\n")
        assert rows[:6] == ["Status", "GOOD", "Slide ID", "S24-00117-A1", "Case ID", "S24-00117"]


def test_one_slide_is_opened_and_the_gallery_again(gallery: Window) -> None:
    page = gallery.page
    page.get_by_role("link", name="case-7").click()
    opened(gallery)
    expect(page.get_by_role("heading", level=1)).to_have_text("case-7")
    page.get_by_role("link", name="All slides").click()
    expect(page.locator(".card").first).to_be_visible()


def test_several_are_opened_by_keyboard_too(gallery: Window) -> None:
    page = gallery.page
    expect(button(page, "Open selected")).to_be_disabled()
    page.get_by_label("Select real-again").check()
    box = page.get_by_label("Select case-12")
    box.focus()
    page.keyboard.press("Space")
    expect(box).to_be_checked()
    button(page, "Open selected (2)").focus()
    page.keyboard.press("Enter")
    opened(gallery)
    expect(page.locator("#page")).to_have_text("1 / 2")
    assert "id=real-again,case-12" in page.url


def entries(site: Site) -> list[dict[str, Any]]:
    (entry, *_) = json.loads(site.ask("/images/index.json").body)["slides"]
    return [
        {**entry, "id": f"slide-{number:05}", "version": f"{number:x}"} for number in range(MANY)
    ]


def test_ten_thousand_slides_are_shown_as_they_are_seen(chromium: Browser, site: Site) -> None:
    shards = [f"index-a-0{number}.json" for number in range(2)]
    documents: dict[str, dict[str, Any]] = {"index.json": {"version": 1, "shards": shards}}
    for number, name in enumerate(shards):
        documents[name] = {"version": 1, "slides": entries(site)[number::2]}

    def answer(route: Route) -> None:
        route.fulfill(json=documents[route.request.url.rpartition("/")[2]])

    thumbnail = site.ask("/images/real/thumbnail.jpeg").body

    def rows(cards: Locator) -> list[str]:
        return cards.locator("strong").all_inner_texts()

    with window(chromium, f"{site.url}/viewer/") as seen:
        page = seen.page
        page.route("**/images/index*.json", answer)
        page.route("**/DeepZoom_files/**", lambda route: route.fulfill(body=thumbnail))
        page.goto(f"{site.url}/viewer/gallery/")
        expect(page.locator("#count")).to_have_text("10000 slides")
        cards = page.locator(".card")
        assert rows(cards)[0] == "slide-00000"
        assert cards.count() < 100
        grid = page.locator("#grid")
        grid.evaluate("(grid) => grid.scrollTo(0, grid.scrollHeight)")
        expect(page.locator(".card", has_text="slide-09999")).to_be_visible()
        assert cards.count() < 100
        last = page.locator(".card", has_text="slide-09999")
        assert last.evaluate("(card) => [card.ariaPosInSet, card.ariaSetSize]") == [
            "10000",
            "10000",
        ]
        page.get_by_label("Search").fill("slide-04567")
        expect(cards).to_have_count(1)
        seen.settled()
        loaded = [url for url in seen.requests if "DeepZoom_files" in url]
        assert 10 < len(loaded) < 200
        assert any("slide-04567" in url for url in loaded)


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (404, "", "The list of the slides is not here"),
        (403, "", "the link is no longer valid"),
        (200, "<html>", "The list of the slides is damaged."),
        (200, '{"version": 1, "slides": []}', "No slide is published yet."),
    ],
)
def test_what_cannot_be_listed_is_said(
    chromium: Browser, site: Site, status: int, body: str, sentence: str
) -> None:
    with window(chromium, f"{site.url}/viewer/") as seen:
        seen.page.route(
            "**/images/index.json", lambda route: route.fulfill(status=status, body=body)
        )
        seen.page.goto(f"{site.url}/viewer/gallery/")
        expect(seen.page.get_by_role("alert")).to_contain_text(sentence)
        seen.wants(str(status), "is not valid JSON")


class Keys:
    """A pair of keys in files, as `share` and `serve` take them."""

    def __init__(self, folder: Path) -> None:
        key = generate_private_key(65537, 2048)
        self.private, self.public = folder / "private.pem", folder / "public.pem"
        self.private.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        public = key.public_key()
        self.public.write_bytes(
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def private(keys: Keys, root: Path) -> Iterator[Site]:
    verifier = signing.Verifier(signing.read_public_key(keys.public))
    with serving(create_app(open_root(str(root)), verifiers=[verifier])) as site:
        yield site


def test_a_shared_link_opens_the_slide_and_no_other(
    chromium: Browser, private: Site, keys: Keys, run: Run
) -> None:
    outcome = run(
        *("share", "real", "--base-url", private.url, "--key-id", "K1"),
        *("--private-key", keys.private, "--expires", "1h"),
    )
    assert outcome.code == 0
    link = outcome.out.strip()
    with window(chromium, link) as seen:
        page = opened(seen)
        page.wait_for_function("() => document.querySelector('#facts img')?.naturalWidth > 100")
        page.keyboard.press("5")
        seen.settled()
        assert all("Signature=" in url for url in seen.requests if "/images/" in url)
        assert any("/DeepZoom_files/12/" in url for url in seen.requests)
    with window(chromium, link.replace("id=real", "id=case-7")) as seen:
        expect(seen.page.locator(".pane .message")).to_contain_text("the link is no longer valid")
        assert any("403" in problem for problem in seen.problems)
        seen.wants("403")


def test_an_expired_link_is_said(chromium: Browser, private: Site, keys: Keys) -> None:
    past = datetime.now(timezone.utc) - timedelta(minutes=1)
    key = signing.read_private_key(keys.private)
    with window(chromium, signing.link("real", private.url, "K1", key, past)) as seen:
        expect(seen.page.locator(".pane .message")).to_contain_text("ask for a new link")
        seen.wants("403")


def test_cookies_open_the_whole_site(chromium: Browser, private: Site, keys: Keys) -> None:
    end = datetime.now(timezone.utc) + timedelta(hours=1)
    key = signing.read_private_key(keys.private)
    where = {"domain": "127.0.0.1", "path": "/", "expires": -1, "sameSite": "Lax"}
    state = {
        "cookies": [
            {"name": name, "value": value, "httpOnly": True, "secure": False, **where}
            for name, value in signing.cookies(private.url, "K1", key, end).items()
        ]
    }
    with window(chromium, f"{private.url}/", storage_state=state) as seen:
        expect(seen.page.locator(".card")).to_have_count(4)
        seen.page.get_by_role("link", name="case-7").click()
        opened(seen)


def test_the_command_serves_what_it_says(chromium: Browser, root: Path) -> None:
    """The real program, as a user starts it."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [*PROGRAM, "serve", str(root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            url = next(word for word in line.split() if word.startswith("http://"))
            with window(chromium, url) as seen:
                expect(seen.page.locator(".card")).to_have_count(4)
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0
