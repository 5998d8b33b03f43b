"""A clock that a test sets, in the place of the program's own."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from unittest import mock

import botocore.endpoint
import pytest

from vsv_pyramid.runtime import clock

_PATIENCE = 60.0  # s of the real clock, for what must happen at some time
_TICK = 2.0**-20  # s; sums and differences of whole ticks are exact


def until(condition: Callable[[], object]) -> None:
    """Returns when what other threads or processes are at has come so far."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


class _Waiter(NamedTuple):
    event: threading.Event
    due: float


class FakeClock:
    """Goes on when it is told to, and when somebody sleeps by it.

    `sleep` comes back at once, that much later; each is in `slept`, and the test's `meanwhile` is
    called in it. `wait` holds its thread until the event comes, or the clock has come so far.
    `passed` are the seconds since it was made.
    """

    def __init__(self) -> None:
        # What was made before goes on by it. It begins with a second, as what is told in seconds.
        self._time, self._monotonic = math.floor(time.time()), _whole(time.monotonic())
        self.passed = 0.0
        self._lock = threading.Lock()
        self._another_waits = threading.Condition(self._lock)
        self._waiters: dict[threading.Thread, _Waiter] = {}
        self._waits: Counter[threading.Thread] = Counter()
        self.slept: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self._monotonic + self.passed

    def time(self) -> float:
        return self._time + self.passed

    def sleep(self, seconds: float, stopped: threading.Event | None = None) -> bool:
        end = self.passed + _whole(seconds)
        self.slept.append(seconds)
        self.meanwhile()
        if stopped and stopped.is_set():
            return True
        self._set(end)
        return False

    def wait(self, event: threading.Event, seconds: float) -> bool:
        thread = threading.current_thread()
        changed: threading.Condition = event._cond  # type: ignore[attr-defined]
        with changed:
            with self._lock:
                due = self.passed + _whole(seconds)
                self._waiters[thread] = _Waiter(event, due)
                self._waits[thread] += 1
                self._another_waits.notify_all()
            changed.wait_for(lambda: event.is_set() or self.passed >= due)
            with self._lock:
                del self._waiters[thread]
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Lets the time pass; whoever waited for a moment of it has done what he does then, and
        waits again, or has ended."""
        end = self.passed + _whole(seconds)
        while self.passed < end:
            with self._lock:
                due = min([end, *(waiter.due for waiter in self._waiters.values())])
                woken = {
                    thread: self._waits[thread]
                    for thread, waiter in self._waiters.items()
                    if waiter.due <= due
                }
            self._set(due)
            until(lambda: self._have_been(woken))  # noqa: B023

    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiters)

    def _have_been(self, woken: Mapping[threading.Thread, int]) -> bool:
        """Whether all that had waited so often wait again, or have ended; soon, where not yet."""

        def have_been() -> bool:
            return all(
                self._waits[thread] > waits or not thread.is_alive()
                for thread, waits in woken.items()
            )

        with self._lock:
            return self._another_waits.wait_for(have_been, 0.01)

    def _set(self, now: float) -> None:
        with self._lock:
            self.passed = max(self.passed, now)
            events = [waiter.event for waiter in self._waiters.values()]
        for event in events:
            with event._cond:  # type: ignore[attr-defined]
                event._cond.notify_all()  # type: ignore[attr-defined]


def _whole(seconds: float) -> float:
    """In ticks, rounded up: no pause is shorter than it should be."""
    return math.ceil(seconds / _TICK) * _TICK


@contextlib.contextmanager
def fake() -> Iterator[FakeClock]:
    """The program's clock, and boto3's own pauses, for as long as the block goes on."""
    made = FakeClock()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("monotonic", "time", "sleep", "wait"):
            patch.setattr(clock, name, getattr(made, name))
        patch.setattr(botocore.endpoint, "time", mock.Mock(sleep=made.sleep))
        yield made
