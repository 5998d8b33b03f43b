"""An end to what a server may draw out for ever by a byte now and then: each read has a timeout of
its own, and all of them together have none."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable


class Deadline:
    """Hangs up on its sockets once its seconds are over; then it has `passed`. Where there can be
    no more threads, it never does."""

    def __init__(self, seconds: float, sockets: Iterable[socket.socket] = ()) -> None:
        self._sockets = list(sockets)
        self.passed = False
        self._timer: threading.Timer | None = threading.Timer(seconds, self._pass)
        self._timer.daemon = True
        try:
            self._timer.start()
        except RuntimeError:
            self._timer = None

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def watch(self, more: socket.socket) -> None:
        """Hangs up on this one, too: at once, where it comes too late."""
        self._sockets.append(more)
        if self.passed:
            _hang_up(more)

    def end(self) -> None:
        """Nothing is hung up on any more."""
        if self._timer:
            self._timer.cancel()
            self._timer.join()

    def _pass(self) -> None:
        self.passed = True
        for one in self._sockets:
            _hang_up(one)


def _hang_up(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not SSLSocket's own, which would take TLS away from the thread that reads.
        socket.socket.shutdown(one, socket.SHUT_RDWR)
