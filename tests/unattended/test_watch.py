"""`vsv-pyramid watch`: the slides that arrive in a folder."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.support.clock import FakeClock, until
from tests.support.destinations import keeping, opened, private_of
from vsv_pyramid.containers.tiff import tiff_base
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import (
    OptionError,
    QueueUnavailable,
    SlideAccessError,
    SlideChanged,
    SlideError,
    StoreError,
    StoreUnavailable,
    VsvPyramidError,
)
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.unattended import looks, watch
from vsv_pyramid.unattended.attempts import PAUSES
from vsv_pyramid.unattended.looks import UNFINISHED_SECONDS, Look
from vsv_pyramid.unattended.watch import INTERVAL, Handed, Watch, WatchEnded

PATIENCE = 60.0  # s, for processes
OPTIONS = ConvertOptions(tile_size=256, workers=1, update=True)


@dataclass
class Watched:
    """A folder, a destination, and a watch in a thread; its `hand_on` and clock are the test's."""

    folder: Path
    destination: str
    clock: FakeClock
    handed: list[str] = field(default_factory=list)
    failures: list[tuple[str, int]] = field(default_factory=list)
    before_look: Callable[[], object] = lambda: None

    def put(self, name: str, data: bytes = b"II*\0 no slide", age: float = 3600) -> Path:
        """A file that looks like a slide, written so many seconds ago."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(time.time_ns(), time.time_ns() - round(age * 1e9)))
        return path

    def hand_on(self, path: Path) -> Handed:
        """Publishes it, as far as the watch looks."""
        self.handed.append(path.name)
        publish(self.destination, path)
        return Handed()

    @contextlib.contextmanager
    def running(
        self,
        hand_on: Callable[[Path], Handed] | None = None,
        *,
        retry: bool = False,
        listening: bool = False,
        **options: Any,
    ) -> Iterator[Watch]:
        """From its first look on, until the block ends."""
        stop = threading.Event()
        started = Watch(
            self.folder,
            opened(self.destination),
            hand_on or self.hand_on,
            lambda path, _, code, __: self.failures.append((path.name, code)),
            stop=stop,
            **options,
        )
        looks = started._looks

        def preceded() -> Mapping[Path, Look]:
            self.before_look()
            return looks()

        raised: list[BaseException] = []

        def run() -> None:
            try:
                started.run(retry=retry)
            except BaseException as exc:
                raised.append(exc)

        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(started, "_looks", preceded))
            if not listening:
                deaf = contextlib.nullcontext()
                stack.enter_context(mock.patch.object(watch, "listening", lambda *_: deaf))
            thread = threading.Thread(target=run)
            thread.start()
            try:
                until(lambda: self.clock.waiting() or not thread.is_alive())
                self._started = started
                yield started
            finally:
                stop.set()
                started._wake.set()
                thread.join(PATIENCE)
        if raised:
            raise raised[0]
        assert not thread.is_alive()

    def look(self, times: int = 1) -> None:
        """So many looks, and all that comes of each."""
        self.let_pass(times * INTERVAL)

    def let_pass(self, seconds: float) -> None:
        for _ in range(round(seconds / INTERVAL)):
            self.clock.advance(INTERVAL)
            until(lambda: not self._started._under_way)

    def notes(self) -> list[dict[str, Any]]:
        return [
            json.loads(path.read_text())
            for path in Path(private_of(self.destination), "watch").glob("[!.]*")
        ]


def publish(destination: str, path: Path) -> None:
    """What the watch takes for the slide's pyramid."""
    stat = path.stat()
    source = {"name": path.name, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    sections: dict[str, Any] = {name: {} for name in ("origin", "pyramid", "options", "software")}
    folder = Path(destination, "images", path.stem)
    folder.mkdir(parents=True, exist_ok=True)
    document = {"source": source, "review": {}, **sections}
    (folder / "slide.json").write_text(json.dumps(document))
    (folder / "DeepZoom.dzi").write_text("")


@pytest.fixture
def watched(tmp_path: Path, clock: FakeClock) -> Watched:
    """An hour after all that is put there: what is no whole slide is not waited for."""
    (tmp_path / "in").mkdir()
    clock.advance(3600)
    return Watched(tmp_path / "in", str(tmp_path / "out"), clock)


def test_each_slide_is_handed_on_once(watched: Watched) -> None:
    watched.put("a.svs")
    watched.put("deep/er/b.SVS")
    watched.put("notes.txt")
    watched.put("._a.svs")
    watched.put(".hidden/c.svs")
    with watched.running():
        assert not watched.handed
        watched.look()
        assert sorted(watched.handed) == ["a.svs", "b.SVS"]
        watched.put("d.tif")
        watched.look()
        assert len(watched.handed) == 2
        watched.look(4)
    assert sorted(watched.handed) == ["a.svs", "b.SVS", "d.tif"]
    with watched.running():
        watched.look(4)
    assert len(watched.handed) == 3
    assert not watched.failures
    assert not watched.notes()


def test_a_slide_that_grows_is_not_taken(watched: Watched) -> None:
    path = watched.put("a.svs")
    with path.open("ab", buffering=0) as file:
        watched.before_look = lambda: file.write(b"more")
        with watched.running():
            watched.look(12)
            assert not watched.handed
            watched.before_look = lambda: None
            watched.look()
            assert watched.handed == ["a.svs"]


class TestWithoutItsEnd:
    @pytest.fixture
    def whole(self, real_slide: Path) -> bytes:
        return real_slide.read_bytes()

    @pytest.fixture
    def half(self, whole: bytes) -> bytes:
        return whole[: len(whole) // 2]

    @pytest.fixture
    def present(self, tmp_path: Path, clock: FakeClock) -> Watched:
        """At the time at which the slides are written."""
        (tmp_path / "in").mkdir()
        return Watched(tmp_path / "in", str(tmp_path / "out"), clock)

    def test_a_tiff_without_its_end_is_not_taken(
        self, present: Watched, whole: bytes, half: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = present.put("a.svs", half)
        with present.running():
            present.look(4)
            assert not present.handed
            assert caplog.text.count("a.svs is not complete yet; it waits for the rest") == 1
            path.write_bytes(whole)
            present.look()
            assert not present.handed
            present.look()
            assert present.handed == ["a.svs"]

    def test_until_nothing_has_come_for_long(self, present: Watched, half: bytes) -> None:
        present.put("a.svs", half)
        with present.running():
            present.let_pass(UNFINISHED_SECONDS - INTERVAL)
            assert not present.handed
            present.look(2)
            assert present.handed == ["a.svs"]

    def test_one_whose_end_comes_while_it_is_looked_for_is_to_settle(
        self, present: Watched, whole: bytes, half: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More may come: this is not the file that has stayed the same."""
        path = present.put("a.svs", half)
        ends = iter([whole[:-1], whole])

        def while_it_comes(looked_at: Path) -> object:
            path.write_bytes(next(ends, whole))
            return tiff_base(looked_at)

        monkeypatch.setattr(looks, "tiff_base", while_it_comes)
        with present.running():
            present.look()
            assert not present.handed
            monkeypatch.setattr(looks, "tiff_base", tiff_base)
            present.look()
            assert not present.handed
            present.look(4)
        assert present.handed == ["a.svs"]

    def test_a_dicom_file_that_cannot_be_read(
        self, present: Watched, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is of no series, and yet no file to be silent about."""
        for name in "x/a.dcm", "y/a.dcm":
            present.put(name, bytes(1000))

        def hand_on(path: Path) -> Handed:
            with open_slide(path):
                return Handed()

        with present.running(hand_on):
            present.let_pass(UNFINISHED_SECONDS - INTERVAL)
            assert caplog.text.count("a.dcm is not complete yet") == 2
            assert not present.failures
            present.look(4)
        assert present.failures == [("a.dcm", 65), ("a.dcm", 65)]
        assert {note["due"] for note in present.notes()} == {None}


def test_several_files_are_one_slide(watched: Watched) -> None:
    watched.put("a.mrxs")
    data = watched.put("a/Data0001.dat")
    sizes = itertools.count()
    watched.before_look = lambda: data.write_bytes(bytes(next(sizes)))
    with watched.running():
        watched.look(12)
        assert not watched.handed
        watched.before_look = lambda: None
        watched.look()
        assert watched.handed == ["a.mrxs"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
@pytest.mark.parametrize(("name", "other"), [("a.vms", "a.opt"), ("a.mrxs", "a/Data0001.dat")])
def test_a_broken_link_among_them_does_not_hide_it(name: str, other: str, watched: Watched) -> None:
    """OpenSlide tells of it, if it needs it."""
    watched.put(name)
    link = watched.put(other)
    link.unlink()
    link.symlink_to("nothing")
    with watched.running():
        watched.look(2)
    assert watched.handed == [name]


class Failing:
    """Fails with the errors in turn, then publishes."""

    def __init__(self, watched: Watched, *errors: Callable[[Path], Exception]) -> None:
        self._watched = watched
        self._errors = list(errors)

    def __call__(self, path: Path) -> Handed:
        if self._errors:
            self._watched.handed.append(path.name)
            raise self._errors.pop(0)(path)
        return self._watched.hand_on(path)


def bad(path: Path) -> VsvPyramidError:
    return SlideError(path, "bad")


def away(path: Path) -> VsvPyramidError:
    return StoreUnavailable(path, "away")


def in_the_way(path: Path) -> VsvPyramidError:
    return StoreError(path, "holds another file's pyramid")


def changing(path: Path) -> VsvPyramidError:
    return SlideChanged(path, "changed while it was read")


def full(path: Path) -> OSError:
    return OSError(28, "No space left on device", str(path))


def test_after_a_failure_it_is_tried_again(watched: Watched) -> None:
    watched.put("a.svs")
    with watched.running(Failing(watched, in_the_way, changing)):
        watched.look()
        for attempts, pause in enumerate(PAUSES[:2], 1):
            watched.let_pass(pause - INTERVAL)
            assert len(watched.handed) == attempts
            watched.look()
            assert len(watched.handed) == attempts + 1
    assert watched.failures == [("a.svs", 1), ("a.svs", 75)]
    assert not watched.notes()


def test_a_bad_slide_is_set_aside_at_once(watched: Watched) -> None:
    path = watched.put("a.svs")
    with watched.running(Failing(watched, bad)):
        watched.look(12)
    assert watched.handed == ["a.svs"]
    (note,) = watched.notes()
    assert note["slide"] == str(path)
    assert note["attempts"] == 1
    assert "bad" in note["reason"]
    assert note["due"] is None


def test_what_fails_again_and_again_is_set_aside(watched: Watched) -> None:
    watched.put("a.svs")
    with watched.running(Failing(watched, *[in_the_way] * 9), interval=60.0):
        watched.let_pass(60)
        for attempts, pause in enumerate(PAUSES, 1):
            assert [note["attempts"] for note in watched.notes()] == [attempts]
            watched.let_pass(pause)
        assert [note["due"] for note in watched.notes()] == [None]
        watched.let_pass(2 * PAUSES[-1])
    assert watched.handed == ["a.svs"] * (1 + len(PAUSES))


def test_a_clock_that_was_wrong_keeps_no_slide_waiting(watched: Watched) -> None:
    """It was years ahead when the slide failed, and the next attempt is due by it."""
    watched.put("a.svs")
    ten_years = 10 * 365 * 86400.0
    with watched.running(Failing(watched, in_the_way)):
        with mock.patch.object(clock, "time", lambda: watched.clock.time() + ten_years):
            watched.look()
            assert watched.failures == [("a.svs", 1)]
        watched.look()
    assert watched.handed == ["a.svs", "a.svs"]
    assert not watched.notes()


def test_a_passing_trouble_sets_nothing_aside(watched: Watched) -> None:
    watched.put("a.svs")
    with watched.running(Failing(watched, *[away] * 9), interval=PAUSES[-1]):
        watched.let_pass(9 * PAUSES[-1])
        assert len(watched.handed) == 9
        watched.let_pass(PAUSES[-1])
    assert len(watched.handed) == 10
    assert not watched.notes()


def test_a_defect_of_the_program_does_not_stop_the_others(watched: Watched) -> None:
    watched.put("a.svs")
    watched.put("b.svs")
    with watched.running(Failing(watched, lambda _: ZeroDivisionError("oops"))):
        watched.look(4)
    assert sorted(watched.handed) == ["a.svs", "b.svs"]
    (note,) = watched.notes()
    assert "oops" in note["reason"]


def test_what_takes_the_process_down_comes_after_the_others(
    watched: Watched, tmp_path: Path
) -> None:
    """As where the system ends what takes its memory. Nothing is said of it then."""
    watched.put("a.svs")
    notes, found = Path(private_of(watched.destination), "watch"), tmp_path / "found"

    def killed(path: Path) -> Handed:
        watched.handed.append(path.name)
        shutil.copytree(notes, found, dirs_exist_ok=True)
        raise WatchEnded

    for known in (0, 1):  # once may be anything: it goes on at once
        with watched.running(killed):
            watched.look()
        assert len(watched.notes()) == known  # an end in good order changes nothing
        shutil.copytree(found, notes, dirs_exist_ok=True)
    assert watched.handed == ["a.svs", "a.svs"]
    (note,) = watched.notes()
    assert (note["attempts"], note["reason"].partition(": ")[2]) == (
        2,
        "the program ended while it was converted",
    )
    watched.put("b.svs")
    with watched.running():
        watched.look()
        assert watched.handed[2:] == ["b.svs"]
        watched.let_pass(PAUSES[0])
        assert watched.handed[3:] == ["a.svs"]
    assert not watched.notes()


def test_what_cannot_even_be_told_is_logged(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.put("a.svs")
    with (
        watched.running(Failing(watched, bad)) as started,
        mock.patch.object(started, "_failed", side_effect=ZeroDivisionError("no queue")),
    ):
        watched.look()
        until(lambda: "ZeroDivisionError: no queue" in caplog.text)


class TestSetAside:
    @pytest.fixture(autouse=True)
    def set_aside(self, watched: Watched) -> None:
        watched.put("a.svs")
        with watched.running(Failing(watched, bad)):
            watched.look()
            assert watched.notes()

    def test_it_stays_so_after_a_restart(
        self, watched: Watched, caplog: pytest.LogCaptureFixture
    ) -> None:
        with watched.running():
            watched.look(4)
        assert watched.handed == ["a.svs"]
        said = [
            entry.message
            for entry in caplog.records
            if entry.name == "vsv_pyramid.unattended.watch"
        ]
        assert said[0].startswith("set aside: ")

    def test_until_it_changes(self, watched: Watched) -> None:
        with watched.running():
            watched.put("a.svs", b"II*\0 another")
            watched.look(2)
        assert len(watched.handed) == 2
        assert not watched.notes()

    def test_until_told_to_retry(self, watched: Watched) -> None:
        with watched.running(retry=True):
            watched.look()
        assert len(watched.handed) == 2
        assert not watched.notes()

    def test_until_it_is_removed_while_nobody_watches(self, watched: Watched) -> None:
        (watched.folder / "a.svs").rename(watched.folder / "b.svs")
        with watched.running():
            watched.look()
        assert watched.handed == ["a.svs", "b.svs"]
        assert not watched.notes()

    def test_also_by_another_name_of_the_folder(
        self, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(watched.folder.parent)
        watched.folder = Path(watched.folder.name)
        with watched.running():
            watched.look(4)
        assert watched.handed == ["a.svs"]

    def test_until_it_is_removed(self, watched: Watched) -> None:
        path = watched.put("b.svs")
        with watched.running():
            watched.look(4)
            assert watched.notes()
            (path.parent / "a.svs").unlink()
            watched.look()
            assert not watched.notes()

    def test_also_while_the_share_is_not_mounted(self, watched: Watched) -> None:
        with watched.running():
            watched.look(4)
            watched.folder.rename(watched.folder.with_name("away"))
            watched.look(4)  # each of them fails
            watched.folder.mkdir()
            watched.look(4)  # each of them finds nothing
            assert watched.notes()
            watched.folder.rmdir()
            watched.folder.with_name("away").rename(watched.folder)
            watched.put("b.svs")
            watched.look(2)
        assert watched.handed == ["a.svs", "b.svs"]
        assert watched.notes()

    def test_a_damaged_note_counts_as_none(self, watched: Watched) -> None:
        for path in Path(private_of(watched.destination), "watch").iterdir():
            path.write_text("{}")
        with watched.running():
            watched.look()
        assert len(watched.handed) == 2


def test_one_that_is_replaced_is_handed_on_again(watched: Watched) -> None:
    watched.put("a.svs")
    with watched.running():
        watched.look()
        assert len(watched.handed) == 1
        watched.put("a.svs", b"II*\0 a rescan")
        watched.look(4)
    assert len(watched.handed) == 2


def test_one_that_changes_while_it_is_handed_on_is_handed_on_again(watched: Watched) -> None:
    """For a job has been told of it, and may have read what it was before."""
    watched.put("a.svs")

    def hand_on(path: Path) -> Handed:
        watched.handed.append(path.name)
        if len(watched.handed) == 1:
            watched.put("a.svs", b"II*\0 a rescan")
        return Handed(job=f"job-{len(watched.handed)}")

    with watched.running(hand_on):
        watched.look(4)
    assert len(watched.handed) == 2
    (note,) = watched.notes()
    assert note["job"] == "job-2"


def test_one_that_vanishes_before_it_is_handed_on(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = watched.put("a.svs")

    def unfinished(_: Path) -> bool:
        path.unlink()
        return False

    monkeypatch.setattr(watch, "is_unfinished", unfinished)
    with watched.running():
        watched.look(4)
    assert not watched.handed
    assert not watched.failures
    assert not watched.notes()


def test_one_that_is_renamed_is_a_new_one(watched: Watched) -> None:
    path = watched.put("a.svs")
    with watched.running():
        watched.look()
        assert watched.handed == ["a.svs"]
        path.rename(path.with_name("b.svs"))
        watched.look(2)
        assert watched.handed == ["a.svs", "b.svs"]
        path.with_name("b.svs").unlink()
        watched.look(4)
    folders = filter(Path.is_dir, Path(watched.destination, "images").iterdir())
    assert sorted(folder.name for folder in folders) == ["a", "b"]


def test_of_two_with_one_id_none_is_taken(watched: Watched) -> None:
    watched.put("x/a.svs")
    other = watched.put("y/a.tif")
    with watched.running():
        watched.look(6)
        assert not watched.handed
        assert sorted(watched.failures) == [("a.svs", 2), ("a.tif", 2)]
    with watched.running():  # and says so once
        watched.look(6)
        assert len(watched.failures) == 2
        other.rename(other.with_name("b.tif"))
        watched.look(2)
    assert sorted(watched.handed) == ["a.svs", "b.tif"]


def test_one_with_the_id_of_a_published_one_is_not_taken(watched: Watched) -> None:
    watched.put("x/a.svs")
    with watched.running():
        watched.look()
        assert watched.handed
        watched.put("y/a.svs", b"II*\0 another")
        watched.look(6)
    assert watched.handed == ["a.svs"]
    assert watched.failures == [("a.svs", 2)]


def test_a_name_that_is_no_id(watched: Watched) -> None:
    watched.put("a b.svs")
    with watched.running():
        watched.look()
        assert watched.notes()
    assert watched.failures == [("a b.svs", 2)]


def test_what_another_process_is_at_is_looked_at_again(watched: Watched) -> None:
    watched.put("a.svs")
    answers = [Handed(busy=True), Handed(busy=True)]

    def hand_on(path: Path) -> Handed:
        return answers.pop() if answers else watched.hand_on(path)

    with watched.running(hand_on):
        watched.look(2)
        assert not watched.handed
        watched.look()
    assert watched.handed == ["a.svs"]
    assert not watched.failures


def test_several_at_the_same_time(watched: Watched) -> None:
    for number in range(6):
        watched.put(f"{number}.svs")
    together = threading.Barrier(3)

    def hand_on(path: Path) -> Handed:
        together.wait(PATIENCE)
        return watched.hand_on(path)

    with watched.running(hand_on, jobs=3):
        watched.look()
    assert len(watched.handed) == 6


class TestJobs:
    ended: dict[str, str | None]

    @pytest.fixture(autouse=True)
    def none_has_ended(self) -> None:
        self.ended = {}

    def running(self, watched: Watched) -> contextlib.AbstractContextManager[Watch]:
        def hand_on(path: Path) -> Handed:
            watched.handed.append(path.name)
            return Handed(job=f"job-{path.stem}")

        return watched.running(
            hand_on,
            ended=lambda jobs: {job: self.ended[job] for job in jobs if job in self.ended},
        )

    def test_what_a_job_has_is_not_handed_on_again(self, watched: Watched) -> None:
        watched.put("a.svs")
        for _ in range(2):
            with self.running(watched):
                watched.look(12)
        assert watched.handed == ["a.svs"]
        (note,) = watched.notes()
        assert note["job"] == "job-a"

    def test_one_that_went_well_is_forgotten(self, watched: Watched) -> None:
        watched.put("a.svs")
        with self.running(watched):
            watched.look(2)
            assert watched.notes()
            self.ended["job-a"] = None
            watched.look(7)  # it asks once a minute
            assert not watched.notes()
            watched.look(12)
        assert watched.handed == ["a.svs"]

    def test_the_end_of_a_job_that_another_replaced_says_nothing(self, watched: Watched) -> None:
        watched.put("a.svs")
        with self.running(watched) as started:
            watched.look(2)
            path = watched.folder / "a.svs"
            before = started._attempts.get(path)
            assert before
            asked: list[list[str]] = []

            def replaced(jobs: list[str]) -> dict[str, str | None]:
                asked.append(jobs)
                started._attempts.put(path, replace(before, job="another"))
                return {job: "exit code 65" for job in jobs if job == "job-a"}

            with mock.patch.object(started, "_ended", replaced):
                watched.look(14)
            assert asked == [["job-a"], ["another"]]
            assert not watched.failures

    def test_one_that_failed_sets_the_slide_aside(self, watched: Watched) -> None:
        watched.put("a.svs")
        with self.running(watched):
            watched.look(2)
            assert watched.notes()
            self.ended["job-a"] = "exit code 65"
            watched.look(7)
            assert watched.failures
            watched.look(12)
        assert watched.handed == ["a.svs"]
        (note,) = watched.notes()
        assert (note["job"], note["due"]) == ("", None)
        assert "65" in note["reason"]

    def test_one_that_is_published_has_not_failed(self, watched: Watched) -> None:
        """Batch forgets a job after a week; and one that failed may have done its work before."""
        path = watched.put("a.svs")
        with self.running(watched):
            watched.look(2)
            publish(watched.destination, path)
            self.ended["job-a"] = "its job is known no longer"
            watched.look(14)
        assert watched.handed == ["a.svs"]
        assert not watched.failures
        assert not watched.notes()

    def test_one_that_was_published_while_nobody_watched_is_forgotten(
        self, watched: Watched, small_slide: Path
    ) -> None:
        path = watched.put("a.svs", small_slide.read_bytes())
        with self.running(watched):
            watched.look(2)
            assert watched.notes()
        convert(path, watched.destination, keeping(OPTIONS, watched.destination))
        with self.running(watched):
            assert not watched.notes()

    def test_one_of_which_another_file_is_published_has(self, watched: Watched) -> None:
        watched.put("a.svs")
        with self.running(watched):
            watched.look(2)
            publish(watched.destination, watched.put("../a.svs", b"II*\0 a former scan"))
            self.ended["job-a"] = "its job is known no longer"
            watched.look(14)
        (note,) = watched.notes()
        assert note["reason"].endswith("its job is known no longer")


def test_a_queue_that_is_away_does_not_end_it(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.put("a.svs")

    def away(_: list[str]) -> dict[str, str | None]:
        raise QueueUnavailable("slides", "away")

    with watched.running(lambda _: Handed(job="one"), ended=away):
        watched.look()
        caplog.clear()
        watched.look(14)  # it asks once a minute
        assert caplog.text.count("slides: away") == 2
        watched.put("b.svs")
        watched.look(2)
        assert len(watched.notes()) == 2


def test_the_system_wakes_it(watched: Watched) -> None:
    looked: list[float] = []
    watched.before_look = lambda: looked.append(watched.clock.passed)
    with watched.running(listening=True):
        start = watched.clock.passed
        assert looked == [start]
        watched.put("a.svs")
        until(lambda: len(looked) > 1)
    assert looked[1] == start + 1  # not at once, for more may come, and long before an interval


def test_a_folder_that_is_not_there_at_first(tmp_path: Path, clock: FakeClock) -> None:
    watched = Watched(tmp_path / "none", str(tmp_path), clock)
    with pytest.raises(SlideAccessError), watched.running():
        pass


def test_what_was_converted_by_hand_is_not_converted_again(
    watched: Watched, small_slide: Path
) -> None:
    path = watched.put("a.svs", small_slide.read_bytes())
    convert(path, watched.destination, keeping(OPTIONS, watched.destination))
    with watched.running():
        watched.look(4)
    assert not watched.handed
    # The catalog tells, and no slide.json is looked at.
    (Path(watched.destination) / "images/a/slide.json").unlink()
    with watched.running():
        watched.look(4)
    assert not watched.handed


def test_what_was_deleted_is_handed_on_when_it_is_scanned_anew(
    watched: Watched, small_slide: Path, real_slide: Path
) -> None:
    path = watched.put("a.svs", small_slide.read_bytes())
    convert(path, watched.destination, keeping(OPTIONS, watched.destination))
    Desk(opened(watched.destination), "anna").delete({"a": None})
    with watched.running() as started:
        watched.look(4)
        assert (watched.handed, started.waiting()) == ([], [])
        watched.put("a.svs", real_slide.read_bytes())
        watched.look(2)
    assert watched.handed == ["a.svs"]


def test_a_damaged_catalog_is_done_without(
    watched: Watched, small_slide: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = watched.put("a.svs", small_slide.read_bytes())
    convert(path, watched.destination, keeping(OPTIONS, watched.destination))
    (Path(watched.destination) / "images/index.json").write_text("{")
    with watched.running():
        watched.look(4)
    assert not watched.handed
    assert "the catalog is damaged" in caplog.text


def test_a_folder_that_is_away_is_no_slides_failure(watched: Watched, tmp_path: Path) -> None:
    """As a share is for a moment, while a slide is read."""
    watched.put("a.svs")
    away = tmp_path / "away"
    tried = []

    def hand_on(path: Path) -> Handed:
        tried.append(path.name)
        if len(tried) == 1:
            watched.folder.rename(away)
            raise SlideAccessError(path, "No such file or directory; check the path")
        return watched.hand_on(path)

    with watched.running(hand_on):
        watched.look(2)
        assert tried == ["a.svs"]
        away.rename(watched.folder)
        watched.let_pass(60)
    assert watched.failures == []
    assert watched.handed == ["a.svs"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows wakes nobody by a signal")
def test_a_signal_stops_what_is_under_way_for_once(watched: Watched) -> None:
    watched.put("a.svs")
    stop = threading.Event()
    stopped: list[bool] = []

    def hand_on(_: Path) -> Handed:
        os.kill(os.getpid(), signal.SIGINT)
        stopped.append(stop.wait(PATIENCE))
        return Handed()

    store = opened(watched.destination)
    started = Watch(watched.folder, store, hand_on, lambda *_: None, stop=stop)
    with pytest.raises(KeyboardInterrupt):
        started.run(once=True)
    assert stopped == [True]


def test_an_id_out_of_the_blue_is_refused_in_words(watched: Watched) -> None:
    errors: list[Exception] = []
    path = watched.put("a b.svs")
    started = Watch(
        watched.folder,
        opened(watched.destination),
        watched.hand_on,
        lambda _, exc, __, ___: errors.append(exc),
    )
    started.run(once=True)
    (error,) = errors
    assert isinstance(error, OptionError)
    assert str(error).startswith(f"{path}: 'a b' cannot be an id; rename the file")
