"""Is it fast: tiles made on demand against static ones, and the viewer's first view in Chromium.

A visit is cold when the server (for SeaweedFS: the server that just took the upload) has served
none of the slide yet, but for the descriptor, and each viewer has to connect; it is warm when the
same viewers ask for the same views again. The files are in memory, or the system's cache, in both:
no disk is measured. All viewers ask all the time, without a pause between two views.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser

from tests.benchmarks import performance
from tests.benchmarks.lossless import WORKERS
from tests.benchmarks.performance import ON_DEMAND, VISITS
from tests.benchmarks.pixels import OURS, TISSUE, size
from tests.benchmarks.report import Verdict, machine, percentile, tell
from tests.benchmarks.viewers import HOST, WINDOW, Seen, needed, random_views
from tests.support import browser, s3_server
from tests.support.forge import forge_svs
from vsv_pyramid import pages
from vsv_pyramid.layout.descriptor import FORMAT, Descriptor
from vsv_pyramid.layout.geometry import Pyramid
from vsv_pyramid.store import open_store

ID = "170782"
SERVE, NGINX, S3 = "serve", "nginx", "SeaweedFS's S3"
DYNAMIC, STATIC = f"/images/{ID}.dzi", f"/images/{ID}/DeepZoom.dzi"
LATE = ("packed.js", "szi.js")
VIEWERS = (1, 16)
P95_RATIO = 20  # times less than on demand, with most viewers
COMPLETE_MS = 300
PAGE_KB = 60
# Without a graphics card: what OpenSeadragon takes where it can, and what it takes on iOS.
DRAWERS = {"WebGL in software": browser.WEBGL, "canvas": browser.NO_WEBGL}
_START_SECONDS = 60
_TYPES = {
    **{"text/html": "html", "text/css": "css", "text/javascript": "js", "image/svg+xml": "svg"},
    **{"application/json": "json", "application/xml": "dzi", "image/jpeg": "jpeg"},
}
_NGINX = """
daemon off;
{user}
worker_processes auto;
pid {scratch}/nginx.pid;
error_log stderr;
events {{}}
http {{
  types {{ {types} }}
  sendfile on;
  access_log off;
  {temporary}
  server {{
    listen {host}:{port};
    root {root};
  }}
}}
"""
# The page's modules run after OpenSeadragon's script, and that script's "load" comes between them.
_COMPLETE = """
window.complete = new Promise((resolve) => {
  const watched = (viewer) => viewer.addHandler("fully-loaded-change", ({ fullyLoaded }) => {
    if (fullyLoaded) {  // within a frame: in the next one it is drawn
      requestAnimationFrame(() => resolve(performance.now()));
    }
  });
  document.addEventListener("load", ({ target }) => {
    if (target.src?.endsWith("/openseadragon.min.js")) {
      window.OpenSeadragon = new Proxy(window.OpenSeadragon, {
        apply(...call) {
          const viewer = Reflect.apply(...call);
          watched(viewer);
          return viewer;
        },
      });
    }
  }, true);
});
"""
_MEASURED = """async () => {
  const complete = await window.complete;
  const tiles = performance.getEntriesByType("resource").filter(
    (entry) => entry.name.includes("_files/") && entry.responseEnd <= complete);
  return {
    complete,
    last_tile: Math.max(...tiles.map((entry) => entry.responseEnd)),
    loaded: performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd,
    tiles: tiles.length,
    size: tiles.reduce((sum, entry) => sum + entry.encodedBodySize, 0),
  };
}"""


class Row(NamedTuple):
    """One visit of all viewers, seconds until all of them ended, and what each has seen."""

    way: str
    visit: str
    seconds: float
    seen: list[list[Seen]]

    @property
    def views(self) -> list[Seen]:
        return [view for own in self.seen for view in own]

    @property
    def tiles(self) -> list[float]:
        return [tile for view in self.views for tile in view.tiles]


class Opening(NamedTuple):
    """The page from the navigation's start to the first complete view, in ms; the tiles' bytes."""

    drawer: str
    complete: float
    last_tile: float
    loaded: float
    tiles: int
    size: int


def resource(way: str) -> str:
    return DYNAMIC if way == ON_DEMAND else STATIC


def paths(pyramid: Pyramid, descriptor: str, count: int, chance: random.Random) -> list[list[str]]:
    """The tiles' paths for each of so many views."""
    folder = descriptor.removesuffix(".dzi") + "_files"
    return [
        [f"{folder}/{address}.{FORMAT}" for address in needed(pyramid, view)]
        for view in random_views(pyramid, count, chance)
    ]


@contextlib.contextmanager
def ended(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command's process, which ends with the block."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def announced(command: Sequence[str]) -> Iterator[str]:
    """The URL that the server prints when it listens."""
    with ended(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        line = process.stdout.readline()
        urls = [word.rstrip("/") for word in line.split() if word.startswith("http://")]
        if not urls:
            raise SystemExit(f"{' '.join(command)} did not start")
        yield urls[0]


def on_demand(slide: Path) -> AbstractContextManager[str]:
    driver = [sys.executable, "-m", "tests.benchmarks.on_demand"]
    return announced([*driver, str(slide), "--id", ID])


def served(root: Path) -> AbstractContextManager[str]:
    return announced([OURS[0], "serve", str(root), "--port", "0"])


def nginx_program() -> str | None:
    """Debian has it where only root's PATH leads."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


@contextlib.contextmanager
def nginx(root: Path) -> Iterator[str]:
    (port,) = s3_server.free_ports(1)
    program = nginx_program()
    assert program
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        config = Path(scratch, "nginx.conf")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        config.write_text(
            _NGINX.format(
                # Its workers must read what root alone may.
                user="user root;" if os.geteuid() == 0 else "",
                types=" ".join(f"{kind} {suffix};" for kind, suffix in _TYPES.items()),
                temporary=" ".join(f"{kind}_temp_path {scratch}/{kind};" for kind in kinds),
                **{"scratch": scratch, "host": HOST, "port": port, "root": root.resolve()},
            )
        )
        with ended([program, "-e", "stderr", "-p", scratch, "-c", str(config)]) as process:
            wait_for(port, process)
            yield f"http://{HOST}:{port}"


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Until the port answers. Raises SystemExit when the process ends instead."""
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(ConnectionRefusedError):
            ask(port, STATIC)
            return
        time.sleep(0.02)
    raise SystemExit(f"{process.args!r} did not start")


def ask(port: int, path: str) -> tuple[int, bytes]:
    """The answer's status and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_START_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


@contextlib.contextmanager
def public_s3(slide: Path) -> Iterator[str]:
    """SeaweedFS with the pyramid in a bucket that anybody may read, as a CDN does."""
    with s3_server.running(public=True) as server:
        environment = os.environ | server.environment()
        convert(slide, f"s3://{s3_server.BUCKET}", environment)
        yield f"{server.url}/{s3_server.BUCKET}"


def convert(slide: Path, to: str, environment: Mapping[str, str] = os.environ) -> None:
    values = {"slide": slide, "to": to, "tile_size": 720, "quality": 80, "workers": WORKERS}
    command = [*(word.format(**values) for word in OURS), "--id", ID]
    subprocess.run(command, check=True, env=environment)


def visits(way: str, url: str, viewers: int, views: int, seconds: float) -> list[Row]:
    """A cold visit, of at most so many views a viewer and about as many seconds, and a warm one."""
    say(f"{way}: viewers: {viewers}")
    parts = urlsplit(url)
    assert parts.port
    path = parts.path + resource(way)
    status, answer = ask(parts.port, path)
    if status != 200:
        raise SystemExit(f"{path}: {status} from {way}")
    pyramid = Descriptor.parse(answer).pyramid
    # Other views for other numbers of viewers, the same ones for every way.
    chances = [random.Random(f"{viewers} {number}") for number in range(viewers)]
    plan = {
        "port": parts.port,
        "seconds": seconds,
        "views": [paths(pyramid, path, views, chance) for chance in chances],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.viewers"],
        input=json.dumps(plan),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [
        Row(way, visit, took, [[Seen(*view) for view in own] for own in seen])
        for visit, (took, seen) in zip(VISITS, json.loads(done.stdout), strict=True)
    ]


def compare(
    starts: Mapping[str, Callable[[], AbstractContextManager[str]]], views: int, seconds: float
) -> list[Row]:
    """Each way's visits; every server is a new one for each number of viewers."""
    rows = []
    for way, start in starts.items():
        for viewers in VIEWERS:
            with start() as url:
                rows += visits(way, url, viewers, views, seconds)
    return rows


def openings(url: str, runs: int) -> tuple[str, list[Opening]]:
    """Chromium's version, and the first view in so many profiles that never saw the site, for each
    drawer."""
    opened = []
    with browser.driver() as driver:
        for drawer, flags in DRAWERS.items():
            say(f"Chromium: {drawer}")
            with browser.running(driver, *flags) as chromium:
                opened += [opening(chromium, url, drawer) for _ in range(runs)]
                version = chromium.version
    return version, opened


def opening(chromium: Browser, url: str, drawer: str) -> Opening:
    viewport = {"width": WINDOW.width, "height": WINDOW.height}
    with browser.window(chromium, "about:blank", viewport=viewport) as window:
        window.host = urlsplit(url).netloc
        window.page.add_init_script(_COMPLETE)
        window.page.goto(f"{url}/viewer/index.html?id={ID}", wait_until="commit")
        return Opening(drawer, **window.page.evaluate(_MEASURED))


def page_bytes() -> int:
    """Of all files of the viewer's page but OpenSeadragon; the gallery is another page, and LATE is
    loaded for what is packed."""
    names = (name for name in pages.files() if "/" not in name and name not in LATE)
    return sum((pages.VIEWER / name).stat().st_size for name in names)


def verdicts(
    visits: Sequence[dict[str, Any]], opened: Sequence[Opening], size: int
) -> list[Verdict]:
    """Of records of visits, the ones with most viewers, of openings, and of the page's bytes."""
    most = max(VIEWERS)
    p95 = {
        (visit["way"], visit["visit"]): visit["tile_seconds"]["p95"]
        for visit in visits
        if visit["viewers"] == most
    }
    found = []
    for (way, visit), seconds in p95.items():
        if way != ON_DEMAND and (ON_DEMAND, visit) in p95:
            ratio = p95[ON_DEMAND, visit] / seconds
            what = f"{way}, {most} viewers, {visit}: a tile's p95 at least {P95_RATIO} times lower"
            met = ratio >= P95_RATIO
            found.append(Verdict(f"{what} than {ON_DEMAND}", f"{ratio:.1f} times", met))
    for drawer in dict.fromkeys(run.drawer for run in opened):
        runs = [run.complete for run in opened if run.drawer == drawer]
        median = statistics.median(runs)
        what = f"first complete view in Chromium, {drawer}, in less than {COMPLETE_MS} ms"
        found.append(Verdict(what, f"{median / 1000:.1f} s", median < COMPLETE_MS))
    what = f"the viewer's page without OpenSeadragon has less than {PAGE_KB} KB"
    return [*found, Verdict(what, f"{size / 1000:.1f} KB", size < PAGE_KB * 1000)]


def record(row: Row) -> dict[str, Any]:
    views = [view.seconds for view in row.views]
    return {
        "resource": resource(row.way),
        "way": row.way,
        "viewers": len(row.seen),
        "visit": row.visit,
        "seconds": row.seconds,
        "views": len(views),
        "tiles": len(row.tiles),
        "bytes": sum(view.size for view in row.views),
        "tile_seconds": {f"p{p}": percentile(row.tiles, p) for p in (50, 95, 99)},
        "view_seconds": {f"p{p}": percentile(views, p) for p in (50, 95, 99)},
    }


def results(
    visits: Sequence[dict[str, Any]],
    opened: Sequence[Opening],
    size: int,
    options: Mapping[str, float],
    about: Mapping[str, str | int],
) -> dict[str, Any]:
    """What is written down of the visits, of which these are the records, of the openings, and of
    the page's bytes."""
    return {
        "machine": about,
        "options": options,
        "visits": visits,
        "openings": [run._asdict() for run in opened],
        "page_bytes": size,
        "verdicts": [asdict(verdict) for verdict in verdicts(visits, opened, size)],
    }


def nginx_version() -> str:
    program = nginx_program()
    assert program
    done = subprocess.run([program, "-v"], stderr=subprocess.PIPE, text=True, check=True)
    return done.stderr.rpartition("/")[2].strip()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.viewing", description=__doc__)
    parser.add_argument("--gigapixels", type=float, default=0.5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--views", type=int, default=60, help="of each viewer, at most")
    parser.add_argument("--seconds", type=float, default=20, help="after which no view is begun")
    parser.add_argument("--openings", type=int, default=7, help="in Chromium, for each drawer")
    parser.add_argument("--tissue", type=Path, default=TISSUE, help="the real slide")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    if not options.tissue.exists():
        parser.error(f"{options.tissue} is missing: make demo brings it")
    if not nginx_program() and (NGINX in options.ways or options.openings):
        parser.error("nginx is missing: make bench brings it where there is apt-get")
    if not any(map(shutil.which, browser.NAMES)) and options.openings:
        parser.error("Chromium is missing: make set-up brings it where there is apt-get")
    options.scratch.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = machine()
    opened: list[Opening] = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        slide, root = Path(folder, "forged.svs"), Path(folder, "root")
        say(f"{options.gigapixels:g} gigapixels: forging, converting")
        forge_svs(slide, tissue=options.tissue, size=size(options.gigapixels))
        convert(slide, str(root))
        pages.publish(open_store(str(root)))
        starts = {
            way: partial(WAYS[way], slide if way in (ON_DEMAND, S3) else root)
            for way in options.ways
        }
        rows = compare(starts, options.views, options.seconds)
        if options.openings:
            with nginx(root) as url:
                about["chromium"], opened = openings(url, options.openings)
            about["nginx"] = nginx_version()
    settings = {"gigapixels": options.gigapixels, "seconds": options.seconds}
    visited = [record(row) for row in rows]
    result = results(visited, opened, page_bytes(), settings, about)
    tell(performance.viewing(result), result, options.json)


WAYS = {ON_DEMAND: on_demand, SERVE: served, NGINX: nginx, S3: public_s3}


if __name__ == "__main__":
    main()
