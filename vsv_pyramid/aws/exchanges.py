"""An end to each exchange with Amazon, or who stands in its place: boto3 waits for each byte anew,
for ever where one comes now and then, and takes as many as there are."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

from botocore import awsrequest
from botocore.exceptions import ReadTimeoutError

from vsv_pyramid.aws.s3_errors import NotS3

SECONDS = 60.0  # for a request and the whole answer, none of which is large
_MOST_BYTES = 1 << 26  # of an answer


class _Clock:
    """Hangs up on the exchange's sockets once its time is over, and then has `rung`; `flooded`
    tells that the answer was too long."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.rung = self.flooded = False
        self._timer: threading.Timer | None = threading.Timer(SECONDS, self._ring)
        self._timer.daemon = True
        try:
            self._timer.start()
        except RuntimeError:  # there can be no more threads
            self._timer = None

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer.join()

    def _ring(self) -> None:
        self.rung = True
        for one in self.sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # and leaves TLS to its own thread


class _Exchange(threading.local):
    """This thread's."""

    clock: _Clock | None = None
    is_read_afterwards = False


_this = _Exchange()


def watch(session: Any) -> None:
    """Has what is asked by a session of botocore come to an end: ReadTimeoutError, or NotS3 where
    the answer is endless."""
    session.register("before-send", _begin)
    session.register("response-received", _end)
    awsrequest.AWSHTTPConnectionPool.ConnectionCls = _Connection
    awsrequest.AWSHTTPSConnectionPool.ConnectionCls = _TlsConnection


@contextlib.contextmanager
def one() -> Iterator[None]:
    """A request, and what is read of its answer afterwards."""
    _begin()
    _this.is_read_afterwards = True
    try:
        yield
    finally:
        _this.is_read_afterwards = False
        _end()


def forget() -> None:
    """Ends the clock of a request that a signal has ended, of whose end botocore says nothing."""
    _stopped()


def _begin(**_: object) -> None:
    if not _this.is_read_afterwards:
        _stopped()
        _this.clock = _Clock()


def _end(**_: object) -> None:
    """Raises what the exchange comes to, whatever boto3 makes of its being cut off."""
    if _this.is_read_afterwards:
        return
    ended = _stopped()
    if ended and ended.flooded:
        raise NotS3(f"an answer of more than {_MOST_BYTES:,} bytes")
    if ended and ended.rung:
        raise ReadTimeoutError(endpoint_url="", error=f"no answer in {SECONDS:g} s")


def _stopped() -> _Clock | None:
    clock, _this.clock = _this.clock, None
    if clock:
        clock.stop()
    return clock


class _Counted(io.RawIOBase):
    """What comes from a socket, as far as it may go."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._left = _MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0 and _this.clock:
            _this.clock.flooded = True
            raise http.client.IncompleteRead(b"")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.fp: Any = io.BufferedReader(_Counted(self.fp.detach()))


class _Noted:
    """A connection whose socket is known to the exchange."""

    sock: socket.socket | None
    response_class: Any = _Response

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self._note()

    def request(self, *words: Any, **options: Any) -> None:
        self._note()
        super().request(*words, **options)  # type: ignore[misc]

    def _note(self) -> None:
        if self.sock and _this.clock:
            _this.clock.sockets.append(self.sock)


class _Connection(_Noted, awsrequest.AWSHTTPConnection):  # type: ignore[misc]
    pass


class _TlsConnection(_Noted, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    pass
