"""What the tests of the viewer's page look at: where the view is, and each pixel of the screen."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from playwright.sync_api import Browser, FloatRect, Page, expect

from tests.support import browser
from tests.support.browser import Window
from tests.support.tiles import Pixels
from vsv_pyramid.packed.reading import with_tiles
from vsv_pyramid.store import open_store

SCREENSHOTS = Path(__file__).parents[2] / ".cache/screenshots"
MPP = 0.499
DARK = (60, 20, 80)
MEDIUM = {"width": 900, "height": 600}  # px; WebGL is computed here
ROOT = Path(__file__).parents[2]


class View(NamedTuple):
    """What the address says of a view: the centre in px, the scale, the rotation, more words."""

    x: float
    y: float
    scale: float
    rotation: float
    words: list[str]


def view(page: Page) -> View:
    numbers = page.url.partition("#")[2].split(",")
    x, y, scale, rotation = map(float, numbers[:4])
    return View(x, y, scale, rotation, numbers[4:])


def opened(window: Window) -> Page:
    """The window's page, once it shows the slide."""
    window.page.wait_for_url("**#*")
    expect(window.page.locator(".pane .message")).to_be_hidden()
    window.settled()
    return window.page


def stage(page: Page, number: int = 0) -> FloatRect:
    box = page.locator(".stage").nth(number).bounding_box()
    assert box
    return box


def undress(page: Page) -> None:
    """Leaves the slide alone, to compare its pixels with the screen's."""
    page.evaluate(
        """document.querySelectorAll(".scale-bar, .navigator, .pane > h2")
            .forEach((element) => element.style.setProperty("visibility", "hidden"))"""
    )


def level(page: Page, root: Path, slide: str, number: int) -> Pixels:
    """A level as the browser decodes its tiles, each once."""
    by = page.context.browser
    assert by
    return _level(by, root, slide, number)


@cache
def _level(by: Browser, root: Path, slide: str, number: int) -> Pixels:
    facts = json.loads((root / f"images/{slide}/slide.json").read_text())["pyramid"]
    stated = facts["levels"][number]
    prefix = f"images/{slide}/DeepZoom_files/{number}/"
    store = with_tiles(open_store(str(root)), f"images/{slide}")
    tiles = {
        tuple(map(int, Path(found.key).stem.split("_"))): store.get(found.key)
        for found in store.keys(prefix)
    }
    page = by.new_page()
    drawn = browser.decoded(page, list(tiles.values()))
    page.close()
    whole = np.zeros((stated["height"], stated["width"], 3), np.uint8)
    for (column, row), pixels in zip(tiles, drawn, strict=True):
        x, y = column * facts["tile_size"], row * facts["tile_size"]
        whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels[..., :3]
    return whole


def differences(window: Window, pixels: Pixels, shrink: int, ratio: int) -> np.ndarray[Any, Any]:
    """By how much the screen differs from the level's pixels, where it shows the slide. The level
    is `shrink` times smaller than the base; the screen has `ratio` pixels a CSS px."""
    page = window.page
    undress(page)
    box, seen = stage(page), view(page)
    assert seen.scale == pytest.approx(1 / shrink)
    screen = window.screenshot(box).astype(int)
    left = seen.x / shrink - box["width"] * ratio / 2
    top = seen.y / shrink - box["height"] * ratio / 2
    assert (left % 1, top % 1) == (0, 0)
    x, y = max(0, int(left)), max(0, int(top))
    shown = pixels[y : int(top) + screen.shape[0], x : int(left) + screen.shape[1]]
    at = screen[y - int(top) :, x - int(left) :][: shown.shape[0], : shown.shape[1]]
    assert shown.size > 100_000
    return np.abs(at - shown)


def worst(seen: Window, root: Path, slide: str, shrink: int = 1, ratio: int = 1) -> int:
    """The largest of the differences from the published level that the page shows."""
    document = json.loads((root / f"images/{slide}/slide.json").read_text())
    number = len(document["pyramid"]["levels"]) - shrink.bit_length()
    pixels = level(seen.page, root, slide, number)
    return int(differences(seen, pixels, shrink, ratio).max())


def small(ratio: int) -> dict[str, int]:
    """Of so many pixels at any ratio: a larger window would not show so little of a slide."""
    return {"width": 690 // ratio, "height": 560 // ratio}


def button(page: Page, label: str) -> Any:
    return page.get_by_role("button", name=label, exact=True)
