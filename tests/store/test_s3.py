"""Pyramids published to S3, on a real server."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import JSONFileLoader

from tests.conftest import Run
from tests.store.conftest import OPTIONS
from tests.support import s3_proxy
from tests.support.clock import FakeClock, until
from tests.support.destinations import keeping, opened, private_of
from tests.support.s3_proxy import Fault, Handler, Proxy, Request, slow
from tests.support.s3_server import BUCKET, IDENTITIES, Place
from vsv_pyramid.aws import retry, session
from vsv_pyramid.cli import messages
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import (
    StoreError,
    StoreUnavailable,
)
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.publication.uploads import Uploads
from vsv_pyramid.review import records
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.store import S3Options, lease, open_store
from vsv_pyramid.verification import verify

DESCRIPTOR = "images/small/DeepZoom.dzi"
SLIDE_JSON = "images/small/slide.json"
INDEX = "images/index.json"
ROOT = "images/root.json"
PRIVATE_JSON = "private/images/small/slide.private.json"


def published(place: Place) -> dict[str, str]:
    """What is published at the place, but for slide.json and the catalog, whose times differ."""
    found = place.objects()
    others = (SLIDE_JSON, INDEX, ROOT)
    return {key: found[key] for key in found if key.startswith("images/") and key not in others}


class TestConvert:
    def test_the_objects_are_those_on_disk(
        self,
        small_slide: Path,
        place: Place,
        on_disk: dict[str, str],
        clock: FakeClock,
        tmp_path: Path,
    ) -> None:
        summary = convert(small_slide, str(place), OPTIONS)
        assert summary.status == "converted"
        assert summary.target == f"{place}/{DESCRIPTOR}"
        assert published(place) == on_disk
        assert set(place.objects()) == {*on_disk, SLIDE_JSON, INDEX}
        local = convert(small_slide, str(tmp_path), OPTIONS)
        document = json.loads(place.get(SLIDE_JSON)["Body"].read())
        on_file = json.loads(Path(local.target).with_name("slide.json").read_text())
        assert document == {**on_file, "seconds": document["seconds"]}  # S3's pace takes some

    def test_headers(self, small_slide: Path, place: Place) -> None:
        convert(small_slide, str(place), OPTIONS)
        seen = {}
        for key in place.objects():
            answer = place.get(key)
            seen[key] = answer["ContentType"], answer["CacheControl"]
        json_type = "application/json"
        changing = {DESCRIPTOR: "application/xml", SLIDE_JSON: json_type, INDEX: json_type}
        for key, headers in seen.items():
            if key in changing:
                assert headers == (changing[key], "no-cache")
            else:
                assert headers == ("image/jpeg", "public, max-age=31536000, immutable")

    def test_again_puts_nothing(
        self, run: Run, small_slide: Path, place: Place, proxy: Proxy
    ) -> None:
        assert run("convert", small_slide, "--to", place).code == 0
        proxy.requests.clear()
        again = run("convert", small_slide, "--to", place)
        assert again.code == 0
        assert "skipped, the same is published" in again.out
        assert {method for method, _ in proxy.requests} <= {"GET", "HEAD"}
        assert len(proxy.requests) < 10

    def test_another_pyramid_is_not_replaced_unasked(self, small_slide: Path, place: Place) -> None:
        convert(small_slide, str(place), OPTIONS)
        before = place.objects()
        with pytest.raises(StoreError, match="--overwrite"):
            convert(small_slide, str(place), ConvertOptions(tile_size=480))
        assert place.objects() == before

    def test_overwrite_removes_what_the_new_plan_does_not_know(
        self, small_slide: Path, place: Place, on_disk: dict[str, str]
    ) -> None:
        other = ConvertOptions(tile_size=128, associated=())
        convert(small_slide, str(place), other)
        place.put("images/small/left", b"behind")
        place.put("images/smaller/left", b"alone")
        convert(small_slide, str(place), ConvertOptions(tile_size=240, overwrite=True))
        found = published(place)
        assert found.pop("images/smaller/left")
        assert found.pop("images/small/left")  # is none of the layout's
        assert found == on_disk

    def test_put_options_are_put_headers(
        self, small_slide: Path, place: Place, proxy: Proxy
    ) -> None:
        seen: list[tuple[str | None, ...]] = []
        leases: list[tuple[str | None, ...]] = []
        replaced: list[tuple[str | None, ...]] = []
        names = ("storage-class", "server-side-encryption", "server-side-encryption-aws-kms-key-id")

        def record(handler: Handler, request: Request) -> bool:
            if request.method != "PUT":
                return False
            wanted = tuple(request.headers.get(f"x-amz-{name}") for name in names)
            if ".leases" in request.path:
                leases.append(wanted)
                handler.refuse(501, "NotImplemented")
            elif PRIVATE_JSON in request.path:
                replaced.append(wanted)
                handler.accept(request)
            else:
                seen.append(wanted)
                handler.accept(request)
            return True

        proxy.fault = record
        options = S3Options(storage_class="STANDARD_IA", sse="aws:kms", kms_key="a-key")
        with pytest.raises(StoreError, match="0 of"):  # since nothing was put
            convert(small_slide, str(place), ConvertOptions(tile_size=240, s3=options))
        proxy.fault = lambda *_: False
        opened(place).put(PRIVATE_JSON.replace("small", "another"), b"{}")
        proxy.fault = record
        store = open_destination(str(place), str(place.private), options)
        records.changed(store, "small", lambda known: known.logged("set", "a", {"status": "GOOD"}))
        assert len(seen) > 40
        assert set(seen) == {("STANDARD_IA", "aws:kms", "a-key")}
        assert leases == [(None, "aws:kms", "a-key")]
        assert replaced == [(None, "aws:kms", "a-key")]  # what changes is in the bucket's own class

    def test_an_archive(self, run: Run, small_slide: Path, on_disk: dict[str, str]) -> None:
        words = ("convert", small_slide, "--tile-size", 240, "--to", "small.szi")
        assert run(*words).code == 0
        outcome = run("verify", "small.szi", "--deep", "--against", small_slide)
        assert outcome.code == 0, outcome.out
        store = open_store("small.szi")
        found = {
            found.key: hashlib.md5(store.get(found.key)).hexdigest()
            for found in store.keys("")
            if found.key not in (SLIDE_JSON, INDEX)
        }
        assert found == on_disk
        assert "1 skipped" in run(*words).out
        assert run("info", "small.szi").out.startswith("Pyramid:           small.szi\nState:")


class Interrupted(Exception):
    """What a test stops a conversion by."""


def interrupt_at(tiles: int) -> Callable[[Progress], None]:
    def progress(progress: Progress) -> None:
        if progress.tiles >= tiles:
            raise Interrupted

    return progress


class TestResume:
    def test_only_what_lacks_is_put(
        self, small_slide: Path, place: Place, proxy: Proxy, on_disk: dict[str, str]
    ) -> None:
        proxy.fault = slow(0.02)
        few = ConvertOptions(tile_size=240, workers=1, s3=S3Options(upload_workers=2))
        with pytest.raises(Interrupted):
            convert(small_slide, str(place), few, progress=interrupt_at(12))
        left = place.objects()
        assert 6 <= len(left) < len(on_disk)
        assert DESCRIPTOR not in left
        proxy.fault = slow(0)
        proxy.requests.clear()
        summary = convert(small_slide, str(place), keeping(OPTIONS, place))
        assert published(place) == on_disk
        assert summary.kept == len(left)
        puts = proxy.count("PUT", f"{place.prefix}/images/small/")
        assert puts == len(on_disk) + 2 - len(left)  # slide.json, and once more with its review

    def test_what_differs_is_put(
        self, small_slide: Path, place: Place, on_disk: dict[str, str]
    ) -> None:
        convert(small_slide, str(place), keeping(OPTIONS, place))  # slide.json gets its review
        place.delete(DESCRIPTOR)
        tile = place.get("images/small/DeepZoom_files/11/0_0.jpeg")["Body"].read()
        place.put("images/small/DeepZoom_files/11/0_0.jpeg", tile[:-1] + b"?")  # of the same size
        place.put("images/small/DeepZoom_files/11/1_0.jpeg", b"other")
        place.put("images/small/DeepZoom_files/11/9_9.jpeg", b"unknown")
        summary = convert(small_slide, str(place), keeping(OPTIONS, place))
        assert published(place) == on_disk
        assert summary.kept == len(on_disk) - 3  # the descriptor, and those two

    @pytest.mark.crowd
    def test_a_killed_conversion_at_any_moment(
        self,
        small_slide: Path,
        place: Place,
        proxy: Proxy,
        on_disk: dict[str, str],
        thorough: bool,
        run: Run,
    ) -> None:
        """`kill -9` at a request, a look at what is there, and the same command once more."""
        clock = FakeClock()  # S3's
        proxy.fault = s3_proxy.by(clock)
        to = ("--to", str(place), "--private-to", str(place.private))
        command = [*CONVERT, str(small_slide), *to, *ANEW]
        subprocess.run(command, check=True)
        proxy.requests.clear()
        subprocess.run(command, check=True)
        published_at = proxy.requests.index(("PUT", f"/{BUCKET}/{place.prefix}/{DESCRIPTOR}"))
        seen = set()
        for moment in (*moments(len(proxy.requests), thorough), published_at - 1):
            kill_at_request(command, proxy, moment)
            found = published(place)
            seen.add(DESCRIPTOR in found)
            if DESCRIPTOR in found:
                assert found == on_disk
                assert review_of(place) in (None, known_of(place))
            clock.advance(lease.SECONDS + 1)
            assert run(*command[3:]).code == 0
            assert published(place) == on_disk
            assert review_of(place) == known_of(place)
        assert seen == {True, False}  # too early, and in its midst
        assert set(place.objects()) == {*on_disk, SLIDE_JSON, INDEX, ROOT}

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")
    def test_a_killed_conversion_into_a_folder(
        self,
        small_slide: Path,
        tmp_path: Path,
        on_disk: dict[str, str],
        thorough: bool,
        run: Run,
    ) -> None:
        """`kill -9` at what it does to the file system, as Python's audit tells it."""
        root = tmp_path / "root"

        def objects() -> dict[str, str]:
            return {
                path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
                for path in root.glob("images/small/**/*")
                if path.is_file() and path.name != "slide.json"
            }

        to = ("--to", str(root), "--private-to", private_of(root))
        command = [*CONVERT, str(small_slide), *to, *ANEW]
        subprocess.run(command, check=True)
        audited = [sys.executable, "-c", KILLED, str(root), "{moment}", *command[3:]]
        ended = subprocess.run(
            [word.format(moment=10**9) for word in audited], check=True, stdout=subprocess.PIPE
        )
        for moment in moments(int(ended.stdout), thorough):
            kill_at_event(audited, moment)
            found = objects()
            for kind in "lock", "partial":  # hidden, and what comes next removes them
                found.pop(f"images/small/.slide.json.{kind}", None)
            assert found == on_disk
            assert review_of(root) in (None, known_of(root))
            assert run(*command[3:]).code == 0
            assert objects() == on_disk
            assert review_of(root) == known_of(root)


CONVERT = [sys.executable, "-m", "vsv_pyramid", "convert"]
ANEW = ["--tile-size", "240", "--overwrite", "--quiet", "--if-busy", "wait", "--details", "lab"]
KILLED = """
import os, signal, sys

root, moment = sys.argv.pop(1), int(sys.argv.pop(1))
done = 0

def audit(event, words):
    global done
    if words and str(words[0]).startswith(root):
        done += 1
        if done > moment:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(audit)
from vsv_pyramid.cli.main import main

try:
    main()
finally:
    print(done)
"""


def kill_at_request(command: list[str], proxy: Proxy, moment: int) -> None:
    """Once so many have been answered, and the next one has come, which is answered, too, before
    this returns."""
    fault = proxy.fault
    proxy.requests.clear()
    process = subprocess.Popen(command)
    under_way: set[Handler] = set()

    def kill(handler: Handler, request: Request) -> bool:
        under_way.add(handler)
        if len(proxy.requests) > moment:
            process.kill()
        try:
            return fault(handler, request)
        finally:
            under_way.remove(handler)

    proxy.fault = kill
    process.wait()
    until(lambda: not under_way)
    proxy.fault = fault


def kill_at_event(command: list[str], moment: int) -> None:
    """Its threads do not always do as much: a run that ends before is begun again, and killed
    earlier."""
    code = 0
    while code == 0:
        code = subprocess.run(
            [word.format(moment=moment) for word in command], stdout=subprocess.DEVNULL, check=False
        ).returncode
        moment -= 5
    assert code == -signal.SIGKILL


def moments(number: int, thorough: bool) -> list[int]:
    """From the first of so many on, at equal distances: five, or twenty."""
    times = 20 if thorough else 5
    return [number * time // times for time in range(times)]


def review_of(to: object) -> dict[str, Any] | None:
    """What slide.json says."""
    document: dict[str, Any] = json.loads(open_store(str(to)).get("images/small/slide.json"))
    return document.get("review")


def known_of(to: object) -> dict[str, Any]:
    """What the private record says."""
    return records.record(opened(to), "small").published()


class TestReplacement:
    @pytest.mark.crowd
    def test_a_reader_never_sees_a_tile_of_the_other_geometry(
        self, small_slide: Path, place: Place
    ) -> None:
        """Wherever the descriptor is there, and the same, before and after a look at a tile."""
        both = [
            ConvertOptions(tile_size=size, workers=2, overwrite=True, associated=())
            for size in (240, 480)
        ]
        tiles = []
        for options in both:
            convert(small_slide, str(place), options)
            found = place.objects()
            tiles.append((found[DESCRIPTOR], found["images/small/DeepZoom_files/11/0_0.jpeg"]))
        expected = dict(tiles)
        done = threading.Event()
        seen: set[str] = set()
        wrong: list[str] = []

        def etag(key: str) -> str | None:
            try:
                return str(place.get(key)["ETag"]).strip('"')
            except ClientError as exc:
                assert session.status(exc) == 404
                return None

        def read() -> None:
            while not done.is_set():
                before = etag(DESCRIPTOR)
                tile = etag("images/small/DeepZoom_files/11/0_0.jpeg")
                if before and before == etag(DESCRIPTOR):
                    seen.add(before)
                    if tile != expected[before]:
                        wrong.append(f"{before}: {tile}")

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(5):
                for options, descriptor in zip(both, expected, strict=True):
                    seen.clear()
                    convert(small_slide, str(place), options)
                    until(lambda: descriptor in seen or wrong)  # noqa: B023
        finally:
            done.set()
            reader.join()
        assert wrong == []

    def test_delete(self, run: Run, small_slide: Path, place: Place, proxy: Proxy) -> None:
        convert(small_slide, str(place), OPTIONS)
        place.put("images/smaller/x", b"1")
        target = f"{place}/images/small"
        refused = subprocess.run(
            [sys.executable, "-m", "vsv_pyramid", "delete", target],
            input="n\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 1
        assert "nothing was removed" in refused.stderr
        assert DESCRIPTOR in place.objects()
        proxy.requests.clear()
        outcome = run("delete", target, "--yes")
        assert outcome.code == 0
        assert "objects removed" in outcome.out
        assert set(place.objects()) == {"images/smaller/x", INDEX}
        outcome = run("delete", target, "--yes")
        assert outcome.code == 1
        assert "there is no pyramid" in outcome.err

    def test_delete_removes_one_pyramid_and_nothing_else(
        self, run: Run, small_slide: Path, place: Place
    ) -> None:
        convert(small_slide, str(place), OPTIONS)
        place.put("images/small/notes.txt", b"mine")
        place.put("scans/small.svs", b"a slide")
        before = place.objects()
        for wrong in (
            "",
            "/images",
            "/images/smal",
            "/scans",
            "/images/small/DeepZoom_files",
            "/.",
        ):
            assert run("delete", f"{place}{wrong}", "--yes").code in (1, 2), wrong
        with open_store(str(place)).replacing("images/small"):  # as a conversion does
            assert run("delete", f"{place}/images/small", "--yes").code == 75
        assert place.objects() == before
        assert run("delete", f"{place}/images/small/DeepZoom.dzi", "--yes").code == 0
        assert set(place.objects()) == {"images/small/notes.txt", "scans/small.svs", INDEX}

    def test_delete_from_a_folder(self, run: Run, small_slide: Path) -> None:
        assert run("convert", small_slide).code == 0
        Path("images/mine").touch()
        for wrong in (".", "images", "images/small/DeepZoom_files", "none", "images/mine"):
            assert run("delete", wrong, "--yes").code == 1, wrong
        Path("images/small/mine").touch()
        assert run("delete", "images/small", "--yes").code == 0
        left = {path.as_posix() for path in Path("images").rglob("*") if path.is_file()}
        assert left == {"images/mine", "images/small/mine", INDEX}
        assert run("delete", "images/small", "--yes").code == 1


def sometimes(fault: Callable[[Handler, Request], bool], share: float = 0.2) -> Fault:
    """The fault at that share of the requests, the same ones for the same order."""
    chance = random.Random(7)
    lock = threading.Lock()

    def maybe(handler: Handler, request: Request) -> bool:
        with lock:
            hit = chance.random() < share
        return hit and fault(handler, request)

    return maybe


def slow_down(handler: Handler, _: Request) -> bool:
    handler.refuse(503, "SlowDown")
    return True


def hang_up(handler: Handler, _: Request) -> bool:
    handler.hang_up()
    return True


def cut_the_answer(handler: Handler, request: Request) -> bool:
    status, headers, body = handler.forwarded(request)
    handler.answer(status, headers, body, cut=len(body) // 2)
    return True


def cut_listings(handler: Handler, request: Request) -> bool:
    return "list-type" in request.path and cut_the_answer(handler, request)


def overtaken(handler: Handler, _: Request) -> bool:
    """What comes after it is answered before it, where anything comes."""
    requests = handler.server.proxy.requests
    come, end = len(requests), time.monotonic() + 0.05
    while len(requests) == come and time.monotonic() < end:
        time.sleep(0.005)
    return False


@pytest.mark.usefixtures("clock")
class TestFaults:
    @pytest.mark.parametrize("fault", [slow_down, hang_up, cut_the_answer, overtaken])
    def test_what_passes_is_overcome(
        self, small_slide: Path, place: Place, proxy: Proxy, on_disk: dict[str, str], fault: Fault
    ) -> None:
        proxy.fault = sometimes(fault)
        assert convert(small_slide, str(place), OPTIONS).status == "converted"
        proxy.fault = lambda *_: False
        assert published(place) == on_disk
        assert verify(f"{place}/images/small", deep=True).errors == []

    def test_uploads_that_end_at_half_their_body(
        self, small_slide: Path, place: Place, proxy: Proxy, on_disk: dict[str, str]
    ) -> None:
        chance = random.Random(7)
        proxy.torn = lambda method: method == "PUT" and chance.random() < 0.2
        assert convert(small_slide, str(place), OPTIONS).status == "converted"
        assert published(place) == on_disk

    def test_cut_listings(
        self, small_slide: Path, place: Place, proxy: Proxy, on_disk: dict[str, str]
    ) -> None:
        proxy.fault = sometimes(cut_listings, 0.7)
        assert convert(small_slide, str(place), OPTIONS).status == "converted"
        assert published(place) == on_disk

    @pytest.mark.parametrize("fault", [slow_down, hang_up])
    def test_what_does_not_pass_ends_without_a_descriptor(
        self,
        run: Run,
        small_slide: Path,
        place: Place,
        proxy: Proxy,
        clock: FakeClock,
        fault: Fault,
    ) -> None:
        counter = itertools.count()

        def after_some(handler: Handler, request: Request) -> bool:
            tile = request.method == "PUT" and "DeepZoom_files" in request.path
            return tile and next(counter) > 10 and fault(handler, request)

        proxy.fault = after_some
        outcome = run("convert", small_slide, "--to", place, "--tile-size", 240)
        assert outcome.code == 75
        assert outcome.err.count("Error: ") == 1
        assert "Traceback" not in outcome.err
        assert f"{place}/images/small/DeepZoom_files/" in outcome.err
        assert DESCRIPTOR not in place.objects()
        assert clock.passed > retry.GIVE_UP_SECONDS - 10  # the longest pause

    def test_a_tile_that_is_lost_on_the_way_is_noticed(
        self, small_slide: Path, place: Place, proxy: Proxy
    ) -> None:
        def lose(handler: Handler, request: Request) -> bool:
            if request.method == "PUT" and request.path.endswith("/11/2_1.jpeg"):
                handler.accept(request)
                return True
            return False

        proxy.fault = lose
        with pytest.raises(StoreError, match="holds 59 of 60 tiles"):
            convert(small_slide, str(place), OPTIONS)
        assert DESCRIPTOR not in place.objects()

    def test_failures_are_told(self, run: Run, place: Place) -> None:
        Path("bad.svs").write_text("not a slide")
        outcome = run("convert", "bad.svs", "--to", place, "--log-format", "json")
        assert (outcome.code, outcome.out) == (65, "")
        start, failed = (json.loads(line) for line in outcome.err.splitlines())
        assert (start["event"], failed["event"]) == ("start", "failed")
        assert (failed["id"], failed["exit_code"]) == ("bad", 65)
        assert "neither a slide nor an image" in failed["error"]

    def test_retries_are_told(
        self, run: Run, small_slide: Path, place: Place, proxy: Proxy
    ) -> None:
        proxy.fault = sometimes(slow_down, 0.1)
        outcome = run("convert", small_slide, "--to", place, "--log-format", "json")
        assert outcome.code == 0
        assert outcome.out == ""
        events = [json.loads(line) for line in outcome.err.splitlines()]
        assert (events[0]["event"], events[0]["id"]) == ("start", "small")
        assert events[-1]["event"] == "done"
        assert {"id", "tiles", "bytes", "seconds", "time"} <= set(events[-1])
        (status,) = {event["status"] for event in events if event["event"] == "retry"}
        assert status == 503

    def test_a_signal_ends_the_waiting_for_a_server_in_trouble(
        self, small_slide: Path, place: Place, proxy: Proxy
    ) -> None:
        tiles = itertools.count()
        refused: list[str] = []

        def after_some(handler: Handler, request: Request) -> bool:
            tile = request.method == "PUT" and "DeepZoom_files" in request.path
            if not tile or next(tiles) < 10:
                return False
            refused.append(request.path)
            return slow_down(handler, request)

        proxy.fault = after_some
        command = [sys.executable, "-m", "vsv_pyramid", "convert", str(small_slide)]
        command += ["--to", str(place), "--tile-size", "240", "--quiet"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until(lambda: len(refused) > 60)  # each that there is room for several times
        process.terminate()
        _, err = process.communicate(timeout=20)
        assert process.returncode == 143
        assert err == "Stopped: nothing half-made is published.\n"
        assert not any(key.startswith(".leases") for key in place.objects())
        assert DESCRIPTOR not in place.objects()


class _SlowStore:
    """Counts what is begun and put. Each put waits until it may end."""

    parallel_puts = 3

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.may_end = threading.Semaphore(0)
        self.begun = 0
        self.done = 0

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self.begun += 1
        self.may_end.acquire()
        with self._lock:
            self.done += 1


def test_a_slow_store_holds_the_makers_back() -> None:
    """Never more is made and not put than the threads hold, and as much again waits for them."""
    store = _SlowStore()
    uploads = Uploads(store, threading.Event())  # type: ignore[arg-type]
    uploads.start()
    made: list[int] = []

    def make() -> None:
        for number in range(100):
            made.append(number)
            uploads.put(str(number), b"")

    maker = threading.Thread(target=make)
    maker.start()
    for done in range(100):
        until(lambda: len(made) == min(done + 2 * 3 + 1, 100))  # noqa: B023
        until(lambda: store.begun == min(done + 3, 100))  # noqa: B023
        assert store.done == done
        store.may_end.release()
        until(lambda: store.done == done + 1)  # noqa: B023
    maker.join()
    uploads.drain()
    uploads.close()
    assert store.begun == 100


def test_progress_is_an_event_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], clock: FakeClock
) -> None:
    show = messages.EventProgress({"slide": "a.svs", "id": "a"})
    for _ in range(26):
        show(Progress(5, 20, 1000))
        clock.advance(1)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [event["seconds"] for event in events] == [10.0, 20.0]
    assert events[0]["event"] == "progress"
    assert (events[0]["id"], events[0]["tiles"], events[0]["total"]) == ("a", 5, 20)


def test_what_boto3_knows_of_s3_is_read_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    url = session.parse_url(str(place))
    session.Account(url)
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda *_: pytest.fail("read once more"))
    session.Account(url).client.head_bucket(Bucket=BUCKET)


class TestRefusals:
    def test_a_wrong_secret(
        self, run: Run, small_slide: Path, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-at-all")
        outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 1
        assert "the signature is not the one of this access key; check AWS_SECRET" in outcome.err
        assert outcome.err.count("\n") == 1
        assert "not-the-secret-at-all" not in outcome.err + outcome.out

    def test_no_permission_to_write(
        self, run: Run, small_slide: Path, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in place.server.environment("reader").items():
            monkeypatch.setenv(name, value)
        outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 1
        assert "access is refused (403): s3:PutObject is not allowed" in outcome.err
        assert outcome.err.count("\n") == 1

    def test_a_bucket_that_is_not_there(self, run: Run, small_slide: Path, s3: object) -> None:
        outcome = run("convert", small_slide, "--to", "s3://not-there")
        assert outcome.code == 1
        assert "s3://not-there: there is no such bucket" in outcome.err

    def test_no_credentials(
        self, run: Run, small_slide: Path, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 1
        assert "no AWS credentials are found; set AWS_PROFILE" in outcome.err
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 1
        assert "nobody" in outcome.err
        assert "Traceback" not in outcome.err

    def test_nobody_listens(
        self,
        run: Run,
        small_slide: Path,
        place: Place,
        monkeypatch: pytest.MonkeyPatch,
        clock: FakeClock,
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 75
        assert f"Warning: {place}/images/root.json: does not answer; trying again" in outcome.err
        assert "does not answer; check the network and try again" in outcome.err

    def test_credentials_that_expire_are_renewed(
        self, small_slide: Path, place: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A container's credentials service, which gives others from the eleventh put on."""
        put: list[str] = []  # by whom
        renewed: list[int] = []  # after so many

        def fault(handler: Handler, request: Request) -> bool:
            if request.path == "/credentials":
                if len(put) > 10:
                    renewed.append(len(put))
                key, secret, _ = IDENTITIES["second" if renewed else "first"]
                expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
                answer = {"AccessKeyId": key, "SecretAccessKey": secret, "Expiration": expires}
                body = json.dumps({**answer, "Token": ""}).encode()
                handler.answer(200, {"content-type": "application/json"}, body)
                return True
            if request.method == "PUT":
                time.sleep(0.01)  # obstore goes by a clock of its own
                put.append(request.headers["authorization"].partition("Credential=")[2][:5])
            return False

        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{proxy.url}/credentials")
        monkeypatch.setattr(session, "_CREDENTIALS_TTL", timedelta(0))
        proxy.fault = fault
        options = ConvertOptions(tile_size=240, s3=S3Options(upload_workers=2))
        assert convert(small_slide, str(place), options).status == "converted"
        assert set(put[:11]) == {"FIRST"}
        assert set(put[renewed[0] + 2 :]) == {"SECON"}  # two may have been on their way

    @pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
    def test_the_region_is_that_of_the_environment(
        self,
        small_slide: Path,
        place: Place,
        proxy: Proxy,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
    ) -> None:
        """boto3 by itself knows but the second, Amazon's command line but the first."""
        signed: list[str] = []

        def fault(_: Handler, request: Request) -> bool:
            signed.append(request.headers["authorization"].split("/")[2])
            return False

        for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(variable)
        monkeypatch.setenv(name, "eu-central-1")
        proxy.fault = fault
        convert(small_slide, str(place), ConvertOptions())
        assert set(signed) == {"eu-central-1"}
        assert session.client("batch", "queue").meta.region_name == "eu-central-1"


@pytest.mark.crowd
def test_all_of_fifty_processes_end_well(small_slide: Path, place: Place) -> None:
    """obstore's asynchronous calls can abort the interpreter at its end; ours must not."""
    command = [sys.executable, "-m", "vsv_pyramid", "convert", str(small_slide), "--quiet"]
    for i in range(50):
        ended = subprocess.run(
            [*command, "--to", f"{place}/{i}"], capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "url", ["s3://a-bucket/a//b", "s3://a-bucket/../x", "s3://a-bucket/./x", "s3:/a-bucket", "s3:x"]
)
def test_odd_places_are_wrong_use(run: Run, small_slide: Path, url: str) -> None:
    outcome = run("convert", small_slide, "--to", url)
    assert outcome.code == 2
    assert outcome.err.count("Error: ") == outcome.err.count("\n") == 1


def test_odd_slides_are_wrong_use(run: Run, small_slide: Path) -> None:
    assert "names no slide" in run("convert", "s3://a-bucket").err
    outcome = run("convert", small_slide, "other.svs", "--to", "both.zip")
    assert outcome.code == 2
    assert "both.zip is for one slide, not for 2" in outcome.err


def test_put_options(run: Run, small_slide: Path) -> None:
    for words, sentence in (
        (["--kms-key", "x"], "--sse aws:kms"),
        (["--max-put-rate", "0"], "--max-put-rate 0"),
        (["--upload-workers", "0"], "--upload-workers 0"),
    ):
        outcome = run("convert", small_slide, "--to", "s3://x-y", *words)
        assert outcome.code == 2
        assert sentence in outcome.err


def test_statuses() -> None:
    assert session.status(Exception("... non-2xx status code: 503 Slow Down: ...")) == 503
    assert session.status(Exception("error sending request, code: 111")) is None
    assert isinstance(session.refusal("x", Exception("status code: 500")), StoreUnavailable)
