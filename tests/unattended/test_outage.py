"""What is no slide's own trouble: it holds up the whole watch, and sets nothing aside."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import watchdog.observers
from watchdog.observers.api import BaseObserver

from tests.support.clock import FakeClock, until
from tests.support.destinations import opened
from tests.unattended.test_watch import Failing, Watched, away, bad, full, in_the_way, watched
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import (
    EXIT_TRY_AGAIN,
    QueueError,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    VsvPyramidError,
)
from vsv_pyramid.slide.search import slides_in
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.unattended.attempts import Attempt, Attempts
from vsv_pyramid.unattended.looks import Look
from vsv_pyramid.unattended.outage import PAUSES
from vsv_pyramid.unattended.watch import INTERVAL, Handed, Watch

__all__ = ["watched"]  # a fixture


def refused(_: Path) -> VsvPyramidError:
    return StoreRefused("s3://bucket", "the login has ended; log in again")


def gone(_: Path) -> VsvPyramidError:
    return StoreRefused("s3://bucket", "there is no such bucket; check its name")


def no_queue(_: Path) -> VsvPyramidError:
    return QueueError("slides", "is refused")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]


@pytest.mark.parametrize("error", [refused, gone, no_queue, away, full])
def test_it_holds_up_all_and_goes_on_by_itself(
    watched: Watched, caplog: pytest.LogCaptureFixture, error: Callable[[Path], Exception]
) -> None:
    names = [f"{number}.svs" for number in range(9)]
    for name in names:
        watched.put(name)
    is_away = True

    def hand_on(path: Path) -> Handed:
        if is_away:
            watched.handed.append(path.name)
            raise error(path)
        return watched.hand_on(path)

    with watched.running(hand_on):
        watched.look()
        assert watched.handed == ["0.svs"]
        for tries, pause in enumerate([PAUSES[0], *[PAUSES[1]] * 5], 2):
            watched.let_pass(pause - INTERVAL)
            assert len(watched.handed) == tries - 1
            watched.look()
            assert len(watched.handed) == tries
        assert len(watched.failures) == 1
        assert watched.failures[0][0] == "0.svs"
        is_away = False
        watched.handed.clear()
        watched.let_pass(PAUSES[1])
        watched.look()
        assert sorted(watched.handed) == names
    assert len(watched.failures) == 1
    assert not watched.notes()
    first, last = said(caplog)
    assert first.startswith("no slide is handed on until this is over")
    assert last.endswith("went well; the trouble is over, and all slides go on")


def test_each_trouble_is_told_once(watched: Watched) -> None:
    watched.put("a.svs")
    with watched.running(Failing(watched, full, away, full, away, away, full)):
        watched.let_pass(8 * PAUSES[1])
    assert watched.failures == [("a.svs", 1), ("a.svs", EXIT_TRY_AGAIN)]
    assert len(watched.handed) == 7
    assert not watched.notes()


def test_one_that_fails_alone_is_not_the_environment(watched: Watched) -> None:
    """As where the folder of one slide is another's: the others do not wait for it again."""
    for name in "abcdef":
        watched.put(f"{name}.svs")

    def hand_on(path: Path) -> Handed:
        if path.name == "a.svs":
            watched.handed.append("a.svs")
            raise refused(path)
        return watched.hand_on(path)

    with watched.running(hand_on):
        watched.look()
        assert watched.handed == ["a.svs"]
        watched.let_pass(PAUSES[0])
        assert watched.handed[1] == "b.svs"
        watched.look()
        assert len(set(watched.handed)) == 6
        before = watched.handed.count("a.svs")
        watched.put("g.svs")
        watched.look(2)
        assert "g.svs" in watched.handed
        watched.let_pass(3 * 7200)
        assert watched.handed.count("a.svs") > before
        (note,) = watched.notes()
        assert note["due"] is not None


def test_a_bad_slide_is_no_end_of_it(watched: Watched) -> None:
    for name in "abc":
        watched.put(f"{name}.svs")

    def hand_on(path: Path) -> Handed:
        watched.handed.append(path.name)
        raise bad(path) if path.name == "b.svs" else away(path)

    with watched.running(hand_on):
        watched.look()
        watched.let_pass(PAUSES[0] + INTERVAL)
        assert watched.handed == ["a.svs", "b.svs", "c.svs"]
        watched.look()
        assert len(watched.handed) == 3
    assert watched.failures == [("a.svs", EXIT_TRY_AGAIN), ("b.svs", 65)]


def test_a_slides_own_trouble_holds_up_nobody(watched: Watched) -> None:
    watched.put("a.svs")
    watched.put("b.svs")
    with watched.running(Failing(watched, in_the_way)):
        watched.look()
        assert sorted(watched.handed) == ["a.svs", "b.svs"]


class TestAtTheStart:
    def test_a_destination_that_does_not_answer_is_waited_for(
        self, watched: Watched, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        watched.put("a.svs")
        tagged, asked = DirectoryStore.tagged, 0

        def answers(store: DirectoryStore, key: str) -> object:
            nonlocal asked
            asked += 1
            if asked < 4:
                raise StoreUnavailable(store, "does not answer; check the network and try again")
            return tagged(store, key)

        with mock.patch.object(DirectoryStore, "tagged", answers), watched.running():
            watched.look()
            assert watched.handed == ["a.svs"]
        assert len([line for line in said(caplog) if "does not answer" in line]) == 1
        assert clock.slept

    def test_but_not_for_once(self, watched: Watched) -> None:
        away = StoreUnavailable("s3://bucket", "does not answer")
        destination = open_destination(watched.destination)
        watch = Watch(watched.folder, destination, *[mock.Mock()] * 2)
        with (
            mock.patch.object(DirectoryStore, "tagged", side_effect=away),
            pytest.raises(StoreUnavailable),
        ):
            watch.run(once=True)

    def test_one_that_refuses_ends_it(self, watched: Watched) -> None:
        closed = StoreRefused("s3://bucket", "there is no such bucket")
        with (
            mock.patch.object(DirectoryStore, "names", side_effect=closed),
            pytest.raises(StoreRefused),
            watched.running(),
        ):
            pass


def test_a_share_that_is_away_is_told_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.put("a.svs")
    with watched.running():
        watched.look()
        for _ in range(2):
            watched.folder.rename(watched.folder.with_name("away"))
            watched.look(5)
            watched.folder.with_name("away").rename(watched.folder)
            watched.look(2)
    assert len([line for line in said(caplog) if "No such file" in line]) == 2
    assert watched.handed == ["a.svs"]


def test_what_is_in_a_folder_that_cannot_be_read_is_not_gone(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.put("a.svs")
    watched.put("x/b.svs")
    folder, scandir = watched.folder / "x", os.scandir
    locked = False

    def refusing(path: Any) -> Any:
        if locked and Path(path) == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    with mock.patch.object(os, "scandir", refusing), watched.running(Failing(watched, bad, bad)):
        watched.look()
        assert len(watched.notes()) == 2
        locked = True
        watched.put("c.svs")
        watched.look(5)
        assert len(watched.notes()) == 2
        assert watched.handed == ["a.svs", "b.svs", "c.svs"]
        locked = False
        watched.look(3)
    assert len(watched.handed) == 3
    (line,) = [line for line in said(caplog) if "x: skipped" in line]
    assert "it cannot be read (Permission denied)" in line


class TestListening:
    """Where the system has no more instances, or watches, or threads, it looks by the clock."""

    @pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many"), RuntimeError("thread")])
    @pytest.mark.parametrize("call", ["schedule", "start"])
    def test_it_looks_by_the_clock(self, watched: Watched, call: str, error: Exception) -> None:
        watched.put("a.svs")
        before = set(threading.enumerate())
        with (
            mock.patch.object(BaseObserver, call, side_effect=error),
            watched.running(listening=True),
        ):
            watched.look()
            assert watched.handed == ["a.svs"]
        until(lambda: not set(threading.enumerate()) - before)

    def test_no_instances_are_left(self, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
        def none() -> None:
            raise OSError(errno.EMFILE, "inotify instance limit reached")

        monkeypatch.setattr(watchdog.observers, "Observer", none)
        watched.put("a.svs")
        with watched.running(listening=True):
            watched.look()
            assert watched.handed == ["a.svs"]


def test_what_is_left_for_a_stop_is_no_failure(watched: Watched) -> None:
    watched.put("a.svs")

    def hand_on(path: Path) -> Handed:
        started._stop.set()
        raise StoreError(path, "left, since the conversion was stopped")

    with watched.running(hand_on) as started:
        watched.look()
    assert not watched.failures
    assert not watched.notes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_what_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/b.svs").touch()
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "c.svs").symlink_to("more/b.svs")
    (tmp_path / "d.svs").symlink_to("nowhere.svs")
    os.mkfifo(tmp_path / "e.svs")
    found = slides_in(tmp_path)
    assert [path.name for path in found.slides] == ["a.svs", "c.svs", "b.svs"]
    assert {path.name: reason.partition(";")[0] for path, reason in found.skipped.items()} == {
        "round": "it is a link to a folder",
        "d.svs": "it is a link to what cannot be read (No such file or directory)",
        "e.svs": "it is neither a file nor a folder",
    }


def test_what_failed_is_not_forgotten_while_the_store_is_away(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.put("a.svs")
    store = opened(watched.destination)
    attempts = Attempts(store, watched.folder, lambda path: path.stem)
    attempts.put(watched.folder / "a.svs", Attempt("a.svs", Look(1, 1), job="j"))

    def silent(key: str, **_: object) -> bytes:
        raise StoreUnavailable(key, "away")

    monkeypatch.setattr(store, "get", silent)
    with pytest.raises(StoreUnavailable):
        attempts.read()
