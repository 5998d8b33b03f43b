"""The program's clock, and the one that a test sets in its place."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import FakeClock, fake, until
from vsv_pyramid.runtime import clock as own


def test_a_pause_ends_where_it_is_stopped() -> None:
    stopped = threading.Event()
    assert own.sleep(0) is own.sleep(0, stopped) is own.wait(stopped, 0) is False
    stopped.set()
    assert own.sleep(3600, stopped) is own.wait(stopped, 3600) is True


def test_the_time_goes_on() -> None:
    before = own.monotonic(), own.time(), own.utc()
    assert before <= (own.monotonic(), own.time(), own.utc())
    assert before[2].tzinfo is timezone.utc


def test_who_waits_is_woken_at_each_moment(clock: FakeClock) -> None:
    ended = threading.Event()
    moments: list[float] = []

    def work() -> None:
        while not own.wait(ended, 15):
            moments.append(clock.passed)

    thread = threading.Thread(target=work)
    thread.start()
    until(clock.waiting)
    clock.advance(14)
    assert moments == []
    clock.advance(60)
    assert moments == [15, 30, 45, 60]
    ended.set()
    thread.join()
    assert moments == [15, 30, 45, 60]
    assert clock.waiting() == 0


def test_who_sleeps_does_not_wait(clock: FakeClock) -> None:
    before, stopped = own.utc(), threading.Event()
    assert own.sleep(3600) is own.sleep(1800, stopped) is False
    assert (own.utc() - before).total_seconds() == clock.passed == 5400
    clock.meanwhile = stopped.set
    assert own.sleep(60, stopped) is True
    assert (clock.passed, clock.slept) == (5400, [3600, 1800, 60])


@given(st.lists(st.floats(0, 1000), max_size=20))
def test_no_pause_is_shorter_than_it_should_be(pauses: list[float]) -> None:
    with fake():
        for pause in pauses:
            before = own.monotonic()
            own.sleep(pause)
            assert own.monotonic() - before >= pause


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-11-23 00:00", "2026-11-24 00:00", 24),  # a Monday
        ("2026-11-27 12:00", "2026-11-30 12:00", 24),  # from Friday to Monday
        ("2026-11-28 06:00", "2026-11-29 18:00", 0),  # over a weekend
        ("2026-11-02 00:00", "2026-11-30 00:00", 4 * 120),
        ("2026-11-26 09:30", "2026-11-26 09:30", 0),
    ],
)
def test_hours_of_working_days(since: str, until: str, hours: float) -> None:
    moments = [
        datetime.fromisoformat(each).replace(tzinfo=timezone.utc).timestamp()
        for each in (since, until)
    ]
    assert own.working_hours(*moments) == hours
