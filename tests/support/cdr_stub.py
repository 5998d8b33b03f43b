"""A clinical data repository for the tests, which takes records by POST, and fails sometimes."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from itertools import chain, repeat
from typing import Any

from tests.support import http_server
from tests.support.http_server import HOST

HANG_UP, HANG_UP_AFTERWARDS = 0, 1  # instead of a status


@dataclass
class Cdr:
    """`status` gives that of an answer about an id, 201 for a record that is taken; `records`
    are those by id and `keys` their idempotency keys; `requests` counts all, `tokens` what
    came for authorization."""

    url: str
    status: Callable[[str], int] = lambda slide_id: 201
    headers: dict[str, str] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    requests: int = 0
    body: Callable[[], Iterator[bytes]] | None = None  # in place of a short one
    first: Callable[[], Iterator[bytes]] = lambda: iter(())  # what comes before the answer

    def fail(self, *statuses: int) -> None:
        """Answers so next, and takes all after that."""
        order = chain(statuses, repeat(201))
        self.status = lambda slide_id: next(order)

    def take(self, key: str, record: dict[str, Any]) -> None:
        if key not in self.keys:
            assert record["id"] not in self.records, "sent twice under other keys"
            self.keys.append(key)
            self.records[record["id"]] = record


class _Handler(http_server.Handler):
    server: _Server

    def do_POST(self) -> None:
        cdr = self.server.cdr
        record = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            cdr.requests += 1
            cdr.tokens.add(self.headers["Authorization"])
            status = cdr.status(record["id"])
            if status in (201, HANG_UP_AFTERWARDS):
                cdr.take(self.headers["Idempotency-Key"], record)
        if status in (HANG_UP, HANG_UP_AFTERWARDS):
            self.close_connection = True
            return
        with contextlib.suppress(ConnectionError):
            for part in cdr.first():
                self.wfile.write(part)
        body = b'{"taken": true}' if status == 201 else b"not this one"
        self.send_response(status)
        for name, value in cdr.headers.items():
            self.send_header(name, value)
        if cdr.body:
            self.end_headers()
            self.close_connection = True
            with contextlib.suppress(ConnectionError):
                for part in cdr.body():
                    self.wfile.write(part)
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.cdr = Cdr(f"http://{HOST}:{self.server_port}/slides")
        self.lock = threading.Lock()


@contextlib.contextmanager
def running() -> Iterator[Cdr]:
    with http_server.running(_Server()) as server:
        yield server.cdr
