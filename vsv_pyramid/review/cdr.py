"""The clinical data repository: a slide's metadata record, and the way it is sent there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import urllib3
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry, Timeout, parse_url

from vsv_pyramid.errors import CdrError, CdrUnavailable, OptionError
from vsv_pyramid.facts import zoned
from vsv_pyramid.review.history import LAB_ID, Record
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.deadline import Deadline
from vsv_pyramid.slide.metadata import metadata
from vsv_pyramid.store import S3Options, open_store
from vsv_pyramid.words import split_url

TOKEN = "VSV_PYRAMID_CDR_TOKEN"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class _Ended(HTTPError):
    """It is not tried again, since the program ends."""


class _Retry(Retry):
    """Pauses by the program's clock until that is stopped, and reads nothing of an answer that is
    not the last."""

    stopped: threading.Event | None = None

    def new(self, **more: Any) -> _Retry:
        made = super().new(**more)
        made.stopped = self.stopped
        return made

    def increment(self, *args: Any, **more: Any) -> _Retry:
        if response := more.get("response"):
            response.close()  # or all of it would be read, which may have no end
        return super().increment(*args, **more)

    def parse_retry_after(self, retry_after: str) -> float:
        """0 for what is no time: the answer before it counts."""
        try:
            return super().parse_retry_after(retry_after)
        except (HTTPError, ValueError, OverflowError):
            return 0.0

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        asked_for = response and self.get_retry_after(response)
        if clock.sleep(asked_for or self.get_backoff_time(), self.stopped):
            raise _Ended


_RETRIES = _Retry(
    5,
    allowed_methods=None,  # a POST, too, since it has an idempotency key
    status_forcelist=_PASSING,
    backoff_factor=0.25,
    backoff_max=10,
    backoff_jitter=0.25,
    retry_after_max=10,
    raise_on_status=False,
)
_TIMEOUT = Timeout(connect=5, read=15)
_LONGEST_ANSWER = 1000  # bytes that are read of it
_ANSWER_SECONDS = 15.0  # for its head, and for what is read of it


class _Connection(HTTPConnection):
    """Hangs up where an answer begins without end: http.client waits for each byte anew, and skips
    as many `100 Continue` as there are."""

    answering: socket.socket | None = None  # also when the connection is given up

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own does
        self.answering = self.sock
        with Deadline(_ANSWER_SECONDS, [self.sock]):
            return super().getresponse()


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def metadata_record(
    facts: Mapping[str, Any], record: Record, time_zone: str | None = None
) -> dict[str, Any]:
    """The slide's metadata under the names of the Virtual Slide Viewer, out of its slide.json and
    its private record: MPP in um/px, width and height in px of the base level. `id` is the
    published one, ImageID the scanner's own, or the name of the file where that states none;
    ScanDate is in the time zone where the scanner states none."""
    review = record.review()
    name = record.source.get("name") or record.id
    image_id = record.properties.get("aperio.ImageID", "").strip()
    return {
        "id": record.id,
        "ImageID": image_id or PurePath(name).stem,
        "SlideID": review[LAB_ID],
        "CaseID": review["case_id"],
        "ScanDate": zoned(metadata(record.properties).scanned, time_zone),
        "MPP": facts["mpp"]["x"],
        "AppMag": facts["objective_power"],
        "width": facts["width"],
        "height": facts["height"],
        "Filename": name,
        "Status": review["status"],
        "lastModified": review["changed"],
    }


def check_url(url: str) -> str:
    """The URL itself where a record can be sent to it, with the token that is set, else
    OptionError."""
    parts = split_url(url)
    if parts.scheme == "s3" and parts.netloc:
        return url
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not (is_safe and _is_host(url, parts.hostname)):
        raise OptionError(
            f"--cdr {address(url, '')!r} is refused; give https://host/path, or s3://bucket/prefix "
            "(http:// is for this machine only)"
        )
    _token()
    return url


def _is_host(url: str, host: str | None) -> bool:
    """Whether the URL's host can be one, and its port."""
    try:
        parse_url(url)
        return bool(host and (":" in host or re.fullmatch(rb"[\w.-]+", host.encode("idna"))))
    except (HTTPError, UnicodeError):
        return False


def _token() -> str:
    """The CDR's token; empty where none is set. Raises OptionError."""
    token = os.environ.get(TOKEN, "").strip()
    if not re.fullmatch("[!-~]*", token):
        raise OptionError(f"{TOKEN} has a character that no token can have; set it anew")
    return token


def address(url: str, slide_id: str) -> str:
    """Where the slide's record goes, in words that hold no secret."""
    parts = split_url(url)
    if not parts.netloc:
        return url
    if parts.scheme == "s3":
        return f"{url.rstrip('/')}/{slide_id}.json"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def send(
    made: Mapping[str, Any],
    url: str,
    s3: S3Options | None = None,
    stopped: threading.Event | None = None,
) -> dict[str, Any]:
    """Sends the record, and returns what was answered: `to`, `status`, `answer`.

    To HTTPS it is a POST with an Idempotency-Key, the same for the same record, so that what is
    sent twice counts once; what passes is tried again, until it is stopped. Below s3:// it is the
    object ID.json. Raises CdrError, OptionError for a token that is none, and StoreError for S3.
    """
    body = json.dumps(made, sort_keys=True).encode()
    place = address(url, made["id"])
    if place.startswith("s3://"):
        open_store(url, s3).put(f"{made['id']}.json", body)
        return {"to": place, "status": 200, "answer": ""}
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": hashlib.sha256(body).hexdigest(),
    }
    if token := _token():
        headers["Authorization"] = f"Bearer {token}"
    retries = _RETRIES.new()
    retries.stopped = stopped
    try:
        if stopped and stopped.is_set():
            raise _Ended
        with urllib3.PoolManager(retries=retries, timeout=_TIMEOUT) as pool:
            pool.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
            response = pool.request(
                "POST", url, body=body, headers=headers, redirect=False, preload_content=False
            )
            answer = _begin(response)
    except _Ended as exc:
        what = "was not told, since the program was ended; send the slide again"
        raise CdrUnavailable(place, what) from exc
    except HTTPError as exc:
        reason = getattr(exc, "reason", None) or exc
        raise CdrUnavailable(place, f"does not answer ({reason}); try again later") from exc
    if response.status in _PASSING:
        raise CdrUnavailable(place, f"answers {response.status} again and again; try again later")
    if not 200 <= response.status < 300:
        told = f" ({answer.strip()[:200]})" if answer.strip() else ""
        raise CdrError(place, f"refuses the record, {response.status}{told}; check it and --cdr")
    return {"to": place, "status": response.status, "answer": answer}


def _begin(response: BaseHTTPResponse) -> str:
    """How the answer begins, which may be of any length, and take any time. What came before it
    says whether the record was taken: where it breaks off, that is all the same."""
    data = b""
    connection = response.connection
    assert isinstance(connection, _Connection) and connection.answering
    with contextlib.suppress(HTTPError), Deadline(_ANSWER_SECONDS, [connection.answering]):
        while room := _LONGEST_ANSWER - len(data):
            more = response.read1(room, decode_content=False)
            if not more:
                break
            data += more
    response.close()
    return data.decode(errors="replace")
