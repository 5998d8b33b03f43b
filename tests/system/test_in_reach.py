"""What a laboratory publishes, by the servers that laboratories have: nobody gets at a label, a
property, a path, a note or a name, whatever he asks for, and neither does a browser."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.support import s3_server
from tests.support.browser import window
from tests.support.nginx import nginx, process, readable
from tests.support.planted import Markers, found, svs
from tests.support.s3_server import BUCKET, HOST, free_ports
from tests.support.site import Answer, Site, serving
from vsv_pyramid import pages
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import create_app

ID = "170782"
TECHNICIAN, NOTE = "Zq901Roe, Jane", "as Zq902Roe said"
# As it comes out of the package, over a folder, and with lists of what is there.
NGINX = """
types {{ text/html html; text/javascript js; text/css css; image/svg+xml svg; image/jpeg jpeg; }}
server {{ listen {host}:{port}; root {root}; autoindex on; }}
"""
# Where something private lies, or has lain, or could be thought to lie.
GUESSED = [
    *("private/deleted.json", "private/ids.json", "private/images/index.json", "root.json"),
    *("watch/", "manifests/", ".watch/", ".manifests/", ".leases/", ".private/", "private/"),
    *(
        f"{folder}images/{ID}/{name}"
        for folder in ("", "private/", ".private/", "../private/private/", "..%2fprivate/private/")
        for name in ("label.jpeg", "macro.jpeg", "slide.private.json", "properties.json")
    ),
    *(f"images/.{ID}.{suffix}/" for suffix in ("lock", "partial", "old", "new")),
    *("desk/", "desk/api/slides", f"desk/api/slides/{ID}", f"desk/images/{ID}/label.jpeg"),
    *(f"images/{ID}", f"images/{ID}.svs", f"images/{ID}/DeepZoom_files/", "..", "%2e%2e/"),
]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With some two hundred markers inside, and one in the name of its folder."""
    path = tmp_path_factory.mktemp("scans") / "Zq900Roe, Jane" / f"{ID}.svs"
    path.parent.mkdir()
    svs(path, Markers(itertools.count(1)))
    assert len(found(path.read_bytes())) > 100
    return path


def publish(slide: Path, to: str, private_to: str | None) -> None:
    """As a lab does, which knows of the private place, and has a technician; or does not."""
    convert(slide, to, ConvertOptions(workers=1, private_to=private_to))
    pages.publish(open_store(to))
    if private_to:
        desk = Desk(open_destination(to, private_to), TECHNICIAN)
        (outcome,) = desk.set({ID: None}, {"slide_id": "Zq903Roe", "status": "GOOD"}, NOTE)
        assert outcome.error is None


@pytest.fixture(scope="module", params=["careless", "careful"])
def root(
    request: pytest.FixtureRequest, slide: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    readable(folder)
    private = folder / "private"
    is_careful = request.param == "careful"
    publish(slide, str(folder / "www"), str(private) if is_careful else None)
    if is_careful:
        kept = b"".join(path.read_bytes() for path in private.rglob("*") if path.is_file())
        assert {"zq901roe", "zq902roe", "zq903roe", "zq900roe"} <= found(kept)
    return folder / "www"


@contextlib.contextmanager
def nginx_over(root: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    with nginx(NGINX.format(host=HOST, port=port, root=root), port) as site:
        yield f"{site.url}/"


@contextlib.contextmanager
def pythons_own(root: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "http.server", str(port), "--bind", HOST]
    with process([*command, "--directory", str(root)], port) as site:
        yield f"{site.url}/"


@contextlib.contextmanager
def our_own(root: Path) -> Iterator[str]:
    with serving(create_app(open_root(str(root)))) as site:
        yield f"{site.url}/"


def asked(url: str) -> Answer:
    parts = urlsplit(url)
    return Site(parts.port or 80).ask(parts.path or "/")


def everything(start: str, known: list[str]) -> dict[str, bytes]:
    """The answers, with their headers, to all that is known or guessed, and to all that pages link
    to, listings of folders among them."""
    answers: dict[str, bytes] = {}
    waiting = [start, *(urljoin(start, "/").rstrip("/") + f"/{path}" for path in GUESSED)]
    waiting += [start + key for key in known]
    while waiting:
        url = waiting.pop().partition("#")[0].partition("?")[0]
        if url in answers or not url.startswith(start[: start.index("/", 8)]):
            continue
        answer = asked(url)
        answers[url] = str(answer.headers).encode() + answer.body
        if "html" in answer.headers.get("Content-Type", ""):
            links = re.findall(rb'href="([^"]+)"', answer.body)
            waiting += [urljoin(url, link.decode()) for link in links]
    return answers


def seen(chromium: Browser, start: str) -> dict[str, bytes]:
    """What a browser gets that looks at the gallery, and then at the slide."""
    bodies: dict[str, bytes] = {}

    def kept(route: Route) -> None:
        answer = route.fetch()
        bodies[answer.url] = answer.body()
        route.fulfill(response=answer)

    with window(chromium, f"{start}viewer/gallery/index.html") as opened:
        opened.settled()
        opened.page.route("**/*", kept)
        opened.page.reload()
        opened.page.get_by_role("link", name=ID).click()
        expect(opened.page.locator("canvas").first).to_be_visible()
        opened.settled()
        bodies["what is shown"] = opened.page.content().encode()
    return bodies


def check(chromium: Browser, start: str, known: list[str]) -> None:
    answers = everything(start, known)
    assert answers[f"{start}images/{ID}/slide.json"]
    told = {url: markers for url, body in answers.items() if (markers := found(body))}
    assert told == {}
    bodies = seen(chromium, start)
    assert any(url.endswith("slide.json") for url in bodies)
    told = {url: markers for url, body in bodies.items() if (markers := found(body))}
    assert told == {}


@pytest.mark.parametrize("server", [nginx_over, pythons_own, our_own])
def test_of_a_folder(
    chromium: Browser,
    root: Path,
    server: Callable[[Path], contextlib.AbstractContextManager[str]],
) -> None:
    known = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    assert {key.split("/")[0] for key in known} == {"images", "viewer"}
    with server(root) as start:
        check(chromium, start, known)


@pytest.mark.parametrize("lab", ["careless", "careful"])
def test_of_a_public_bucket(
    chromium: Browser, slide: Path, monkeypatch: pytest.MonkeyPatch, lab: str
) -> None:
    with s3_server.running(public=True) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        place = s3_server.Place(server, "lab")
        publish(slide, str(place), str(place.private) if lab == "careful" else None)
        known = list(place.objects())
        check(chromium, f"{server.url}/{BUCKET}/lab/", known)
        for key in (*place.private.objects(), keys.DELETED):
            assert asked(f"{server.url}/{place.private.bucket}/lab/{key}").status == 403


def test_what_is_in_reach_is_found(slide: Path, root: Path) -> None:
    """Or this could not fail."""
    beside = root / "images" / ID / "label.jpeg"
    for path in (beside, root / "note.txt"):
        path.write_bytes(NOTE.encode())
        with pythons_own(root) as start:
            answers = everything(start, [])
        path.unlink()
        told = {urlsplit(url).path for url, body in answers.items() if "zq902roe" in found(body)}
        assert f"/{path.relative_to(root).as_posix()}" in told
