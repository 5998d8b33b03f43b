"""Each pixel that the viewer draws is the slide's, by WebGL and without."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.support.browser import window
from tests.support.site import Site
from tests.support.viewed import (
    DARK,
    level,
    opened,
    small,
    stage,
    undress,
    view,
    worst,
)


@pytest.mark.parametrize(("shrink", "ratio"), [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize(
    ("slide", "at"),
    [
        ("real", (1000, 1500)),
        ("real", (2000, 2700)),
        ("odd", (500.5, 400.25)),
        ("odd", (1300, 900)),
    ],
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
    """Seams, odd sizes and the last tiles included."""
    url = f"{site.url}/viewer/?id={slide}#{at[0]},{at[1]},{1 / shrink},0"
    with window(webgl, url, device_scale_factor=ratio, viewport=small(ratio)) as seen:
        opened(seen)
        assert worst(seen, root, slide, shrink, ratio) == 0


@pytest.mark.parametrize(("slide", "at"), [("real", (1000, 1500)), ("odd", (1300, 900))])
def test_without_webgl_each_pixel_is_drawn_as_it_is_too(
    chromium: Browser, site: Site, root: Path, slide: str, at: tuple[int, int]
) -> None:
    with window(chromium, f"{site.url}/viewer/?id={slide}#{at[0]},{at[1]},1,0") as seen:
        page = opened(seen)
        assert page.evaluate("document.createElement('canvas').getContext('webgl')") is None
        assert worst(seen, root, slide) == 0


@pytest.mark.parametrize("scale", [0.61, 1.37])
def test_without_webgl_there_is_no_seam(chromium: Browser, site: Site, scale: float) -> None:
    with window(chromium, f"{site.url}/viewer/?id=dark#600.3,450.7,{scale},0") as seen:
        page = opened(seen)
        undress(page)
        box, at = stage(page), view(page)
        screen = seen.screenshot(box).astype(int)[:-3, :-3]  # at its edge the stage may show
        inside = [
            slice(max(0, math.ceil(middle - half) + 2), math.floor(middle + half) - 2)
            for middle, half in (
                (box["height"] / 2 + (450 - at.y) * scale, 450 * scale),
                (box["width"] / 2 + (600 - at.x) * scale, 600 * scale),
            )
        ]
        slide = screen[inside[0], inside[1]]
        assert slide.size > 800_000
        assert np.abs(slide - DARK).max() <= 3


@pytest.mark.parametrize("scale", [0.61, 1.37])
def test_without_webgl_nothing_is_displaced_between_levels(
    chromium: Browser, site: Site, root: Path, scale: float
) -> None:
    """Each pixel is one that the slide has there, or a pixel beside it."""
    with window(chromium, f"{site.url}/viewer/?id=odd#700.3,560.7,{scale},0") as seen:
        page = opened(seen)
        undress(page)
        box, at = stage(page), view(page)
        screen = seen.screenshot(box).astype(int)
        top = len(json.loads((root / "images/odd/slide.json").read_text())["pyramid"]["levels"])
        base = Image.fromarray(level(page, root, "odd", top - 1))
        half = box["width"] / 2 / at.scale, box["height"] / 2 / at.scale
        region = (at.x - half[0], at.y - half[1], at.x + half[0], at.y + half[1])
        inner = tuple(
            int(edge)
            for edge in (
                max(0, -region[0]) * at.scale + 3,
                max(0, -region[1]) * at.scale + 3,
                min(box["width"], (1501 - region[0]) * at.scale) - 3,
                min(box["height"], (1103 - region[1]) * at.scale) - 3,
            )
        )
        wanted = np.asarray(
            base.transform(
                (screen.shape[1], screen.shape[0]),
                Image.Transform.EXTENT,
                region,
                Image.Resampling.BILINEAR,
            )
        ).astype(int)
        around = [
            np.roll(wanted, (dy, dx), (0, 1))[inner[1] : inner[3], inner[0] : inner[2]]
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
        ]
        at_screen = screen[inner[1] : inner[3], inner[0] : inner[2]]
        beyond = np.maximum(np.min(around, 0) - at_screen, at_screen - np.max(around, 0)).clip(0)
        assert at_screen.size > 500_000
        assert beyond.max() <= 80  # another way to interpolate differs by as much
