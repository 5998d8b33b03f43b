"""Large objects: read no further than is asked for, chunk by chunk, never two of them in one."""

from __future__ import annotations

import http.client
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.site import Site, serving
from vsv_pyramid.errors import StoreUnavailable
from vsv_pyramid.store.base import Part
from vsv_pyramid.web import responses

DATA = random.Random(0).randbytes(1000)
CHUNK = 100


@dataclass
class Stored:
    """An object, and the reads of it; `tags` are those it has one after the other."""

    tags: Sequence[str] = ("a",)
    broken_from: int = 1 << 30
    reads: list[tuple[int, int]] = field(default_factory=list)

    def read(self, start: int, end: int) -> Part:
        if start >= self.broken_from:
            raise StoreUnavailable("images/a", "is away")
        tag = self.tags[min(len(self.reads), len(self.tags) - 1)]
        self.reads.append((start, end))
        return Part(DATA[start:end], len(DATA), tag)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "_CHUNK", CHUNK)


@pytest.fixture
def stored(request: pytest.FixtureRequest) -> Stored:
    return Stored(**getattr(request, "param", {}))


@pytest.fixture
def site(stored: Stored) -> Iterator[Site]:
    def answer(request: Request) -> Response:
        return responses.answer(request, stored.read, {"Content-Type": "application/zip"})

    with serving(Starlette(routes=[Route("/a", answer)])) as site:
        yield site


def test_it_is_read_chunk_by_chunk(site: Site, stored: Stored) -> None:
    answer = site.ask("/a")
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Content-Length"] == "1000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert stored.reads == [(at, at + CHUNK) for at in range(0, 1000, CHUNK)]


@pytest.mark.parametrize("span", [(0, 0), (0, 99), (40, 160), (950, 999), (123, 890)])
def test_a_range_is_read_and_nothing_else(
    span: tuple[int, int], site: Site, stored: Stored
) -> None:
    first, last = span
    answer = site.ask("/a", Range=f"bytes={first}-{last}")
    assert (answer.status, answer.body) == (206, DATA[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1000"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert sum(end - start for start, end in stored.reads) == last + 1 - first


def test_a_head_reads_next_to_nothing(site: Site, stored: Stored) -> None:
    answer = site.ask("/a", "HEAD")
    assert (answer.status, answer.headers["Content-Length"]) == (200, "1000")
    assert stored.reads == [(0, 1)]


@pytest.mark.parametrize(
    "stored", [{"tags": ["a", "a", "a", "b"]}, {"broken_from": 300}], indirect=True
)
def test_what_ends_in_between_is_no_whole_answer(site: Site) -> None:
    with pytest.raises(http.client.IncompleteRead) as ended:
        site.ask("/a")
    assert ended.value.partial == DATA[:300]


@pytest.mark.parametrize("stored", [{"tags": ["a", "b"]}], indirect=True)
def test_what_is_replaced_before_it_is_read_is_the_new_one(site: Site, stored: Stored) -> None:
    answer = site.ask("/a", Range="bytes=-50")
    assert (answer.status, answer.body) == (206, DATA[-50:])
    assert answer.headers["ETag"] == '"b"'
    answer = site.ask("/a", Range="bytes=0-9", If_Range='"a"')
    assert (answer.status, answer.headers["ETag"]) == (200, '"b"')
