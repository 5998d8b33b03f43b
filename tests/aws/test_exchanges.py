"""Servers whose answers have no end: what is asked by boto3 ends all the same."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.support.clock import FakeClock, until
from tests.support.http_server import HOST
from tests.support.s3_server import Place
from vsv_pyramid.aws import exchanges, retry, session
from vsv_pyramid.errors import StoreError, StoreRefused, StoreUnavailable
from vsv_pyramid.store import open_store

OK, BAD = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 502 Bad Gateway\r\n"
ANSWERS = {
    "what comes before": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a status": (b"HTTP/1.1 200 ", b"O"),
    "a head": (OK, b"a"),
    "a body": (OK + b"Content-Length: 1000000\r\n\r\n", b"<"),
    "a body, and the last one": (OK + b"Connection: close\r\n\r\n", b"<"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n<\r\n"),
    "nothing": (b"", b""),
}


class _Endless(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.request.recv(1 << 16)
            self.server.asked += 1
            begun, more = self.server.answer
            self.request.sendall(begun)
            while not self.server.over.wait(0.005):
                self.request.sendall(more)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answer = (b"", b"")
    asked = 0

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Endless)
        self.over = threading.Event()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Iterator[_Server]:
    monkeypatch.setattr(exchanges, "SECONDS", 0.1)
    monkeypatch.setattr(retry, "GIVE_UP_SECONDS", 0.01)
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:{server.server_address[1]}")
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_it_ends(s3: object, endless: _Server, answer: tuple[bytes, bytes]) -> None:
    endless.answer = answer
    before = set(threading.enumerate())
    with pytest.raises(StoreUnavailable, match="does not answer"):
        open_store("s3://bucket").names("images")
    until(lambda: endless.asked)  # its thread may come later than the time that is over
    assert not {
        one for one in set(threading.enumerate()) - before if isinstance(one, threading.Timer)
    }


@pytest.mark.parametrize("answer", [(BAD, b"a: b\r\n"), (BAD, b"a"), (b"", b"")])
def test_a_proxy_s_ends_too(
    s3: object, endless: _Server, answer: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there is a connection through it: by its silence, or as it has begun to refuse."""
    endless.answer = answer
    monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{endless.server_address[1]}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.example")
    with pytest.raises(StoreError, match=r"the proxy|does not answer"):
        open_store("s3://bucket").names("images")
    until(lambda: endless.asked)


def test_an_answer_is_read_as_far_as_it_may_go(
    s3: object, endless: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "SECONDS", 60.0)
    monkeypatch.setattr(exchanges, "_MOST_BYTES", 1 << 20)
    chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    endless.answer = OK + b"Transfer-Encoding: chunked\r\n\r\n", chunk
    with pytest.raises(StoreRefused, match="is no S3 server"):
        open_store("s3://bucket").names("images")


def test_what_is_read_afterwards_ends_too(s3: object, endless: _Server) -> None:
    endless.answer = OK + b'ETag: "a"\r\nContent-Length: 1000\r\n\r\n', b"a"
    client = session.Account(session.parse_url("s3://bucket")).client
    with pytest.raises(ReadTimeoutError), exchanges.one():
        client.get_object(Bucket="bucket", Key="a")["Body"].read()


@pytest.mark.parametrize(("size", "fewest"), [(4_000_000, 1 << 16), (100, 1)])
def test_a_slide_comes_at_its_own_pace(
    s3: object,
    endless: _Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    size: int,
    fewest: int,
) -> None:
    """A byte now and then, which is less than may be, or just as much."""
    monkeypatch.setattr(exchanges, "_FEWEST_BYTES", fewest)
    endless.answer = OK + f'ETag: "a"\r\nContent-Length: {size}\r\n\r\n'.encode(), b"a"
    client = session.Account(session.parse_url("s3://bucket")).client
    path = tmp_path / "a.svs"

    def fetch() -> None:
        retry.with_retries("a.svs", lambda: client.download_file("bucket", "a.svs", str(path)))

    if fewest > 1:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            fetch()
    else:
        fetch()
        assert path.read_bytes() == b"a" * size


def test_what_is_answered_in_time_is_not_cut(place: Place) -> None:
    store = open_store(str(place))
    store.put("images/a", b"a")
    for _ in range(3):
        assert store.names("images") == ["a"]
        assert exchanges._this.deadline is None
