"""Whatever ends `convert --layout packed`, `pack` and `unpack`: the slide is there, whole, and the
same command ends well."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.store.test_s3 import KILLED, kill_at_event, kill_at_request, moments
from tests.support import s3_proxy
from tests.support.clock import FakeClock
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid import repacking
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import EXIT_TRY_AGAIN
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published
from vsv_pyramid.packed.reading import with_tiles
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import lease, open_store
from vsv_pyramid.verification import verify

FOLDER = "images/small"
PROGRAM = [sys.executable, "-m", "vsv_pyramid"]
WAYS = ("convert", "pack", "unpack")

Tiles = dict[str, bytes]


def shown(target: str) -> Tiles:
    """The tiles that our viewer finds."""
    store = open_store(target)
    assert is_published(store, FOLDER)
    reader = with_tiles(store, FOLDER)
    prefix = keys.tiles_prefix(FOLDER)
    return {found.key: reader.get(found.key) for found in reader.keys(prefix)}


def command(way: str, slide: Path, target: str, quality: int) -> list[str]:
    if way != "convert":
        return [*PROGRAM, way, f"{target}/{FOLDER}", "--yes"]
    options = ("--tile-size", "240", "--quality", str(quality), "--layout", "packed")
    return [*PROGRAM, "convert", str(slide), "--to", target, *options, "--overwrite", "-q"]


def prepared(way: str, slide: Path, target: str) -> Tiles:
    """The slide as it is before; its tiles."""
    options = ConvertOptions(tile_size=240, quality=70, layout="packed", overwrite=True)
    store = open_store(target)
    if not is_published(store, FOLDER) or way == "convert":
        convert(slide, target, options)
    elif way == "unpack":
        repacking.pack(store, FOLDER)
    if way == "pack":
        repacking.unpack(store, FOLDER)
    return shown(target)


@pytest.fixture
def wanted(small_slide: Path, tmp_path: Path) -> Tiles:
    """The tiles that the conversion makes."""
    options = ConvertOptions(tile_size=240, quality=80, layout="packed")
    convert(small_slide, tmp_path / "wanted", options)
    return shown(str(tmp_path / "wanted"))


def ended_well(run: Run, way: str, slide: Path, target: str, before: Tiles, wanted: Tiles) -> None:
    """After an end that was none: first a look, then the same command."""
    assert shown(target) in ((before, wanted) if way == "convert" else (before,))
    ended = run(*command(way, slide, target, 80)[len(PROGRAM) :])
    assert ended.code == 0, ended.err
    assert shown(target) == (wanted if way == "convert" else before)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_moment_in_a_folder(
    small_slide: Path, tmp_path: Path, wanted: Tiles, way: str, thorough: bool, run: Run
) -> None:
    target = str(tmp_path / "to")
    words = command(way, small_slide, target, 80)[len(PROGRAM) :]
    audited = [sys.executable, "-c", KILLED, str(tmp_path), "{moment}", *words]
    prepared(way, small_slide, target)
    unkilled = [word.format(moment=10**9) for word in audited]
    ended = subprocess.run(unkilled, check=True, stdout=subprocess.PIPE)
    for moment in moments(int(ended.stdout.split()[-1]), thorough):
        before = prepared(way, small_slide, target)
        kill_at_event(audited, moment)
        ended_well(run, way, small_slide, target, before, wanted)
    assert not list(Path(target).rglob("*.partial*"))
    assert verify(f"{target}/{FOLDER}", deep=True).errors == []


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_moment_in_s3(
    small_slide: Path,
    place: Place,
    proxy: Proxy,
    wanted: Tiles,
    way: str,
    thorough: bool,
    run: Run,
) -> None:
    clock = FakeClock()  # S3's
    proxy.fault = s3_proxy.by(clock)
    target = str(place)
    words = command(way, small_slide, target, 80)
    prepared(way, small_slide, target)
    proxy.requests.clear()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    for moment in moments(len(proxy.requests), thorough):
        before = prepared(way, small_slide, target)
        kill_at_request(words, proxy, moment)
        clock.advance(lease.SECONDS + 1)
        ended_well(run, way, small_slide, target, before, wanted)
    uploads = place.server.client().list_multipart_uploads(
        Bucket=place.bucket, Prefix=f"{place.prefix}/"
    )
    assert not uploads.get("Uploads")
    assert verify(f"{target}/{FOLDER}", deep=True).errors == []


def trouble(part: float, seed: int) -> Callable[[Handler, Request], bool]:
    """So many of all requests fail, in each way in which they can pass."""
    draw = random.Random(seed)

    def fault(handler: Handler, request: Request) -> bool:
        if draw.random() >= part:
            return False
        kind = draw.randrange(4)
        if kind == 0:
            handler.refuse(503, "SlowDown")
        elif kind == 1:
            handler.refuse(500, "InternalError")
        elif kind == 2:
            handler.hang_up()
        else:  # it was done, and the answer is lost
            handler.forwarded(request)
            handler.hang_up()
        return True

    return fault


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_of_all_requests_fails(
    small_slide: Path, place: Place, proxy: Proxy, wanted: Tiles, clock: FakeClock, seed: int
) -> None:
    proxy.fault = trouble(0.2, seed)
    target, store = str(place), open_store(str(place))
    convert(small_slide, target, ConvertOptions(tile_size=240, layout="packed"))
    assert shown(target) == wanted
    repacking.unpack(store, FOLDER)
    assert shown(target) == wanted
    repacking.pack(store, FOLDER)
    assert shown(target) == wanted
    assert verify(f"{target}/{FOLDER}", deep=True).errors == []


@pytest.mark.parametrize("way", ["pack", "unpack"])
def test_two_at_once(small_slide: Path, target: str, way: str) -> None:
    """One of them works; the other leaves, or finds it done."""
    before = prepared(way, small_slide, target)
    words = command(way, small_slide, target, 80)
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "12"]
    said = [process.communicate() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, EXIT_TRY_AGAIN]), said
    errors = b"".join(err for _, err in said)
    assert codes == [0, 0] or b"another process is writing it" in errors
    assert shown(target) == before
    assert verify(f"{target}/{FOLDER}", deep=True).errors == []
