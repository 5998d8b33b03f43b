"""Faults that are drawn by chance, and what they come upon: what is done, and what is done then."""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from tests.support.clock import FakeClock
from tests.support.s3_proxy import Handler, Request
from vsv_pyramid.store import directory, disk

SLIDES = [f"slide{number:02}" for number in range(20)]
FOR_GOOD = 10**9
STORES = ("folder", "s3")
ERRNOS = [
    getattr(errno, name)
    for name in ("EACCES", "EBUSY", "EDQUOT", "EIO", "ENOSPC", "EROFS", "ESTALE")
]
REFUSALS = [
    (400, "ExpiredToken"),
    (400, "RequestTimeout"),
    (403, "AccessDenied"),
    (403, "QuotaExceeded"),
    (403, "RequestTimeTooSkewed"),
    (404, "NoSuchBucket"),
    (405, "MethodNotAllowed"),
    (418, "NobodyKnows"),
    (500, "InternalError"),
    (501, "NotImplemented"),
    (503, "SlowDown"),
    (507, "InsufficientStorage"),
]


class Operation(NamedTuple):
    """What is done to a slide, which was published before or not; which of its scans lies in the
    folder, and which one is published in the end, if any."""

    words: str
    published: bool
    scan: str
    after: str


OPERATIONS = {
    "convert": Operation("convert {inbox} --to {to}", False, "first", "first"),
    "overwrite": Operation("convert {inbox} --to {to} --overwrite", True, "second", "second"),
    "watch": Operation("watch {inbox} --to {to} --once", False, "first", "first"),
    "rescan": Operation("watch {inbox} --to {to} --once", True, "second", "second"),
    "delete": Operation("delete {id} --in {to} --yes", True, "first", ""),
    "set": Operation("slides set {id} --in {to} --status good", True, "first", "first"),
    "slides delete": Operation("slides delete {id} --in {to} --yes", True, "first", ""),
    "viewer": Operation("viewer --to {to}", True, "first", "first"),
}
SECONDS = (20, 100, 300)  # the last one is longer than a lease
MAKING = ("--tile-size", "256", "--workers", "1", "--upload-workers", "4")
IN_THIS_PROCESS = {
    "folder": ("refused", "refused", "full", "slow", "SIGTERM", "SIGINT"),
    "s3": ("refused", "refused", "cut", "hung up", "unanswered", "slow", "SIGTERM", "SIGINT"),
}
IN_ANOTHER = ("SIGKILL", "SIGTERM SIGTERM", "SIGINT SIGTERM")


@dataclass
class Fault:
    """What comes at which of the operation's events: of files, or of requests."""

    number: int
    store: str
    operation: str
    kind: str
    chance: random.Random
    slides: list[str]  # that are there; the first is the one
    lasts: int
    at: int = 0
    came: int = 0
    leases: bool = False  # whether it came to a lease's request
    touched_others: bool = False  # whether a request was to change what is somebody's own

    def comes(self, event: int) -> bool:
        is_now = self.at <= event < self.at + self.lasts
        self.came += is_now
        return is_now

    def __str__(self) -> str:
        lasts = {1: "", FOR_GOOD: ", and all after it"}.get(self.lasts, f", {self.lasts} of them")
        return f"{self.operation} in {self.store}: {self.kind} at event {self.at}{lasts}"


def drawn(seed: int, number: int) -> Fault:
    chance = random.Random(f"{seed}:{number}")
    store = STORES[number % len(STORES)]
    operation = list(OPERATIONS)[number // len(STORES) % len(OPERATIONS)]
    kind = chance.choice(IN_ANOTHER if chance.random() < 0.12 else IN_THIS_PROCESS[store])
    lasts = FOR_GOOD if kind == "full" else chance.choice((1, 1, 3, FOR_GOOD))
    if kind.startswith("SIG"):
        lasts = 1
    return Fault(number, store, operation, kind, chance, chance.sample(SLIDES, 2), lasts)


@contextmanager
def to_files(fault: Fault, clock: FakeClock) -> Iterator[Callable[[int, bool], None]]:
    """The fault, as it comes to what is done to files, in this process."""
    number = fault.chance.choice(ERRNOS)
    seconds = fault.chance.choice(SECONDS)
    disk = _Disk()

    def refused(_: bool) -> None:
        raise OSError(number, os.strerror(number))

    def signalled(_: bool) -> None:
        os.kill(os.getpid(), signal.Signals[fault.kind])

    effects: dict[str, Callable[[bool], object]] = {
        "refused": refused,
        "full": disk.fill,
        "slow": lambda _: clock.sleep(seconds),
        "SIGTERM": signalled,
        "SIGINT": signalled,
    }

    def come(event: int, makes: bool) -> None:
        if fault.comes(event):
            effects[fault.kind](makes)

    with mock.patch.object(directory, "write", disk.write):
        yield come


class _Disk:
    """Has no room after half of what is written next."""

    def __init__(self) -> None:
        self._is_full = False
        self._write = disk.write

    def fill(self, makes: bool) -> None:
        if makes and self._is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_full |= makes

    def write(self, path: str | Path, data: bytes, mode: int = 0o666) -> None:
        was_full = self._is_full
        self._write(path, data, mode)
        if self._is_full and not was_full:
            os.truncate(path, len(data) // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def to_requests(
    fault: Fault, effects: dict[str, Callable[[Handler, Request], bool]]
) -> Callable[[Handler, Request], bool]:
    """The fault, as it comes to requests: an effect tells whether it has answered."""
    lock = threading.Lock()
    count = 0

    def come(handler: Handler, request: Request) -> bool:
        nonlocal count
        with lock:
            count += 1
            comes = fault.comes(count)
        fault.leases |= comes and ".leases/" in request.path
        if request.method not in ("GET", "HEAD"):
            fault.touched_others |= b"annotations.json" in request.path.encode() + request.body
        return comes and effects[fault.kind](handler, request)

    return come


def on_the_way(fault: Fault, clock: FakeClock) -> dict[str, Callable[[Handler, Request], bool]]:
    """What can happen to a request of this process."""
    status, code = fault.chance.choice(REFUSALS)
    seconds = fault.chance.choice(SECONDS)

    def refused(handler: Handler, _: Request) -> bool:
        handler.refuse(status, code)
        return True

    def cut(handler: Handler, request: Request) -> bool:
        answer = handler.forwarded(request)
        handler.answer(*answer, cut=len(answer[2]) // 2)
        return True

    def hung_up(handler: Handler, _: Request) -> bool:
        handler.hang_up()
        return True

    def unanswered(handler: Handler, request: Request) -> bool:
        handler.forwarded(request)
        return hung_up(handler, request)

    def slow(_: Handler, __: Request) -> bool:
        clock.sleep(seconds)
        return False

    def signalled(_: Handler, __: Request) -> bool:
        os.kill(os.getpid(), signal.Signals[fault.kind])
        return False

    return {
        "refused": refused,
        "cut": cut,
        "hung up": hung_up,
        "unanswered": unanswered,
        "slow": slow,
        "SIGTERM": signalled,
        "SIGINT": signalled,
    }
