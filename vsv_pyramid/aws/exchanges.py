"""An end to each exchange with Amazon, or who stands in its place: boto3 waits for each byte anew,
for ever where one comes now and then, and takes as many as there are."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from botocore import awsrequest
from botocore.exceptions import ReadTimeoutError

from vsv_pyramid.aws.s3_errors import NotS3
from vsv_pyramid.runtime.deadline import Deadline

SECONDS = 60.0  # for a request and the whole answer, none of which is large
_MOST_BYTES = 1 << 26  # of an answer
_FEWEST_BYTES = 1 << 16  # in as many seconds of waiting, also of a slide, which may take hours


class _Exchange(threading.local):
    """This thread's; `flooded` tells that the answer was too long."""

    deadline: Deadline | None = None
    flooded = False
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
    """Ends what a signal may have left: botocore says nothing of that."""
    if _this.deadline:
        _this.deadline.end()
    _this.deadline, _this.flooded = None, False


def _begin(**_: object) -> None:
    if not _this.is_read_afterwards:
        forget()
        _this.deadline = Deadline(SECONDS)


def _end(**_: object) -> None:
    """Raises what the exchange comes to, whatever boto3 makes of its being cut off."""
    if _this.is_read_afterwards:
        return
    has_passed, flooded = bool(_this.deadline and _this.deadline.passed), _this.flooded
    forget()
    if flooded:
        raise NotS3(f"an answer of more than {_MOST_BYTES:,} bytes")
    if has_passed:
        raise ReadTimeoutError(endpoint_url="", error=f"no answer in {SECONDS:g} s")


class _Counted(io.RawIOBase):
    """What comes from a socket, as far as it may go, and as slowly."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._left = _MOST_BYTES
        self._waited, self._came = 0.0, 0  # seconds and bytes, since it was last looked at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        begun = time.monotonic()
        count: int | None = self._raw.readinto(buffer)
        self._waited += time.monotonic() - begun
        self._came += count or 0
        if self._waited > SECONDS:
            if self._came < _FEWEST_BYTES:
                raise TimeoutError
            self._waited, self._came = 0.0, 0
        self._left -= count or 0
        if self._left < 0 and _this.deadline:
            _this.flooded = True
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
    """A connection whose socket is known to the deadline, from before a proxy or TLS begins."""

    sock: socket.socket | None
    response_class: Any = _Response

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        _note(made)
        return made

    def request(self, *words: Any, **options: Any) -> None:
        _note(self.sock)
        super().request(*words, **options)  # type: ignore[misc]


def _note(sock: socket.socket | None) -> None:
    if sock and _this.deadline:
        _this.deadline.watch(sock)


# botocore's own classes are at odds with those that they are made of, for mypy.
class _Connection(_Noted, awsrequest.AWSHTTPConnection):  # type: ignore[misc]
    pass


class _TlsConnection(_Noted, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    pass
