"""Small HTTP servers of the standard library, for as long as a test needs them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

HOST = "127.0.0.1"
_POLL_SECONDS = 0.01  # how soon a server sees that it shall end

Server = TypeVar("Server", bound=ThreadingHTTPServer)


class Handler(BaseHTTPRequestHandler):
    """Keeps the connection, and says nothing on stderr."""

    protocol_version = "HTTP/1.1"
    # Or each body waits, 40 ms and longer, until the client has acknowledged the head.
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that has heard enough
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, in a thread that ends with the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS})
    with server:
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
