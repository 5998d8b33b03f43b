"""Does one file cost time: a session in Chromium, of a slide's tiles and of its .szi file; beside
them, of the slide itself, whose tiles GeoTIFFTileSource reads.

All lie on nginx behind a line with a delay, and are opened by OpenSeadragon in the same page but
for the tile source. A session is the first view and twenty steps, each when all of the one before
is loaded; it is repeated by the same browser, which has a cache.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import BrowserContext

from tests.benchmarks import performance
from tests.benchmarks.lossless import WORKERS
from tests.benchmarks.pixels import OURS, TISSUE, size
from tests.benchmarks.report import Verdict, machine, tell
from tests.benchmarks.viewers import HOST, WINDOW
from tests.benchmarks.viewing import ID, nginx_version, say
from tests.support import browser
from tests.support.distant import distant
from tests.support.forge import forge_svs
from tests.support.nginx import nginx, readable
from tests.support.s3_server import free_ports
from vsv_pyramid import pages

TILES, ONE_FILE, SLIDE = "tiles", "one .szi file", "the SVS, GeoTIFFTileSource"
WAYS = (TILES, ONE_FILE, SLIDE)
PEER = Path(__file__).parents[2] / "node_modules/geotiff-tilesource/dist"
STEPS = 20
COLD, WARM = "first", "again"
# Of one file, as parts of what tiles take.
MOST = {"view_seconds": 1.0, "view_requests": 0.5, "seconds": 1.1, "requests": 0.7, "bytes": 1.1}
_WORDS = {
    "view_seconds": "the first view's time",
    "view_requests": "the first view's requests",
    "seconds": "the session's time",
    "requests": "the session's requests",
    "bytes": "the session's bytes",
}
_SERVER = """server {{
  listen {host}:{port}; root {root}; keepalive_requests 10000;
  types {{ text/html html; text/javascript js mjs; application/zip szi; image/jpeg jpeg; }}
  location ~ (jpeg|szi)$ {{ add_header Cache-Control "public, max-age=31536000, immutable"; }}
  location = /favicon.ico {{ return 204; }}
}}"""
_PAGE = """<!doctype html>
<script src="openseadragon.min.js"></script>
<div id="slide" style="position: fixed; inset: 0"></div>
<script type="module">
  {imported}
  window.begun = performance.now();
  performance.setResourceTimingBufferSize(10000);
  window.viewer = OpenSeadragon({{ element: "slide", showNavigationControl: false,
    maxTilesPerFrame: 16, drawer: "canvas" }});
  viewer.open({source});
</script>
"""
# Of each way what is imported, and what is opened.
_SOURCES = {
    TILES: ("", f'"images/{ID}/DeepZoom.dzi"'),
    ONE_FILE: ('import { sziTileSource } from "./szi.js";', f'await sziTileSource("{ID}.szi")'),
    SLIDE: (
        'import { enableGeoTIFFTileSource } from "./dist/geotiff-tilesource.mjs"; '
        "enableGeoTIFFTileSource(OpenSeadragon);",
        "(await OpenSeadragon.GeoTIFFTileSource.getAllTileSources("
        f'new URL("{ID}.svs", location).href, {{}}))[0]',
    ),
}
# Since the module began, in seconds, when all of a view is loaded.
_LOADED = """async () => {
  while (!viewer?.world.getItemAt(0)?.getFullyLoaded()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return (performance.now() - begun) / 1000;
}"""
_STEP = """async ([x, y, zoom]) => {
  const { viewport, world } = viewer;
  const item = world.getItemAt(0);
  viewport.zoomTo(item.imageToViewportZoom(zoom), undefined, true);
  viewport.panTo(new OpenSeadragon.Point(x, y * item.getBounds().height), true);
  for (let frame = 0; frame < 2; frame++) {  // until it has seen that there are other tiles
    await new Promise(requestAnimationFrame);
  }
  while (!item.getFullyLoaded()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}"""
_ASKED = """() => performance.getEntriesByType("resource")
  .filter(({ name, transferSize }) => /DeepZoom|\\.szi|\\.svs/.test(name) && transferSize)
  .map(({ encodedBodySize }) => encodedBodySize)"""

Step = tuple[float, float, float]  # the middle, in parts of width and height; px of screen by slide


class Session(NamedTuple):
    """What one took: until the first view was there, and in all; what came over the line."""

    way: str
    visit: str
    view_seconds: float
    view_requests: int
    seconds: float
    requests: int
    bytes: int


def steps(chance: random.Random) -> list[Step]:
    """Where somebody looks: closer at four places one after the other, and about each of them."""
    found = []
    for _ in range(STEPS // 5):
        x, y = chance.uniform(0.2, 0.8), chance.uniform(0.2, 0.8)
        found += [(x, y, zoom) for zoom in (1 / 16, 1 / 4, 1)]
        for _ in range(2):
            x, y = (at + chance.uniform(-0.02, 0.02) for at in (x, y))
            found.append((x, y, 1.0))
    return found


def session(context: BrowserContext, url: str, way: str, visit: str, plan: list[Step]) -> Session:
    page = context.new_page()
    refused: list[str] = []
    page.on("response", lambda it: refused.append(it.url) if it.status >= 400 else None)
    with contextlib.closing(page):
        page.goto(f"{url}/{WAYS.index(way)}.html", wait_until="load")
        if refused:
            raise RuntimeError(f"the server refuses {', '.join(refused)}")
        page.wait_for_function("window.viewer")
        view_seconds = page.evaluate(_LOADED)
        view = page.evaluate(_ASKED)
        for step in plan:
            page.evaluate(_STEP, step)
        seconds, asked = page.evaluate(_LOADED), page.evaluate(_ASKED)
    return Session(way, visit, view_seconds, len(view), seconds, len(asked), sum(asked))


def sessions(url: str, runs: int) -> tuple[str, list[Session]]:
    """Chromium's version, and so many sessions of each way by turns, with their repetition; each
    in a profile that has never seen the site."""
    found = []
    with browser.driver() as driver, browser.running(driver, *browser.NO_WEBGL) as chromium:
        viewport = {"width": WINDOW.width, "height": WINDOW.height}
        for run in range(runs):
            plan = steps(random.Random(run))
            for way in WAYS:
                say(f"{way}, session {run + 1}")
                context = chromium.new_context(viewport=viewport)  # type: ignore[arg-type]
                context.set_default_timeout(browser.BENCHMARK_PATIENCE)
                with contextlib.closing(context):
                    found += [session(context, url, way, visit, plan) for visit in (COLD, WARM)]
        return chromium.version, found


@contextlib.contextmanager
def site(slide: Path, root: Path) -> Iterator[int]:
    """The port of nginx, with the slide in all forms, and a page of each."""
    for to in (root, root / f"{ID}.szi"):
        values = {"slide": slide, "to": to, "tile_size": 720, "quality": 80, "workers": WORKERS}
        subprocess.run([*(word.format(**values) for word in OURS), "--id", ID], check=True)
    for number, way in enumerate(WAYS):
        imported, source = _SOURCES[way]
        (root / f"{number}.html").write_text(_PAGE.format(imported=imported, source=source))
    shutil.copy(slide, root / f"{ID}.svs")
    shutil.copytree(PEER, root / "dist", copy_function=shutil.copyfile)
    for name in "szi.js", "vendor/openseadragon.min.js":
        shutil.copy(pages.VIEWER / name, root)
    (port,) = free_ports(1)
    with nginx(_SERVER.format(host=HOST, port=port, root=root.resolve()), port):
        yield port


def medians(found: Sequence[Session]) -> list[dict[str, Any]]:
    """A record of each way and visit."""
    records = []
    for way in dict.fromkeys(one.way for one in found):
        for visit in (COLD, WARM):
            own = [one for one in found if (one.way, one.visit) == (way, visit)]
            values = {name: statistics.median(getattr(one, name) for one in own) for name in MOST}
            records.append({"way": way, "visit": visit, "sessions": len(own), **values})
    return records


def verdicts(records: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    by = {(record["way"], record["visit"]): record for record in records}
    tiles, one_file = (by[way, COLD] for way in (TILES, ONE_FILE))
    found = []
    for name, most in MOST.items():
        ratio = one_file[name] / tiles[name]
        target = f"{_WORDS[name]}, of one file at most {most:g} of tiles'"
        found.append(Verdict(target, f"{ratio:.2f}", ratio <= most))
    left = by[ONE_FILE, WARM]["requests"]
    target = "one file, the same session again: no request"
    return [*found, Verdict(target, f"{left:g}", left == 0)]


def results(
    found: Sequence[Session], options: Mapping[str, float], about: Mapping[str, str | int]
) -> dict[str, Any]:
    records = medians(found)
    return {
        "machine": about,
        "options": options,
        "sessions": records,
        "verdicts": [asdict(verdict) for verdict in verdicts(records)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sessions", description=__doc__
    )
    parser.add_argument("--gigapixels", type=float, default=0.5)
    parser.add_argument("--milliseconds", type=float, default=50, help="there and back")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tissue", type=Path, default=TISSUE, help="the real slide")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    if not options.tissue.exists():
        parser.error(f"{options.tissue} is missing: make demo brings it")
    options.scratch.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = machine()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        slide, root = Path(folder, "forged.svs"), Path(folder, "root")
        say(f"{options.gigapixels:g} gigapixels: forging, converting")
        forge_svs(slide, tissue=options.tissue, size=size(options.gigapixels))
        root.mkdir()
        Path(folder).chmod(0o755)
        readable(root)
        with site(slide, root) as port, distant(port, options.milliseconds / 1000) as far:
            about["chromium"], found = sessions(f"http://{HOST}:{far}", options.runs)
        about["nginx"] = nginx_version()
    settings = {"gigapixels": options.gigapixels, "milliseconds": options.milliseconds}
    result = results(found, settings, about)
    tell(performance.sessions(result), result, options.json)


if __name__ == "__main__":
    main()
