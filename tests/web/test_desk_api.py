"""The desk's part of the server: who may ask for what, and that the library is what answers."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.review.test_desk import scan
from tests.support import cdr_stub
from tests.support.clock import FakeClock, until
from tests.support.destinations import keeping, opened
from tests.support.s3_server import Place
from tests.support.site import HOST, Answer, Site, serving
from tests.web.test_people import HASH, basic, token_file
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import Destination
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import failures
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.web import people
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.people import Owner, Person

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
    owner = Owner("anna")
    entrance = Entrance(owner, cdr=repository.url)
    with serving(create_app(store, entrance=entrance, hosts=[HOST])) as site:
        yield site.entered(owner.key)


def document(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def call(site: Site, name: str, content: object, **headers: str) -> Answer:
    """A call as the desk's page makes it, but for what `headers` say otherwise."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    who = {key: value for key, value in headers.items() if key == "Authorization"}
    token = document(site.ask("/desk/api/session", **who))
    sent = {
        "Content_Type": "application/json",
        "Origin": site.url,
        "Sec_Fetch_Site": "same-origin",
        "X_CSRF_Token": token["token"],
        **headers,
    }
    return site.ask(
        f"/desk/api/{name}", "POST", body, **{key: value for key, value in sent.items() if value}
    )


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


def test_who_waits_for_a_turn_holds_up_nobody_else(
    desk: Site, repository: cdr_stub.Cdr, store: Destination
) -> None:
    """Of the server's threads there are 40 for all."""
    over = threading.Event()

    def hanging() -> Iterator[bytes]:
        over.wait(60)
        yield b""

    repository.first = hanging
    Desk(store, "ben").set({"170782": 1}, {"slide_id": "S1", "case_id": "C1"})
    about = {"slides": [{"id": "170782", "revision": 2}]}
    with ThreadPoolExecutor(50) as pool:
        sent = [pool.submit(call, desk, "send", about) for _ in range(50)]
        until(lambda: repository.requests)
        for _ in range(3):
            assert desk.ask("/desk/api/slides").status == 200
        over.set()
        results = [document(answer.result())["results"] for answer in sent]
    assert sum("error" not in result for (result,) in results) == 1
    assert sum(result.get("conflict", False) for (result,) in results) == 49


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


def test_nobody_waits_for_what_another_one_sends(
    desk: Site, store: Destination, repository: cdr_stub.Cdr
) -> None:
    """A CDR may take its time, or answer nothing at all."""
    one, two = IDS[:2]
    changes = {"slide_id": "S26-1-A1", "case_id": "S26-1", "status": "GOOD"}
    ready = {"slides": [{"id": one, "revision": 1}], "changes": changes}
    document(call(desk, "set", ready))
    asked, over = threading.Event(), threading.Event()

    def first() -> Iterator[bytes]:
        asked.set()
        over.wait(60)
        return iter(())

    repository.first = first
    sent = {"slides": [{"id": one, "revision": 2}]}
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(call, desk, "send", sent)
        assert asked.wait(60)
        other = {"slides": [{"id": two, "revision": 1}], "changes": {"status": "BAD"}}
        assert document(call(desk, "set", other))["results"][0]["review"]["status"] == "BAD"
        assert not sending.done()
        over.set()
        assert document(sending.result())["results"][0]["review"]["status"] == "SENT"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_CSRF_Token": "x"}, 403),
        ({"X_CSRF_Token": ""}, 403),
        ({"Origin": "https://elsewhere.example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
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


@pytest.mark.parametrize(
    "length", ["0" * 5000 + "2", "9" * 20, "9" * 5000, "-1", "+2", "2 ", "", "1_0"]
)
@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_lengths_that_make_no_sense(
    desk: Site, length: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = call(desk, "set", b"{}", Content_Length=length)
    assert answer.status in (400, 413)
    assert re.fullmatch(rb".+\n", answer.body)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_methods(desk: Site) -> None:
    assert desk.ask("/desk/api/set").status in (404, 405)
    assert desk.ask("/desk/api/slides", "POST").status == 405
    assert desk.ask("/desk").headers["Location"] == "desk/"
    assert desk.ask("/").headers["Location"] == "desk/"


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_nothing_is_sent_without_a_repository(store: Destination) -> None:
    owner = Owner("anna")
    with serving(create_app(store, entrance=Entrance(owner))) as anybody:
        site = anybody.entered(owner.key)
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


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_what_is_refused_of_texts(desk: Site, store: Destination) -> None:
    """Whatever says something else than it seems to, or cannot be written down."""
    wanted = {"slides": [{"id": "170782", "revision": 1}], "changes": {"status": "BAD"}}
    for text in (
        "a\x1b[2J",
        "a\u202eb",
        "a\u2066b",
        "a\u2028b",
        "a\u2029b",
        "\ud800",
        "a\0",
        "a\rb",
    ):
        for content in (
            {**wanted, "note": text},
            {**wanted, "changes": {"slide_id": text}},
            {**wanted, "changes": {"case_id": text}},
            {**wanted, "changes": {"status": text}},
            {**wanted, "changes": {text: "GOOD"}},
        ):
            answer = call(desk, "set", content)
            assert answer.status == 400, content
            assert re.fullmatch(r"[\x20-\x7e]+\n", answer.body.decode())
        answer = call(desk, "set", {**wanted, "slides": [{"id": text, "revision": 1}]})
        assert (answer.status == 400) is (text == "\ud800"), "half a character is in no document"
        if answer.status == 200:
            (outcome,) = document(answer)["results"]
            assert "cannot be an id" in outcome["error"]
            assert outcome["error"].isprintable()
    assert Desk(store, "ben").record("170782").revision == 1
    document(call(desk, "set", {**wanted, "note": "two\n\tlines, Müller 病理 می‌خواهم"}))
    assert Desk(store, "ben").record("170782").revision == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_no_label_is_shown_by_a_link(desk: Site, store: Destination, tmp_path: Path) -> None:
    assert isinstance(store.private, DirectoryStore)
    (tmp_path / "secret").write_bytes(b"secret")
    label = store.private.path(keys.private_image_key("170782", "label"))
    label.parent.mkdir(parents=True, exist_ok=True)
    label.unlink(missing_ok=True)
    label.symlink_to(tmp_path / "secret")
    assert desk.ask("/desk/images/170782/label.jpeg").status == 404
    (label.parent / "own").write_bytes(b"its own")
    label.unlink()
    label.symlink_to("own")
    assert desk.ask("/desk/images/170782/label.jpeg").body == b"its own"


ROLES = {
    **dict.fromkeys(("set", "delete"), people.EDIT),
    "send": people.SEND,
    **dict.fromkeys(("retry", "dismiss"), people.EDIT),
}


@pytest.mark.parametrize("role", people.ROLES)
@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_roles(store: Destination, repository: cdr_stub.Cdr, tmp_path: Path, role: str) -> None:
    """Who may not, is told so, and changes nothing; the log has the name that the file has."""
    file = token_file(tmp_path / "people", ben=role)
    with serving(create_app(store, entrance=Entrance(file, cdr=repository.url))) as site:
        ben = {"Authorization": basic("ben")}
        session = document(site.ask("/desk/api/session", **ben))
        may = [name for name, needed in ROLES.items() if Person("ben", role, "").may(needed)]
        assert (session["who"], session["role"], session["may"]) == ("ben", role, may)
        assert site.ask("/desk/api/slides", **ben).status == 200
        for name, needed in ROLES.items():
            wanted = {"slides": [{"id": "170783", "revision": 1}], "changes": {"status": "BAD"}}
            answer = call(site, name, wanted, **ben)
            assert answer.status == (200 if name in may else 403)
            if name not in may:
                assert (
                    answer.body
                    == f"The role of ben is {role}; this takes the role {needed}.\n".encode()
                )
    history = Desk(store, "x").record("170783").history[1:]
    assert {event.who for event in history} == ({"ben"} if may else set())


def test_wrong_use(run: Run, tmp_path: Path) -> None:
    Path("root/images").mkdir(parents=True)
    Path("former").write_text("one-token-for-all\n")
    Path("nobody").write_text("# nobody yet\n")
    Path("binary").write_bytes(b"\xff" * 20)
    Path("good").write_text(f"anna:{HASH}\n")
    for words, sentence in (
        (["--edit", "--host", "0.0.0.0"], "--edit at 0.0.0.0 would send the key to the desk over"),
        (["--edit", "--token-file", "former"], "line 1 is not NAME:HASH:ROLE; one token for all"),
        (["--edit", "--token-file", "nobody"], "nobody names nobody; give each person a line by"),
        (["--edit", "--token-file", "nowhere"], "nowhere cannot be read"),
        (["--edit", "--token-file", "binary"], "binary is no text"),
        (["--edit", "--token-file", "good", "--by", "ben"], "--by is without --token-file"),
        (["--edit", "--by", "a\u202eb"], "the name has a character that is not seen (U+202E)"),
        (["--edit", "--cdr", "ftp://x"], "--cdr 'ftp://x' is refused"),
        (["--edit", "--signed", "--public-key", "x"], "--edit is for a folder or a bucket"),
        (["--cdr", "https://x"], "--cdr, --by and --token-file need --edit"),
    ):
        outcome = run("serve", "root", "--port", 0, "--private-to", "kept", *words)
        assert outcome.code == 2, outcome.err
        assert_one_sentence(outcome.err, sentence)
        assert "one-token" not in outcome.err
    assert "--edit is for a folder" in run("serve", "a.zip", "--edit").err
    assert_one_sentence(run("serve", "root", "--edit").err, "no private place is given")


def test_not_with_a_cdr_in_the_bucket_that_is_published(place: Place, run: Run) -> None:
    place.put("images/a/slide.json", b"{}")
    words = ("--edit", "--private-to", place.private, "--cdr", f"{place}/cdr", "--port", 0)
    outcome = run("serve", place, *words)
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "records would lie in the bucket that is published")
