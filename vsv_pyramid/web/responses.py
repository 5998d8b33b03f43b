"""Answers over HTTP: whole, in part, or in a sentence."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import NamedTuple

import xxhash
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from vsv_pyramid.errors import StoreError
from vsv_pyramid.store.base import Part
from vsv_pyramid.words import one_line

_log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]
Read = Callable[[int, int], Part]  # an object's bytes from the first to before the second

METHODS = ("GET", "HEAD", "OPTIONS")
ALLOW = {"Allow": ", ".join(METHODS)}

# Bytes that are read at once. Two such are held for each client that is slow to take them: of as
# many as there may be connections, half a GB.
_CHUNK = 1 << 19
_ALWAYS = {"X-Content-Type-Options": "nosniff"}


def answer(request: Request, read: Read, headers: Mapping[str, str]) -> Response:
    """The object, or a range of it, or that the client has it (RFC 9110, 13.2.2 and 14.2). No more
    of it is read than is asked for, nor held at once than a chunk. Raises StoreError."""
    known, condition = (request.headers.get(name) for name in ("If-None-Match", "If-Range"))
    wanted = _span(request.headers.get("Range", "")) if request.method == "GET" else None
    before = None
    if known or condition or request.method != "GET" or (wanted and wanted.first is None):
        before = read(0, 1)
        headers = {**headers, "ETag": f'"{before.tag}"'}
        if known and (known.strip() == "*" or headers["ETag"] in re.findall(r'"[^"]*"', known)):
            return _response(304, headers)
        if request.method != "GET":
            return _response(200, {**headers, "Content-Length": str(before.size)})
        if condition and condition != headers["ETag"]:
            wanted = None
    first, end = wanted.within(before.size if before else None) if wanted else (0, None)
    if before and first == end:
        part = before
    else:
        part = read(first, min(first + _CHUNK, end or first + _CHUNK))
    if before and before.tag != part.tag:  # another object has come in between
        return answer(request, read, headers)
    headers = {**headers, "ETag": f'"{part.tag}"'}
    end = min(end or part.size, part.size)
    if wanted and first >= end:
        where = {"Content-Range": f"bytes */{part.size}"}
        return sentence(416, f"The range is not within the {part.size} bytes.", where)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{part.size}"
    status = 206 if wanted else 200
    if len(part.data) == end - first:
        return _response(status, headers, part.data)
    headers = {**headers, **_ALWAYS, "Content-Length": str(end - first)}
    return _Chunked(_chunks(read, part, first, end), status, headers)


def of_bytes(data: bytes) -> Read:
    """What reads these bytes as if they were an object's."""
    tag = xxhash.xxh3_128_hexdigest(data)
    return lambda start, end: Part(data[start:end], len(data), tag)


def _chunks(read: Read, part: Part, first: int, end: int) -> Iterator[bytes]:
    """The bytes from `first`, where the part begins, to `end`. Ends early where the object is
    replaced, or cannot be read further."""
    tag = part.tag
    while part.data and part.tag == tag:
        yield part.data
        first += len(part.data)
        if first >= end:
            return
        try:
            part = read(first, min(first + _CHUNK, end))
        except StoreError as exc:
            _log.warning("%s", exc)
            return


class _Chunked(StreamingResponse):
    """Leaves the connection, and says no more, where not all came that it has announced."""

    async def stream_response(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        lacking = int(self.headers["Content-Length"])
        async for chunk in self.body_iterator:
            lacking -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": lacking > 0})


class _Span(NamedTuple):
    """Bytes that are asked for (RFC 9110, 14.1.2): from `first` to before `end` or to the last one;
    without a first one, the last `end`."""

    first: int | None
    end: int | None

    def within(self, size: int | None) -> tuple[int, int | None]:
        if self.first is None:
            return max(0, (size or 0) - (self.end or 0)), size
        return self.first, self.end


def _span(header: str) -> _Span | None:
    """None where the header is not there, not one range, or not understood, and so does not
    count."""
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip(), re.IGNORECASE)
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        return _Span(None, int(found[2]))
    first, end = int(found[1]), int(found[2]) + 1 if found[2] else None
    return None if end and end <= first else _Span(first, end)


def query(request: Request) -> str:
    """The URL's query as it was sent, with the question mark; empty where there is none."""
    query = request.scope["query_string"].decode("latin-1")
    return f"?{query}" if query else ""


def nothing() -> Response:
    return sentence(404, "There is nothing at this path.")


def redirect(request: Request, status: int, location: str) -> Response:
    """To the location, with the query that came."""
    where = {"Location": location + query(request), "Cache-Control": "no-cache"}
    return _response(status, where)


def options() -> Response:
    return _response(204, ALLOW)


def sentence(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    plain = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    return _response(status, {**plain, **(headers or {})}, f"{one_line(sentence)}\n".encode())


def _response(status: int, headers: Mapping[str, str], data: bytes = b"") -> Response:
    return Response(data, status, {**headers, **_ALWAYS})
