"""The benchmark of viewing: the tiles that a view needs, a fair opponent, and figures that hold."""

from __future__ import annotations

import io
import json
import math
import random
import re
import selectors
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.benchmarks import on_demand, performance, viewers, viewing
from tests.benchmarks.performance import ON_DEMAND
from tests.benchmarks.report import percentile
from tests.benchmarks.viewers import Seen, View, Viewer, needed, random_views, watch
from tests.benchmarks.viewing import NGINX, Opening, Row
from tests.support.forge import forge_svs
from tests.support.site import HOST, serving
from vsv_pyramid import pages
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.geometry import Pyramid, Size

PYRAMID = Pyramid(Size(20000, 16000), 720)


@pytest.fixture(scope="module")
def forged(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forged") / "forged.svs"
    forge_svs(path, tissue=real_slide, size=(1501, 1100), levels=(1, 4))
    return path


@pytest.mark.parametrize(
    ("tile_size", "view", "columns", "rows"),
    [
        (720, View(0, 0, 0), range(0, 3), range(0, 2)),
        (720, View(0, 240, 360), range(0, 3), range(0, 2)),
        (720, View(0, 241, 361), range(0, 4), range(0, 3)),
        (720, View(0, 719, 719), range(0, 4), range(0, 3)),
        (720, View(0, 720, 720), range(1, 4), range(1, 3)),
        (254, View(0, 1000, 1000), range(3, 12), range(3, 9)),
        (720, View(0, 18080, 14920), range(25, 28), range(20, 23)),
        (720, View(4, 0, 0), range(0, 2), range(0, 2)),  # 1250 x 1000 px
        (720, View(15, 0, 0), range(0, 1), range(0, 1)),
    ],
)
def test_a_view_needs_the_tiles_that_it_shows(
    tile_size: int, view: View, columns: range, rows: range
) -> None:
    level = 15 - view.halvings
    expected = [(level, column, row) for row in rows for column in columns]
    assert needed(Pyramid(PYRAMID.size, tile_size), view) == expected


def test_views_are_within_the_level_and_do_not_depend_on_the_tiles() -> None:
    views = random_views(PYRAMID, 200, random.Random(1))
    assert views == random_views(Pyramid(PYRAMID.size, 254), 200, random.Random(1))
    assert views != random_views(PYRAMID, 200, random.Random(2))
    assert {view.halvings for view in views} == set(viewers.HALVINGS)
    for halvings, x, y in views:
        width, height = PYRAMID.levels[-1 - halvings].size
        assert 0 <= x <= max(0, width - 1920)
        assert 0 <= y <= max(0, height - 1080)


def test_views_of_a_pixel() -> None:
    assert set(random_views(Pyramid(Size(1, 1), 720), 20, random.Random(1))) == {View(0, 0, 0)}


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 10), (51, 11), (95, 19), (96, 20), (100, 20)]
)
def test_percentiles(percent: float, expected: float) -> None:
    values = list(range(1, 21))
    random.Random(1).shuffle(values)
    assert percentile(values, percent) == expected


def test_the_driver_s_tiles_are_those_of_deepzoom_generator(forged: Path) -> None:
    tiles = on_demand.generator(forged)
    level = tiles.level_count - 1
    assert tiles.level_tiles[level] == (6, 5)
    with serving(on_demand.app(forged, "170782")) as site:
        descriptor = site.ask("/images/170782.dzi")
        assert descriptor.body.decode() == tiles.get_dzi("jpeg")
        stated = Descriptor.parse(descriptor.body)
        assert (stated.tile_size, stated.overlap, stated.format) == (254, 1, "jpeg")
        for address in (0, 0, 0), (level - 1, 1, 2), (level, 0, 0), (level, 5, 4):
            number, column, row = address
            answer = site.ask(f"/images/170782_files/{number}/{column}_{row}.jpeg")
            assert answer.headers["Content-Type"] == "image/jpeg"
            expected = io.BytesIO()
            tiles.get_tile(number, (column, row)).save(expected, "JPEG", quality=75)
            assert answer.body == expected.getvalue()
        assert Image.open(io.BytesIO(answer.body)).size == (232, 85)
        for path in f"{level}/6_0", f"{level + 1}/0_0", f"{level}/0_0.png":
            assert site.ask(f"/images/170782_files/{path}.jpeg").status == 404


def site_of(answer: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route("/{path:path}", answer)])


def test_viewers_see_each_tile_of_each_view() -> None:
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        path = request.url.path
        asked.append(path)
        last = path.endswith("7")  # after which the connection is not kept
        return PlainTextResponse("x" * 3_000_000, headers={"Connection": "close"} if last else {})

    views = [[[f"/{who}/{view}_{tile}" for tile in range(9)] for view in range(3)] for who in "ab"]
    with serving(site_of(answer)) as site, selectors.DefaultSelector() as selector:
        pair = [Viewer(site.port, selector) for _ in views]
        took = watch(selector, pair, views, seconds=3600)
        assert sorted(asked) == sorted(path for own in views for paths in own for path in paths)
        for viewer in pair:
            assert [(len(seen.tiles), seen.size) for seen in viewer.seen] == [(9, 27_000_000)] * 3
            assert all(0 < max(seen.tiles) <= seen.seconds <= took for seen in viewer.seen)
        watch(selector, pair, views, seconds=0)
        assert [viewer.seen for viewer in pair] == [[], []]
        watch(selector, pair, [views[0][:1], []], seconds=3600)
        assert [len(viewer.seen) for viewer in pair] == [1, 0]
        for viewer in pair:
            viewer.close()


def test_what_is_no_tile_ends_it() -> None:
    async def answer(_: Request) -> Response:
        return PlainTextResponse("There is none.", status_code=404)

    with serving(site_of(answer)) as site, selectors.DefaultSelector() as selector:
        viewer = Viewer(site.port, selector)
        with pytest.raises(SystemExit, match=r"/tile: HTTP/1\.1 404"):
            watch(selector, [viewer], [[["/tile"]]], seconds=3600)
        viewer.close()


@pytest.mark.parametrize("waits", [True, False])
def test_an_idle_connection_that_ended_is_made_anew(waits: bool) -> None:
    """Each connection's second request finds it ended, seen before it is sent or after."""
    asked = []
    with socket.create_server((HOST, 0)) as server, selectors.DefaultSelector() as selector:

        def serve() -> None:
            for _ in range(3):
                connection = server.accept()[0]
                with connection:
                    asked.append(connection.recv(1000).split()[1])
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = threading.Thread(target=serve)
        thread.start()
        viewer = Viewer(server.getsockname()[1], selector)
        if waits:
            for number in range(3):
                watch(selector, [viewer], [[[f"/{number}"]]], seconds=3600)
                for key, _ in selector.select():
                    key.data.read()
                assert not selector.get_map()
        else:
            watch(selector, [viewer], [[["/0"], ["/1"], ["/2"]]], seconds=3600)
            assert [seen.size for seen in viewer.seen] == [2, 2, 2]
        thread.join()
        viewer.close()
    assert asked == [b"/0", b"/1", b"/2"]


def test_a_server_that_hangs_up_at_once_ends_it() -> None:
    with socket.create_server((HOST, 0)) as server, selectors.DefaultSelector() as selector:
        viewer = Viewer(server.getsockname()[1], selector)
        viewer.begin([["/tile"]], math.inf)
        server.accept()[0].close()
        with pytest.raises(SystemExit, match="/tile: the server hung up"):
            for key, _ in selector.select():
                key.data.read()
        viewer.close()


def row(way: str, viewers: int, visit: str, p95: float) -> Row:
    seen = Seen(2 * p95, [p95 / 4, p95 / 2, p95], 60_000)
    return Row(way, visit, 4 * p95, [[seen, seen]] * viewers)


def test_the_tables() -> None:
    rows = [row(ON_DEMAND, 1, "cold", 9), row(ON_DEMAND, 16, "cold", 0.5)]
    rows += [row(NGINX, 16, "cold", 0.004), row(NGINX, 16, "warm", 0.001)]
    opened = [Opening("a", complete, 250.6, 120.2, 9, 515_408) for complete in (1, 281.4, 9999)]
    about: dict[str, str | int] = {"cpu": "a CPU", "cores": 2, "os": "an OS"}
    visits = [viewing.record(row) for row in rows]
    result = viewing.results(visits, opened, 1, {"gigapixels": 0.5}, about)
    section = performance.viewing(result)
    lines = re.sub(" *\\| *", "|", section).splitlines()
    assert lines[0].startswith("A slide of 0.5 gigapixels, 16 viewers at once")
    assert lines[4:6] == [
        "|on demand|250|500|1.0|1000|1000|16|",
        "|nginx|2|4|125.0|8|8|2,000|",
    ]
    assert lines[11] == "|a|3|0.1|0.3|9|0.5|"


@pytest.mark.parametrize(
    ("p95", "complete", "met"),
    [
        (0.004, 299, [True, True, False]),
        (0.025, 301, [True, False, False]),
        (0.0251, 300, [False, False, False]),
    ],
)
def test_verdicts(p95: float, complete: float, met: list[bool]) -> None:
    rows = [
        row(ON_DEMAND, 1, "warm", 0.1),
        row(NGINX, 1, "warm", 0.001),
        row(ON_DEMAND, 16, "warm", 0.5),
        row(NGINX, 16, "warm", p95),
    ]
    opened = [Opening("WebGL", value, 200, 100, 9, 1) for value in (complete, 1, 9999)]
    opened += [Opening("canvas", 301, 200, 100, 9, 1)]
    verdicts = viewing.verdicts([viewing.record(row) for row in rows], opened, 60_000)
    assert [verdict.met for verdict in verdicts] == [*met, False]
    assert verdicts[0].target.startswith("nginx, 16 viewers, warm:")


def test_the_page_is_all_that_the_viewer_loads_but_openseadragon() -> None:
    text = (pages.VIEWER / "index.html").read_text() + "".join(
        path.read_text() for path in pages.VIEWER.glob("*.js") if path.name not in viewing.LATE
    )
    loaded = set(re.findall(r'(?:(?:src|href)="|from "\./)([a-z]+\.(?:js|css|svg))', text))
    assert "viewer.js" in loaded
    sizes = [(pages.VIEWER / name).stat().st_size for name in {*loaded, "index.html"}]
    assert viewing.page_bytes() == sum(sizes)


def test_a_run(real_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scratch, result = tmp_path / "scratch", tmp_path / "result.json"
    arguments = f"--gigapixels 0.004 --ways serve --views 2 --openings 0 --scratch {scratch}"
    viewing.main([*arguments.split(), "--json", str(result), "--tissue", str(real_slide)])
    assert not list(scratch.iterdir())
    written = json.loads(result.read_text())
    assert [(row["way"], row["viewers"], row["visit"]) for row in written["visits"]] == [
        ("serve", viewers, visit) for viewers in (1, 16) for visit in ("cold", "warm")
    ]
    for cold, warm in zip(written["visits"][::2], written["visits"][1::2], strict=True):
        assert cold["views"] == warm["views"] == 2 * cold["viewers"]
        assert cold["tiles"] == warm["tiles"] >= cold["views"]
        assert cold["bytes"] == warm["bytes"] > 1000
    assert written["verdicts"][0]["target"] in capsys.readouterr().out


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        viewing.main(["--scratch", str(tmp_path), "--tissue", str(tmp_path / "none.svs")])
    assert "none.svs is missing" in capsys.readouterr().err
