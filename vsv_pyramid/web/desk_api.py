"""The technician's desk in a browser: its page, its pictures, and calls of the desk's functions.

Who may call is decided in one place: by the host the browser asked for, by the origin of the page
that asks, by a token that only this page can know, and for other machines by a password.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import (
    NoSuchObject,
    OptionError,
    StoreError,
    VsvPyramidError,
)
from vsv_pyramid.layout import keys
from vsv_pyramid.review import failures, rescans
from vsv_pyramid.review.desk import Desk, Slides
from vsv_pyramid.review.history import Changes
from vsv_pyramid.review.outcome import Outcome
from vsv_pyramid.store import S3Options
from vsv_pyramid.web import responses
from vsv_pyramid.web.responses import Endpoint

_log = logging.getLogger(__name__)

SHORTEST_PASSWORD = 12  # characters

_MOST_BYTES = 1 << 20  # of a call: some ten thousand slides
_SHOWN = ("who", "when", "action", "changes", "note")  # of the log
_SHOWN_FACTS = ("confirmed",)
_FAILED = ("id", "reason", "failed_at", "again", "who")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Entrance:
    """Who works at the desk: `who`, whoever asks on this machine; or, with a `password`, whoever
    knows it, under the name they give with it. Records are sent to the CDR at `cdr`; `s3` and
    `time_zone` are the Desk's."""

    who: str
    password: str | None = None
    cdr: str | None = None
    s3: S3Options | None = None
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if self.password is not None and len(self.password) < SHORTEST_PASSWORD:
            raise OptionError(
                f"the desk's token has fewer than {SHORTEST_PASSWORD} characters; make a longer one"
            )

    def name(self, request: Request) -> str | None:
        """The name of whoever asks, None where they may not."""
        if self.password is None:
            return self.who
        kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(credentials).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        is_right = hmac.compare_digest(password.encode(), self.password.encode())
        return name.strip() or None if kind.lower() == "basic" and is_right else None


_SENSELESS = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class _Wanted(NamedTuple):
    """What a call is about."""

    slides: Slides
    changes: Changes
    note: str
    source: bool
    confirmed: bool

    @classmethod
    def of(cls, body: bytes) -> _Wanted:
        """Raises one of _SENSELESS where it is anything else."""
        said = json.loads(body)
        wanted = cls(
            {str(slide["id"]): int(slide["revision"]) for slide in said["slides"]},
            dict(said.get("changes", {})),
            said.get("note", ""),
            said.get("source", False) is True,
            said.get("confirmed", True) is True,
        )
        if not all(isinstance(text or "", str) for text in (wanted.note, *wanted.changes.values())):
            raise TypeError("no text")
        return wanted


_Call = Callable[[Desk, _Wanted], list[Outcome]]


class Site:
    """The desk's part of a site: all below /desk/. `page` serves a file of the page."""

    def __init__(self, store: Destination, entrance: Entrance, page: Endpoint) -> None:
        self._store = store
        self._entrance = entrance
        self._page = page
        self._token = secrets.token_urlsafe(32)
        self._writing = threading.Lock()  # a store takes one lease at a time

    def routes(self) -> list[Route]:
        reads = {
            "/desk/api/session": self._session,
            "/desk/api/slides": self._slides,
            "/desk/api/slides/{id}": self._slide,
            "/desk/images/{id}/{name}.jpeg": self._picture,
        }
        calls = {
            "set": _set,
            "delete": _delete,
            "send": self._send,
            "retry": self._retry,
            "dismiss": self._dismiss,
        }
        return [
            *(
                Route(f"/desk/api/{name}", self._guarded(self._called(call)), methods=["POST"])
                for name, call in calls.items()
            ),
            *(Route(path, self._guarded(read), methods=["GET"]) for path, read in reads.items()),
            Route("/desk/{path:path}", self._admitted(self._page), methods=responses.METHODS),
        ]

    def _admitted(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for those who may work here; what it raises, in a sentence."""

        async def admitted(request: Request) -> Response:
            if self._entrance.name(request) is None:
                realm = {"WWW-Authenticate": 'Basic realm="slides", charset="UTF-8"'}
                return _sentence(401, "Give your name, and the desk's token as password.", realm)
            try:
                return await endpoint(request)
            except VsvPyramidError as exc:
                if isinstance(exc, StoreError):
                    _log.warning("%s", exc)
                return _sentence(exc.http_status, str(exc))

        return admitted

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for the desk's own page, and for no other in the same browser."""

        async def guarded(request: Request) -> Response:
            site = request.headers.get("Sec-Fetch-Site", "same-origin")
            if site not in ("same-origin", "none"):
                return _sentence(403, "The desk answers its own page only.")
            if request.method == "POST":
                asking = urlsplit(request.headers.get("Origin", "")).netloc
                token = request.headers.get("X-CSRF-Token", "")
                if not asking or asking != request.headers.get("Host"):
                    return _sentence(403, "The desk answers its own page only.")
                if not hmac.compare_digest(token.encode(), self._token.encode()):
                    return _sentence(403, "The desk was started anew; reload the page.")
            return await endpoint(request)

        return self._admitted(guarded)

    def _called(self, call: _Call) -> Endpoint:
        def locked(desk: Desk, wanted: _Wanted) -> list[Outcome]:
            with self._writing:
                return call(desk, wanted)

        async def called(request: Request) -> Response:
            size = request.headers.get("Content-Length", "")
            if not size.isdecimal() or int(size) > _MOST_BYTES:
                return _sentence(413, f"A call takes {_MOST_BYTES} bytes at most.")
            try:
                wanted = _Wanted.of(await request.body())
            except _SENSELESS:
                return _sentence(400, "The desk does not understand this request; reload the page.")
            outcomes = await run_in_threadpool(locked, self._desk(request), wanted)
            return _json({"results": [outcome.facts() for outcome in outcomes]})

        return called

    def _send(self, desk: Desk, wanted: _Wanted) -> list[Outcome]:
        if self._entrance.cdr is None:
            raise OptionError("nothing can be sent; start the desk with --cdr URL")
        return desk.send(wanted.slides, self._entrance.cdr)

    def _retry(self, desk: Desk, wanted: _Wanted) -> list[Outcome]:
        return list(failures.retry(self._store, wanted.slides, desk.who))

    def _dismiss(self, desk: Desk, wanted: _Wanted) -> list[Outcome]:
        return list(failures.dismiss(self._store, wanted.slides, desk.who))

    async def _session(self, request: Request) -> Response:
        who = self._desk(request).who
        return _json({"who": who, "token": self._token, "cdr": self._entrance.cdr is not None})

    async def _slides(self, request: Request) -> Response:
        def listed() -> bytes:
            desk = self._desk(request)
            return _to_json(
                {
                    "slides": desk.slides(),
                    "awaiting": desk.awaited(),
                    "failed": [
                        {name: fact for name, fact in vars(one).items() if name in _FAILED}
                        for one in failures.listed(self._store)
                    ],
                }
            )

        data = await run_in_threadpool(listed)
        headers = {**_HEADERS, "Content-Type": "application/json"}
        headers["Cache-Control"] = "private, no-cache"
        return responses.answer(request, responses.of_bytes(data), headers)

    async def _slide(self, request: Request) -> Response:
        document = await run_in_threadpool(self._desk(request).record, request.path_params["id"])
        history = [
            {
                **{name: value for name, value in vars(event).items() if name in _SHOWN},
                **{name: value for name, value in event.facts.items() if name in _SHOWN_FACTS},
            }
            for event in document.history
        ]
        return _json(
            {
                "id": document.id,
                "review": document.review(),
                "images": document.images,
                "history": history,
            }
        )

    async def _picture(self, request: Request) -> Response:
        slide_id, name = (request.path_params[key] for key in ("id", "name"))
        if name not in rescans.PICTURES:
            return responses.nothing()
        key = keys.private_image_key(keys.check_id(slide_id), name)
        try:
            data = await run_in_threadpool(self._store.get, key)
        except NoSuchObject:
            return responses.nothing()
        return Response(data, headers={**_HEADERS, **keys.http_headers(key)})

    def _desk(self, request: Request) -> Desk:
        who = self._entrance.name(request) or self._entrance.who
        return Desk(self._store, who, self._entrance.s3, self._entrance.time_zone)


def _set(desk: Desk, wanted: _Wanted) -> list[Outcome]:
    return desk.set(wanted.slides, wanted.changes, wanted.note, confirmed=wanted.confirmed)


def _delete(desk: Desk, wanted: _Wanted) -> list[Outcome]:
    return desk.delete(wanted.slides, source=wanted.source)


def _to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _json(content: dict[str, Any]) -> Response:
    return Response(_to_json(content), headers={**_HEADERS, "Content-Type": "application/json"})


def _sentence(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return responses.sentence(status, sentence, {**_HEADERS, **(headers or {})})
