"""One worker a folder in S3: who waits, who takes over, and what is said of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.store.conftest import OPTIONS
from tests.store.test_s3 import DESCRIPTOR, published, slow_down
from tests.support import s3_proxy
from tests.support.clock import FakeClock, until
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import (
    StoreBusy,
)
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import lease, open_store


class TestLease:
    def test_the_second_one_leaves(self, run: Run, small_slide: Path, place: Place) -> None:
        with open_store(str(place)).replacing("images/small"):
            outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 0
        assert "left to another process" in outcome.out
        assert "1 busy" in outcome.out
        assert place.objects() == {}

    def test_or_waits(self, small_slide: Path, place: Place, clock: FakeClock) -> None:
        options = ConvertOptions(tile_size=240, if_busy="wait")
        first = contextlib.ExitStack()
        first.enter_context(open_store(str(place)).replacing("images/small"))

        def meanwhile() -> None:
            if len(clock.slept) == 3:
                first.close()

        clock.meanwhile = meanwhile
        with first:
            assert convert(small_slide, str(place), options).status == "converted"
        assert clock.slept[:3] == [1, 1, 1]

    def test_two_at_once_make_one_pyramid(
        self, small_slide: Path, place: Place, on_disk: dict[str, str]
    ) -> None:
        command = [sys.executable, "-m", "vsv_pyramid", "convert", str(small_slide)]
        command += ["--to", str(place), "--tile-size", "240", "--json"]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        answers = [json.loads(process.communicate()[0]) for process in both]
        assert [process.returncode for process in both] == [0, 0]
        statuses = sorted(answer["slides"][0]["status"] for answer in answers)
        assert statuses in (["busy", "converted"], ["converted", "skipped"])
        assert published(place) == on_disk

    def test_a_dead_workers_lease_is_taken_over(
        self, small_slide: Path, place: Place, proxy: Proxy, clock: FakeClock
    ) -> None:
        """Its age is S3's to tell."""
        proxy.fault = s3_proxy.by(clock)
        with contextlib.ExitStack() as stack:
            stack.enter_context(open_store(str(place)).replacing("images/small"))
            dead = place.get(".leases/images/small")
        place.put(".leases/images/small", dead["Body"].read(), **dead["Metadata"])
        clock.advance(lease.SECONDS - 1)
        assert convert(small_slide, str(place), OPTIONS).status == "busy"
        clock.advance(60)
        assert convert(small_slide, str(place), OPTIONS).status == "converted"
        assert not any(key.startswith(".leases") for key in place.objects())

    def test_a_lease_is_renewed(self, place: Place, proxy: Proxy, clock: FakeClock) -> None:
        proxy.fault = s3_proxy.by(clock)
        with open_store(str(place)).replacing("images/small") as staged:
            until(clock.waiting)
            before = proxy.count("PUT")
            clock.advance(5 * lease.SECONDS)
            assert proxy.count("PUT") - before == 5 * 4
            with pytest.raises(StoreBusy):
                open_store(str(place)).replacing("images/small").__enter__()
            staged.put("images/small/x", b"1")

    @pytest.mark.parametrize("another_came", [True, False])
    def test_one_that_cannot_be_renewed_stops_its_worker_if_another_came(
        self, place: Place, proxy: Proxy, clock: FakeClock, another_came: bool
    ) -> None:
        with open_store(str(place)).replacing("images/small") as staged:
            until(clock.waiting)
            proxy.fault = slow_down
            clock.advance(lease.SECONDS / 2)
            proxy.fault = lambda *_: False
            staged.put("images/small/x", b"1")
            proxy.fault = slow_down
            clock.advance(2 * lease.SECONDS)
            if another_came:
                place.put(".leases/images/small", b"another", owner="another")
            proxy.fault = lambda *_: False
            with pytest.raises(StoreBusy) if another_came else contextlib.nullcontext():
                staged.put("images/small/y", b"1")
        last = ".leases/images/small" if another_came else "images/small/y"
        assert set(place.objects()) == {"images/small/x", last}

    def test_ctrl_c_while_it_is_taken(
        self, place: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take = lease.Lease._take

        def interrupted(self: lease.Lease) -> None:
            take(self)
            raise KeyboardInterrupt

        monkeypatch.setattr(lease.Lease, "_take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_store(str(place)).replacing("images/small").__enter__()
        assert place.objects() == {}

    def test_a_write_whose_answer_was_lost_counts(self, place: Place, proxy: Proxy) -> None:
        lost: list[str] = []

        def lose(handler: Handler, request: Request) -> bool:
            if request.method == "PUT" and not lost:
                lost.append(request.path)
                handler.forwarded(request)
                handler.hang_up()
                return True
            return False

        proxy.fault = lose
        with open_store(str(place)).replacing("images/small") as staged:
            staged.put("images/small/x", b"1")
        assert lost
        assert set(place.objects()) == {"images/small/x"}

    def test_a_lost_lease_stops_its_worker(self, place: Place, clock: FakeClock) -> None:
        with (
            pytest.raises(StoreBusy, match="taken it over"),
            open_store(str(place)).replacing("images/small") as staged,
        ):
            until(clock.waiting)
            place.put(".leases/images/small", b"{}")
            clock.advance(lease.SECONDS / 4)
            staged.put("images/small/x", b"1")
        assert set(place.objects()) == {".leases/images/small"}

    @pytest.mark.parametrize("ignores", [False, True])
    def test_a_server_without_conditional_writes(
        self, run: Run, small_slide: Path, place: Place, proxy: Proxy, ignores: bool
    ) -> None:
        def fault(handler: Handler, request: Request) -> bool:
            if "if-none-match" not in request.headers:
                return False
            if not ignores:
                handler.refuse(501, "NotImplemented")
            elif ".leases" in request.path:
                handler.accept(request)
            else:  # of the catalog, which is looked at again
                return False
            return True

        proxy.fault = fault
        outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 0
        assert "Warning: " in outcome.err
        assert "knows no conditional writes" in outcome.err
        assert DESCRIPTOR in place.objects()

    def test_one_that_may_not_be_removed_is_anybodys_at_once(
        self, run: Run, small_slide: Path, place: Place, proxy: Proxy
    ) -> None:
        def fault(handler: Handler, request: Request) -> bool:
            if request.method != "DELETE":
                return False
            handler.refuse(403, "AccessDenied")
            return True

        proxy.fault = fault
        for size in (240, 480):
            outcome = run("convert", small_slide, "--to", place, "--tile-size", size, "--overwrite")
            assert (outcome.code, outcome.err) == (0, "")
            assert "1 converted" in outcome.out
            assert place.get(".leases/images/small")["Metadata"]["seconds"] == "-1.0"
        with open_store(str(place)).replacing("images/small"), pytest.raises(StoreBusy):
            open_store(str(place)).replacing("images/small").__enter__()

    def test_where_it_can_neither_be_removed_nor_put_that_is_told(
        self, run: Run, small_slide: Path, place: Place, proxy: Proxy
    ) -> None:
        def fault(handler: Handler, request: Request) -> bool:
            is_last = request.headers.get("x-amz-meta-seconds") == "-1.0"
            if request.method != "DELETE" and not is_last:
                return False
            handler.refuse(403, "AccessDenied")
            return True

        proxy.fault = fault
        outcome = run("convert", small_slide, "--to", place)
        assert outcome.code == 0
        assert f"its lease could not be removed; for {lease.SECONDS:.0f} s" in outcome.err

    @pytest.mark.parametrize("method", ["HEAD", "DELETE"])
    def test_a_server_that_does_not_answer_holds_the_end_up_for_seconds_only(
        self, place: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        monkeypatch.setattr(lease, "_RELEASE_SECONDS", 0.0)
        answers = threading.Event()

        def fault(_: Handler, request: Request) -> bool:
            if request.method == method:
                answers.wait()
            return False

        with open_store(str(place)).replacing("images/small"):
            proxy.fault = fault
        asked = [thread for thread in threading.enumerate() if thread.name == "release"]
        answers.set()
        for thread in asked:
            thread.join()
        assert len(asked) == 1
        assert place.objects() == {}
