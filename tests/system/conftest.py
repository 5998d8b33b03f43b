"""A browser for the tests that look at pages, and which tests stay together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserType

from tests.support import browser
from tests.support.destinations import keeping
from tests.support.forge import Encoding, forge_svs
from tests.support.site import Site, serving
from tests.support.viewed import DARK
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.web.app import create_app


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stands in for AWS takes a while to start: a module that needs it is one worker's. What a
    browser shows is not about lines of Python: it is not traced."""
    for item in items:
        if "tests/system/" in item.nodeid:
            if item.get_closest_marker("aws"):
                item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))
            if "browsers" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.browser)
                item.add_marker("no_cover")


@pytest.fixture(scope="module")
def browsers() -> Iterator[BrowserType]:
    """Starts browsers. While it is there, nothing else can run an event loop in this thread."""
    with browser.driver() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(browsers: BrowserType) -> Iterator[Browser]:
    """Without WebGL, which this machine would compute: OpenSeadragon draws on a canvas."""
    with browser.running(browsers, *browser.NO_WEBGL) as running:
        yield running


@pytest.fixture(scope="module")
def webgl(browsers: BrowserType) -> Iterator[Browser]:
    """For what is about pixels: OpenSeadragon draws as where there is a graphics card."""
    with browser.running(browsers, *browser.WEBGL) as running:
        yield running


@pytest.fixture(scope="module")
def root(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real slide with all its images; an odd one in small tiles; one that states no mpp; one
    that is dark all over, in small tiles."""
    folder = tmp_path_factory.mktemp("root")
    odd, bare, dark = folder / "odd.svs", folder / "bare.svs", folder / "dark.png"
    Image.new("RGB", (1200, 900), DARK).save(dark)
    forge_svs(
        odd,
        tissue=real_slide,
        size=(1501, 1103),
        levels=(1, 4),
        encoding=Encoding(256, 70, "4:2:0", rgb=False),
    )
    unstated = {"MPP": None, "AppMag": None}
    forge_svs(bare, tissue=real_slide, size=(1201, 903), levels=(1,), description=unstated)
    images = ("thumbnail", "label", "macro")
    options = ConvertOptions(slide_id="real", associated=images)
    convert(real_slide, str(folder), keeping(options, folder))
    convert(odd, str(folder), keeping(ConvertOptions(tile_size=256), folder))
    convert(bare, str(folder), keeping(ConvertOptions(), folder))
    convert(dark, str(folder), keeping(ConvertOptions(tile_size=256), folder))
    return folder


@pytest.fixture(scope="module")
def site(root: Path) -> Iterator[Site]:
    with serving(create_app(open_root(str(root)))) as site:
        yield site
