"""A site that runs on this machine for a test, and a client that sends paths as they are."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.message import Message
from types import SimpleNamespace
from unittest import mock

import uvicorn.server
from starlette.applications import Starlette

from vsv_pyramid.web import server
from vsv_pyramid.web.limits import Limits

HOST = "127.0.0.1"
# How often the server looks whether it shall end; uvicorn would look ten times a second.
SOON = {"sleep": lambda _: asyncio.sleep(0.01)}


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer."""

    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Site:
    """Where a server listens."""

    port: int
    cookie: str = ""  # of who asks

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def entered(self, key: str) -> Site:
        """The same for who has opened the desk's address with this key."""
        answer = self.ask(f"/?key={key}")
        assert answer.status == 200, answer.body
        return replace(self, cookie=answer.headers["Set-Cookie"].partition(";")[0])

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, /, **headers: str
    ) -> Answer:
        """The answer for the path, which is sent as it is; _ in a header's name stands for -."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            named |= {"Cookie": self.cookie} if self.cookie else {}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def send(self, request_line: bytes) -> Answer:
        """The answer for a request line of whatever bytes."""
        with socket.create_connection((HOST, self.port), timeout=60) as connection:
            connection.sendall(request_line + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.headers, response.read())


@contextlib.contextmanager
def serving(app: Starlette, limits: Limits = server.LIMITS) -> Iterator[Site]:
    """The site, at a free port, in a thread that ends with the block."""
    listening = server.listener(HOST, 0)
    running = server.Server(app, threading.Event(), limits)
    thread = threading.Thread(target=running.run, args=([listening],))
    with mock.patch.object(uvicorn.server, "asyncio", SimpleNamespace(**vars(asyncio) | SOON)):
        thread.start()
        try:
            yield Site(listening.getsockname()[1])
        finally:
            running.should_exit = True
            thread.join()
            listening.close()
