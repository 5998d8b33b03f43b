"""The page of docs/viewing.md that shows a .szi file: as its tiles one by one are shown."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.support import docs
from tests.support.browser import Window, window
from tests.support.forge import Encoding, forge_svs
from tests.support.nginx import nginx, readable
from tests.support.s3_server import HOST, free_ports
from tests.support.site import Site
from tests.support.tiles import Pixels
from vsv_pyramid import pages
from vsv_pyramid.conversion import convert
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.packed.index import Index
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store.archive import ArchiveStore

(PAGE,) = [block for block in docs.blocks(docs.ROOT / "docs/viewing.md", "html") if "szi" in block]
ZOOMS = (None, 0.05, 0.25, 1.0)  # of the picture's px, None for all of it
SERVER = """server {{
  listen {host}:{port}; root {root};
  types {{ text/html html; text/javascript js; application/zip szi; image/jpeg jpeg; }}
  location /whole/ {{ max_ranges 0; }}
  location = /favicon.ico {{ return 204; }}
}}"""


@pytest.fixture(scope="module")
def folder(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real slide, and a larger one in small tiles, of which most are in blocks."""
    place = tmp_path_factory.mktemp("szi")
    large = place / "large.svs"
    encoding = Encoding(240, 70, "4:2:0", rgb=False)
    forge_svs(large, tissue=real_slide, size=(7001, 5003), encoding=encoding)
    for name, slide, side in ("170782", real_slide, 240), ("large", large, 240):
        options = ConvertOptions(slide_id=name, tile_size=side)
        convert(slide, place / f"{name}.szi", options)
        convert(slide, place, options)
        page = PAGE.replace("170782.szi", f"{name}.szi")
        (place / f"{name}.html").write_text(shown(page))
        packed = f'await sziTileSource("{name}.szi")'
        assert packed in page
        (place / f"{name}-tiles.html").write_text(shown(page.replace(packed, tiles(place, name))))
    for name in "szi.js", "vendor/openseadragon.min.js":
        shutil.copy(pages.VIEWER / name, place)
    (place / "whole").mkdir()
    for name in "170782.szi", "170782.html", "szi.js", "openseadragon.min.js":
        shutil.copy(place / name, place / "whole")
    readable(place)
    return place


def tiles(place: Path, name: str) -> str:
    """The same tiles one by one, as the other page of docs/viewing.md has them drawn."""
    folder = f"images/{name}/DeepZoom_files/"
    read = Descriptor.parse((place / f"images/{name}/DeepZoom.dzi").read_bytes())
    said = {
        **{"width": read.size.width, "height": read.size.height, "tileSize": read.tile_size},
        **{"tileOverlap": 1e-9, "tilesUrl": folder, "fileFormat": read.format},
    }
    return f"new OpenSeadragon.DziTileSource({json.dumps(said)})"


def shown(page: str) -> str:
    """The page, whose viewer a test gets at."""
    made, count = re.subn("const viewer = ", "const viewer = window.viewer = ", page)
    assert count == 1
    return made


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    (port,) = free_ports(1)
    with nginx(SERVER.format(host=HOST, port=port, root=folder), port) as site:
        yield site


def views(seen: Window) -> list[Pixels]:
    """The screen at each of the zooms, when all is loaded."""
    page, found = seen.page, []
    page.wait_for_function("window.viewer?.world.getItemAt(0)")
    for zoom in ZOOMS:
        page.evaluate(
            """async (zoom) => {
              const { viewport, world } = viewer;
              const item = world.getItemAt(0);
              if (zoom) {
                viewport.zoomTo(item.imageToViewportZoom(zoom), undefined, true);
              } else {
                viewport.goHome(true);
              }
              while (!item.getFullyLoaded()) {
                await new Promise((resolve) => setTimeout(resolve, 50));
              }
            }""",
            zoom,
        )
        seen.settled()
        found.append(seen.screenshot({"x": 0, "y": 0, "width": 1200, "height": 800}))
    return found


def asked(seen: Window, suffix: str) -> list[str]:
    return [url for url in seen.requests if suffix in url]


@pytest.mark.parametrize("name", ["170782", "large"])
def test_it_is_shown_as_its_tiles_are(name: str, chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/{name}-tiles.html") as seen:
        expected = views(seen)
        tiles = len(asked(seen, ".jpeg"))
    with window(chromium, f"{site.url}/{name}.html") as seen:
        for packed, separate in zip(views(seen), expected, strict=True):
            assert np.ptp(packed) > 100
            assert (packed == separate).all()
        ranges = asked(seen, ".szi")
        assert not asked(seen, ".jpeg")
    assert all(re.search(r"\?r=\d+-\d+$", url) for url in ranges)
    assert len(ranges) <= tiles / 2, (len(ranges), tiles)


def spans(page: Page, name: str) -> dict[str, list[int]]:
    """Where the module finds each tile."""
    found: dict[str, list[int]] = page.evaluate(
        """async (name) => {
          const { openSzi } = await import("./szi.js");
          const file = await openSzi(`${name}.szi`);
          const found = {};
          const levels = Math.ceil(Math.log2(Math.max(file.width, file.height)));
          for (let level = 0; level <= levels; level++) {
            const side = file.tileSize * 2 ** (levels - level);
            for (let row = 0; row * side < file.height; row++) {
              for (let column = 0; column * side < file.width; column++) {
                found[`${level}/${column}_${row}`] = file.span(level, column, row);
              }
            }
          }
          return found;
        }""",
        name,
    )
    return found


@pytest.mark.parametrize("name", ["170782", "large"])
def test_each_tile_is_found_in_its_place(
    name: str, chromium: Browser, site: Site, folder: Path
) -> None:
    szi = ArchiveStore(folder / f"{name}.szi").as_szi()
    assert szi and szi.index_data
    index = Index.parse(szi.root, szi.index_data)
    with window(chromium, f"{site.url}/{name}.html") as seen:
        found = spans(seen.page, name)
    assert found == {f"{at}": list(index.span(at)) for at in index.pyramid.tiles()}


def told(page: Page, url: str) -> str:
    said: str = page.evaluate(
        """async (url) => {
          const { openSzi } = await import("./szi.js");
          return openSzi(url).then(() => "", (error) => error.message);
        }""",
        url,
    )
    return said


def test_what_cannot_be_read_is_told(chromium: Browser, site: Site, folder: Path) -> None:
    shutil.copy(folder / "szi.js", folder / "no.szi")
    data = (folder / "170782.szi").read_bytes()
    assert data.count(b"SZIX\1") == 1
    (folder / "later.szi").write_bytes(data.replace(b"SZIX\1", b"SZIX\2"))
    with window(chromium, f"{site.url}/170782.html") as seen:
        seen.wants("404")
        assert "with an index in front" in told(seen.page, "no.szi")
        assert "of a later form" in told(seen.page, "later.szi")
        assert "error 404" in told(seen.page, "nothing.szi")


def test_a_server_without_ranges_sends_no_whole_file(chromium: Browser, site: Site) -> None:
    with window(chromium, f"{site.url}/170782.html") as seen:
        seen.wants("aborted", "ERR_ABORTED")
        assert "does not answer ranges" in told(seen.page, "whole/170782.szi")


def test_a_damaged_tile_is_told(chromium: Browser, site: Site, folder: Path) -> None:
    """And the others are shown."""
    szi = ArchiveStore(folder / "170782.szi").as_szi()
    assert szi and szi.index_data
    index = Index.parse(szi.root, szi.index_data)
    start, end = index.span(TileAddress(index.pyramid.base.number, 1, 1))
    data = bytearray((folder / "170782.szi").read_bytes())
    data[start:end] = bytes(end - start)
    (folder / "damaged.szi").write_bytes(data)
    page = (folder / "170782.html").read_text().replace("170782.szi", "damaged.szi")
    (folder / "damaged.html").write_text(page)
    with window(chromium, f"{site.url}/damaged.html") as seen:
        seen.wants("damaged")
        seen.page.wait_for_function("window.viewer?.world.getItemAt(0)")
        told = seen.page.evaluate(
            """async () => {
              const told = new Set();
              viewer.addHandler("tile-load-failed", ({ tile, message }) => {
                told.add(`${tile.level}/${tile.x}_${tile.y}: ${message}`);
              });
              const item = viewer.world.getItemAt(0);
              viewer.viewport.zoomTo(item.imageToViewportZoom(1), undefined, true);
              viewer.viewport.panTo(item.imageToViewportCoordinates(360, 360), true);
              while (!told.size) {
                await new Promise((resolve) => setTimeout(resolve, 50));
              }
              return [...told];
            }"""
        )
        assert told == [f"{index.pyramid.base.number}/1_1: The tile is damaged."]
