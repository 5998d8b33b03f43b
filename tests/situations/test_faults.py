"""Every single call of the store fails, one after the other, in all that is done: it ends, no
thread and no lease is left, and the same once more goes well."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree

import pytest

from tests.support.destinations import keeping, opened, private_of
from tests.support.forge import forge_svs
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid import catalog, removal
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import StoreError, StoreUnavailable, VsvPyramidError
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.outcome import Outcome
from vsv_pyramid.runtime.signals import Stopped
from vsv_pyramid.store import open_store
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.unattended.watch import Handed, Watch
from vsv_pyramid.verification import verify

PATIENCE = 120.0  # s, for what must end
MOST_CALLS = 300
OPTIONS = ConvertOptions(tile_size=256, workers=1)
CALLS = (
    *("put", "get", "head", "tagged", "put_if", "names", "keys", "delete"),
    *("exclusive", "replacing"),
)

Operation = Callable[[Path, str], object]


@dataclass
class Faults:
    """Has the call of that number raise."""

    error: Callable[[], BaseException]
    at: int = 0
    calls: int = 0
    raised: bool = False

    def count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.raised = True
            raise self.error()

    def before(self, method: Callable[..., object]) -> Callable[..., object]:
        def called(*words: object, **options: object) -> object:
            self.count()
            return method(*words, **options)

        return called


@pytest.fixture(scope="module")
def slide(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "in" / "a.svs"
    path.parent.mkdir()
    forge_svs(path, tissue=real_slide, size=(500, 300), levels=(1,))
    return path


@pytest.fixture(scope="module")
def published(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the slide."""
    root = tmp_path_factory.mktemp("published")
    converts(slide, str(root))
    return root


def converts(slide: Path, root: str) -> None:
    convert(slide, root, keeping(OPTIONS, root))


def replaces(slide: Path, root: str) -> None:
    convert(slide, root, keeping(replace(OPTIONS, overwrite=True), root))


def removes(_: Path, root: str) -> None:
    removal.delete(open_store(root), "images/a")


def sets(_: Path, root: str) -> None:
    told(Desk(opened(root), "anna").set({"a": None}, {"status": "GOOD", "slide_id": "S1"}))


def awaits(_: Path, root: str) -> None:
    told(Desk(opened(root), "anna").delete({"a": None}))


def rebuilds(_: Path, root: str) -> None:
    catalog.rebuild_catalog(open_store(root))


def watches(slide: Path, root: str) -> None:
    def hand_on(path: Path) -> Handed:
        convert(path, root, keeping(replace(OPTIONS, update=True), root))
        return Handed()

    failures: list[Exception] = []
    watch = Watch(
        slide.parent,
        opened(root),
        hand_on,
        lambda _, exc, __, ___: failures.append(exc),
        interval=0.0,
    )
    watch.run(once=True, retry=True)
    if failures:
        raise failures[0]


def told(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error


ON_NOTHING = (converts, watches)
ON_PUBLISHED = (replaces, removes, sets, awaits, rebuilds)


def ended(action: Callable[[], object]) -> BaseException | None:
    """What the action, in a thread that must end, has raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as exc:
            raised.append(exc)

    before = set(threading.enumerate())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"
    left = set(threading.enumerate()) - before
    assert not [other for other in left if "process_request" not in other.name]  # the proxy's own
    return raised[0] if raised else None


@pytest.mark.parametrize("operation", [*ON_NOTHING, *ON_PUBLISHED], ids=lambda o: o.__name__)
@pytest.mark.parametrize(
    ("error", "first"),
    [(lambda: StoreError("images/a", "refused"), 1), (lambda: Stopped(signal.SIGTERM), 2)],
    ids=["refused", "stopped"],
)
def test_in_a_folder(
    operation: Operation,
    error: Callable[[], BaseException],
    first: int,
    slide: Path,
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    thorough: bool,
) -> None:
    """By turns in the everyday run, so that each call fails in one way or the other."""
    faults = Faults(error)
    monkeypatch.setattr(DirectoryStore, "parallel_puts", 2)
    for store in (DirectoryStore, *DirectoryStore.__subclasses__()):
        for name in CALLS:
            if name in vars(store):
                monkeypatch.setattr(store, name, faults.before(vars(store)[name]))
    for number in range(1, MOST_CALLS) if thorough else range(first, MOST_CALLS, 2):
        root = tmp_path / str(number)
        if operation in ON_PUBLISHED:
            copytree(published, root)
            copytree(private_of(published), private_of(root))
        faults.at, faults.calls, faults.raised = number, 0, False
        raised = ended(lambda: operation(slide, str(root)))  # noqa: B023
        if not faults.raised:
            assert raised is None
            break
        assert raised is None or isinstance(raised, (VsvPyramidError, Stopped)), number
        assert not list(root.rglob(".*.lock")), number
        faults.at = 0
        again = ended(lambda: operation(slide, str(root)))  # noqa: B023
        assert again is None or "there is no" in str(again) or "awaits" in str(again), number
        if operation in (converts, replaces, watches):
            assert verify(str(root / "images/a"), deep=True).errors == [], number
            assert not list(root.rglob(".*.partial")), number
    assert 5 < faults.calls < MOST_CALLS - 1


Contents = dict[str, tuple[bytes, str]]


@pytest.fixture
def published_in_s3(slide: Path, place: Place) -> list[Contents]:
    """What the slide's conversion puts into the place, and into its private one."""
    converts(slide, str(place))
    return [
        {key: (part.get(key)["Body"].read(), etag) for key, etag in part.objects().items()}
        for part in (place, place.private)
    ]


def restored(place: Place, contents: Contents) -> None:
    """The place with these objects, and no other."""
    there = place.objects()
    for key in there.keys() - contents.keys():
        place.delete(key)
    for key, (data, etag) in contents.items():
        if there.get(key) != etag:
            place.put(key, data)


@pytest.mark.parametrize("operation", [*ON_NOTHING, *ON_PUBLISHED], ids=lambda o: o.__name__)
def test_in_s3(
    operation: Operation,
    slide: Path,
    place: Place,
    proxy: Proxy,
    published_in_s3: list[Contents],
    thorough: bool,
) -> None:
    """One request is refused; every third time, all those after it are, too."""
    root = str(place)
    lock = threading.Lock()
    step = 1 if thorough else 5
    for number in range(1, MOST_CALLS, step):
        for part, contents in zip((place, place.private), published_in_s3, strict=True):
            restored(part, contents if operation in ON_PUBLISHED else {})
        count = 0
        was_refused: list[str] = []

        def fault(handler: Handler, request: Request) -> bool:
            nonlocal count
            with lock:
                count += 1
                at = count
            if at == number or (at > number and number % 3 == 0):  # noqa: B023
                was_refused.append(f"{request.method} {request.path}")  # noqa: B023
                handler.refuse(403, "AccessDenied")
                return True
            return False

        proxy.fault = fault
        raised = ended(lambda: operation(slide, root))
        proxy.fault = lambda *_: False
        proxy.requests.clear()
        if not was_refused:
            assert raised is None
            break
        assert raised is None or isinstance(raised, VsvPyramidError), was_refused
        if not any(".leases" in words for words in was_refused):
            assert not any(key.startswith(".leases") for key in place.objects()), was_refused
    assert 5 < count < MOST_CALLS - 1


def test_without_threads_the_callers_own_puts(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may allow no more of them."""
    monkeypatch.setattr(DirectoryStore, "parallel_puts", 8)
    start = threading.Thread.start
    puts = 0

    def limited(thread: threading.Thread) -> None:
        nonlocal puts
        if thread.name.startswith("put-"):
            if puts == 3:
                raise RuntimeError("can't start new thread")
            puts += 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    convert(slide, str(tmp_path), OPTIONS)
    assert puts == 3
    assert verify(str(tmp_path / "images/a"), deep=True).errors == []


@pytest.mark.parametrize("error", [StoreUnavailable("x", "away"), Stopped(signal.SIGINT)])
def test_a_thread_that_dies_holds_nobody_up(
    error: BaseException, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DirectoryStore, "parallel_puts", 2)

    def put(*_: object) -> None:
        raise error

    for kind in (DirectoryStore, *DirectoryStore.__subclasses__()):
        monkeypatch.setattr(kind, "put", put)
    assert ended(lambda: converts(slide, str(tmp_path))) is error
