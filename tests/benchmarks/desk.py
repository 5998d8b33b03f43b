"""Is the desk's table quick: keystrokes in its search box, with ten thousand slides and with few.

A keystroke lasts from the key until the browser is free again after it has drawn what the key
changed; the next one follows then, after a pause as people make it. Both tables are open in one
browser, and words are typed into them in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page

from tests.benchmarks import performance
from tests.benchmarks.pixels import TISSUE
from tests.benchmarks.report import Verdict, machine, percentile, tell
from tests.support import browser
from tests.support.destinations import keeping
from tests.support.destinations import opened as opened_destination
from tests.support.site import serving
from vsv_pyramid import catalog, catalog_json
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.door import KEY
from vsv_pyramid.web.people import Owner

FEW, MANY = 100, 10_000
KEYSTROKE_MS = 100
PAUSE_MS = 60
TYPED = "slide-0012", "2009-12", "s26-1007"

_MEASURE = """() => {
  const input = document.querySelector("#search");
  window.keystrokes = [];
  addEventListener("keydown", (event) => {
    const start = event.timeStamp;
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.keystrokes.push(performance.now() - start);
      channel.port2.postMessage(null);
    });
  }, { capture: true });
  input.focus();
}"""

_DRAWN = """async ([count, pause]) => {
  while (window.keystrokes.length < count) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await new Promise((resolve) => setTimeout(resolve, pause));
}"""


class Row(NamedTuple):
    """Keystrokes in a table of so many slides, in ms."""

    slides: int
    milliseconds: list[float]


def root(folder: Path, tissue: Path, count: int) -> Path:
    """A folder whose catalog has so many slides, all of them with the one's pixels."""
    convert(tissue, str(folder), keeping(ConvertOptions(), folder))
    store = open_store(str(folder))
    (entry,) = catalog.Catalog(store).slides().values()
    ids = {"slide_id": "S26-1007-A1", "case_id": "S26-1007"}
    entries = [
        {**entry, "id": f"slide-{number:05}", "review": {**entry["review"], **ids}}
        for number in range(count)
    ]
    store.put("images/index.json", catalog_json.write(entries))
    return folder


def opened(chromium: Browser, url: str, key: str, count: int) -> Page:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(browser.BENCHMARK_PATIENCE)
    page.goto(f"{url}/desk/?{KEY}={key}")
    page.locator(f"table[aria-rowcount='{count + 1}']").wait_for()
    page.evaluate(_MEASURE)
    return page


def keystrokes(page: Page) -> list[float]:
    """Types and erases words; a table that has just come to the front draws once before."""
    page.bring_to_front()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    start = page.evaluate("window.keystrokes.length")
    keys = [key for text in TYPED for key in [*text, *["Backspace"] * len(text)]]
    for number, key in enumerate(keys, 1):
        page.keyboard.press(key)
        page.evaluate(_DRAWN, [start + number, PAUSE_MS])
    return list(page.evaluate("window.keystrokes"))[start:]


def measured(
    chromium: Browser, tissue: Path, folder: Path, counts: Sequence[int], rounds: int
) -> list[Row]:
    """Keystrokes in a table for each of the counts."""
    rows = [Row(count, []) for count in counts]
    with contextlib.ExitStack() as stack:
        pages = []
        for row in rows:
            place = root(folder / str(row.slides), tissue, row.slides)
            owner = Owner("bench")
            site = create_app(opened_destination(place), entrance=Entrance(owner))
            url = stack.enter_context(serving(site)).url
            pages.append(opened(chromium, url, owner.key, row.slides))
        for _ in range(rounds):
            for row, page in zip(rows, pages, strict=True):
                row.milliseconds.extend(keystrokes(page))
    return rows


def verdict(rows: Sequence[Row]) -> Verdict:
    (many,) = [row.milliseconds for row in rows if row.slides == MANY]
    p95 = percentile(many, 95)
    return Verdict(
        f"a keystroke among {MANY:,} slides takes less than {KEYSTROKE_MS} ms (p95)",
        f"{p95:.0f} ms, {max(many):.0f} ms at most",
        p95 < KEYSTROKE_MS,
    )


def results(rows: Sequence[Row], about: Mapping[str, str | int]) -> dict[str, Any]:
    """What is written down of the keystrokes."""
    return {
        "machine": about,
        "rows": [row._asdict() for row in rows],
        "verdicts": [asdict(verdict(rows))],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.desk", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of typing, in each table")
    parser.add_argument("--tissue", type=Path, default=TISSUE, help="the real slide")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    if not options.tissue.exists():
        parser.error(f"{options.tissue} is missing: make demo brings it")
    if not any(map(shutil.which, browser.NAMES)):
        parser.error("Chromium is missing: make set-up brings it where there is apt-get")
    options.scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=options.scratch) as folder,
        browser.driver() as driver,
        browser.running(driver, *browser.NO_WEBGL) as chromium,
    ):
        rows = measured(chromium, options.tissue, Path(folder), (FEW, MANY), options.rounds)
        about = {**machine(), "chromium": chromium.version}
    result = results(rows, about)
    tell(performance.desk(result), result, options.json)


if __name__ == "__main__":
    main()
