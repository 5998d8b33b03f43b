"""A server on this machine: where it listens, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vsv_pyramid.errors import ListenError
from vsv_pyramid.runtime import signals
from vsv_pyramid.web import responses
from vsv_pyramid.web.limits import Limited, Limits

LIMITS = Limits()
ENDED = "The server was ended meanwhile, and it is not known whether this was done; look."


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens there, at a free port for 0. Raises ListenError."""
    place = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return _bound(*found[0])
    except (socket.gaierror, UnicodeError) as exc:
        raise ListenError(f"{place}: there is no such address; check --host") from exc
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            what = "the port is in use; give another one with --port, or 0 for any that is free"
        elif exc.errno in (errno.EACCES, errno.EPERM):
            what = "the port is not for everybody; give one above 1023 with --port"
        else:
            what = f"cannot be listened at ({os.strerror(exc.errno or 0)}); check --host"
        raise ListenError(f"{place}: {what}") from exc


def _bound(
    family: int, kind: int, protocol: int, _: str, address: tuple[Any, ...]
) -> socket.socket:
    # With the protocol's number, which socket.create_server leaves out: without it, asyncio does
    # not turn Nagle's algorithm off, and each answer on an open connection takes 40 ms more.
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two processes share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def names(listening: socket.socket, host: str) -> tuple[str, ...]:
    """What a browser may call a server that was to listen at this host, and that only this machine
    reaches: a name of another page's may be made to lead there. None where any name is as good."""
    if not is_loopback(listening):
        return ()
    return "localhost", bracketed(host), bracketed(listening.getsockname()[0])


def bracketed(host: str) -> str:
    """The host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def run(site: Starlette, listening: socket.socket, stopped: threading.Event | None = None) -> None:
    """Serves until SIGINT, SIGTERM or SIGHUP, which sets `stopped`, too."""
    Server(site, stopped or threading.Event()).run(sockets=[listening])


class Server(uvicorn.Server):
    """A quiet uvicorn, for which a signal is the ordinary way to end."""

    def __init__(self, site: Starlette, stopped: threading.Event, limits: Limits = LIMITS) -> None:
        config = uvicorn.Config(
            self._ended_in_words(site),
            http=cast("type[asyncio.Protocol]", partial(Limited, limits)),
            limit_concurrency=limits.connections,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,  # nobody stands before it whose word would count
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._stopped = stopped

    def _ended_in_words(self, site: Starlette) -> ASGIApp:
        """The site, whose calls say so where they are still under way when the server ends."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            begun = False

            async def sent(message: Message) -> None:
                nonlocal begun
                begun = True
                await send(message)

            try:
                await site(scope, receive, sent)
            except asyncio.CancelledError:
                if begun or not self.should_exit:
                    raise
                await responses.sentence(503, ENDED)(scope, receive, send)

        return call

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True
        self._stopped.set()  # or a thread could go on trying to reach S3 for minutes

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, does not raise the signal again in the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in signals.heeded()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
