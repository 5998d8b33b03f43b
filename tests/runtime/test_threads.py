"""Threads: none is at work any more once what began them has been left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vsv_pyramid.publication.uploads import Uploads
from vsv_pyramid.runtime.threads import Ending, Pool

PATIENCE = 30


class Nowhere:
    """A store that keeps nothing, by two threads."""

    parallel_puts = 2

    def put(self, key: str, data: bytes) -> None:
        pass


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A signal comes in the start of each thread of a pool, after it has begun."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith(("pool", "put")):
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    yield


@pytest.mark.usefixtures("interrupted")
def test_a_pool_waits_for_what_was_begun_although_its_start_was_interrupted() -> None:
    begun, ended = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        time.sleep(0.2)
        ended.set()

    with pytest.raises(KeyboardInterrupt), Pool(1, "pool") as pool:
        try:
            pool.submit(job)
        finally:
            begun.wait(PATIENCE)
    assert ended.is_set()


def test_what_has_not_begun_by_an_exception_never_will() -> None:
    begun, left = threading.Event(), threading.Event()
    done: list[int] = []

    def job() -> None:
        begun.set()
        left.wait(PATIENCE)

    with pytest.raises(ZeroDivisionError), Pool(1) as pool:
        pool.submit(job)
        waiting = pool.submit(done.append, 1)
        begun.wait(PATIENCE)
        threading.Timer(0.1, left.set).start()
        raise ZeroDivisionError
    assert waiting.cancelled()
    assert not done


def test_without_an_exception_all_is_done() -> None:
    done: list[int] = []
    with Pool(1) as pool:
        for number in range(9):
            pool.submit(done.append, number)
    assert done == list(range(9))


@pytest.mark.usefixtures("interrupted")
def test_uploads_end_although_their_start_was_interrupted() -> None:
    before = set(threading.enumerate())
    uploads = Uploads(Nowhere(), threading.Event())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        uploads.start()
    assert not set(threading.enumerate()) - before


def test_an_ending_is_its_own_and_the_outer_one() -> None:
    outer = threading.Event()
    one, other = Ending(outer), Ending(outer)
    one.set()
    assert one.is_set() and one.wait(0)
    assert not outer.is_set() and not other.wait(0)
    waiting = threading.Thread(target=other.wait)
    waiting.start()
    outer.set()
    waiting.join()
    assert other.is_set() and not Ending().wait(0.01)
