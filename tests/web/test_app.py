"""The local server: the same answers for every kind of root, and nothing from outside it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import webbrowser
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support import docs
from tests.support.s3_server import Place, Server
from tests.support.site import HOST, Answer, Site, serving
from vsv_pyramid import catalog_json
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.errors import ListenError, StoreError
from vsv_pyramid.store import open_store
from vsv_pyramid.web import server
from vsv_pyramid.web.app import CONTENT_SECURITY_POLICY, create_app

FOLDER = "images/170782"
TILE = f"{FOLDER}/DeepZoom_files/9/1_0.jpeg"
PUBLISHED = {
    f"{FOLDER}/DeepZoom.dzi": b"<Image/>",
    f"{FOLDER}/slide.json": b'{"published": true}',
    f"{FOLDER}/thumbnail.jpeg": b"a thumbnail",
    f"{FOLDER}/icc.icc": b"a profile",
    TILE: b"0123456789" * 100,
}
FOREIGN = f"{FOLDER}/notes.json"
PACKED = f"DeepZoom-{'0' * 32}.szi"
PAGES = {
    "index.html": b"<!doctype html><title>slide</title>",
    "gallery/index.html": b"<!doctype html><title>gallery</title>",
    "style.css": b"body {}",
    "view.js": b"export {};",
    "openseadragon.min.js": b"void 0;",
    "logo.svg": b"<svg/>",
    "words.json": b"{}",
    "vendor/LICENSE.txt": b"a license",
}
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
}
FOR_EVER = "public, max-age=31536000, immutable"
PROGRAM = [sys.executable, "-m", "vsv_pyramid"]


def publish(place: str) -> str:
    with open_store(place).replacing(FOLDER) as staged:
        for key, data in {**PUBLISHED, FOREIGN: b"not for everybody"}.items():
            staged.put(key, data)
    return place


@pytest.fixture(params=["directory", "archive", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A published pyramid in a root of each kind."""
    if request.param == "s3":
        return publish(str(request.getfixturevalue("place")))
    return publish(str(tmp_path / {"directory": "root", "archive": "root.zip"}[request.param]))


@pytest.fixture
def site(root: str) -> Iterator[Site]:
    with serving(create_app(open_root(root))) as site:
        yield site


def assert_is_nothing(answer: Answer) -> None:
    assert (answer.status, answer.body) == (404, b"There is nothing at this path.\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


class TestServe:
    """What is the same for every root."""

    def test_what_is_published(self, site: Site) -> None:
        for key, data in PUBLISHED.items():
            answer = site.ask(f"/{key}?v=abc")
            assert (answer.status, answer.body) == (200, data)
            kept = FOR_EVER if key.endswith((".jpeg", ".icc")) else "no-cache"
            assert answer.headers["Cache-Control"] == kept
            assert re.fullmatch(r'"[^"]+"', answer.headers["ETag"])
            assert answer.headers["Accept-Ranges"] == "bytes"
            # Any page in the browser could read the slides: they are for the viewer beside them.
            assert answer.headers["Access-Control-Allow-Origin"] is None
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert site.ask(f"/{TILE}").headers["Content-Type"] == "image/jpeg"
        assert site.ask(f"/{FOLDER}/DeepZoom.dzi").headers["Content-Type"] == "application/xml"

    def test_what_is_not(self, site: Site) -> None:
        for key in (
            FOREIGN,
            FOLDER,
            f"{FOLDER}/",
            f"{FOLDER}/label.jpeg",
            f"{FOLDER}/DeepZoom_files/9",
            f"{FOLDER}/DeepZoom_files/9/7_7.jpeg",
            f"{FOLDER}/DeepZoom.dzi/x",
            "images/170783/DeepZoom.dzi",
            "images/",
            "images",
            "nothing",
            f"{FOLDER}/DeepZoom%2edzi",
        ):
            assert_is_nothing(site.ask(f"/{key}"))

    def test_head(self, site: Site) -> None:
        got, head = site.ask(f"/{TILE}"), site.ask(f"/{TILE}", "HEAD", Range="bytes=0-1")
        assert (head.status, head.body) == (200, b"")
        assert {name: head.headers[name] for name in head.headers if name != "date"} == {
            name: got.headers[name] for name in got.headers if name != "date"
        }
        assert site.ask(f"/{FOLDER}/label.jpeg", "HEAD").status == 404

    @pytest.mark.parametrize(
        ("asked", "status", "content_range", "body"),
        [
            ("bytes=0-0", 206, "bytes 0-0/1000", b"0"),
            ("bytes=995-", 206, "bytes 995-999/1000", b"56789"),
            ("bytes=-3", 206, "bytes 997-999/1000", b"789"),
            ("bytes=-9999", 206, "bytes 0-999/1000", PUBLISHED[TILE]),
            ("bytes=998-9999", 206, "bytes 998-999/1000", b"89"),
            ("bytes=1000-", 416, "bytes */1000", None),
            ("bytes=-0", 416, "bytes */1000", None),
            ("bytes=2-1", 200, None, PUBLISHED[TILE]),
            ("bytes=0-1,5-6", 200, None, PUBLISHED[TILE]),
            ("bytes=-", 200, None, PUBLISHED[TILE]),
            ("lines=0-1", 200, None, PUBLISHED[TILE]),
        ],
    )
    def test_ranges(
        self, site: Site, asked: str, status: int, content_range: str | None, body: bytes | None
    ) -> None:
        answer = site.ask(f"/{TILE}", Range=asked)
        assert (answer.status, answer.headers["Content-Range"]) == (status, content_range)
        assert answer.body == (
            b"The range is not within the 1000 bytes.\n" if body is None else body
        )

    def test_conditions(self, site: Site) -> None:
        etag = site.ask(f"/{TILE}").headers["ETag"]
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            answer = site.ask(f"/{TILE}", If_None_Match=known, Range="bytes=0-1")
            assert (answer.status, answer.body) == (304, b"")
            assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (etag, FOR_EVER)
        assert site.ask(f"/{TILE}", If_None_Match='"x"').status == 200
        assert site.ask(f"/{TILE}", If_Range=etag, Range="bytes=0-1").status == 206
        for other in ('"x"', f"W/{etag}", "Tue, 01 Jan 2030 00:00:00 GMT"):
            assert site.ask(f"/{TILE}", If_Range=other, Range="bytes=0-1").status == 200

    def test_methods(self, site: Site) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"):
            answer = site.ask(f"/{TILE}", method)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        answer = site.ask(f"/{TILE}", "OPTIONS", Origin="https://a", Access_Control_Request="GET")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] is None

    def test_the_descriptors_old_place(self, site: Site) -> None:
        answer = site.ask("/images/170782.dzi?v=1&x=%20")
        assert answer.status == 302
        assert answer.headers["Location"] == f"/{FOLDER}/DeepZoom.dzi?v=1&x=%20"
        for other in ("..dzi", ".dzi", "...dzi", "a%20b.dzi", "a//b.dzi"):
            assert_is_nothing(site.ask(f"/images/{other}"))

    def test_the_tiles_old_places(self, site: Site) -> None:
        answer = site.ask("/images/170782_files/0/0_0.jpeg?v=1")
        assert answer.status == 302
        assert answer.headers["Location"] == f"/{FOLDER}/DeepZoom_files/0/0_0.jpeg?v=1"
        for other in ("a_files/0", "a_files/0/0_0.png", "a_files/../0_0.jpeg", "_files/0/0_0.jpeg"):
            assert_is_nothing(site.ask(f"/images/{other}"))

    def test_many_at_a_time(self, site: Site) -> None:
        answers: list[Answer] = []
        threads = [
            threading.Thread(target=lambda: answers.append(site.ask(f"/{TILE}"))) for _ in range(30)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.body for answer in answers] == [PUBLISHED[TILE]] * 30


SECRET = b"outside"


@pytest.fixture(scope="module")
def enclosed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A folder with a pyramid and a viewer, among secrets and links to them."""
    place = tmp_path_factory.mktemp("place")
    publish(str(place / "root"))
    root, viewer = place / "root", place / "viewer"
    secrets = [place / "outside/slide.json", place / "outside/DeepZoom.dzi", place / "secret.js"]
    secrets += [root / "secret.json", root / ".leases/images/170782", root / ".htpasswd"]
    secrets += [root / "images/.170782.lock", root / "images/.old.partial/slide.json"]
    secrets += [root / "images/notes.txt", root / FOLDER / ".slide.json.partial"]
    secrets += [viewer / ".hidden.js", viewer / "__init__.py", viewer / ".git/index.html"]
    for path in secrets:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SECRET)
    (root / "images/linked").symlink_to(place / "outside")
    (root / FOLDER / "label.jpeg").symlink_to(place / "outside/slide.json")
    (root / FOLDER / "macro.jpeg").symlink_to(root / "secret.json")  # beside images/
    (root / FOLDER / PACKED).symlink_to(place / "secret.js")
    (root / FOLDER / "DeepZoom_files/8").symlink_to(place / "outside")
    (place / "outside/0_0.jpeg").write_bytes(SECRET)
    (root / "images/within").symlink_to("170782")
    (viewer / "linked.js").symlink_to(place / "secret.js")
    (viewer / "linked").symlink_to(place / "outside")
    for name, data in PAGES.items():
        (viewer / name).parent.mkdir(parents=True, exist_ok=True)
        (viewer / name).write_bytes(data)
    app = create_app(open_root(str(root)), viewer=viewer)
    with serving(app) as site:
        yield site


@pytest.mark.parametrize(
    "path",
    [
        "/../outside/slide.json",
        "/images/../../outside/slide.json",
        "/images/../secret.json",
        "/images/%2e%2e/secret.json",
        "/images/..%2f..%2foutside%2fslide.json",
        "/images/170782/..%5c..%5c..%5coutside%5cslide.json",
        "/images\\..\\..\\outside\\slide.json",
        "/images/170782%2fslide.json",
        "/images%2f170782%2fslide.json",
        "//images/170782/slide.json",
        "/images//170782/slide.json",
        "/images/./170782/slide.json",
        "/images/170782/slide.json%00",
        "/images/170782/slide.json%00.jpeg",
        "/images/170782/slide.json%0a",
        "/images/170782/slide.json/",
        "/images/170782/.slide.json.partial",
        "/images/.170782.lock",
        "/images/.old.partial/slide.json",
        "/images/linked/slide.json",
        "/images/linked/DeepZoom.dzi",
        "/images/170782/label.jpeg",
        "/images/170782/macro.jpeg",
        f"/images/170782/{PACKED}",
        "/images/170782/DeepZoom_files/8/0_0.jpeg",
        "/images/notes.txt",
        "/.leases/images/170782",
        "/.htpasswd",
        "/secret.json",
        "/etc/passwd",
        "/images//etc/passwd",
        "/images/C:/slide.json",
        "/viewer/../root/secret.json",
        "/viewer/%2e%2e/secret.js",
        "/viewer/..%2fsecret.js",
        "/viewer/.hidden.js",
        "/viewer/.git/index.html",
        "/viewer/__init__.py",
        "/viewer/linked.js",
        "/viewer/linked/slide.json",
        "/viewer//index.html",
        "/viewer/nothing/",
        "/viewer/nothing.html",
        "/viewer/gallery/nothing.js",
        "*",
        "images/170782/slide.json",
        "/%",
        "/images/%zz/slide.json",
        "/images/\xff/slide.json",
    ],
)
def test_nothing_outside_is_reached(enclosed: Site, path: str) -> None:
    answer = enclosed.send(b"GET " + path.encode("latin-1") + b" HTTP/1.1")
    assert SECRET not in answer.body
    if answer.status != 400:  # what is no HTTP is refused as such
        assert_is_nothing(answer)


def test_a_link_within_the_images_is_followed(enclosed: Site) -> None:
    assert enclosed.ask("/images/within/slide.json").body == PUBLISHED[f"{FOLDER}/slide.json"]


def test_the_images_may_be_elsewhere_as_a_whole(tmp_path: Path) -> None:
    publish(str(tmp_path / "disk"))
    (tmp_path / "root").mkdir()
    (tmp_path / "root/images").symlink_to(tmp_path / "disk/images")
    with serving(create_app(open_root(str(tmp_path / "root")))) as site:
        assert site.ask(f"/{TILE}").body == PUBLISHED[TILE]
        assert site.ask("/images/index.json").status == 200


PARTS = (
    *("..", ".", "", "%2e%2e", "%2E.", "..;", "images", "viewer", "gallery", "170782", "linked"),
    *("outside", "root", "slide.json", "DeepZoom.dzi", "index.html", "secret.json", ".leases"),
    *("label.jpeg", "linked.js", ".hidden.js", ".slide.json.partial", "%00", "etc", "passwd"),
)


@given(
    st.lists(st.sampled_from(PARTS) | st.text(st.characters(codec="ascii"), max_size=9)),
    st.sampled_from(["/", "//", "%2f", "\\", "%5C", "/../"]),
)
def test_what_is_answered_is_what_is_published(
    enclosed: Site, parts: list[str], slash: str
) -> None:
    path = "/" + slash.join(parts)
    answer = enclosed.send(f"GET {path}".encode() + b" HTTP/1.1")
    plain = path.partition("?")[0].partition("#")[0].removeprefix("/")
    assert SECRET not in answer.body
    if answer.status == 200:
        name = plain.removeprefix("viewer/")
        name += "index.html" if plain in ("viewer/", "viewer/gallery/") else ""
        pages = {f"viewer/{page}": data for page, data in PAGES.items()}
        listed = {
            "images/index.json": catalog_json.write([])
        }  # none of them has a sound slide.json
        assert answer.body == (PUBLISHED | pages | listed).get(
            f"viewer/{name}" if plain.startswith("viewer/") else plain
        )
    else:
        assert answer.status in (302, 307, 400, 404)


def test_the_viewer(enclosed: Site) -> None:
    for name, data in PAGES.items():
        answer = enclosed.ask(f"/viewer/{name}?id=170782")
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["Content-Type"] == TYPES[name.rpartition(".")[2]]
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Access-Control-Allow-Origin"] is None
        policy = answer.headers["Content-Security-Policy"]
        assert policy == (CONTENT_SECURITY_POLICY if name.endswith(".html") else None)
        etag = answer.headers["ETag"]
        assert enclosed.ask(f"/viewer/{name}", If_None_Match=etag).status == 304
    for folder in ("", "gallery/"):
        answer = enclosed.ask(f"/viewer/{folder}")
        assert answer.body == PAGES[f"{folder}index.html"]
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert enclosed.ask("/viewer/", "OPTIONS").status == 204
    assert enclosed.ask("/viewer/", "POST").status == 405


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", "viewer/gallery/"),
        ("/viewer", "viewer/"),
        ("/viewer/gallery", "gallery/"),
        ("/viewer?id=170782&Policy=x_~-", "viewer/?id=170782&Policy=x_~-"),
    ],
)
def test_short_paths_lead_to_the_page(enclosed: Site, path: str, location: str) -> None:
    answer = enclosed.ask(path)
    assert (answer.status, answer.headers["Location"]) == (307, location)
    assert enclosed.ask(path, "OPTIONS").status == 204


def test_a_root_without_a_catalog_is_listed_as_it_is(published: Summary) -> None:
    root = Path(published.target).parents[2]
    stored = (root / "images/index.json").read_bytes()
    (root / "images/index.json").unlink()
    with serving(create_app(open_root(str(root)))) as site:
        assert site.ask("/images/index.json").body == stored


@pytest.mark.parametrize("listens", ["127.0.0.1", "localhost", "127.0.0.2", "::1"])
def test_only_its_own_names_lead_to_a_local_server(tmp_path: Path, listens: str) -> None:
    """Another page could make a name of its own lead here, and read what is served."""
    store = open_root(publish(str(tmp_path)))
    address = "127.0.0.1" if listens == "localhost" else listens  # not all machines have them all
    listening = mock.Mock(spec=socket.socket, getsockname=lambda: (address, 8000))
    names = server.names(listening, listens)
    with serving(create_app(store, hosts=names)) as site:
        own = f"[{listens}]" if ":" in listens else listens
        for host in (own, "localhost", "LocalHost", f"{own}:{site.port}", f"localhost:{site.port}"):
            assert site.ask(f"/{TILE}", Host=host).status == 200, host
        for host in (
            *("elsewhere.example", f"elsewhere.example:{site.port}", f"{own}.elsewhere.example"),
            *(
                f"{own}@elsewhere.example",
                "192.0.2.1",
                "[::2]",
                "0.0.0.0",
                "",
                "[",
                f"{own}:x",
                ":",
            ),
        ):
            answer = site.ask(f"/{TILE}", Host=host)
            assert (answer.status, b"printed" in answer.body) == (400, True), host


def test_a_request_has_one_host(tmp_path: Path) -> None:
    app = create_app(open_root(publish(str(tmp_path))), hosts=["localhost"])
    with serving(app) as site, socket.create_connection((HOST, site.port), timeout=60) as sent:
        hosts = b"Host: localhost\r\nHost: elsewhere.example\r\n"
        sent.sendall(b"GET /" + TILE.encode() + b" HTTP/1.1\r\n" + hosts + b"\r\n")
        assert sent.recv(12) == b"HTTP/1.1 400"


def test_a_host_is_a_name_for_everybody_s_server_too(tmp_path: Path) -> None:
    """Of which the address is made that is signed: a link to one slide was one to all."""
    with serving(create_app(open_root(publish(str(tmp_path))))) as site:
        for host in ("elsewhere.example", "[::2]:80", f"a_b.example:{site.port}"):
            assert site.ask(f"/{TILE}", Host=host).status == 200, host
        own = f"127.0.0.1:{site.port}"
        for host in (f"{own}/images/a", f"{own}?", f"{own}#", f"u@{own}", "a b", "é", "%2f", "\\"):
            assert site.ask(f"/{TILE}", Host=host.encode().decode("latin-1")).status == 400, host


def test_any_name_leads_to_a_server_for_everybody() -> None:
    with server.listener("0.0.0.0", 0) as listening:
        assert server.names(listening, "0.0.0.0") == ()


def test_without_a_viewer(tmp_path: Path) -> None:
    publish(str(tmp_path))
    app = create_app(open_root(str(tmp_path)), viewer=tmp_path / "nothing")
    with serving(app) as site:
        assert_is_nothing(site.ask("/viewer/"))


def test_a_catalog_that_is_there(tmp_path: Path) -> None:
    publish(str(tmp_path))
    (tmp_path / "images/index.json").write_bytes(b"[]")
    with serving(create_app(open_root(str(tmp_path)))) as site:
        answer = site.ask("/images/index.json")
        assert (answer.status, answer.body) == (200, b"[]")
        assert answer.headers["Cache-Control"] == "no-cache"


def test_what_is_published_later_is_seen(tmp_path: Path) -> None:
    place = publish(str(tmp_path / "a.zip"))
    with serving(create_app(open_root(place))) as site:
        assert site.ask(f"/{TILE}").body == PUBLISHED[TILE]
        with open_store(place).replacing(FOLDER) as staged:
            staged.put(TILE, b"another")
        assert site.ask(f"/{TILE}").body == b"another"
        assert_is_nothing(site.ask(f"/{FOLDER}/slide.json"))


def test_what_cannot_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = Path(publish(str(tmp_path / "a.zip")))
    with zipfile.ZipFile(place) as archive:
        at = archive.getinfo(TILE).header_offset + 30 + len(TILE)
    data = bytearray(place.read_bytes())
    data[at] ^= 1
    place.write_bytes(data)
    with serving(create_app(open_root(str(place)))) as site, caplog.at_level(logging.WARNING):
        answer = site.ask(f"/{TILE}")
        assert site.ask(f"/{FOLDER}/slide.json").status == 200
    assert answer.status == 502
    assert answer.body == b"This cannot be read where it is stored; the server says why.\n"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "a.zip: holds a damaged file" in caplog.text


class TestOtherPages:
    """--allow-origin: who may read slides, and have the viewer in a frame."""

    @pytest.fixture
    def shared(self, tmp_path: Path) -> Iterator[Site]:
        root = open_root(publish(str(tmp_path)))
        with serving(create_app(root, origins=["https://a.example", "http://b.example:8"])) as site:
            yield site

    @pytest.mark.parametrize("origin", ["https://a.example", "http://b.example:8"])
    def test_these_may(self, shared: Site, origin: str) -> None:
        answer = shared.ask(f"/{TILE}", Origin=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Vary"] == "Origin"
        assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "range,if-match",
        }
        before = shared.ask(f"/{TILE}", "OPTIONS", **asked)
        assert (before.status, before.headers["Access-Control-Allow-Origin"]) == (200, origin)
        page = shared.ask("/viewer/", Origin=origin)
        policy = page.headers["Content-Security-Policy"]
        assert policy.endswith("frame-ancestors 'self' https://a.example http://b.example:8")

    def test_no_others(self, shared: Site) -> None:
        for origin in ("https://c.example", "http://a.example", "null"):
            answer = shared.ask(f"/{TILE}", Origin=origin)
            assert "Access-Control-Allow-Origin" not in answer.headers
        assert shared.ask(f"/{TILE}").body == PUBLISHED[TILE]

    def test_none_unasked(self, enclosed: Site) -> None:
        answer = enclosed.ask(f"/{TILE}", Origin="https://a.example")
        assert "Access-Control-Allow-Origin" not in answer.headers

    @pytest.mark.parametrize("origin", ["*", "a.example", "https://a.example/", "https://A", ""])
    def test_origins_that_are_none(self, run: Run, origin: str) -> None:
        publish(".")
        outcome = run("serve", "--allow-origin", origin)
        assert outcome.code == 2
        assert "give https://host, or https://host:port" in outcome.err

    def test_not_with_the_desk(self, run: Run) -> None:
        publish(".")
        outcome = run("serve", "--edit", "--allow-origin", "https://a.example")
        assert outcome.code == 2
        assert "--allow-origin is without --edit" in outcome.err


def test_a_bucket_that_refuses(
    s3: Server, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(publish(str(place)))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with serving(create_app(store)) as site:
        answer = site.ask(f"/{TILE}")
    assert (answer.status, str(place).encode() in answer.body) == (502, False)
    assert "the signature is not the one of this access key; check AWS_SECRET" in caplog.text


def test_roots_that_are_none(run: Run, tmp_path: Path) -> None:
    publish("root")
    publish("a.zip")
    Path("empty").mkdir()
    Path("file").touch()
    with zipfile.ZipFile("other.zip", "w") as archive:
        archive.writestr("x", b"1")
    here = Path.cwd()
    for place, words in {
        "nothing": ["no such folder", "check the path"],
        "nothing.zip": ["no such file", "check the path"],
        "empty": ["holds no images folder", "give the folder"],
        "file": ["holds no images folder", "give the folder"],
        "other.zip": ["holds no images/", "give the folder"],
        "root/images": [f"give {here / 'root'}\n"],
        f"root/{FOLDER}": ["is one pyramid", f"give {here / 'root'}\n"],
        f"root/{FOLDER}/DeepZoom.dzi": ["is one pyramid", f"give {here / 'root'}\n"],
        f"root/{FOLDER}/DeepZoom_files": ["holds no images folder"],
    }.items():
        outcome = run("serve", place, "--port", 0)
        assert outcome.code == 1
        assert_one_sentence(outcome.err, *words)
    Path(f"root/{FOLDER}").rename("empty/170782")
    outcome = run("serve", "empty/170782")
    assert_one_sentence(outcome.err, "is one pyramid", "holds images/ID")


def test_roots_in_s3_that_are_none(run: Run, place: Place) -> None:
    outcome = run("serve", place)
    assert outcome.code == 1
    assert_one_sentence(outcome.err, f"{place}: holds no images/")
    publish(str(place))
    for within in ("images", FOLDER):
        outcome = run("serve", f"{place}/{within}")
        assert outcome.code == 1
        assert_one_sentence(outcome.err, f"is within images/; give {place}\n")


def test_arguments_that_are_refused(run: Run) -> None:
    publish("root")
    with server.listener(HOST, 0) as taken:
        port = taken.getsockname()[1]
        outcome = run("serve", "root", "--port", port)
        assert outcome.code == 1
        assert_one_sentence(outcome.err, f"{HOST}:{port}: the port is in use", "--port")
    for words, code, sentence in (
        (["--host", "nowhere.invalid"], 1, "check --host"),
        (["--host", "192.0.2.1"], 1, "cannot be listened at"),
        (["--port", "65536"], 2, "--port"),
        (["--signed"], 2, "go together"),
        (["--public-key", "key.pem"], 2, "go together"),
        (["--key-id", "K1"], 2, "--key-id needs --signed"),
        (["--signed", "--public-key", "key.pem"], 2, "key.pem cannot be read"),
    ):
        outcome = run("serve", "root", *words)
        assert outcome.code == code
        assert_one_sentence(outcome.err, sentence)
    assert run("serve", "").code == 2


def test_a_port_below_1024_needs_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ListenError, match="one above 1023"):
        server.listener(HOST, 80)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    publish(str(tmp_path))
    command = [*PROGRAM, "serve", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        port = int(line.rpartition(":")[2].split("/")[0])
        assert line == f"Serving {tmp_path} at http://{HOST}:{port}/ (Ctrl-C ends it)\n"
        assert Site(port).ask(f"/{TILE}").body == PUBLISHED[TILE]
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("", "")
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")
def test_what_is_to_outlive_its_terminal(tmp_path: Path) -> None:
    publish(str(tmp_path))
    command = ["nohup", *PROGRAM, "serve", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout
        port = int(process.stdout.readline().rpartition(":")[2].split("/")[0])
        process.send_signal(signal.SIGHUP)
        assert Site(port).ask(f"/{TILE}").body == PUBLISHED[TILE]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_signal_ends_what_is_tried_again(tmp_path: Path) -> None:
    stopped = threading.Event()
    running = server.Server(create_app(open_store(str(tmp_path))), stopped)
    running.handle_exit(signal.SIGINT, None)
    assert (running.should_exit, stopped.is_set()) == (True, True)


def test_who_is_waiting_when_it_ends_is_told(caplog: pytest.LogCaptureFixture) -> None:
    asked = threading.Event()

    async def slow(_: Request) -> Response:
        asked.set()
        await asyncio.sleep(60)
        return Response()

    running = server.Server(Starlette(routes=[Route("/slow", slow)]), threading.Event())
    running.config.timeout_graceful_shutdown = 0
    with server.listener(HOST, 0) as listening, ThreadPoolExecutor(2) as pool:
        ended = pool.submit(running.run, [listening])
        answer = pool.submit(Site(listening.getsockname()[1]).ask, "/slow")
        assert asked.wait(60)
        running.handle_exit(signal.SIGINT, None)
        assert (answer.result().status, answer.result().body) == (503, f"{server.ENDED}\n".encode())
        ended.result()
    assert "Traceback" not in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")
def test_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("root")
    opened: list[tuple[str, int]] = []

    def browse(url: str) -> bool:
        opened.append((url, Site(int(url.split(":")[2].rstrip("/"))).ask("/").status))
        os.kill(os.getpid(), signal.SIGINT)
        return False

    monkeypatch.setattr(webbrowser, "open", browse)
    outcome = run("serve", "root", "--port", 0, "--open", "--host", "0.0.0.0")
    assert outcome.code == 0
    ((url, status),) = opened
    assert (url in outcome.out, status) == (True, 307)
    assert "Warning: anyone on the network who reaches 0.0.0.0 can see the slides." in outcome.err


def test_only_loopback_is_private() -> None:
    for host, private in ((HOST, True), ("localhost", True), ("0.0.0.0", False)):
        with server.listener(host, 0) as listening:
            assert server.is_loopback(listening) is private


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """Nagle's algorithm is off where asyncio sees that it is TCP."""
    with (
        server.listener(HOST, 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.proto == socket.IPPROTO_TCP


def test_a_missing_bucket(s3: Server) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        open_root("s3://there-is-no-such-bucket")


def test_the_ways_to_serve_of_the_docs(run: Run) -> None:
    """They are not run with its other commands: they do not end."""
    commands = re.findall(r"^vsv-pyramid (serve .*)", docs.TEXT, re.MULTILINE)
    assert len(commands) == 7
    for words in commands:
        assert run(*shlex.split(words), "--help").code == 0
