"""The pace of puts: it grows, gives way where the server says so, and comes back."""

from __future__ import annotations

import itertools

import pytest

from tests.support.clock import FakeClock
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid.store import open_store
from vsv_pyramid.store.pace import Pace
from vsv_pyramid.store.s3 import S3Store


def rate(pace: Pace, clock: FakeClock, seconds: float = 1.0) -> float:
    """At which puts go now, if there are always more."""
    start = clock.passed
    for number in itertools.count():
        pace.wait()
        if clock.passed - start >= seconds:
            return number / seconds
    raise AssertionError


def test_it_grows_up_to_the_maximum(clock: FakeClock) -> None:
    pace = Pace(1000)
    assert 490 <= rate(pace, clock) <= 560
    rate(pace, clock, 14)
    assert 990 <= rate(pace, clock) <= 1001


def test_a_maximum_below_the_beginning(clock: FakeClock) -> None:
    assert rate(Pace(7), clock) <= 8


def test_a_refusal_halves_it_and_it_comes_back(clock: FakeClock) -> None:
    pace = Pace(1000)
    rate(pace, clock, 4)
    before = rate(pace, clock)
    for _ in range(20):  # what was under way together is refused together
        pace.refused()
    assert rate(pace, clock, 0.1) == pytest.approx(before / 2, rel=0.1)
    rate(pace, clock, 1)
    near = rate(pace, clock)
    assert 0.88 * before < near < 0.95 * before
    rate(pace, clock, 10)
    assert near < rate(pace, clock) < 1.2 * before


def test_what_is_halved_is_what_went(clock: FakeClock) -> None:
    """Not what might have gone: most jobs make fewer tiles than that."""
    pace = Pace(3000)
    for _ in range(200):
        pace.wait()
        clock.sleep(1 / 50)
    pace.refused()
    assert rate(pace, clock, 0.2) == pytest.approx(25, rel=0.3)


def test_it_never_stands_still(clock: FakeClock) -> None:
    pace = Pace(1000)
    for _ in range(50):
        rate(pace, clock, 1.1)
        pace.refused()
    start = clock.passed
    pace.wait()
    pace.wait()
    assert clock.passed - start <= 2


@pytest.mark.parametrize(
    ("status", "code", "gives_way"), [(500, "InternalError", False), (503, "SlowDown", True)]
)
def test_a_server_that_says_slow_down(
    place: Place, proxy: Proxy, clock: FakeClock, status: int, code: str, gives_way: bool
) -> None:
    """The pace has to do with no other trouble."""
    refused = itertools.count()

    def fault(handler: Handler, request: Request) -> bool:
        if request.method != "PUT" or next(refused) >= 3:
            return False
        handler.refuse(status, code)
        return True

    store = open_store(str(place))
    assert isinstance(store, S3Store)
    proxy.fault = fault
    before = store._pace._rate
    store.put("images/a/DeepZoom.dzi", b"a descriptor")
    assert next(refused) == 4  # three, and the one that went well
    assert (store._pace._rate < before) is gives_way
