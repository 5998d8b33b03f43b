"""Random faults in all that is done: it ends, nothing of anybody's is lost, and the same command
once more goes well.

Each fault is drawn by the seed and its number alone: `--chaos SEED:NUMBER` repeats one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import Outcome, Run
from tests.support import file_events, s3_proxy
from tests.support.chaos import (
    IN_ANOTHER,
    OPERATIONS,
    Fault,
    drawn,
    on_the_way,
    to_files,
    to_requests,
)
from tests.support.chaos_world import Stock, World, stocked
from tests.support.clock import FakeClock, until
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid import catalog, catalog_json, pages, slide_json
from vsv_pyramid.aws import session
from vsv_pyramid.errors import EXIT_FAILED, EXIT_TRY_AGAIN
from vsv_pyramid.layout import keys
from vsv_pyramid.review import records
from vsv_pyramid.runtime.signals import EXIT_SIGNALLED
from vsv_pyramid.store import lease

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # s, for what must end
FAULTS, TESTS = 200, 20
ACCOUNT = session.Account
DELETED_ALREADY = "there is no pyramid|awaits its rescan"
STOPPED = [EXIT_SIGNALLED + number for number in (signal.SIGINT, signal.SIGTERM)]
ENDED = (0, EXIT_FAILED, EXIT_TRY_AGAIN, -9, *STOPPED)


@pytest.fixture(scope="module")
def stock(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return stocked(tmp_path_factory.mktemp("chaos"), real_slide)


@dataclass
class Chaos:
    """Has a fault come, and looks at what that leads to."""

    run: Run
    clock: FakeClock
    stock: Stock
    proxy: Proxy
    place: Place
    folder: Path
    events: dict[tuple[str, str], int]  # about how many each operation has, in each store

    def play(self, fault: Fault) -> None:
        key = fault.store, fault.operation
        if key not in self.events:
            self.events[key] = self._counted(fault)
        # Not the very last ones: threads do not always do as much.
        fault.at = fault.chance.randint(1, max(1, self.events[key] * 29 // 30))
        world = self._world(fault, "world")
        before = set(threading.enumerate())
        kept = self._in_another if fault.kind in IN_ANOTHER else self._in_this
        code, said = kept(world, fault)
        assert fault.came, "it never came"
        assert code in ENDED, (code, said)
        assert "Traceback" not in said
        assert said or code in (0, -signal.SIGKILL)
        until(lambda: not running(before))
        self._check_between(world, fault)
        self._again(world, fault)

    def _world(self, fault: Fault, name: str) -> World:
        local = self.folder / f"{fault.number}-{name}"
        place = None
        if fault.store == "s3":
            place = Place(self.place.server, f"{self.place.prefix}/{local.name}")
        to = str(place or local)
        world = World(to, self.stock, OPERATIONS[fault.operation], fault.slides, place)
        world.fill(local)
        return world

    @contextmanager
    def _by_the_proxy(self) -> Iterator[None]:
        with (
            mock.patch.dict(os.environ, AWS_ENDPOINT_URL=self.proxy.url),
            mock.patch.object(session, "Account", ACCOUNT),
        ):
            yield

    def _run(self, world: World) -> Outcome:
        with self._by_the_proxy():
            return self.run(*world.words)

    def _counted(self, fault: Fault) -> int:
        world = self._world(fault, "counted")
        self.proxy.requests.clear()
        with file_events.below(Path(world.to), lambda *_: None) as files:
            outcome = self._run(world)
        assert outcome.code == 0, outcome
        count = files.count or len(self.proxy.requests)
        world.look()
        check_end(world)
        return count

    def _in_this(self, world: World, fault: Fault) -> tuple[int, str]:
        with ExitStack() as stack:
            if fault.store == "s3":
                self.proxy.requests.clear()
                self.proxy.fault = to_requests(fault, on_the_way(fault, self.clock))
                stack.callback(setattr, self.proxy, "fault", lambda *_: False)
            else:
                come = stack.enter_context(to_files(fault, self.clock))
                stack.enter_context(file_events.below(Path(world.to), world.watching(come)))
            outcome = self._run(world)
        return outcome.code, outcome.err

    def _in_another(self, world: World, fault: Fault) -> tuple[int, str]:
        """In a process group of its own, of which none is left."""
        is_here = fault.store == "folder"
        sent = [world.to, fault.at, fault.kind]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.file_events", *map(str, sent), *world.words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "AWS_ENDPOINT_URL": self.proxy.url},
            start_new_session=True,
        )

        def ended(handler: Handler, request: Request) -> bool:
            """Signals again and again, as somebody would who waits."""
            if fault.chance.random() < 0.5:
                handler.forwarded(request)
            for name in cycle(fault.kind.split()):
                process.send_signal(signal.Signals[name])
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
                    break
            handler.hang_up()
            return True

        if not is_here:
            self.proxy.fault = to_requests(fault, {fault.kind: ended})
        said = process.communicate(timeout=PATIENCE)[1]
        self.proxy.fault = lambda *_: False
        fault.came += process.returncode != 0
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        return process.returncode, said

    def _check_between(self, world: World, fault: Fault) -> None:
        world.look()
        check_others(world, fault)
        is_gone = fault.kind in IN_ANOTHER or fault.lasts > 1
        allowed = {world.operation.after, "first" * world.operation.published}
        if is_gone or fault.store == "s3":
            allowed.add("")
        assert world.scan() in allowed
        if not (fault.kind in IN_ANOTHER or fault.leases or fault.kind in ("refused", "full")):
            assert world.left() == []

    def _again(self, world: World, fault: Fault) -> None:
        """Later, when what a dead process held is anybody's."""
        was_done = world.is_done
        self.clock.sleep(lease.SECONDS + 60)
        if fault.store == "s3":
            self.proxy.fault = s3_proxy.by(self.clock)
        outcome = self._run(world)
        if was_done:
            assert outcome.code in (0, EXIT_FAILED), outcome
            assert not outcome.code or re.search(DELETED_ALREADY, outcome.err), outcome
        else:
            assert outcome.code == 0, outcome
        world.look()
        check_others(world, fault)
        with self._by_the_proxy():
            world.free()
        self.proxy.fault = lambda *_: False
        world.look()
        check_end(world)


def check_others(world: World, fault: Fault) -> None:
    """All that is not at stake is as it was, and was there at every moment."""
    assert world.others(world.now) == world.others(world.before)
    assert not (world.missing or fault.touched_others)


def check_end(world: World) -> None:
    """All is as the operation says."""
    assert world.scan() == world.operation.after
    assert world.left() == []
    entries = catalog.Catalog(world.store, create=False)
    listed = entries.slides()
    assert set(listed) == set(world.slides[not world.operation.after :])
    if world.operation.after:
        document = slide_json.parse(world.store.get(keys.slide_json_key(world.folder)))
        assert entries.has(catalog_json.entry(document))
    else:
        assert world.is_done
    is_awaited = world.operation is OPERATIONS["slides delete"]
    assert (world.slide in records.deleted(world.store)) == is_awaited
    if world.operation is OPERATIONS["set"]:
        assert listed[world.slide]["review"]["status"] == "GOOD"
    if world.operation is OPERATIONS["viewer"]:
        for name in pages.files():
            assert world.store.get(f"viewer/{name}") == (pages.VIEWER / name).read_bytes()


@pytest.fixture(scope="module")
def events() -> dict[tuple[str, str], int]:
    return {}


@pytest.fixture
def chaos(
    run: Run,
    clock: FakeClock,
    stock: Stock,
    proxy: Proxy,
    place: Place,
    tmp_path: Path,
    events: dict[tuple[str, str], int],
    monkeypatch: pytest.MonkeyPatch,
) -> Chaos:
    """What only looks goes past the proxy, by one account, which takes its time to be made."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.server.url)
    account = ACCOUNT(session.parse_url(str(place)))
    monkeypatch.setattr(session, "Account", lambda *_, **__: account)
    return Chaos(run, clock, stock, proxy, place, tmp_path, events)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    seed, _, number = metafunc.config.getoption("--chaos").partition(":")
    count = FAULTS if metafunc.config.getoption("--thorough") else TESTS
    shares = [range(share, count, TESTS) for share in range(TESTS)]
    if number:
        shares = [range(int(number), int(number) + 1)]
    ids = [f"from-{share.start}" for share in shares]
    metafunc.parametrize("faults", [(int(seed), share) for share in shares], ids=ids)


def test_it_ends_well(chaos: Chaos, faults: tuple[int, range]) -> None:
    seed, numbers = faults
    for number in numbers:
        fault = drawn(seed, number)
        try:
            with in_time():
                chaos.play(fault)
        except (Exception, pytest.fail.Exception) as exc:
            raise AssertionError(f"{fault}; --chaos {seed}:{number} repeats it") from exc


def running(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads that are left, but for the proxy's, and the one that waits for signals."""
    left = set(threading.enumerate()) - before
    return [t for t in left if "process_request" not in t.name and t.name != "signals"]


@contextmanager
def in_time() -> Iterator[None]:
    """Fails what hangs, wherever that is."""

    def fail(*_: object) -> None:
        pytest.fail("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
