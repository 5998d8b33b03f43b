"""The technician's desk in a browser: its page, its pictures, and calls of the desk's functions.

The door knows who asks (door.py). Here it is decided whether it is the desk's own page that asks,
by its origin and a token that only this page can know, and whether the person has the role for it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import (
    NoSuchObject,
    OptionError,
    StoreError,
    VsvPyramidError,
)
from vsv_pyramid.layout import documents, keys
from vsv_pyramid.review import failures, rescans
from vsv_pyramid.review.desk import Desk, Slides
from vsv_pyramid.review.history import Changes
from vsv_pyramid.review.outcome import Outcome
from vsv_pyramid.store import S3Options
from vsv_pyramid.web import door, responses
from vsv_pyramid.web.people import EDIT, SEND, People
from vsv_pyramid.web.responses import Endpoint
from vsv_pyramid.words import split_url

_log = logging.getLogger(__name__)

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
    """Who may work at the desk. Records are sent to the CDR at `cdr`; all else is the Desk's."""

    people: People
    cdr: str | None = None
    s3: S3Options | None = None
    time_zone: str | None = None
    stopped: threading.Event | None = None


class _Looked(TypedDict):
    """A slide, and the revision that was looked at."""

    id: str
    revision: int


class _Optional(TypedDict, total=False):
    changes: dict[str, str | None]
    note: str
    source: bool
    confirmed: bool


class _Said(_Optional):
    """A call's body."""

    slides: list[_Looked]


class _Wanted(NamedTuple):
    """What a call is about."""

    slides: Slides
    changes: Changes
    note: str
    source: bool
    confirmed: bool

    @classmethod
    def of(cls, body: bytes) -> _Wanted:
        """Raises ValueError where it is anything else."""
        said = documents.read(body, _Said)
        return cls(
            {slide["id"]: slide["revision"] for slide in said["slides"]},
            said.get("changes", {}),
            said.get("note", ""),
            said.get("source", False),
            said.get("confirmed", True),
        )


_Call = Callable[[Desk, _Wanted], list[Outcome]]


class Site:
    """The desk's part of a site: all below /desk/. `page` serves a file of the page."""

    def __init__(self, store: Destination, entrance: Entrance, page: Endpoint) -> None:
        self._store = store
        self._entrance = entrance
        self._page = page
        self._token = secrets.token_urlsafe(32)
        self._calls = {
            "set": (EDIT, _set),
            "delete": (EDIT, _delete),
            "send": (SEND, self._send),
            "retry": (EDIT, self._retry),
            "dismiss": (EDIT, self._dismiss),
        }
        # Whoever waits for their turn holds no thread, of which there are few for all.
        self._writing = asyncio.Lock()  # a store takes one lease at a time
        self._sending = asyncio.Lock()  # without one, and as long as a CDR takes

    def routes(self) -> list[Route]:
        reads = {
            "/desk/api/session": self._session,
            "/desk/api/slides": self._slides,
            "/desk/api/slides/{id}": self._slide,
            "/desk/images/{id}/{name}.jpeg": self._picture,
        }
        return [
            *(
                Route(f"/desk/api/{name}", self._guarded(self._called(*call)), methods=["POST"])
                for name, call in self._calls.items()
            ),
            *(Route(path, self._guarded(read), methods=["GET"]) for path, read in reads.items()),
            Route("/desk/{path:path}", _told(self._page), methods=responses.METHODS),
        ]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for the desk's own page, and for no other in the same browser."""

        async def guarded(request: Request) -> Response:
            site = request.headers.get("Sec-Fetch-Site", "same-origin")
            if site not in ("same-origin", "none"):
                return _sentence(403, "The desk answers its own page only.")
            if request.method == "POST":
                asking = split_url(request.headers.get("Origin", "")).netloc
                token = request.headers.get("X-CSRF-Token", "")
                if not asking or asking != request.headers.get("Host"):
                    return _sentence(403, "The desk answers its own page only.")
                if not hmac.compare_digest(token.encode(), self._token.encode()):
                    return _sentence(403, "The desk was started anew; reload the page.")
            return await endpoint(request)

        return _told(guarded)

    def _called(self, role: str, call: _Call) -> Endpoint:
        async def called(request: Request) -> Response:
            person = door.who(request)
            if not person.may(role):
                what = f"The role of {person.name} is {person.role}; this takes the role {role}."
                return _sentence(403, what)
            size = request.headers.get("Content-Length", "")
            if not re.fullmatch("[0-9]{1,20}", size) or int(size) > _MOST_BYTES:
                return _sentence(413, f"A call takes {_MOST_BYTES} bytes at most.")
            try:
                wanted = _Wanted.of(await request.body())
            except (ValueError, ClientDisconnect):
                return _sentence(400, "The desk does not understand this request; reload the page.")
            async with self._sending if role == SEND else self._writing:
                outcomes = await run_in_threadpool(call, self._desk(request), wanted)
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
        person = door.who(request)
        return _json(
            {
                "who": person.name,
                "role": person.role,
                "may": [name for name, (role, _) in self._calls.items() if person.may(role)],
                "token": self._token,
                "cdr": self._entrance.cdr is not None,
            }
        )

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
            if await run_in_threadpool(self._store.is_led_away, key):
                return responses.nothing()
            data = await run_in_threadpool(self._store.get, key)
        except NoSuchObject:
            return responses.nothing()
        return Response(data, headers={**_HEADERS, **keys.http_headers(key)})

    def _desk(self, request: Request) -> Desk:
        name, about = door.who(request).name, self._entrance
        return Desk(self._store, name, about.s3, about.time_zone, about.stopped)


def _told(endpoint: Endpoint) -> Endpoint:
    """The endpoint; what it raises, in a sentence."""

    async def told(request: Request) -> Response:
        try:
            return await endpoint(request)
        except VsvPyramidError as exc:
            if isinstance(exc, StoreError):
                _log.warning("%s", exc)
            return _sentence(exc.http_status, str(exc))

    return told


def _set(desk: Desk, wanted: _Wanted) -> list[Outcome]:
    return desk.set(wanted.slides, wanted.changes, wanted.note, confirmed=wanted.confirmed)


def _delete(desk: Desk, wanted: _Wanted) -> list[Outcome]:
    return desk.delete(wanted.slides, source=wanted.source)


def _to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _json(content: dict[str, Any]) -> Response:
    return Response(_to_json(content), headers={**_HEADERS, "Content-Type": "application/json"})


def _sentence(status: int, sentence: str) -> Response:
    return responses.sentence(status, sentence, _HEADERS)
