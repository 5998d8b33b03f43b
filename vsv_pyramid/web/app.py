"""The site: the published layout, the viewer and the desk, with the CDN's paths and headers."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vsv_pyramid import catalog, catalog_json, pages
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import NoSuchObject, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.runtime import clock
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import Part
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.store.enclosed import EnclosedStore
from vsv_pyramid.web import desk_api, responses
from vsv_pyramid.web.door import Door, Hosts
from vsv_pyramid.web.responses import Endpoint

if TYPE_CHECKING:
    from vsv_pyramid.web.desk_api import Entrance
    from vsv_pyramid.web.signing import Verifier

_log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# What a page of another origin may ask with, and may read of the answers.
_ASKED = ("If-Match", "If-None-Match", "If-Range", "Range")
_TOLD = ("Accept-Ranges", "Content-Length", "Content-Range", "ETag")

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PAGE = re.compile(rf"/(viewer|desk)/((?:{_NAME}/)*{_NAME})")
_LEGACY = (  # addresses of the system that made tiles on demand, and what they are here
    (re.compile(r"/images/([^/]+)\.dzi"), r"images/\1/DeepZoom.dzi"),
    (re.compile(r"/images/([^/]+)_files/([^/]+/[^/]+)"), r"images/\1/DeepZoom_files/\2"),
)


def create_app(
    store: Store | Destination,
    *,
    viewer: Path = pages.VIEWER,
    verifiers: Sequence[Verifier] = (),
    entrance: Entrance | None = None,
    hosts: Collection[str] = (),
    origins: Sequence[str] = (),
) -> Starlette:
    """The site: what the store has under images/, and the viewer's page under viewer/; with an
    entrance, the technician's desk under desk/, and nothing at all for others than its people.

    With verifiers, nothing under images/ is served without a signature that one accepts. `hosts`
    are the names it answers to, if not to all. `origins` are those whose pages may read slides, and
    have the viewer in a frame.
    """
    destination = store if isinstance(store, Destination) else Destination(store)
    site = _Site(destination.published, viewer, verifiers, " ".join(["'self'", *origins]))
    routes = {
        "/": _moved("desk/" if entrance else "viewer/gallery/"),
        "/viewer": _moved("viewer/"),
        "/viewer/gallery": _moved("gallery/"),
        "/viewer/{path:path}": site.page,
        "/images/{path:path}": site.image,
    }
    if entrance:
        routes["/desk"] = _moved("desk/")
    desk = desk_api.Site(destination, entrance, site.page).routes() if entrance else []
    starlette = Starlette(
        routes=[
            *(Route(path, to, methods=responses.METHODS) for path, to in routes.items()),
            *desk,
        ],
        exception_handlers={HTTPException: _refused},
        middleware=[
            Middleware(Hosts, names=hosts),
            *([Middleware(Door, people=entrance.people)] if entrance else []),
            *([_sharing(origins)] if origins else []),
        ],
    )
    starlette.router.redirect_slashes = False
    return starlette


def _sharing(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=responses.METHODS,
        allow_headers=_ASKED,
        expose_headers=_TOLD,
    )


class _Site:
    def __init__(
        self, store: Store, viewer: Path, verifiers: Sequence[Verifier], ancestors: str
    ) -> None:
        # What is shared is a folder, and not what its links lead to.
        self._store = EnclosedStore(store.root) if isinstance(store, DirectoryStore) else store
        self._pages = {"viewer": EnclosedStore(viewer), "desk": EnclosedStore(pages.DESK)}
        self._verifiers = verifiers
        self._policy = CONTENT_SECURITY_POLICY.replace(
            "frame-ancestors 'self'", f"frame-ancestors {ancestors}"
        )

    async def image(self, request: Request) -> Response:
        path = _path(request)
        if self._verifiers:
            about = _url(request, path), request.cookies, clock.utc()
            if not any(verifier.allows(*about) for verifier in self._verifiers):
                return responses.sentence(
                    403, "This needs a signed link or cookie that still holds."
                )
        if request.method == "OPTIONS":
            return responses.options()
        legacy = next(
            (found.expand(key) for old, key in _LEGACY if (found := old.fullmatch(path))), None
        )
        key = legacy or path.removeprefix("/")
        if not keys.is_key(key):
            return responses.nothing()
        if legacy:
            return responses.redirect(request, 302, f"/{key}")
        return await _served(request, partial(_published, self._store, key), keys.http_headers(key))

    async def page(self, request: Request) -> Response:
        path = _path(request)
        if request.method == "OPTIONS":
            return responses.options()
        if path in ("/viewer/", "/viewer/gallery/", "/desk/"):
            path += "index.html"
        found = _PAGE.fullmatch(path)
        if not found or not keys.http_headers(path):
            return responses.nothing()
        files, key = self._pages[found[1]], found[2]
        headers = dict(keys.http_headers(key))
        if key.endswith(".html"):
            headers["Content-Security-Policy"] = self._policy
        return await _served(request, partial(files.read, key), headers)


def _published(store: Store, key: str, start: int, end: int) -> Part:
    """Of the object, or of the catalog as it would be where there is none. Raises StoreError."""
    try:
        return store.read(key, start, end)
    except NoSuchObject:
        if key != keys.catalog_key():
            raise
        return responses.of_bytes(catalog_json.write(catalog.listed(store)))(start, end)


def _path(request: Request) -> str:
    """The path as it was sent: no name here needs escapes, and what has some is the name of
    nothing."""
    path: bytes = request.scope["raw_path"]
    return path.decode("latin-1")


def _url(request: Request, path: str) -> str:
    host = request.headers.get("Host", "")
    return f"{request.scope['scheme']}://{host}{path}{responses.query(request)}"


async def _served(request: Request, read: responses.Read, headers: Mapping[str, str]) -> Response:
    told = {**headers, "Accept-Ranges": "bytes"}
    try:
        return await run_in_threadpool(responses.answer, request, read, told)
    except NoSuchObject:
        return responses.nothing()
    except StoreError as exc:
        _log.warning("%s", exc)
        return responses.sentence(
            502, "This cannot be read where it is stored; the server says why."
        )


def _moved(location: str) -> Endpoint:
    async def moved(request: Request) -> Response:
        if request.method == "OPTIONS":
            return responses.options()
        return responses.redirect(request, 307, location)

    return moved


async def _refused(_: Request, exc: Exception) -> Response:
    """The router's own refusals: a path or a method that there is not."""
    if isinstance(exc, HTTPException) and exc.status_code == 405:
        allowed = f"Only {', '.join(responses.METHODS)} are served."
        return responses.sentence(405, allowed, responses.ALLOW)
    return responses.nothing()
