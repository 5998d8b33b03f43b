"""Answers over HTTP: whole, in part, or in a sentence."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]

METHODS = ("GET", "HEAD", "OPTIONS")
ALLOW = {"Allow": ", ".join(METHODS)}


def answer(request: Request, data: bytes, headers: dict[str, str]) -> Response:
    """The data, or a range of them, or that the client has them (RFC 9110, 13.2.2 and 14.2)."""
    etag = headers["ETag"]
    known = request.headers.get("If-None-Match", "")
    if known.strip() == "*" or etag in re.findall(r'"[^"]*"', known):
        return _response(304, headers)
    wanted = None
    if request.method == "GET" and request.headers.get("If-Range", etag) == etag:
        wanted = _range(request.headers.get("Range", ""), len(data))
    if wanted is None:
        return _response(200, headers, data)
    if not wanted:
        where = {"Content-Range": f"bytes */{len(data)}"}
        return sentence(416, f"The range is not within the {len(data)} bytes.", where)
    headers["Content-Range"] = f"bytes {wanted[0]}-{wanted[-1]}/{len(data)}"
    return _response(206, headers, data[wanted.start : wanted.stop])


def _range(header: str, size: int) -> range | None:
    """The bytes of one range (RFC 9110, 14.1.2), empty where there are none of it; None where the
    header is not there, not one range, or not understood, and so does not count."""
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip(), re.IGNORECASE)
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        return range(max(0, size - int(found[2])), size)
    first, last = int(found[1]), int(found[2] or size)
    return None if last < first and found[2] else range(first, min(last + 1, size))


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
    return _response(status, {**plain, **(headers or {})}, f"{sentence}\n".encode())


def _response(status: int, headers: Mapping[str, str], data: bytes = b"") -> Response:
    return Response(data, status, {**headers, "X-Content-Type-Options": "nosniff"})
