"""A time by which sockets are hung up on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.clock import until
from vsv_pyramid.runtime.deadline import Deadline


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(60)
        yield ours, theirs


def test_it_hangs_up(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with Deadline(0.01, [ours]):
        assert theirs.recv(1) == b""


def test_it_hangs_up_on_what_comes_too_late(pair: tuple[socket.socket, socket.socket]) -> None:
    """As where a name takes all the time to be found."""
    ours, theirs = pair
    with Deadline(0) as deadline:
        until(lambda: deadline.passed)
        deadline.watch(ours)
        assert theirs.recv(1) == b""


def test_it_ends(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with Deadline(60) as deadline:
        deadline.watch(ours)
    assert not deadline.passed
    ours.send(b"a")
    assert theirs.recv(1) == b"a"
