"""Threads that nothing outlives."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

WAITERS = 16  # threads that look at objects of a store, which they mostly wait for


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
