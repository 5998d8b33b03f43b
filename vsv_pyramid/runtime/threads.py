"""Threads that nothing outlives."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

WAITERS = 16  # threads that look at objects of a store, which they mostly wait for


_LOOK_SECONDS = 0.2


class Ending(threading.Event):
    """Is set by itself, or where the outer event is, which it never sets."""

    def __init__(self, outer: threading.Event | None = None) -> None:
        super().__init__()
        self._outer = outer

    def is_set(self) -> bool:
        return super().is_set() or (self._outer is not None and self._outer.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, end - time.monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True


class Pool(ThreadPoolExecutor):
    """Once it is left, nothing is under way in it; what has not begun by an exception never will.

    The library's own pool does not know of a thread in whose start a signal came, and does not wait
    for it.
    """

    def __init__(self, workers: int, name: str = "") -> None:
        self._begun: list[threading.Thread] = []
        super().__init__(
            workers, name, initializer=lambda: self._begun.append(threading.current_thread())
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown(cancel_futures=kind is not None)
        for thread in self._begun:
            thread.join()
