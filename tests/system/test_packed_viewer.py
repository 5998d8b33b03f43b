"""The viewer's page on packed pyramids: the same pixels, whatever is done meanwhile."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Window, window
from tests.support.forge import Encoding, forge_svs
from tests.support.site import Site, serving
from tests.support.viewed import MEDIUM, button, differences, level, opened, small, worst
from vsv_pyramid import repacking
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import create_app

OPTIONS = ConvertOptions(layout="packed")


@pytest.fixture(scope="module")
def root(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real slide, and an odd one in small tiles."""
    folder = tmp_path_factory.mktemp("packed")
    odd = folder / "odd.svs"
    coded = Encoding(256, 70, "4:2:0", rgb=False)
    forge_svs(odd, tissue=real_slide, size=(1501, 1103), levels=(1, 4), encoding=coded)
    convert(real_slide, folder, replace(OPTIONS, slide_id="real"))
    convert(odd, folder, replace(OPTIONS, tile_size=256))
    return folder


@pytest.fixture(scope="module")
def site(root: Path) -> Iterator[Site]:
    with serving(create_app(open_root(str(root)))) as site:
        yield site


@contextlib.contextmanager
def looking(browser: Browser, url: str, **options: object) -> Iterator[Window]:
    """The page asks for both layouts at once; one of the two is not there."""
    with window(browser, url.partition("?")[0], **options) as seen:
        seen.wants("404")
        seen.page.goto(url)
        yield seen


@pytest.mark.parametrize(("shrink", "ratio"), [(1, 1), (2, 1), (4, 1), (1, 2)])
@pytest.mark.parametrize(
    ("slide", "at"), [("real", (1000, 1500)), ("real", (2000, 2700)), ("odd", (500.5, 400.25))]
)
def test_each_pixel_is_drawn_as_it_is(
    webgl: Browser,
    site: Site,
    root: Path,
    slide: str,
    at: tuple[float, float],
    shrink: int,
    ratio: int,
) -> None:
    url = f"{site.url}/viewer/?id={slide}#{at[0]},{at[1]},{1 / shrink},0"
    with looking(webgl, url, device_scale_factor=ratio, viewport=small(ratio)) as seen:
        opened(seen)
        assert worst(seen, root, slide, shrink, ratio) == 0
        assert not [url for url in seen.requests if "DeepZoom_files" in url]


@pytest.mark.parametrize(("slide", "at"), [("real", (1000, 1500)), ("odd", (1300, 900))])
def test_without_webgl_each_pixel_is_drawn_as_it_is_too(
    chromium: Browser, site: Site, root: Path, slide: str, at: tuple[int, int]
) -> None:
    with looking(chromium, f"{site.url}/viewer/?id={slide}#{at[0]},{at[1]},1,0") as seen:
        opened(seen)
        assert worst(seen, root, slide) == 0


def test_the_gallery_leads_to_it(chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/viewer/gallery/") as seen:
        seen.wants("404")
        picture = seen.page.get_by_role("link", name="odd").locator("img")
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 100
        seen.page.get_by_role("link", name="odd").click()
        opened(seen)


def test_a_signature_goes_with_each_range(chromium: Browser, site: Site) -> None:
    with looking(chromium, f"{site.url}/viewer/?id=real&Policy=a_&Signature=b~") as seen:
        opened(seen)
        ranges = [url for url in seen.requests if ".szi" in url]
        assert ranges
        assert all(re.search(r"\.szi\?Policy=a_&Signature=b~&r=\d+-\d+$", url) for url in ranges)


def test_side_by_side(webgl: Browser, site: Site) -> None:
    with looking(webgl, f"{site.url}/viewer/?id=real,odd", viewport=MEDIUM) as seen:
        opened(seen)
        seen.page.keyboard.press("b")
        expect(seen.page.locator(".pane")).to_have_count(2)
        seen.settled()
        for message in seen.page.locator(".pane .message").all():
            expect(message).to_be_hidden()


@pytest.fixture
def place(real_slide: Path, tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    convert(real_slide, tmp_path, replace(OPTIONS, slide_id="one", tile_size=256))
    with serving(create_app(open_root(str(tmp_path)))) as site:
        yield site, tmp_path


def focus(seen: Window) -> None:
    seen.page.evaluate("dispatchEvent(new Event('focus'))")
    seen.settled()


def test_another_scan_is_told_and_never_mixed_in(
    chromium: Browser, place: tuple[Site, Path], real_slide: Path
) -> None:
    site, root = place
    with looking(chromium, f"{site.url}/viewer/?id=one#1000,1500,0.25,0") as seen:
        page = opened(seen)
        again = replace(OPTIONS, slide_id="one", tile_size=256, quality=30, overwrite=True)
        convert(real_slide, root, again)
        new = json.loads((root / "images/one/slide.json").read_text())["packed"]
        page.keyboard.press("+")  # before the page knows
        seen.settled()
        assert not [url for url in seen.requests if new in url]
        focus(seen)
        message = page.locator(".pane .message")
        expect(message).to_contain_text("a new version of this slide. You see the old one.")
        button(page, "Show the new one").click()
        expect(message).to_be_hidden()
        seen.settled()
        assert [url for url in seen.requests if new in url]


@pytest.mark.parametrize("way", ["packed", "unpacked"])
def test_it_is_shown_while_its_layout_changes(
    webgl: Browser, place: tuple[Site, Path], way: str
) -> None:
    """Tiles that are asked for where they are no more are found where they are now."""
    site, root = place
    store = open_store(str(root))
    change = repacking.unpack
    if way == "packed":
        repacking.unpack(store, "images/one")
        change = repacking.pack
    with looking(webgl, f"{site.url}/viewer/?id=one#1000,1500,0.25,0", viewport=small(1)) as seen:
        seen.wants("Tile %s failed")
        page = opened(seen)
        change(store, "images/one")
        page.keyboard.press("4")
        page.keyboard.press("4")
        page.evaluate("location.hash = '1200,1600,1,0'")
        new = ".szi" if way == "packed" else "DeepZoom_files"
        while not [url for url in seen.requests if new in url]:
            page.wait_for_timeout(100)  # it tries what it knows three times before
        seen.settled()
        expect(page.locator(".pane .message")).to_be_hidden()
        levels = json.loads((root / "images/one/slide.json").read_text())["pyramid"]["levels"]
        pixels = level(page, root, "one", len(levels) - 1)
        assert differences(seen, pixels, 1, 1).max() == 0


def test_what_cannot_be_read_is_said(chromium: Browser, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "images/odd", tmp_path / "images/odd")
    (szi,) = (tmp_path / "images/odd").glob("*.szi")
    szi.write_bytes(szi.read_bytes()[1000:])
    with (
        serving(create_app(open_root(str(tmp_path)))) as site,
        looking(chromium, f"{site.url}/viewer/?id=odd") as seen,
    ):
        message = seen.page.locator(".pane .message")
        expect(message).to_have_text("The slide odd: This is no .szi file with an index in front.")
