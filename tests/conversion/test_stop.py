"""A conversion that is stopped from outside: it ends, says so, and publishes nothing half-made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.forge import forge_svs
from tests.support.s3_server import free_ports
from vsv_pyramid import ConvertOptions, Progress, SlideError, StoreError, convert
from vsv_pyramid.layout.geometry import Pyramid, Size
from vsv_pyramid.publication import Publication
from vsv_pyramid.pyramid.quadtree import GivenUp, fold
from vsv_pyramid.store.directory import DirectoryStore

OPTIONS = ConvertOptions(workers=2, tile_size=64)
LEFT = "left, since the conversion was stopped"


@pytest.fixture
def slide(real_slide: Path, tmp_path: Path) -> Path:
    path = tmp_path / "a.svs"
    forge_svs(path, tissue=real_slide, size=(3000, 2000), levels=(1,))
    return path


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("shown", [None, lambda _: None])
def test_before_it_begins(
    slide: Path, tmp_path: Path, workers: int, shown: Callable[[Progress], None] | None
) -> None:
    stop = threading.Event()
    stop.set()
    options = ConvertOptions(workers=workers)
    with pytest.raises(StoreError, match=LEFT):
        convert(slide, tmp_path / "to", options, progress=shown, stop=stop)
    assert not list(tmp_path.glob("to/images/*"))


def test_in_the_midst_of_it(slide: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_soon(now: Progress) -> None:
        if now.tiles:
            stop.set()

    with pytest.raises(StoreError, match=LEFT):
        convert(slide, tmp_path / "to", OPTIONS, progress=stop_soon, stop=stop)
    assert not list(tmp_path.glob("to/images/*"))
    assert convert(slide, tmp_path / "to", OPTIONS).status == "converted"


def test_a_failure_does_not_stop_the_next_one(slide: Path, tmp_path: Path) -> None:
    """Whose caller has one event for all slides."""
    stop = threading.Event()
    bad = tmp_path / "bad.svs"
    data = bytearray(slide.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 3000] = bytes(3000)
    bad.write_bytes(data)
    with pytest.raises(SlideError):
        convert(bad, tmp_path / "to", OPTIONS, stop=stop)
    assert not stop.is_set()
    assert convert(slide, tmp_path / "to", OPTIONS, stop=stop).status == "converted"


def test_whoever_waits_for_another_process_does_not_go_on(slide: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    to = tmp_path / "to"
    options = ConvertOptions(workers=2, if_busy="wait")
    with DirectoryStore(to).exclusive("images/a"), pytest.raises(StoreError, match=LEFT):
        convert(slide, to, options, progress=lambda _: stop.set(), stop=stop)


class Threaded(DirectoryStore):
    """Puts are for threads, as those into S3 are."""

    parallel_puts = 2


@pytest.mark.parametrize("when", ["before slide.json", "before the descriptor"])
def test_after_the_last_tile(tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to be put is not dropped without a word, and there is no descriptor."""
    stop = threading.Event()
    store = Threaded(tmp_path)
    pyramid = Pyramid(Size(1, 1), 64)
    keys = store.keys

    def counted(prefix: str) -> object:
        stop.set()
        return keys(prefix)

    with (
        pytest.raises(StoreError, match=LEFT),
        store.exclusive("images/a"),
        Publication(store, "images/a", pyramid, stop=stop) as publication,
    ):
        for address in pyramid.tiles():
            publication.put_tile(address, b"a tile")
        if when == "before slide.json":
            stop.set()
        else:
            monkeypatch.setattr(store, "keys", counted)
        publication.complete({"version": 2})
    assert not (tmp_path / "images/a/DeepZoom.dzi").exists()


def test_a_walk_whose_caller_has_stopped_it() -> None:
    stop = threading.Event()
    stop.set()
    pyramid = Pyramid(Size(3000, 2000), 64)
    with pytest.raises(GivenUp):
        fold(pyramid, lambda *_: None, workers=3, stop=stop)


def test_a_walk_tells_the_error_and_not_what_it_has_stopped() -> None:
    pyramid = Pyramid(Size(3000, 2000), 64)
    tried = threading.Event()

    def visit(*_: object) -> None:
        if tried.is_set():
            return
        tried.set()
        raise ValueError("bad")

    for _ in range(20):
        tried.clear()
        with pytest.raises(ValueError, match="bad"):
            fold(pyramid, visit, workers=3)


def test_who_waits_for_a_slide_in_s3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """Or a server that does not answer would be asked for two minutes."""
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoreError, match=LEFT):
        convert("s3://scans/a.svs", tmp_path / "to", OPTIONS, stop=stop)
    assert clock.passed < 60
