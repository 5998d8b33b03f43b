"""An HTTP proxy before the S3 server of the tests that records requests and plants faults."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from tests.support import http_server
from tests.support.clock import FakeClock
from tests.support.http_server import HOST

REQUEST_ID = "REQUEST0OF0THE0TESTS"
_MOST_REQUESTS = 20_000


class Request(NamedTuple):
    """A request as it came: method, path with query, headers with names in lower case, body."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


# What a fault does with a request: True where it has answered, or hung up, itself.
Fault = Callable[["Handler", Request], bool]


@dataclass
class Proxy:
    """`fault` is asked at every request, `torn` before its body is read: where it says so, the
    connection ends in the midst of that. `requests` holds (method, path) of all.
    """

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    torn: Callable[[str], bool] = lambda method: False
    fault: Fault = lambda handler, request: False

    def count(self, method: str, word: str = "") -> int:
        return sum(m == method and word in path for m, path in self.requests)


class Handler(http_server.Handler):
    server: _Server

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle_one_request()

    def _handle(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if self.headers.get("expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        proxy = self.server.proxy
        if proxy.torn(self.command):
            self.rfile.read(length // 2)
            self.hang_up()
            return
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        proxy.requests.append((self.command, self.path))
        assert len(proxy.requests) < _MOST_REQUESTS
        if not proxy.fault(self, request):
            self.answer(*self.forwarded(request))

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle

    def forwarded(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """What the server answers."""
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            connection.putrequest(
                request.method, request.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers.items():
                if name not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(request.body)
            response = connection.getresponse()
            body = response.read()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, body
        finally:
            connection.close()

    def answer(
        self, status: int, headers: Mapping[str, str], body: bytes, cut: int | None = None
    ) -> None:
        """Sends the answer, or its first `cut` bytes and no more."""
        self.send_response_only(status)
        for name, value in headers.items():
            if name not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("content-length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.hang_up()

    def refuse(self, status: int, code: str, message: str = "", **elements: str) -> None:
        """An error as S3 words it, with the request's id."""
        told = {"Code": code, "Message": message or code, "RequestId": REQUEST_ID, **elements}
        error = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in told.items())
        body = f"<?xml version='1.0' encoding='UTF-8'?>\n<Error>{error}</Error>".encode()
        about = {"content-type": "application/xml", "x-amz-request-id": REQUEST_ID}
        self.answer(status, about, b"" if self.command == "HEAD" else body)

    def accept(self, request: Request) -> None:
        """Says that the object was put, without putting it."""
        self.answer(200, {"etag": f'"{hashlib.md5(request.body).hexdigest()}"'}, b"")

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: Proxy
    upstream: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up, too


@contextlib.contextmanager
def before(upstream: str) -> Iterator[Proxy]:
    """A proxy before the server at the URL."""
    server = _Server((HOST, 0), Handler)
    server.upstream = urlsplit(upstream).netloc
    server.proxy = Proxy(f"http://{HOST}:{server.server_port}")
    with http_server.running(server):
        yield server.proxy


def by(clock: FakeClock) -> Fault:
    """S3 goes by the clock: it dates its answers, and what is put."""
    put: dict[str, str] = {}

    def fault(handler: Handler, request: Request) -> bool:
        status, headers, body = handler.forwarded(request)
        headers["date"] = formatdate(clock.time(), usegmt=True)
        if request.method == "PUT" and status == 200:
            put[request.path] = headers["date"]
        if request.path in put and "last-modified" in headers:
            headers["last-modified"] = put[request.path]
        handler.answer(status, headers, body)
        return True

    return fault


def slow(seconds: float) -> Fault:
    """Puts take so long."""

    def fault(_: Handler, request: Request) -> bool:
        if request.method == "PUT":
            time.sleep(seconds)
        return False

    return fault


def refusing(
    status: int, code: str, message: str = "", *, method: str = "", word: str = ""
) -> Fault:
    """Refuses the requests of the method whose path has the word, or all."""

    def fault(handler: Handler, request: Request) -> bool:
        if not (request.method.startswith(method) and word in request.path):
            return False
        handler.refuse(status, code, message)
        return True

    return fault
