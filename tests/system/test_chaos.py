"""Random faults in all that is done: it ends, nothing of anybody's is lost, and the same command
once more goes well.

Each fault is drawn by the seed and its number alone: `--chaos SEED:NUMBER` repeats one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from tests.conftest import Outcome, Run
from tests.support import file_events, s3_proxy
from tests.support.chaos import (
    IN_ANOTHER,
    MAKING,
    OPERATIONS,
    SLIDES,
    Fault,
    Operation,
    drawn,
    on_the_way,
    to_files,
    to_requests,
)
from tests.support.clock import FakeClock, until
from tests.support.forge import forge_svs
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid import catalog, dzi, page, private, record, scans
from vsv_pyramid.convert import convert
from vsv_pyramid.errors import EXIT_FAILED, EXIT_TRY_AGAIN
from vsv_pyramid.plan import ConvertOptions
from vsv_pyramid.publish import own_keys
from vsv_pyramid.signals import EXIT_SIGNALLED
from vsv_pyramid.store import Store, lease, open_store
from vsv_pyramid.store.disk import locked
from vsv_pyramid.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # s, for what must end
FAULTS, TESTS = 200, 20
DELETED_ALREADY = "there is no pyramid|awaits its rescan"
MINE = b"mine"
STOPPED = [EXIT_SIGNALLED + number for number in (signal.SIGINT, signal.SIGTERM)]
ENDED = (0, EXIT_FAILED, EXIT_TRY_AGAIN, -9, *STOPPED)


class Stock(NamedTuple):
    """Two scans of each slide, first/ID.svs and second/ID.svs; all first ones, published out of
    the folder where scans are found; and that folder."""

    scans: Path
    published: Path
    inbox: Path


@pytest.fixture(scope="module")
def stock(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    folder = tmp_path_factory.mktemp("chaos")
    stock = Stock(folder / "scans", folder / "published", folder / "inbox")
    stock.inbox.mkdir()
    for which, height in ("first", 200), ("second", 240):
        (stock.scans / which).mkdir(parents=True)
        for number, slide in enumerate(SLIDES):
            path = stock.scans / which / f"{slide}.svs"
            forge_svs(path, tissue=real_slide, size=(260 + 10 * number, height), levels=(1,))
            os.utime(path, (height, height))
    for slide in SLIDES:
        path = stock.inbox / f"{slide}.svs"
        shutil.copy2(stock.scans / "first" / path.name, path)
        convert(path, stock.published, ConvertOptions(tile_size=256, workers=1))
    return stock


@dataclass
class World:
    """Where a fault comes: three slides, of which one is at stake, and what is somebody's own."""

    to: str
    stock: Stock
    operation: Operation
    slides: list[str]
    place: Place | None = None  # where that is in S3
    before: dict[str, str] = field(default_factory=dict)
    missing: bool = False

    @property
    def slide(self) -> str:
        return self.slides[0]

    @property
    def mine(self) -> str:
        return f"images/{self.slide}/annotations.json"

    @cached_property
    def store(self) -> Store:
        return open_store(self.to)

    def content(self) -> dict[str, str]:
        """What is there: MD5s by key."""
        if self.place:
            return self.place.objects()
        root = Path(self.to)
        return {
            path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
            for path in root.rglob("*")
            if path.is_file()
        }

    @property
    def words(self) -> list[str]:
        words = self.operation.words.split()
        words = [word.format(inbox=self.stock.inbox, to=self.to, id=self.slide) for word in words]
        return words + list(MAKING) * (words[0] in ("convert", "watch"))

    def fill(self, local: Path) -> None:
        """By way of a folder, which is the world itself unless that is in S3."""
        published = self.slides[not self.operation.published :]
        for slide in published:
            for folder in dzi.folder(slide), dzi.private_folder(slide):
                shutil.copytree(self.stock.published / folder, local / folder)
        catalog.rebuild(str(local))
        for slide in self.slides:
            (local / dzi.folder(slide)).mkdir(exist_ok=True)
            (local / dzi.folder(slide) / "annotations.json").write_bytes(MINE)
        if self.place:
            for path in local.rglob("*"):
                if path.is_file():
                    self.store.put(path.relative_to(local).as_posix(), path.read_bytes())
        self.before = self.content()
        for path in self.stock.inbox.iterdir():
            path.unlink()
        name = f"{self.slide}.svs"
        shutil.copy2(self.stock.scans / self.operation.scan / name, self.stock.inbox / name)

    @property
    def is_there(self) -> bool:
        return self.store.head(dzi.descriptor_key(dzi.folder(self.slide))) is not None

    @property
    def is_gone(self) -> bool:
        """With all that was known of it, unless that is to be kept."""
        return not own_keys(self.store, dzi.folder(self.slide)) and (
            self.operation is OPERATIONS["slides delete"]
            or not scans.remembered(self.store, self.slide)
        )

    def scan(self) -> str:
        """Which one is published, and whole; none is "", too."""
        if not self.is_there:
            return ""
        report = verify(f"{self.to}/{dzi.folder(self.slide)}", deep=True)
        assert report.errors == []
        document = record.parse(self.store.get(dzi.slide_json_key(dzi.folder(self.slide))))
        return {200: "first", 240: "second"}[document["height"]]

    def watching(self, come: Callable[[int, bool], None]) -> Callable[[int, bool], None]:
        """At each event of files, looks whether what is somebody's own is there."""

        def watched(event: int, makes: bool) -> None:
            self.missing |= not os.path.lexists(Path(self.to, self.mine))
            come(event, makes)

        return watched

    def check_others(self) -> None:
        """What is not the slide's at stake, and all that is somebody's own, is as it was."""
        assert not self.missing

        def kept(content: dict[str, str]) -> dict[str, str]:
            return {
                key: md5
                for key, md5 in content.items()
                if key == self.mine or any(other in key for other in self.slides[1:])
            }

        assert kept(self.content()) == kept(self.before)

    def left(self) -> list[str]:
        """What is there for as long as something is under way."""
        helpers = (".lock", ".partial", ".old", ".new")
        return [
            key
            for key in self.content()
            if key.startswith(".leases/")
            or any(part.startswith(".") and part.endswith(helpers) for part in key.split("/"))
        ]

    def free(self) -> None:
        """Takes what a dead process held, which has expired, and lets go of it."""
        for key in self.left():
            if key.startswith(".leases/"):
                with open_store(self.to).exclusive(key.removeprefix(".leases/")):
                    pass
            elif key.endswith(".lock"):
                path = Path(self.to, key)
                with locked(path.with_name(path.name[1:].removesuffix(".lock")), 0):
                    pass

    def check_end(self) -> None:
        """All is as the operation says."""
        assert self.scan() == self.operation.after
        assert self.left() == []
        entries = catalog.Catalog(self.store, create=False)
        listed = entries.slides()
        assert set(listed) == set(self.slides[not self.operation.after :])
        if self.operation.after:
            text = self.store.get(dzi.slide_json_key(dzi.folder(self.slide)))
            assert entries.has(catalog.entry(record.parse(text)))
        else:
            assert self.is_gone
        is_awaited = self.operation is OPERATIONS["slides delete"]
        assert (self.slide in private.deleted(self.store)) == is_awaited
        if self.operation is OPERATIONS["set"]:
            assert listed[self.slide]["review"]["status"] == "GOOD"
        if self.operation is OPERATIONS["viewer"]:
            for name in page.files():
                assert self.store.get(f"viewer/{name}") == (page.FOLDER / name).read_bytes()


@dataclass
class Chaos:
    """Has a fault come, and looks at what that leads to."""

    run: Run
    clock: FakeClock
    stock: Stock
    proxy: Proxy
    place: Place
    folder: Path
    events: dict[tuple[str, str], int]  # how many each operation has, in each store

    def play(self, fault: Fault) -> None:
        key = fault.store, fault.operation
        if key not in self.events:
            self.events[key] = self._counted(fault)
        fault.at = fault.chance.randint(1, self.events[key])
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
        with mock.patch.dict(os.environ, AWS_ENDPOINT_URL=self.proxy.url):
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
        world.check_end()
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
        fault.came += is_here
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        return process.returncode, said

    def _check_between(self, world: World, fault: Fault) -> None:
        world.check_others()
        is_gone = fault.kind in IN_ANOTHER or fault.lasts > 1
        allowed = {world.operation.after, "first" * world.operation.published}
        if is_gone or fault.store == "s3":
            allowed.add("")
        assert world.scan() in allowed
        if not (fault.kind in IN_ANOTHER or fault.leases or fault.kind in ("refused", "full")):
            assert world.left() == []

    def _again(self, world: World, fault: Fault) -> None:
        """Later, when what a dead process held is anybody's."""
        was_done = not world.operation.after and world.is_gone
        self.clock.sleep(lease.SECONDS + 60)
        if fault.store == "s3":
            self.proxy.fault = s3_proxy.by(self.clock)
        outcome = self._run(world)
        if was_done:
            assert outcome.code in (0, EXIT_FAILED), outcome
            assert not outcome.code or re.search(DELETED_ALREADY, outcome.err), outcome
        else:
            assert outcome.code == 0, outcome
        world.check_others()
        with self._by_the_proxy():
            world.free()
        self.proxy.fault = lambda *_: False
        world.check_end()


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
    """What only looks goes past the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.server.url)
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
