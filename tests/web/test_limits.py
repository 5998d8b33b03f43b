"""What never ends, or takes all there is, is told so and closed; what a browser does is not."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from starlette.applications import Starlette
from uvicorn import Config
from uvicorn.server import ServerState

from tests.support.destinations import opened
from tests.support.hostile import json_documents
from tests.support.site import HOST, Site, serving
from tests.web.test_desk_api import call
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.limits import Limited, Limits
from vsv_pyramid.web.people import Owner

LIMITS = Limits(head_bytes=1 << 12, headers=20, connections=12, of_address=8)
SOON = 0.5  # seconds, in a test of what comes after a time: no client here takes so long to send
WHOLE = b"GET /viewer/ HTTP/1.1\r\nHost: a\r\n"
ICC = b"GET /images/a/icc.icc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def app(tmp_path: Path) -> Starlette:
    """With a file larger than what lies between two sockets."""
    store = open_store(str(tmp_path / "to"))
    store.put("images/a/DeepZoom.dzi", b"<?xml")
    store.put("images/a/icc.icc", bytes(1 << 24))
    return create_app(store)


@contextlib.contextmanager
def connected(site: Site) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, site.port), timeout=60) as connection:
        yield connection


def answered(connection: socket.socket) -> tuple[int, str]:
    """The status and the sentence, after which the connection is closed."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    body = response.read().decode()
    assert response.getheader("Connection") == "close"
    with contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    return response.status, body


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"\r\n\r\n",
        WHOLE,
        WHOLE + b"X-Long: a",
        b"POST /viewer/ HTTP/1.1\r\nHost: a\r\nContent-Len",
        WHOLE + b"\r\n" + b"GET",  # behind a whole one
    ],
)
def test_what_is_never_whole_ends(app: Starlette, sent: bytes) -> None:
    with serving(app, replace(LIMITS, request_seconds=SOON)) as site, connected(site) as connection:
        connection.sendall(sent)
        if sent.endswith(b"GET"):
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.read()
        status, said = answered(connection)
    assert status == 408
    assert said == "The request was not whole after 0.5 s; send it again.\n"


def test_a_body_that_does_not_come_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    owner = Owner("anna")
    desk = create_app(opened(tmp_path / "to"), entrance=Entrance(owner))
    with serving(desk, replace(LIMITS, request_seconds=SOON)) as outside:
        site = outside.entered(owner.key)
        token = json.loads(site.ask("/desk/api/session").body)["token"]
        with connected(site) as connection:
            head = f"POST /desk/api/set HTTP/1.1\r\nHost: {HOST}:{site.port}\r\nOrigin: {site.url}"
            head += f"\r\nCookie: {site.cookie}\r\nX-CSRF-Token: {token}\r\nContent-Length: 100"
            connection.sendall(f"{head}\r\n\r\n{{".encode())
            assert answered(connection)[0] == 408
    assert "Traceback" not in capfd.readouterr().err


@contextlib.contextmanager
def asked_for_much(site: Site) -> Iterator[http.client.HTTPResponse]:
    """An answer that has begun, to a client with room for little."""
    with socket.socket() as connection:
        connection.settimeout(60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        connection.connect((HOST, site.port))
        connection.sendall(ICC)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        yield response


def test_an_answer_that_nobody_takes_ends(app: Starlette) -> None:
    limits = replace(LIMITS, stalled_seconds=SOON, connections=2)
    with serving(app, limits) as site, asked_for_much(site) as answer:
        while site.ask("/viewer/").status == 503:  # until the first one is gone
            pass
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            answer.read()


def test_an_answer_that_is_taken_slowly_does_not(app: Starlette) -> None:
    paused = threading.Event()

    def pause(connection: Limited) -> None:
        pause_writing(connection)
        paused.set()

    pause_writing = Limited.pause_writing
    with (
        mock.patch.object(Limited, "pause_writing", pause),
        serving(app) as site,
        asked_for_much(site) as answer,
    ):
        assert paused.wait(60)
        assert len(answer.read()) == 1 << 24


def test_a_client_that_takes_anything_is_waited_for() -> None:
    """It is looked at again after each time, and let go when nothing has gone since."""
    waiting = [9000, 8000, 8000, 7000, 7000, 7000]  # at the start, then looked at and noted
    transport = mock.Mock(**{"get_write_buffer_size.side_effect": waiting})
    loop = mock.Mock()
    config, state = Config(Starlette()), ServerState()
    connection = Limited(LIMITS, config=config, server_state=state, app_state={}, _loop=loop)
    connection.transport = transport
    connection.flow = mock.Mock()
    connection.pause_writing()
    for looked in range(1, 4):
        assert transport.abort.call_count == 0
        assert loop.call_later.call_count == looked
        seconds, look = loop.call_later.call_args.args
        assert seconds == LIMITS.stalled_seconds
        look()
    assert transport.abort.call_count == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"X: y\r\n" * 19, 200),  # with Host
        (b"X: y\r\n" * 20, 431),
        (b"X: " + b"y" * 4000 + b"\r\n", 200),
        (b"X: " + b"y" * 400_000 + b"\r\n", 431),
        (b"y" * 400_000 + b": x\r\n", 431),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", 400),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"no colon\r\n", 400),
        (b"\0\xff: \0\r\n", 400),
    ],
)
def test_a_head_has_bounds(app: Starlette, head: bytes, status: int) -> None:
    with serving(app, LIMITS) as site, connected(site) as connection:
        with contextlib.suppress(ConnectionError):  # it is closed before all is sent
            connection.sendall(WHOLE + head + b"Connection: close\r\n\r\n"[19 * (status == 200) :])
        response = http.client.HTTPResponse(connection)
        response.begin()
        said = response.read()
    assert response.status == status
    assert status == 200 or said.endswith(b".\n")


def test_a_url_has_a_bound(app: Starlette) -> None:
    with serving(app, LIMITS) as site, connected(site) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /" + b"x" * 400_000)
        assert answered(connection)[0] == 431


def test_one_address_does_not_take_all(app: Starlette) -> None:
    with serving(app, LIMITS) as site, contextlib.ExitStack() as held:
        for _ in range(LIMITS.of_address):
            connection = held.enter_context(connected(site))
            connection.sendall(WHOLE + b"\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        with connected(site) as connection:
            status, said = answered(connection)
        assert status == 503
        assert said.startswith("There are 8 connections from this address; close some windows")
        held.close()
        while site.ask("/viewer/").status == 503:  # until they are closed there, too
            pass


def test_browsers_have_room() -> None:
    """Six connections each, at one address as in a hospital's network."""
    assert Limits().of_address >= 20 * 6
    assert Limits().connections > Limits().of_address


BODY = {
    "slides": [{"id": "170782", "revision": 1}],
    "changes": {"status": "GOOD"},
    "note": "seen",
    "source": False,
    "confirmed": True,
}


def test_any_call_of_the_desk_gets_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    owner = Owner("anna")
    desk = create_app(opened(tmp_path / "to"), entrance=Entrance(owner))
    with serving(desk) as outside:
        site = outside.entered(owner.key)
        token = json.loads(site.ask("/desk/api/session").body)["token"]
        headers = {"Origin": site.url, "X-CSRF-Token": token, "Cookie": site.cookie}
        connection = http.client.HTTPConnection(HOST, site.port, timeout=60)
        for name, body in json_documents(json.dumps(BODY).encode(), most=120):
            connection.request("POST", "/desk/api/set", body, headers)
            response = connection.getresponse()
            said = response.read()
            assert (response.status in (200, 400), bool(said)) == (True, True), (name, said)
        connection.close()
        assert call(site, "set", b"[" * (1 << 20) + b"]").status == 413
    assert "Traceback" not in capfd.readouterr().err
