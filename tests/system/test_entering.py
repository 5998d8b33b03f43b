"""The way to the desk in a real browser: by the address that is opened, or by a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import window
from tests.support.destinations import opened
from tests.support.site import serving
from tests.system.test_morning import IDS, Lab, row, rows, saved, working
from tests.web.test_people import HASH, TOKEN
from vsv_pyramid.cli import opening
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.people import TokenFile

ONE = IDS[0]


@pytest.fixture
def one(real_slide: Path, tmp_path: Path) -> Iterator[Lab]:
    """One slide."""
    with working(str(tmp_path / "to"), tmp_path, real_slide, [ONE]) as lab:
        yield lab


def test_by_the_file_that_is_opened(
    chromium: Browser, one: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is clean, and the cookie lets in afterwards; and nobody else."""
    monkeypatch.setattr(opening, "_open", lambda *_: None)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with opening.opening(one.door, is_secret=True), window(chromium, "about:blank") as seen:
        (file,) = tmp_path.glob("vsv-pyramid-desk-*.html")
        page, seen.host = seen.page, one.url.removeprefix("http://")
        page.goto(file.as_uri())
        page.wait_for_url("**/desk/**")
        expect(rows(page)).to_have_count(1)
        assert "key" not in page.url
        page.reload()
        expect(rows(page)).to_have_count(1)
        assert page.evaluate("document.cookie") == ""
        seen.wants("asked for file:")
    with window(chromium, f"{one.url}/desk/") as other:
        expect(other.page.locator("body")).to_contain_text("Open the address that the command has")
        other.wants("403")


def test_by_a_token(chromium: Browser, one: Lab, tmp_path: Path) -> None:
    """What somebody's role does not take, cannot be pressed, and is refused."""
    path = tmp_path / "people"
    path.write_text(f"ben:{HASH}:view\n")
    app = create_app(opened(one.target), entrance=Entrance(TokenFile(path)))
    who = {"username": "ben", "password": TOKEN}
    with serving(app) as site, window(chromium, f"{site.url}/desk/", http_credentials=who) as seen:
        page = seen.page
        expect(rows(page)).to_have_count(1)
        expect(page.locator("#who")).to_have_text("ben (view)")
        row(page, ONE).locator(".status").click()
        expect(page.locator("[data-command=review]")).to_be_enabled()
        for name in ("good", "bad", "delete", "send"):
            expect(page.locator(f"[data-command={name}]")).to_be_disabled()
        page.keyboard.press("g")
        expect(page.locator("#notices li")).to_contain_text(
            "The role of ben is view; this takes the role edit"
        )
        path.write_text(f"ben:{HASH}:edit\n")
        page.reload()
        expect(page.locator("#who")).to_have_text("ben (edit)")
        row(page, ONE).locator(".status").click()
        page.locator("[data-command=good]").click()
        saved(page)
        seen.wants("401", "403")
    event = Desk(opened(one.target), "x").record(ONE).history[-1]
    assert (event.who, event.changes["status"]) == ("ben", ["NEW", "GOOD"])
