"""The desk's part of the server: who may ask for what, and that the library is what answers."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.review.test_desk import scan
from tests.support import cdr_stub
from tests.support.clock import FakeClock
from tests.support.destinations import keeping, opened
from tests.support.s3_server import Place
from tests.support.site import HOST, Answer, Site, serving
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import failures
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.web import desk_api
from vsv_pyramid.web.app import LOOPBACK_NAMES, create_app
from vsv_pyramid.web.desk_api import Entrance

PASSWORD = "correct-horse"
IDS = ("170782", "170783")


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, real_slide: Path, tmp_path: Path) -> Destination:
    place = str(tmp_path / "to")
    if request.param == "s3":
        place = str(request.getfixturevalue("place"))
    for slide_id in IDS:
        path = tmp_path / f"scans/{slide_id}.svs"
        convert(scan(real_slide, path), place, keeping(ConvertOptions(workers=1), place))
    return opened(place)


@pytest.fixture
def repository(clock: FakeClock) -> Iterator[cdr_stub.Cdr]:
    with cdr_stub.running() as running:
        yield running


@pytest.fixture
def desk(store: Destination, repository: cdr_stub.Cdr) -> Iterator[Site]:
    entrance = Entrance("anna", cdr=repository.url)
    with serving(create_app(store, entrance=entrance, hosts=LOOPBACK_NAMES)) as site:
        yield site


def document(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def call(site: Site, name: str, content: object, **headers: str) -> Answer:
    """A call as the desk's page makes it, but for what `headers` say otherwise."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    token = document(site.ask("/desk/api/session", Authorization=headers.get("Authorization", "")))
    sent = {
        "Content_Type": "application/json",
        "Origin": site.url,
        "Sec_Fetch_Site": "same-origin",
        "X_CSRF_Token": token["token"],
        **headers,
    }
    connection = http.client.HTTPConnection(HOST, site.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in sent.items() if value}
    try:
        connection.request("POST", f"/desk/api/{name}", body, named)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def test_the_list(desk: Site, store: Destination) -> None:
    answer = desk.ask("/desk/api/slides")
    listed = document(answer)
    assert [slide["id"] for slide in listed["slides"]] == list(IDS)
    assert listed["awaiting"] == []
    assert listed["slides"][0]["review"]["revision"] == 1
    same = desk.ask("/desk/api/slides", If_None_Match=str(answer.headers["ETag"]))
    assert (same.status, same.body) == (304, b"")
    Desk(store, "ben").set({"170782": 1}, {"status": "GOOD"})
    assert desk.ask("/desk/api/slides").headers["ETag"] != answer.headers["ETag"]


def test_what_could_not_be_converted(desk: Site, store: Destination) -> None:
    for slide_id in ("a", "b"):
        failures.remember(store, Failed(slide_id, f"/scans/{slide_id}.svs", "is damaged"))
    about = {"slides": [{"id": "a", "revision": 0}, {"id": "c", "revision": 0}]}
    done, refused = document(call(desk, "retry", about))["results"]
    assert done == {"id": "a"}
    assert "it has not failed" in refused["error"]
    (one,) = document(call(desk, "dismiss", {"slides": [{"id": "b", "revision": 0}]}))["results"]
    assert one == {"id": "b"}
    (listed,) = document(desk.ask("/desk/api/slides"))["failed"]
    assert (listed["id"], listed["reason"], listed["who"]) == ("a", "is damaged", "anna")
    assert listed["again"]


def test_one_slide(desk: Site, store: Destination) -> None:
    Desk(store, "ben").set({"170782": 1}, {"status": "GOOD"}, "fine")
    shown = document(desk.ask("/desk/api/slides/170782"))
    assert (shown["id"], shown["review"]["status"]) == ("170782", "GOOD")
    assert shown["history"][-1] == {
        "who": "ben",
        "when": shown["review"]["changed"],
        "action": "set",
        "changes": {"status": ["NEW", "GOOD"]},
        "note": "fine",
    }
    assert desk.ask("/desk/api/slides/nobody").status == 404
    assert desk.ask("/desk/api/slides/.x").status == 400


def test_pictures(desk: Site, store: Destination) -> None:
    store.put(keys.private_image_key("170782", "label"), b"a label")
    answer = desk.ask("/desk/images/170782/label.jpeg")
    assert (answer.status, answer.body) == (200, b"a label")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for path in ("170783/label", "170782/slide.private", "170782/thumbnail", "%2e%2e/label"):
        assert desk.ask(f"/desk/images/{path}.jpeg").status in (400, 404), path


def test_calls_are_the_library_s(desk: Site, store: Destination, repository: cdr_stub.Cdr) -> None:
    slides = [{"id": slide_id, "revision": 1} for slide_id in IDS]
    changes = {"slide_id": "A1", "case_id": "C1", "status": "GOOD"}
    results = document(call(desk, "set", {"slides": slides, "changes": changes, "note": "x"}))
    assert [result["review"]["status"] for result in results["results"]] == ["GOOD", "GOOD"]
    history = Desk(store, "ben").record("170782").history
    assert (history[-1].who, history[-1].note) == ("anna", "x")

    late = document(call(desk, "set", {"slides": slides, "changes": {"status": "BAD"}}))
    assert all(result["conflict"] for result in late["results"])
    assert late["results"][0]["review"]["status"] == "GOOD"
    assert "set by anna: status NEW -> GOOD" in late["results"][0]["error"]

    repository.fail(503)
    sent = document(call(desk, "send", {"slides": [{"id": "170782", "revision": 2}]}))
    assert sent["results"][0]["review"]["status"] == "SENT"
    assert list(repository.records) == ["170782"]

    gone = document(call(desk, "delete", {"slides": [{"id": "170783", "revision": 2}]}))
    assert gone["results"][0]["deleted"] is True
    listed = document(desk.ask("/desk/api/slides"))
    assert [slide["id"] for slide in listed["awaiting"]] == ["170783"]
    assert [slide["id"] for slide in listed["slides"]] == ["170782"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_CSRF_Token": "x"}, 403),
        ({"X_CSRF_Token": ""}, 403),
        ({"Origin": "https://elsewhere.example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Host": "elsewhere.example.org"}, 400),
    ],
)
@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_other_pages_may_not_call(
    desk: Site, store: Destination, headers: dict[str, str], status: int
) -> None:
    wanted = {"slides": [{"id": "170782", "revision": 1}], "changes": {"status": "BAD"}}
    assert call(desk, "set", wanted, **headers).status == status
    assert Desk(store, "ben").record("170782").revision == 1


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_other_pages_may_not_read(desk: Site) -> None:
    for path in ("session", "slides", "slides/170782"):
        assert desk.ask(f"/desk/api/{path}", Sec_Fetch_Site="cross-site").status == 403
        assert desk.ask(f"/desk/api/{path}", Host="elsewhere.example.org").status == 400
        assert "Access-Control-Allow-Origin" not in desk.ask(f"/desk/api/{path}").headers
    assert desk.ask("/desk/images/170782/label.jpeg", Sec_Fetch_Site="cross-site").status == 403
    assert desk.ask("/desk/", Sec_Fetch_Site="cross-site").status == 200  # a link leads here
    assert "frame-ancestors 'self'" in desk.ask("/desk/").headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        ({}, 400),
        ([], 400),
        ({"slides": [{"id": "170782"}], "changes": {}}, 400),
        ({"slides": [{"id": "170782", "revision": "x"}], "changes": {}}, 400),
        ({"slides": [{"id": "170782", "revision": 1}], "changes": {"status": "SENT"}}, 400),
        ({"slides": [{"id": "170782", "revision": 1}], "changes": {"slide_id": 7}}, 400),
        ({"slides": [{"id": "170782", "revision": 1}], "changes": "x"}, 400),
        ({"slides": [{"id": "170782", "revision": 1}], "changes": {}, "note": 7}, 400),
        (b'{"slides": [{"id": "a", "revision": 1e400}]}', 400),
        (b"[" * 100_000, 400),
        (b" " * (1 << 20) + b"x", 413),
    ],
)
@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_calls_that_make_no_sense(
    desk: Site, store: Destination, content: object, status: int
) -> None:
    answer = call(desk, "set", content)
    assert answer.status == status
    assert re.fullmatch(rb".+\n", answer.body)
    assert Desk(store, "ben").record("170782").revision == 1


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_methods(desk: Site) -> None:
    assert desk.ask("/desk/api/set").status in (404, 405)
    assert desk.ask("/desk/api/slides", "POST").status == 405
    assert desk.ask("/desk").headers["Location"] == "desk/"
    assert desk.ask("/").headers["Location"] == "desk/"


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_nothing_is_sent_without_a_repository(store: Destination) -> None:
    with serving(create_app(store, entrance=Entrance("anna"))) as site:
        answer = call(site, "send", {"slides": [{"id": "170782", "revision": 1}]})
        assert (answer.status, answer.body) == (
            400,
            b"nothing can be sent; start the desk with --cdr URL\n",
        )
        assert document(site.ask("/desk/api/session"))["cdr"] is False


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_a_store_that_fails_is_told_of(store: Destination, desk: Site) -> None:
    store.put(keys.DELETED, b"{")
    answer = desk.ask("/desk/api/slides")
    assert answer.status == 502
    assert b"deleted.json: is damaged" in answer.body


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_other_machines_need_the_token(store: Destination) -> None:
    with serving(create_app(store, entrance=Entrance("anna", PASSWORD))) as site:
        paths = ("/desk/", "/desk/desk.css", "/desk/api/session", "/desk/api/slides",
                 "/desk/images/170782/label.jpeg")  # fmt: skip
        wrong = ("", "Basic", "Basic x", "Basic /w==", basic("anna", ""), basic("anna", "wrong"),
                 "Bearer " + PASSWORD, "Bearer" + basic("", PASSWORD)[5:])  # fmt: skip
        for path in paths:
            for authorization in wrong:
                answer = site.ask(path, Authorization=authorization)
                assert answer.status == 401, (path, authorization)
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        ben = basic("ben", PASSWORD)
        assert document(site.ask("/desk/api/session", Authorization=ben))["who"] == "ben"
        nobody = basic(" ", PASSWORD)
        assert site.ask("/desk/api/session", Authorization=nobody).status == 401
        wanted = {"slides": [{"id": "170782", "revision": 1}], "changes": {"status": "BAD"}}
        assert call(site, "set", wanted, Authorization=ben).status == 200
        assert Desk(store, "x").record("170782").history[-1].who == "ben"


def test_a_token_has_a_length() -> None:
    with pytest.raises(OptionError, match="fewer than 12 characters"):
        Entrance("anna", "short")
    assert desk_api.SHORTEST_PASSWORD == 12


def test_wrong_use(run: Run, tmp_path: Path) -> None:
    Path("root/images").mkdir(parents=True)
    Path("short").write_text("short")
    Path("binary").write_bytes(b"\xff" * 20)
    for words, sentence in (
        (["--edit", "--host", "0.0.0.0"], "--edit at 0.0.0.0 would let everybody there edit"),
        (["--edit", "--host", "0.0.0.0", "--token-file", "short"], "fewer than 12 characters"),
        (["--edit", "--token-file", "nowhere"], "nowhere cannot be read"),
        (["--edit", "--token-file", "binary"], "binary cannot be read"),
        (["--edit", "--cdr", "ftp://x"], "--cdr 'ftp://x' is refused"),
        (["--edit", "--signed", "--public-key", "x"], "--edit is for a folder or a bucket"),
        (["--cdr", "https://x"], "--cdr, --by and --token-file need --edit"),
    ):
        outcome = run("serve", "root", "--port", 0, "--private-to", "kept", *words)
        assert outcome.code == 2, outcome.err
        assert_one_sentence(outcome.err, sentence)
    assert "--edit is for a folder" in run("serve", "a.zip", "--edit").err
    assert_one_sentence(run("serve", "root", "--edit").err, "has no private place")


def test_not_with_a_cdr_in_the_bucket_that_is_published(place: Place, run: Run) -> None:
    place.put("images/a/slide.json", b"{}")
    words = ("--edit", "--private-to", place.private, "--cdr", f"{place}/cdr", "--port", 0)
    outcome = run("serve", place, *words)
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "records would lie in the bucket that is published")
