"""Who may ask a server, and who asks: before anything else is looked at.

At a desk there is one way in. Who has a secret, the key in the address that the command has printed
or a token of the token file, gets a cookie for it, and the cookie says from then on who asks.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import math
import re
import secrets
import unicodedata
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vsv_pyramid.errors import OptionError
from vsv_pyramid.web import responses
from vsv_pyramid.web.people import People, Person, Wait

_log = logging.getLogger(__name__)

KEY = "key"  # of the address that the command prints, in its query

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.IGNORECASE)
_PERSON = "vsv_pyramid.person"
_PAGE = '<!doctype html><title>Desk</title><link rel="icon" href="data:,">The desk opens.\n'


class Hosts:
    """The site for who asks for it by one of its names, of an IPv6 address with its brackets:
    another name may be made to lead here, for another page to read what is served. Without names,
    any will do, or none; but a name it must be, of which the address is made that is signed."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = [value for name, value in scope["headers"] if name == b"host"]
        app = self._app
        if not self._is_known(asked):
            what = "This server has no such name; open the address that the command has printed."
            app = responses.sentence(400, what)
        await app(scope, receive, send)

    def _is_known(self, asked: list[bytes]) -> bool:
        if not (self._names or asked):
            return True
        found = _HOST.fullmatch(asked[0].decode("latin-1")) if len(asked) == 1 else None
        return found is not None and (not self._names or found[1].lower() in self._names)


class Door:
    """The site for those who may enter, and for nobody else; `who` tells who has asked."""

    def __init__(self, app: ASGIApp, people: People) -> None:
        self._app = app
        self._people = people
        self._signing = secrets.token_bytes(32)
        self._turn = asyncio.Lock()  # who waits for a token to be checked holds no thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        person, cookie = None, ""
        try:
            person = await run_in_threadpool(self._known, request)
            given = self._given(request)
            if given and (person is None or given.name not in ("", person.name)):
                person = await self._entering(request, given)
                cookie = self._cookie(request, person) if person else ""
            app = self._app if person else self._refused()
            if person and KEY in request.query_params:
                app = _without_key(request)
        except Wait as exc:
            seconds = math.ceil(exc.seconds)
            what = f"There were too many wrong tries; wait {seconds} s, then try again."
            app = responses.sentence(429, what, {"Retry-After": str(seconds)})
        except OptionError as exc:
            _log.warning("%s", exc)
            what = "Who may enter cannot be read where that is kept; the server says why."
            app = responses.sentence(503, what)

        async def sent(message: Message) -> None:
            if cookie and message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        scope[_PERSON] = person
        await app(scope, receive, sent)

    def _given(self, request: Request) -> _Given | None:
        """What counts as a try. Where there is no key, another page may have a browser ask with
        one, but not with a name and a token."""
        key = request.query_params.get(KEY) if self._people.key else None
        return _of_basic(request) if key is None else _Given("", key)

    def _refused(self) -> Response:
        if self._people.key:
            return responses.sentence(403, self._people.asks)
        asks = {"WWW-Authenticate": 'Basic realm="slides", charset="UTF-8"'}
        return responses.sentence(401, self._people.asks, asks)

    async def _entering(self, request: Request, given: _Given) -> Person | None:
        address = request.client.host if request.client else ""
        async with self._turn:
            return await run_in_threadpool(self._people.entering, *given, address)

    def _known(self, request: Request) -> Person | None:
        """Who has this cookie, as long as their secret is the same."""
        value = request.cookies.get(_cookie_name(request), "")
        try:
            name = base64.urlsafe_b64decode(value.partition(".")[0]).decode()
        except ValueError:
            return None
        person = self._people.named(name)
        is_theirs = person and hmac.compare_digest(value.encode(), self._signed(person).encode())
        return person if is_theirs else None

    def _cookie(self, request: Request, person: Person) -> str:
        attributes = "Path=/; HttpOnly; SameSite=Strict"
        if request.headers.get("X-Forwarded-Proto", "").lower() == "https":
            attributes += "; Secure"  # of a server with TLS before this one
        return f"{_cookie_name(request)}={self._signed(person)}; {attributes}"

    def _signed(self, person: Person) -> str:
        name = base64.urlsafe_b64encode(person.name.encode()).decode()
        about = f"{name}.{person.secret}".encode()
        return f"{name}.{hmac.new(self._signing, about, 'sha256').hexdigest()}"


def who(request: Request) -> Person:
    """Who has asked, behind a door."""
    person: Person = request.scope[_PERSON]
    return person


class _Given(NamedTuple):
    """What somebody gives to enter: their name, where they have one to give, and their secret."""

    name: str
    secret: str


def _of_basic(request: Request) -> _Given | None:
    kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(credentials).decode().partition(":")
    except ValueError:
        return None
    if not colon:
        return None
    return _Given(unicodedata.normalize("NFC", name).strip(), secret)


def _without_key(request: Request) -> Response:
    """To the same address without the key. By a page of this server's own, since a browser sends no
    cookie of SameSite=Strict after a redirect, where a page of another one has led here."""
    path = "/" + request.scope["raw_path"].decode("latin-1").lstrip("/\\")
    query = urlencode([each for each in request.query_params.multi_items() if each[0] != KEY])
    return Response(
        _PAGE,
        headers={
            "Refresh": f"0; url={path}{'?' * bool(query)}{query}",
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; img-src data:",
            "Content-Type": "text/html; charset=utf-8",
            "Referrer-Policy": "no-referrer",
        },
    )


def _cookie_name(request: Request) -> str:
    """With the port: a browser sends a cookie to all servers of a machine."""
    return f"vsv-pyramid-desk-{request.scope['server'][1]}"
