"""A browser for the tests that look at pages, and which tests stay together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserType

from tests.support import browser


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
