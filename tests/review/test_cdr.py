"""Records on their way to the clinical data repository."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import ClassVar

import pytest

from tests.support import cdr_stub
from tests.support.cdr_stub import HANG_UP, HANG_UP_AFTERWARDS, Cdr
from tests.support.clock import FakeClock
from tests.support.s3_server import Place
from tests.test_catalog import slide_json
from vsv_pyramid.errors import CdrError, CdrUnavailable, OptionError
from vsv_pyramid.review import cdr
from vsv_pyramid.review.history import Record
from vsv_pyramid.runtime import deadline
from vsv_pyramid.store import open_store

RECORD = {"id": "170782", "ImageID": "1004486", "SlideID": "S26-1-A1"}


@pytest.fixture
def stub(clock: FakeClock) -> Iterator[Cdr]:
    with cdr_stub.running() as running:
        yield running


def test_a_record_has_the_viewer_s_names() -> None:
    said = {
        "aperio.ImageID": "7",
        "aperio.Date": "11/23/26",
        "aperio.Time": "09:00:00",
        "aperio.Time Zone": "GMT-0500",
    }
    document = Record("170782", {"name": "Doe^Jane.svs"}, said).logged(
        "set", "anna", {"slide_id": "S26-1-A1", "case_id": "S26-1"}
    )
    facts = {**slide_json("170782"), "objective_power": 40.0}
    assert cdr.metadata_record(facts, document) == {
        "id": "170782",
        "ImageID": "7",
        "SlideID": "S26-1-A1",
        "CaseID": "S26-1",
        "ScanDate": "2026-11-23T09:00:00-05:00",
        "MPP": 0.25,
        "AppMag": 40.0,
        "width": 3,
        "height": 2,
        "Filename": "Doe^Jane.svs",
        "Status": "NEW",
        "lastModified": document.history[-1].when,
    }
    del said["aperio.ImageID"]
    assert cdr.metadata_record(facts, document)["ImageID"] == "Doe^Jane"


def test_a_scan_date_has_an_offset() -> None:
    """The scanner's, or else that of the time zone which was given, by the time of the year."""

    def date(time_zone: str | None, **said: str) -> str | None:
        stated = {"aperio.Date": "07/01/26", "aperio.Time": "09:00:00"}
        stated |= {f"aperio.{name}": value for name, value in said.items()}
        document = Record("a", {"name": "a.svs"}, stated)
        found: str | None = cdr.metadata_record(slide_json("a"), document, time_zone)["ScanDate"]
        return found

    assert date(None) == "2026-07-01T09:00:00"
    assert date("Europe/Berlin") == "2026-07-01T09:00:00+02:00"
    assert date("Europe/Berlin", Date="12/01/26") == "2026-12-01T09:00:00+01:00"
    assert date("-03:30") == "2026-07-01T09:00:00-03:30"
    assert date("Europe/Berlin", **{"Time Zone": "GMT-0500"}) == "2026-07-01T09:00:00-05:00"


def test_the_answer_is_returned(stub: Cdr) -> None:
    answer = cdr.send(RECORD, f"{stub.url}?secret=1")
    assert answer == {"to": stub.url, "status": 201, "answer": '{"taken": true}'}
    assert stub.records == {"170782": RECORD}
    assert stub.tokens == {None}


@pytest.mark.parametrize("statuses", [(), (503, 503)])
def test_an_answer_without_an_end(stub: Cdr, statuses: tuple[int, ...]) -> None:
    stub.fail(*statuses)
    stub.body = lambda: itertools.repeat(bytes(1 << 16).replace(b"\0", b"a"))
    assert cdr.send(RECORD, stub.url)["answer"] == "a" * 1000
    assert stub.records == {"170782": RECORD}
    assert stub.requests == len(statuses) + 1


class Bell:
    """In the place of `threading.Timer`: the time is over when the test says so."""

    def __init__(self, _: float, action: Callable[[], None]) -> None:
        self._action = action
        self.daemon = False

    under_way: ClassVar[set[Bell]] = set()

    def start(self) -> None:
        self.under_way.add(self)

    def cancel(self) -> None:
        self.under_way.discard(self)

    def join(self) -> None:
        pass

    @classmethod
    def ring(cls) -> bool:
        """Whether there was one to ring."""
        bells = list(cls.under_way)
        for bell in bells:
            bell._action()
        return bool(bells)


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "threading", SimpleNamespace(Timer=Bell))


def endless(begun: bytes, more: bytes) -> Callable[[], Iterator[bytes]]:
    """Until somebody hangs up, whose time is over after a while."""

    def parts() -> Iterator[bytes]:
        yield begun
        has_rung = False
        for number in itertools.count():
            time.sleep(0.001)
            yield more
            has_rung = has_rung or (number > 20 and Bell.ring())

    return parts


@pytest.mark.usefixtures("bell")
def test_what_comes_before_an_answer_without_an_end(stub: Cdr) -> None:
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    stub.first = endless(b"", go_on)
    with pytest.raises(CdrUnavailable, match="does not answer"):
        cdr.send(RECORD, stub.url)
    assert stub.requests == 6
    stub.first = lambda: iter([go_on])
    assert cdr.send(RECORD, stub.url)["status"] == 201


@pytest.mark.usefixtures("bell")
@pytest.mark.parametrize(
    ("chunked", "begun", "more"),
    [
        (False, b"", b"a"),
        (True, b"1\r\na\r\n", b"1\r\na\r\n"),
        (True, b"1\r\na\r\n0", b"0"),
        (True, b"1\r\na\r\n0\r\n", b"a: b\r\n"),
        (True, b"1\r\na\r\n0\r\n", b"a"),
    ],
    ids=["bytes", "chunks", "a chunk's size", "trailers", "a trailer"],
)
def test_an_answer_that_comes_bit_by_bit(
    stub: Cdr, chunked: bool, begun: bytes, more: bytes
) -> None:
    stub.headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    stub.body = endless(begun, more)
    answer = cdr.send(RECORD, stub.url)
    assert (answer["status"], set(answer["answer"])) == (201, {"a"})
    assert stub.requests == 1


@pytest.mark.usefixtures("bell")
def test_a_head_without_an_end(stub: Cdr) -> None:
    """It has said by then whether the record was taken."""
    stub.first = endless(b"HTTP/1.1 201 Created\r\n", b"a")
    assert cdr.send(RECORD, stub.url) == {"to": stub.url, "status": 201, "answer": ""}
    assert stub.requests == 1


def test_an_answer_that_breaks_off(stub: Cdr) -> None:
    stub.headers = {"Content-Length": "100"}
    stub.body = lambda: iter([b"taken"])
    assert cdr.send(RECORD, stub.url)["answer"] == "taken"
    assert stub.requests == 1


def test_a_token_is_given(stub: Cdr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cdr.TOKEN, "abc")
    cdr.send(RECORD, stub.url)
    assert stub.tokens == {"Bearer abc"}


@pytest.mark.parametrize("wrong", ["SECRET\r\nX: y", "SECRET\u20ac", "SEC RET", "SECRET\0"])
def test_what_is_no_token_is_told_without_it(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setattr(os, "environ", {cdr.TOKEN: wrong})  # which takes any character
    for action in cdr.check_url, lambda url: cdr.send(RECORD, url):
        with pytest.raises(OptionError, match=f"{cdr.TOKEN} has a character") as raised:
            action("https://cdr.example.org/")
        assert "SECRET" not in str(raised.value)


def test_the_end_of_a_line_is_none_of_the_token(stub: Cdr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cdr.TOKEN, "abc\r\n")
    cdr.send(RECORD, stub.url)
    assert stub.tokens == {"Bearer abc"}


@pytest.mark.parametrize("fault", [408, 425, 429, 500, 502, 503, 504, HANG_UP])
def test_what_passes_is_tried_again(stub: Cdr, fault: int) -> None:
    stub.fail(fault, fault)
    cdr.send(RECORD, stub.url)
    assert stub.requests == 3
    assert len(stub.keys) == 1


def test_what_was_taken_without_an_answer_is_sent_under_the_same_key(stub: Cdr) -> None:
    stub.fail(HANG_UP_AFTERWARDS)
    cdr.send(RECORD, stub.url)
    assert stub.requests == 2
    assert len(stub.keys) == 1
    cdr.send(dict(reversed(RECORD.items())), stub.url)
    assert (stub.requests, len(stub.keys)) == (3, 1)
    cdr.send({**RECORD, "id": "170783"}, stub.url)
    assert len(stub.keys) == 2


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 422])
def test_a_refusal_is_told_at_once(stub: Cdr, status: int) -> None:
    stub.fail(status)
    stub.headers = {"Location": stub.url}
    with pytest.raises(CdrError, match=f"refuses the record, {status} .not this one."):
        cdr.send(RECORD, stub.url)
    assert stub.requests == 1


def test_one_that_only_fails(stub: Cdr, clock: FakeClock) -> None:
    stub.fail(*[503] * 100)
    with pytest.raises(CdrUnavailable, match="answers 503 again and again"):
        cdr.send(RECORD, stub.url)
    assert stub.requests == 6
    for pause, least in zip(clock.slept, (0, 0.5, 1, 2, 4), strict=True):
        assert least <= pause <= least + 0.25


@pytest.mark.parametrize(("asked_for", "pause"), [("3", 3), ("3600", 10)])
def test_one_that_says_when(stub: Cdr, clock: FakeClock, asked_for: str, pause: int) -> None:
    stub.fail(429)
    stub.headers = {"Retry-After": asked_for}
    cdr.send(RECORD, stub.url)
    assert clock.slept == [pause]


@pytest.mark.parametrize(
    "asked_for",
    ["soon", "-5", "9" * 5000, "Fri, 31 Dec 99999 23:59:59 GMT", f"Fri, 31 Dec {'9' * 25} 23:59"],
)
def test_one_that_says_no_time_for_it(stub: Cdr, clock: FakeClock, asked_for: str) -> None:
    stub.fail(*[503] * 100)
    stub.headers = {"Retry-After": asked_for}
    with pytest.raises(CdrUnavailable, match="answers 503 again and again"):
        cdr.send(RECORD, stub.url)
    assert stub.requests == 6


def test_once_it_is_stopped_nothing_is_waited_for(stub: Cdr, clock: FakeClock) -> None:
    stopped = threading.Event()
    clock.meanwhile = stopped.set
    stub.fail(*[503] * 100)
    for requests in (1, 1):
        with pytest.raises(CdrUnavailable, match="was not told, since the program was ended; send"):
            cdr.send(RECORD, stub.url, stopped=stopped)
        assert stub.requests == requests


def test_one_that_is_not_there(clock: FakeClock) -> None:
    with pytest.raises(CdrUnavailable, match="does not answer") as raised:
        cdr.send(RECORD, "https://user:secret@127.0.0.1:9/slides?secret=1")
    assert "secret" not in str(raised.value)


def test_a_prefix_in_s3(place: Place) -> None:
    answer = cdr.send(RECORD, str(place))
    assert answer["to"] == f"{place!s}/170782.json"
    assert json.loads(open_store(str(place)).get("170782.json")) == RECORD


@pytest.mark.parametrize(
    "url",
    [
        *("", "cdr", "http://cdr.example.org/", "ftp://x/", "s3://", "https://", "s3:/x"),
        *("https://u:secret@127.0.0.1:99999/x?key=secret", "https://cdr:port/", "https://a..b/"),
        *(f"https://{'a' * 70}.example/", "https://a b/", "https://[::1/", "https://:443/"),
    ],
)
def test_where_nothing_can_be_sent(url: str) -> None:
    with pytest.raises(OptionError, match="is refused; give https://host/path") as raised:
        cdr.check_url(url)
    assert "secret" not in str(raised.value)
