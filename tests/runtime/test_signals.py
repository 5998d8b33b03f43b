"""The first signal unwinds; a second one ends the process at once."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.support.clock import FakeClock
from vsv_pyramid.cli import main as cli
from vsv_pyramid.runtime import signals


class Ended(Exception):
    """In the place of the process's end."""


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair(clock: FakeClock) -> Iterator[Pair]:
    """Where the numbers of signals are read, and written."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    with reader, writer, mock.patch.object(signals, "_first", None):
        yield reader, writer


def insist(pair: Pair, number: int) -> None:
    """The signal comes, and the test's own thread does what the process's does."""
    reader, writer = pair
    writer.send(bytes([number]))
    with (
        mock.patch.object(os, "_exit", side_effect=ended),
        contextlib.suppress(BlockingIOError),
    ):
        signals._insist(reader)


def ended(code: int) -> None:
    raise Ended(code)


def test_what_comes_at_once_is_one_press(pair: Pair, clock: FakeClock) -> None:
    insist(pair, signal.SIGINT)
    for _ in range(5):
        clock.advance(0.05)
        insist(pair, signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_another_one_ends_it(
    pair: Pair,
    clock: FakeClock,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    insist(pair, signal.SIGINT)
    clock.advance(0.5)
    insist(pair, signal.SIGWINCH)
    with (tmp_path / "err").open("wb") as file:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(file))
        with pytest.raises(Ended, match=str(128 + number)):
            insist(pair, number)
    assert (tmp_path / "err").read_text().startswith("Stopped at once")


@pytest.fixture
def full() -> Iterator[io.TextIOWrapper]:
    """A pipe that takes no more, and that nobody reads until the end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with io.TextIOWrapper(os.fdopen(writer, "wb")) as stream:
        yield stream
        os.close(reader)  # lets go of the thread that was to tell


def test_a_stderr_that_takes_no_more_does_not_hold_it(
    pair: Pair, clock: FakeClock, full: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "_TELL_SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", full)
    insist(pair, signal.SIGTERM)
    clock.advance(0.5)
    with pytest.raises(Ended):
        insist(pair, signal.SIGTERM)


def test_it_is_heeded_as_long_as_something_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told last may go into a pipe that is full."""
    told: list[str] = []

    class Err(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            told.append(bytes(data).decode())
            return len(data)

    def stopped(*_: object, **__: object) -> None:
        raise signals.Stopped(signal.SIGTERM)

    monkeypatch.setattr(cli.commands, "main", stopped)
    monkeypatch.setattr(signals, "begin", lambda: None)
    monkeypatch.setattr(signals, "unwound", lambda: told.append("deaf"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Err())))
    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        cli.main(["convert"])
    assert told == ["Stopped: nothing half-made is published.\n", "deaf"]


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_without_a_stderr(
    pair: Pair,
    clock: FakeClock,
    stderr: io.StringIO | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    insist(pair, signal.SIGINT)
    clock.advance(0.5)
    with pytest.raises(Ended):
        insist(pair, signal.SIGINT)


def test_no_thread_that_is_left_makes_it_deaf() -> None:
    """After the first signal, where the interpreter's end could wait for a thread for ever."""
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait)
    thread.start()
    try:
        with mock.patch.object(signal, "signal") as listened:
            signals.unwound()
            assert not listened.called
    finally:
        may_end.set()
        thread.join()
