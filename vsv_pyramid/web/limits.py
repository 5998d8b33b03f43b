"""What one client may ask of a server on this machine, and for how long it may keep it waiting.

uvicorn has limits of its own for idle connections and for all of them together; these are for
requests that never end, and for one address that takes all there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True)
class Limits:
    """Of a request the bytes of its head, its headers, and the seconds until it is there as a
    whole; the seconds for which a client may take nothing of an answer; and how many connections
    there are, and of one address. A browser makes six, whatever its windows show."""

    head_bytes: int = 1 << 16
    headers: int = 100
    request_seconds: float = 20.0
    stalled_seconds: float = 60.0
    connections: int = 512
    of_address: int = 128


class Limited(HttpToolsProtocol):
    """A connection that keeps to the limits; what does not is told so, and closed."""

    def __init__(self, limits: Limits, **more: Any) -> None:
        super().__init__(**more)
        self._limits = limits
        self._late: asyncio.TimerHandle | None = None  # for the request
        self._stalled: asyncio.TimerHandle | None = None  # for the answer
        self._left = 0  # bytes of the answer, when it was last looked at
        self._head: int | None = None  # bytes that have come, while it is not whole
        self._refusal = HTTPStatus.BAD_REQUEST, "This is no HTTP request."

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()
        if sum(_host(other) == _host(self) for other in self.connections) > self._limits.of_address:
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"There are {self._limits.of_address} connections from this address; close some "
                "windows, and try again.",
            )

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._late, self._stalled):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._await_request()
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > self._limits.head_bytes:
                self._refuse(*self._too_large())

    def on_message_begin(self) -> None:
        self._await_request()
        self._head = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= self._limits.headers:
            self._refusal = self._too_large()
            raise ValueError  # uvicorn refuses what the parser does
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(*self._refusal)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_progress()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._await_progress()

    def _await_request(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self._limits.request_seconds, self._is_late)

    def _is_late(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The request was not whole after {self._limits.request_seconds:g} s; send it again.",
        )

    def _await_progress(self) -> None:
        self._left = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self._limits.stalled_seconds, self._look)

    def _look(self) -> None:
        if self.transport.get_write_buffer_size() < self._left:
            self._await_progress()
        else:
            self.transport.abort()

    def _too_large(self) -> tuple[HTTPStatus, str]:
        return (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"A request has {self._limits.head_bytes:,} bytes and {self._limits.headers} headers "
            "at the most before its body.",
        )

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        """In a sentence, unless an answer is on its way; and closes the connection."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = f"{sentence}\n".encode()
            head: Mapping[str, object] = {
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": len(body),
                "Cache-Control": "no-store",
                "Connection": "close",
            }
            lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
            lines += [f"{name}: {value}" for name, value in head.items()]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()
        self._await_progress()


def _host(connection: object) -> str | None:
    """The address of whoever has made it."""
    client: tuple[str, int] | None = getattr(connection, "client", None)
    return client and client[0]
