"""A browser for the tests: Chromium, driven by Playwright, which may talk to this machine only."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserType,
    ConsoleMessage,
    FloatRect,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from tests.support.tiles import Pixels

# The first has no windows, and takes half the time.
NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
)
# WebGL without a graphics card, and none at all: then OpenSeadragon draws on a canvas, as on iOS.
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_WEBGL = ("--disable-3d-apis",)
# Nothing of ours: one is about reading pixels back, one about a tile whose slide was left since.
HARMLESS = ("GPU stall", "Ignoring tile %s loaded before reset")

# A screenshot, which would tell it, too, takes as long as ten frames.
_STILL = """async () => {
  const isThere = ({ viewport, world }) => viewport && world.getItemCount();
  const isAtRest = ({ viewport, world }) =>
    viewport.getBounds(true).equals(viewport.getBounds()) &&
    viewport.getRotation(true) === viewport.getRotation() &&
    !world.needsDraw() &&
    Array.from({ length: world.getItemCount() }, (_, number) => world.getItemAt(number))
      .every((image) => image.getFullyLoaded());
  const isSeen = (image) => {
    const { top, bottom, width } = image.getBoundingClientRect();
    return width && bottom > 0 && top < innerHeight;
  };
  const isStill = () =>
    Array.from(document.querySelectorAll("div"), (div) => window.OpenSeadragon?.getViewer(div))
      .filter((viewer) => viewer && isThere(viewer)).every(isAtRest) &&
    [...document.images].filter(isSeen).every((image) => image.complete) &&
    document.getAnimations().every((animation) => animation.playState !== "running");
  for (let frames = 0; frames < 6; frames = isStill() ? frames + 1 : 0) {
    await new Promise(requestAnimationFrame);
  }
}"""
_AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
_PATIENCE = 240_000  # ms, for what must happen at some time
BENCHMARK_PATIENCE = 600_000  # what takes long is what is measured
expect.set_options(timeout=_PATIENCE)


@contextlib.contextmanager
def driver() -> Iterator[BrowserType]:
    """What starts browsers; only one may run in a process."""
    with pytest.MonkeyPatch.context() as patch:
        # Under a sanitizer's library, meant for the kernel, neither it nor a browser comes up.
        patch.delenv("LD_PRELOAD", raising=False)
        with sync_playwright() as playwright:
            yield playwright.chromium


@contextlib.contextmanager
def running(driver: BrowserType, *flags: str) -> Iterator[Browser]:
    """A browser; where there is none the test is skipped, and fails in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no Chromium")
    plain: dict[str, str | float | bool] = {
        name: value for name, value in os.environ.items() if name != "LD_PRELOAD"
    }
    browser = driver.launch(executable_path=found, args=[*FLAGS, *flags], env=plain)
    yield browser
    browser.close()


@dataclass
class Window:
    """A page, and what went wrong in it: console errors, failed requests, requests elsewhere."""

    page: Page
    host: str
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)

    def wants(self, *words: str) -> None:
        """Problems with these words are the test's own doing, now and later: a browser tells of
        some after it has shown what they lead to."""
        self.wanted += words

    def wrong(self) -> list[str]:
        """What went wrong, but for what was wanted."""
        return [one for one in self.problems if not any(word in one for word in self.wanted)]

    def watch(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(f"thrown: {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        harmless = any(text in message.text for text in HARMLESS)
        if message.type in ("error", "warning") and not harmless:
            self.problems.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.netloc != self.host:
            self.problems.append(f"asked for {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status} for {response.url}")

    def screenshot(self, box: FloatRect) -> Pixels:
        """The RGB pixels of the screen in a box of CSS px. (Playwright's clip would be rounded.)"""
        whole = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        ratio = self.page.evaluate("devicePixelRatio")
        edges = (box["x"], box["y"], box["width"], box["height"])
        left, top, width, height = (round(edge * ratio) for edge in edges)
        return whole[top : top + height, left : left + width]

    def settled(self) -> None:
        """Waits until nothing moves or is loaded, for some frames."""
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate(_STILL)


@contextlib.contextmanager
def window(browser: Browser, url: str, by: str = "", /, **options: Any) -> Iterator[Window]:
    """A new window with the page at the URL; at the end nothing may have gone wrong in it, but what
    the test wants. `by` is the address that a desk has printed, which is opened before."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
    context.set_default_timeout(_PATIENCE)
    opened = Window(context.new_page(), urlsplit(by or url).netloc)
    opened.watch()
    try:
        if by:
            opened.page.goto(by)
            opened.page.wait_for_url("**/desk/**")
            opened.page.goto("about:blank")  # or only what is behind its # would be another one
        opened.page.goto(url)
        yield opened
    finally:
        context.close()
    assert not opened.wrong(), opened.wrong()


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds in the page that keeps people from using it, and where."""
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    return [
        (fault["id"], [node["html"][:80] for node in fault["nodes"]])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def decoded(page: Page, jpegs: list[bytes]) -> list[Pixels]:
    """The RGBA pixels that the browser draws the JPEGs as."""
    texts = [base64.b64encode(jpeg).decode() for jpeg in jpegs]
    pngs = page.evaluate(
        """async (texts) => Promise.all(texts.map(async (text) => {
          const bytes = Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
          const bitmap = await createImageBitmap(new Blob([bytes], {type: "image/jpeg"}));
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
          canvas.getContext("2d").drawImage(bitmap, 0, 0);
          return canvas.toDataURL().split(",")[1];
        }))""",
        texts,
    )
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]
