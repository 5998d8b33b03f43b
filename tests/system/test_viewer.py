"""The viewer's page in a real browser: every control as a person uses it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.benchmarks import viewing
from tests.support import http_server
from tests.support.browser import Window, serious_faults, window
from tests.support.site import Site, serving
from tests.support.viewed import (
    MEDIUM,
    MPP,
    ROOT,
    SCREENSHOTS,
    button,
    opened,
    small,
    stage,
    undress,
    view,
)
from vsv_pyramid import pages
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import create_app


@pytest.fixture
def real(chromium: Browser, site: Site) -> Iterator[Window]:
    with window(chromium, f"{site.url}/viewer/?id=real") as seen:
        opened(seen)
        yield seen


@pytest.fixture
def real_drawn(webgl: Browser, site: Site) -> Iterator[Window]:
    with window(webgl, f"{site.url}/viewer/?id=real") as seen:
        opened(seen)
        yield seen


def test_magnifications_are_those_of_the_objective(real: Window) -> None:
    page = real.page
    labels = page.locator("#steps button").all_inner_texts()
    assert labels == ["1.25x", "2.5x", "5x", "10x", "20x"]
    fitted = view(page)
    for label, scale in zip(labels, (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1), strict=True):
        button(page, label).click()
        expect(page.locator("#magnification")).to_have_text(label)
        real.settled()
        assert view(page).scale == pytest.approx(scale, rel=1e-6)
    page.keyboard.press("3")
    expect(page.locator("#magnification")).to_have_text("5x")
    button(page, "Fit the window").click()
    real.settled()
    assert view(page)[:4] == pytest.approx(fitted[:4])


def test_zoom_by_slider_wheel_buttons_and_keys(real: Window) -> None:
    page = real.page
    slider = page.get_by_label("Zoom", exact=True)
    slider.focus()
    slider.press("End")
    real.settled()
    assert view(page).scale == pytest.approx(8)
    assert slider.get_attribute("aria-valuetext") == "160x"
    button(page, "Zoom out").click()
    real.settled()
    assert view(page).scale == pytest.approx(8 / 1.5, rel=1e-6)
    page.keyboard.press("0")
    real.settled()
    before = view(page)
    page.keyboard.press("+")
    real.settled()
    assert view(page).scale == pytest.approx(before.scale * 1.5, rel=1e-6)
    box = stage(page)
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.wheel(0, -100)
    real.settled()
    assert view(page).scale > before.scale * 1.6
    page.keyboard.press("-")
    page.keyboard.press("0")
    real.settled()
    assert view(page)[:4] == pytest.approx(before[:4])


def test_moving_by_mouse_and_keys(real: Window) -> None:
    page = real.page
    button(page, "20x").click()
    real.settled()
    before, box = view(page), stage(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    real.settled()
    after = view(page)
    assert after.x - before.x == pytest.approx(box["width"] / 4, abs=1)
    assert after.y - before.y == pytest.approx(box["height"] / 4, abs=1)
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 300 + after.x - before.x, box["y"] + 300, steps=5)
    page.wait_for_timeout(300)  # held still, or it would glide on
    page.mouse.up()
    real.settled()
    assert view(page).x == pytest.approx(before.x, abs=2)


def test_rotation_and_mirror(real_drawn: Window) -> None:
    page = real_drawn.page
    button(page, "Rotate right").click()
    real_drawn.settled()
    assert view(page).rotation == 90
    page.keyboard.press("Shift+R")
    page.keyboard.press("Shift+R")
    real_drawn.settled()
    assert view(page).rotation % 360 == 270
    button(page, "Rotate right").click()
    real_drawn.settled()
    upright = real_drawn.screenshot(stage(page)).astype(int)
    page.keyboard.press("m")
    real_drawn.settled()
    assert view(page).words == ["mirrored"]
    mirrored = real_drawn.screenshot(stage(page)).astype(int)
    middle = slice(300, 600)  # beside navigator and scale bar
    assert np.abs(mirrored[100:500, ::-1][:, middle] - upright[100:500, middle]).mean() < 2
    button(page, "Mirror").click()
    real_drawn.settled()
    assert view(page).words == []


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


@pytest.mark.parametrize(("turns", "mirrored"), [(0, False), (1, False), (0, True), (1, True)])
def test_a_ruler_is_as_long_as_the_mpp_says(real: Window, turns: int, mirrored: bool) -> None:
    page = real.page
    button(page, "10x").click()
    for _ in range(turns):
        button(page, "Rotate right").click()
    if mirrored:
        button(page, "Mirror").click()
    real.settled()
    before = view(page)
    box = stage(page)
    button(page, "Measure lengths by dragging").click()
    drag(page, (box["x"] + 200, box["y"] + 200), (box["x"] + 500, box["y"] + 600))
    item = page.locator("#lengths li")
    expect(item).to_have_count(1)
    (length,) = re.findall(r"([\d.]+) µm", item.inner_text())
    assert float(length) == pytest.approx(500 * 2 * MPP, abs=2 * MPP)
    line = page.locator(".rulers line").first
    ends = [float(line.get_attribute(name) or 0) for name in ("x1", "y1", "x2", "y2")]
    assert ends == pytest.approx([200, 200, 500, 600], abs=1)
    assert view(page) == before


def test_rulers_are_listed_copied_and_cleared(chromium: Browser, site: Site) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with window(chromium, f"{site.url}/viewer/?id=real", permissions=permissions) as seen:
        page = opened(seen)
        button(page, "20x").click()
        seen.settled()
        page.keyboard.press("l")
        box = stage(page)
        drag(page, (box["x"] + 100, box["y"] + 100), (box["x"] + 300, box["y"] + 100))
        page.keyboard.press("Enter")  # from the centre on
        page.keyboard.press("ArrowRight")
        seen.settled()
        page.keyboard.press("Enter")
        items = page.locator("#lengths li")
        expect(items).to_have_count(2)
        by_hand, by_key = (text.split("\n")[0].rstrip("×") for text in items.all_inner_texts())
        assert by_hand == "99.8 µm"
        quarter = box["width"] / 4 * MPP
        assert float(by_key.split()[0]) == pytest.approx(quarter, abs=MPP)
        button(page, "Copy the lengths").click()
        expect(page.get_by_role("status").last).to_contain_text("copied")
        assert page.evaluate("navigator.clipboard.readText()") == f"{by_hand}\n{by_key}"
        button(page, f"Remove {by_hand}").click()
        expect(items).to_have_count(1)
        button(page, "Clear the lengths").click()
        expect(items).to_have_count(0)
        assert page.locator(".rulers line").count() == 0


def test_the_scale_bar_is_as_long_as_it_says(real: Window) -> None:
    page = real.page
    for label, shrink in (("20x", 1), ("10x", 2), ("5x", 4)):
        button(page, label).click()
        real.settled()
        bar = page.locator(".scale-bar")
        number, unit = bar.inner_text().split()
        box = bar.bounding_box()
        assert box and unit == "µm"
        assert float(number) == pytest.approx(box["width"] * shrink * MPP, rel=0.01)
        assert 60 < box["width"] <= 161


def test_without_mpp_and_objective_lengths_are_in_pixels(chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/viewer/?id=bare") as seen:
        page = opened(seen)
        expect(page.locator(".scale-bar")).to_be_hidden()
        assert (
            "size not stated: no scale bar, lengths are in px"
            in page.locator("#panel").inner_text()
        )
        assert page.locator("#steps button").all_inner_texts()[-1] == "1:1"
        button(page, "1:1").click()
        seen.settled()
        expect(page.locator("#magnification")).to_have_text("1:1")
        page.keyboard.press("l")
        box = stage(page)
        drag(page, (box["x"] + 100, box["y"] + 100), (box["x"] + 400, box["y"] + 500))
        expect(page.locator("#lengths li")).to_contain_text("500 px")


def test_the_panel_tells_of_the_slide(real: Window) -> None:
    panel = real.page.get_by_role("complementary", name="About the slide")
    text = panel.inner_text()
    for fact in (
        "Not for primary diagnosis",
        "2 220 × 2 967 px",
        "1.11 mm × 1.48 mm",
        "20x",
        "0.499 µm",
        "2009-12-29 09:59:15",
        "aperio",
        "the scanner’s own pixels",
    ):
        assert fact in text
    for name in ("thumbnail", "label", "macro"):
        image = panel.get_by_alt_text(f"The slide’s {name}")
        assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 100
    real.page.keyboard.press("i")
    expect(panel).to_be_hidden()
    button(real.page, "About the slide").click()
    expect(panel).to_be_visible()


def test_the_panel_scrolls_by_keyboard(chromium: Browser, site: Site) -> None:
    size = {"width": 1200, "height": 400}
    with window(chromium, f"{site.url}/viewer/?id=real", viewport=size) as seen:
        page = opened(seen)
        before = view(page)
        panel = page.locator("#panel")
        panel.focus()
        page.keyboard.press("ArrowDown")
        page.wait_for_function("() => document.querySelector('#panel').scrollTop > 0")
        assert view(page) == before


def test_the_panel_shows_the_year_where_that_is_all(chromium: Browser, site: Site) -> None:
    facts = json.loads(site.ask("/images/bare/slide.json").body)
    scanned = {"scanned": None, "created": None, "details": "none"}
    assert panel_of(chromium, site, {**facts, **scanned})["Scanned"] == "2009"


def test_what_version_1_has_told_of_the_file_is_shown_no_more(
    chromium: Browser, site: Site
) -> None:
    facts = json.loads(site.ask("/images/bare/slide.json").body)
    facts = {
        name: value for name, value in facts.items() if name not in ("year", "details", "kept")
    }
    former = {
        "version": 1,
        "scanned": "2009-12-29T09:59:15",
        "created": "2026-01-02T03:04:05+00:00",
        "scanner": "CPAPERIOCS",
        "image_id": "1004486",
        "properties": {"ScanScope ID": "CPAPERIOCS", "MPP": "0.4990"},
        "review": {"status": "GOOD", "slide_id": "A1", "case_id": None, "changed": None},
    }
    shown = panel_of(chromium, site, {**facts, **former})
    size, tiles = shown.pop("Size"), shown.pop("Tiles")
    assert (size, tiles.endswith("px")) == ("1 201 × 903 px", True)
    assert shown == {
        "Status": "GOOD",
        "Slide ID": "A1",
        "Objective": "not stated by the slide",
        "Pixel": "size not stated: no scale bar, lengths are in px",
        "Scanned": "2009-12-29 09:59:15",
        "Scanner": "aperio, CPAPERIOCS",
        "Full resolution": "the scanner’s own pixels",
        "Published": "2026-01-02",
    }


def panel_of(chromium: Browser, site: Site, facts: dict[str, Any]) -> dict[str, str]:
    """What the viewer's panel tells of the slide bare, if these are its facts."""
    with window(chromium, f"{site.url}/viewer/") as seen:
        page = seen.page
        page.route("**/bare/slide.json", lambda route: route.fulfill(json=facts))
        page.goto(f"{site.url}/viewer/?id=bare")
        opened(seen)
        (told,) = page.locator("#facts dl").all()
        expect(page.locator("#facts > :not(dl, figure)")).to_have_count(0)
        names, values = (told.locator(name).all_inner_texts() for name in ("dt", "dd"))
        return dict(zip(names, values, strict=True))


def test_a_link_reopens_the_same_view(chromium: Browser, site: Site, real: Window) -> None:
    page = real.page
    button(page, "10x").click()
    button(page, "Rotate right").click()
    page.keyboard.press("m")
    page.keyboard.press("ArrowUp")
    real.settled()
    with window(chromium, page.url) as seen:
        opened(seen)
        assert seen.page.url == page.url
        undress(page)
        undress(seen.page)
        one, other = real.screenshot(stage(page)), seen.screenshot(stage(seen.page))
        assert np.abs(one.astype(int) - other).max() == 0


def test_a_snapshot_is_what_is_seen_with_its_scale(real_drawn: Window) -> None:
    page = real_drawn.page
    button(page, "20x").click()
    real_drawn.settled()
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "real-20x.png"
    saved = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
    box = stage(page)
    screen = real_drawn.screenshot(box).astype(int)
    assert saved.shape == screen.shape
    middle = (slice(60, 500), slice(60, 600))
    assert np.abs(saved[middle] - screen[middle]).max() == 0
    bar = saved[-17:-15, 16:116]  # 50 um are 100 px, from 16 px off the corner
    assert (bar.max(axis=-1) < 90).mean() > 0.9


def test_overview_full_screen_and_help(real: Window) -> None:
    page = real.page
    navigator = page.locator(".navigator")
    expect(navigator).to_be_visible()
    page.keyboard.press("n")
    expect(navigator).to_be_hidden()
    button(page, "Overview").click()
    expect(navigator).to_be_visible()
    button(page, "Full screen").click()
    page.wait_for_function("() => document.fullscreenElement")
    page.keyboard.press("f")
    page.wait_for_function("() => !document.fullscreenElement")
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keys")
    keys = help_.inner_text()
    for label in page.locator("[data-command]:visible").all():
        assert (label.get_attribute("aria-label") or "") in keys
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()


def test_several_slides_one_after_another(chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/viewer/?id=real,odd,bare") as seen:
        page = opened(seen)
        expect(button(page, "Previous slide")).to_be_disabled()
        button(page, "20x").click()
        seen.settled()
        first = view(page)
        page.keyboard.press("PageDown")
        expect(page.get_by_role("heading", level=1)).to_have_text("odd")
        seen.settled()
        assert page.title().startswith("odd")
        button(page, "Next slide").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("bare")
        expect(button(page, "Next slide")).to_be_disabled()
        page.keyboard.press("PageUp")
        expect(page.locator("#page")).to_have_text("2 / 3")
        seen.settled()
        assert view(page).words == ["slide2"]
        url = page.url
        page.keyboard.press("PageUp")
        expect(page.get_by_role("heading", level=1)).to_have_text("real")
        seen.settled()
        assert view(page) == first
    with window(chromium, url) as seen:
        opened(seen)
        expect(seen.page.get_by_role("heading", level=1)).to_have_text("odd")


def test_side_by_side_slides_move_together(webgl: Browser, site: Site) -> None:
    with window(webgl, f"{site.url}/viewer/?id=real,real", viewport=MEDIUM) as seen:
        page = opened(seen)
        page.keyboard.press("n")
        button(page, "Side by side").click()
        expect(page.locator(".pane")).to_have_count(2)
        seen.settled()
        button(page, "20x").click()
        page.keyboard.press("ArrowDown")
        button(page, "Rotate right").click()
        seen.settled()
        undress(page)
        boxes = [stage(page, number) for number in (0, 1)]
        pictures = [seen.screenshot(box).astype(int) for box in boxes]
        assert np.abs(pictures[0] - pictures[1]).mean() < 1
        page.keyboard.press("t")
        page.mouse.move(boxes[1]["x"] + 50, boxes[1]["y"] + 200)
        page.mouse.wheel(0, 300)
        seen.settled()
        apart = [seen.screenshot(box).astype(int) for box in boxes]
        assert np.abs(apart[0] - pictures[0]).max() == 0
        assert np.abs(apart[1] - pictures[1]).mean() > 5
        assert set(view(page).words) == {"side", "slide2"}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?id=nothing", "The slide nothing is not here; check the link"),
        ("?id=a/b", "“a/b” is no slide's id; check the link."),
        ("", "The link names no slide: choose one in the list of all slides."),
    ],
)
def test_what_cannot_be_shown_is_said(
    chromium: Browser, site: Site, query: str, sentence: str
) -> None:
    with window(chromium, f"{site.url}/viewer/{query}") as seen:
        expect(seen.page.locator(".message:visible")).to_contain_text(sentence)
        seen.wants("404")


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(403, "the link is no longer valid, or there is no such slide"), (503, "error 503")],
)
def test_what_the_server_refuses_is_said(
    chromium: Browser, site: Site, status: int, sentence: str
) -> None:
    with window(chromium, f"{site.url}/viewer/") as seen:
        seen.page.route("**/images/**", lambda route: route.fulfill(status=status))
        seen.page.goto(f"{site.url}/viewer/?id=real")
        expect(seen.page.locator(".pane .message")).to_contain_text(sentence)
        seen.wants(str(status))


@pytest.mark.parametrize("cut", ["1000%2C1500%2C1%2", "1000,1500,1", "%", "%FF,1,1,1"])
def test_a_view_that_was_cut_is_none(chromium: Browser, site: Site, cut: str) -> None:
    with window(chromium, f"{site.url}/viewer/?id=real#{cut}") as seen:
        opened(seen)


def test_a_tile_that_fails_is_tried_again(webgl: Browser, site: Site) -> None:
    with window(webgl, f"{site.url}/viewer/", viewport=small(1)) as seen:
        failures: dict[str, int] = {}

        def fail_twice(route: Route) -> None:
            url = route.request.url
            failures[url] = failures.get(url, 0) + 1
            if failures[url] <= 2:
                route.fulfill(status=503)
            else:
                route.continue_()

        seen.page.route("**/DeepZoom_files/12/**", fail_twice)
        seen.page.goto(f"{site.url}/viewer/?id=real#1000,1500,1,0")
        page = opened(seen)
        while set(failures.values()) != {3}:
            page.wait_for_timeout(100)
        seen.settled()
        assert seen.problems
        seen.wants("503", "Tile %s failed")
        page.unroute_all()
        undress(page)
        healed = seen.screenshot(stage(page)).astype(int)
        page.reload()
        opened(seen)
        undress(page)
        assert np.abs(seen.screenshot(stage(page)).astype(int) - healed).max() == 0


def test_a_tile_that_stays_away_is_said_and_can_be_asked_for(chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/viewer/") as seen:
        seen.page.route("**/DeepZoom_files/12/0_1.jpeg*", lambda route: route.abort())
        seen.page.goto(f"{site.url}/viewer/?id=real#400,1000,1,0")
        message = seen.page.locator(".pane .message")
        expect(message).to_contain_text("One part of the slide could not be loaded.")
        seen.page.unroute_all()
        seen.wants("net::ERR_FAILED", "Tile %s failed")
        button(seen.page, "Try again").click()
        page = opened(seen)
        undress(page)
        healed = seen.screenshot(stage(page)).astype(int)
        page.reload()
        opened(seen)
        undress(page)
        assert np.abs(seen.screenshot(stage(page)).astype(int) - healed).max() == 0


class TestAnotherScan:
    """Published under the id of the one that is looked at."""

    @pytest.fixture
    def place(self, real_slide: Path, tmp_path: Path) -> Iterator[tuple[Site, Path]]:
        convert(real_slide, tmp_path, ConvertOptions(slide_id="one", tile_size=256))
        with serving(create_app(open_root(str(tmp_path)))) as site:
            yield site, tmp_path

    @pytest.fixture
    def replace(self, real_slide: Path, place: tuple[Site, Path]) -> Callable[[], object]:
        options = ConvertOptions(slide_id="one", tile_size=256, quality=30, overwrite=True)
        return lambda: convert(real_slide, place[1], options)

    def test_when_the_page_is_looked_at_again(
        self, chromium: Browser, place: tuple[Site, Path], replace: Callable[[], object]
    ) -> None:
        with window(chromium, f"{place[0].url}/viewer/?id=one#1000,1500,1,0") as seen:
            page = opened(seen)
            page.evaluate("dispatchEvent(new Event('focus'))")
            seen.settled()
            pane = page.locator(".pane")
            expect(pane).not_to_have_class(re.compile("former"))
            replace()
            before = view(page)
            page.evaluate("dispatchEvent(new Event('focus'))")
            message = page.locator(".pane .message")
            expect(message).to_contain_text(
                "There is a new version of this slide. You see the old one."
            )
            expect(pane).to_have_class(re.compile("former"))
            assert view(page) == before
            seen.requests.clear()
            page.keyboard.press("-")
            seen.settled()
            assert not [url for url in seen.requests if "DeepZoom_files" in url]
            button(page, "Show the new one").click()
            expect(message).to_be_hidden()
            expect(pane).not_to_have_class(re.compile("former"))
            seen.settled()
            document = json.loads((place[1] / "images/one/slide.json").read_text())
            asked = [url for url in seen.requests if "DeepZoom_files" in url]
            assert asked
            assert all(f"v={document['pyramid']['version']}" in url for url in asked)

    def test_once_a_minute_while_it_is_used(
        self, chromium: Browser, place: tuple[Site, Path], replace: Callable[[], object]
    ) -> None:
        with window(chromium, f"{place[0].url}/viewer/") as seen:
            page = seen.page
            page.clock.install()
            page.goto(f"{place[0].url}/viewer/?id=one")
            opened(seen)  # or a minute goes by while tiles are on their way, which is an error
            replace()
            seen.requests.clear()
            page.clock.fast_forward(61_000)
            assert not [url for url in seen.requests if "slide.json" in url]
            page.keyboard.press("i")
            page.clock.fast_forward(60_000)
            expect(page.locator(".pane .message")).to_contain_text("a new version of this slide")

    def test_when_a_tile_cannot_be_had(
        self, chromium: Browser, place: tuple[Site, Path], replace: Callable[[], object]
    ) -> None:
        with window(chromium, f"{place[0].url}/viewer/") as seen:
            seen.page.route("**/DeepZoom_files/12/**", lambda route: route.abort())
            seen.wants("net::ERR_FAILED", "Tile %s failed")
            seen.page.goto(f"{place[0].url}/viewer/?id=one#1000,1500,0.25,0")
            page = opened(seen)
            replace()
            page.keyboard.press("1")
            message = page.locator(".pane .message")
            page.locator("#zoom").fill("0")
            expect(message).to_contain_text("a new version of this slide")


def test_fingers_move_and_zoom(chromium: Browser, site: Site) -> None:
    phone = {"viewport": {"width": 400, "height": 800}, "has_touch": True, "is_mobile": True}
    with window(chromium, f"{site.url}/viewer/?id=real", **phone) as seen:
        page = opened(seen)
        expect(page.locator("#panel")).to_be_hidden()
        before, box = view(page), stage(page)
        touch = page.context.new_cdp_session(page)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def fingers(kind: str, *points: tuple[float, float]) -> None:
            touch.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]},
            )

        fingers("touchStart", (x - 20, y), (x + 20, y))
        for spread in range(20, 101, 10):
            fingers("touchMove", (x - spread, y), (x + spread, y))
        fingers("touchEnd")
        seen.settled()
        after = view(page)
        assert after.scale > 2 * before.scale
        fingers("touchStart", (x, y))
        for step in range(0, 101, 10):
            fingers("touchMove", (x, y - step))
        fingers("touchEnd")
        seen.settled()
        assert view(page).y > after.y + 50
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 400  # nothing sticks out sideways


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["?id=real,odd", "?id=nothing", "gallery/"])
def test_axe_finds_no_serious_fault(chromium: Browser, site: Site, path: str, scheme: str) -> None:
    with window(chromium, f"{site.url}/viewer/{path}", color_scheme=scheme) as seen:
        seen.settled()
        for state in ("", "help"):
            if state and "real" in path:
                seen.page.keyboard.press("?")
            assert serious_faults(seen.page) == []
        seen.wants("404")


BARE = """<!doctype html><div id="osd" style="width:800px;height:600px"></div>
<script src="/viewer/vendor/openseadragon.min.js"></script>
<script>
viewer = OpenSeadragon({id: "osd", prefixUrl: "/", showNavigationControl: false,
  tileSources: TILES});
</script>"""
# As the Virtual Slide Viewer's frontend does: an item with a tile source, a scale bar from um/px
# and a greatest zoom from the magnification.
VIRTUAL_SLIDE_VIEWER = """<!doctype html><div id="osd" style="width:800px;height:600px"></div>
<script src="/viewer/vendor/openseadragon.min.js"></script>
<script>
(async () => {
  const facts = await (await fetch("/images/real/slide.json")).json();
  viewer = OpenSeadragon({id: "osd", showNavigationControl: false, crossOriginPolicy: "Anonymous"});
  viewer.addTiledImage({tileSource: "/images/real/DeepZoom.dzi"});
  viewer.world.addHandler("add-item", () => {
    const width = viewer.world.getItemAt(0).getContentSize().x;
    pixelsPerMeter = 1e6 / facts.mpp.x;
    viewer.viewport.maxZoomLevel =
      width / viewer.viewport.getContainerSize().x * 40 / facts.objective_power;
  });
})();
</script>"""


@pytest.mark.parametrize(
    "html",
    [BARE.replace("TILES", '"/images/real/DeepZoom.dzi"'), VIRTUAL_SLIDE_VIEWER],
    ids=["three lines", "the Virtual Slide Viewer's way"],
)
def test_other_viewers_open_the_descriptor(webgl: Browser, site: Site, html: str) -> None:
    with window(webgl, f"{site.url}/viewer/") as seen:
        seen.page.route(
            "**/other.html", lambda route: route.fulfill(body=html, content_type="text/html")
        )
        seen.page.goto(f"{site.url}/other.html")
        seen.page.wait_for_function("() => globalThis.viewer?.world.getItemAt(0)?.getFullyLoaded()")
        seen.settled()
        size = seen.page.evaluate("viewer.world.getItemAt(0).getContentSize()")
        assert (size["x"], size["y"]) == (2220, 2967)
        picture = seen.screenshot({"x": 0, "y": 0, "width": 800, "height": 600})
        assert picture.std() > 20
        if "pixelsPerMeter" in html:
            assert seen.page.evaluate("pixelsPerMeter") == pytest.approx(1e6 / MPP)


@pytest.mark.parametrize("path", ["", "a/b/"])
def test_any_server_of_files_shows_it_under_any_path(
    chromium: Browser, root: Path, tmp_path: Path, path: str
) -> None:
    """As `vsv-pyramid viewer` publishes it, by a server that knows nothing of it."""
    place = tmp_path / path
    place.mkdir(parents=True, exist_ok=True)
    (place / "images").symlink_to(root / "images")
    pages.publish(open_store(str(place)))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http_server.running(ThreadingHTTPServer((http_server.HOST, 0), handler)) as server:
        url = f"http://{http_server.HOST}:{server.server_port}/{path}viewer/gallery/index.html"
        with window(chromium, url) as seen:
            seen.page.get_by_role("link", name="odd").click()
            opened(seen)
            assert seen.page.url.startswith(url.replace("gallery/", ""))


def test_the_page_is_small() -> None:
    """Without OpenSeadragon, which is another's."""
    folder = ROOT / "vsv_pyramid/pages/viewer"
    names = re.findall(r'(?:href|src)="([\w./]+)"', (folder / "index.html").read_text())
    assert "viewer.js" in names
    assert viewing.page_bytes() < 60_000


def test_screenshots_for_the_readme(webgl: Browser, site: Site) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with window(webgl, f"{site.url}/viewer/?id=real#1100,1200,0.5,0") as seen:
        page = opened(seen)
        page.keyboard.press("l")
        drag(page, (330, 330), (560, 480))
        expect(page.locator("#lengths li")).to_have_count(1)
        page.keyboard.press("l")
        seen.settled()
        page.screenshot(path=SCREENSHOTS / "viewer.png")
        assert np.asarray(Image.open(io.BytesIO(page.screenshot()))).std() > 20
