"""Puts under way: as many at a time as a store can use."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from vsv_pyramid.errors import STOPPED, StoreError
from vsv_pyramid.store.base import Store

_PLACES_PER_THREAD = 2


class Uploads:
    """Puts in as many threads as the store can use, and so many waiting that memory is bounded: who
    brings one more waits himself. Without threads the caller's own is used.

    Two queues, of jobs and of room for them, take a fraction of a thread pool's CPU time.
    """

    def __init__(self, store: Store, stop: threading.Event) -> None:
        self._store = store
        self._stop = stop
        self._error: BaseException | None = None
        self._jobs: SimpleQueue[tuple[str, bytes] | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        self._places = _PLACES_PER_THREAD * store.parallel_puts
        for _ in range(self._places):
            self._room.put(None)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts as many of the threads as the system allows: there is a limit to them, too."""
        try:
            for number in range(self._store.parallel_puts):
                thread = threading.Thread(target=self._work, name=f"put-{number}")
                self._threads.append(thread)  # before its start, in which a signal may come
                thread.start()
        except RuntimeError:
            self._threads.pop()
        except BaseException:
            self.close()
            raise

    def put(self, key: str, data: bytes) -> None:
        if self._threads:
            self._room.get()
            self._jobs.put((key, data))
            self._check()
        else:
            self._store.put(key, data)

    def drain(self) -> None:
        """Waits for all that was put."""
        for _ in range(self._places):
            self._room.get()
        for _ in range(self._places):
            self._room.put(None)
        self._check()

    def close(self) -> None:
        """Waits for what is under way."""
        self._jobs.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _work(self) -> None:
        while job := self._jobs.get():
            try:
                if not self._error:
                    self.check_stop()
                    self._store.put(*job)
            except BaseException as exc:  # raised again by _check, in the threads that make tiles
                self._error = self._error or exc
            finally:
                del job  # or its bytes would stay until the next one comes
                self._room.put(None)
        self._jobs.put(None)  # for the next thread

    def check_stop(self) -> None:
        """Raises StoreError once nothing more is to be put."""
        if self._stop.is_set():
            raise StoreError(self._store, STOPPED)

    def _check(self) -> None:
        if self._error:
            raise self._error
