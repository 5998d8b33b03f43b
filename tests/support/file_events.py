"""What a program does to the files below a folder, one event after the other, as Python's audit
tells of it before it is done; and what comes at one of them.

As a program it runs the command line, and sends itself signals at an event.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from vsv_pyramid.runtime import clock

_WITHIN_AN_OPEN_FOLDER = ("os.remove", "os.rmdir")  # as shutil.rmtree calls them
_has_hook = False


class FileEvents:
    """Those below the root are counted, and `fault` is called with the number of each, from 1, and
    whether it makes a file or a folder; what it raises, the program gets instead."""

    def __init__(self, root: Path, fault: Callable[[int, bool], None]) -> None:
        self._root = str(root)
        self._fault = fault
        self.count = 0

    def audit(self, event: str, words: tuple[Any, ...]) -> None:
        if event in _WITHIN_AN_OPEN_FOLDER and words[-1] != -1:
            is_meant = True
        else:
            is_meant = any(
                os.fsdecode(word).startswith(self._root)
                for word in words
                if isinstance(word, (str, bytes, os.PathLike))
            )
        if is_meant:
            self.count += 1
            makes = event == "os.mkdir" or (event == "open" and bool(words[2] & os.O_CREAT))
            self._fault(self.count, makes)


@contextlib.contextmanager
def below(root: Path, fault: Callable[[int, bool], None]) -> Iterator[FileEvents]:
    """The events while the block lasts: the hook itself stays for as long as the process.

    In which no thread may be traced (coverage): Python asks the hook when a thread begins to be,
    and where another one comes by amid that, that one fails.
    """
    global _has_hook
    assert threading.gettrace() is None, "threads are traced; run these tests without --cov"
    if not _has_hook:
        _has_hook = True
        sys.addaudithook(_Hook())
    events = FileEvents(root, fault)
    _Hook.asks(events.audit)
    try:
        yield events
    finally:
        _Hook.asks(_NOTHING)


_NOTHING: Callable[..., Any] = {}.get  # takes the two arguments, and is fast


class _Hook:
    __call__ = staticmethod(_NOTHING)

    @classmethod
    def asks(cls, audit: Callable[..., Any]) -> None:
        type.__setattr__(cls, "__call__", staticmethod(audit))


class _RunningClock:
    """Nobody waits by it, and a second signal comes later than any echo of the first."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 0.5
        return self._now

    def sleep(self, seconds: float, stopped: threading.Event | None = None) -> bool:
        self._now += seconds
        return stopped is not None and stopped.is_set()


def _main(root: str, at: int, numbers: list[int], words: list[str]) -> None:
    def fault(number: int, _: bool) -> None:
        if number == at:
            for sent in numbers:
                os.kill(os.getpid(), sent)

    from vsv_pyramid.cli.main import main

    running = _RunningClock()
    with (
        below(Path(root), fault),
        mock.patch.multiple(clock, monotonic=running.monotonic, sleep=running.sleep),
    ):
        main(words)


if __name__ == "__main__":
    _, root, at, names, *words = sys.argv
    _main(root, int(at), [signal.Signals[name] for name in names.split()], words)
