"""`vsv-pyramid watch` as it is typed, and as a service."""

from __future__ import annotations

import configparser
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support.clock import FakeClock, until
from tests.support.destinations import opened, private_of
from tests.support.odd_names import FILES
from tests.support.s3_server import Place
from tests.unattended.test_watch import PATIENCE
from vsv_pyramid import catalog_json
from vsv_pyramid.errors import OptionError
from vsv_pyramid.runtime.signals import EXIT_SIGNALLED
from vsv_pyramid.store import open_store
from vsv_pyramid.verification import verify


def command_line(folder: Path, destination: Path) -> list[str]:
    words = ("watch", str(folder), "--to", str(destination))
    return [sys.executable, "-m", "vsv_pyramid", *words]


class TestCommand:
    def test_once(self, run: Run, clock: FakeClock, small_slide: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        shutil.copy(small_slide, folder / "a.svs")
        (folder / "b.svs").write_text("hello")
        os.utime(folder / "b.svs", (1, 1))
        words = ("watch", folder, "--to", "out", "--once")
        outcome = run(*words, "--interval", 3, "--tile-size", 256)
        assert clock.slept[0] == 3
        assert outcome.code == 1
        assert outcome.out.startswith("a: ")
        assert "b.svs: neither a slide" in outcome.err
        assert "set aside" in outcome.err
        assert verify("out/images/a", deep=True).errors == []
        again = run(*words)
        assert (again.code, again.out) == (0, "")
        assert again.err.count("\n") == 1

    def test_what_a_killed_process_has_left_out_of_the_catalog(
        self, run: Run, clock: FakeClock, small_slide: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "in").mkdir()
        shutil.copy(small_slide, tmp_path / "in/a.svs")
        words = ("watch", tmp_path / "in", "--to", "out", "--once")
        assert run(*words).code == 0
        index = Path("out/images/index.json")
        before = index.read_bytes()
        index.write_bytes(catalog_json.write([]))
        outcome = run(*words)
        assert (outcome.code, outcome.err) == (0, "")
        assert index.read_bytes() == before

    def test_a_rescan_takes_the_place_of_the_first(
        self, run: Run, clock: FakeClock, small_slide: Path, real_slide: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        for slide, size in (small_slide, [1501, 1103]), (real_slide, [2220, 2967]):
            shutil.copy(slide, folder / "a.svs")
            words = ("watch", folder, "--to", "out", "--once", "--quiet")
            outcome = run(*words)
            assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
            document = json.loads(Path("out/images/a/slide.json").read_text())
            assert [document["width"], document["height"]] == size

    def test_what_another_process_is_at_is_left(
        self, run: Run, clock: FakeClock, small_slide: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        shutil.copy(small_slide, folder / "a.svs")
        with open_store("out").replacing("images/a"):
            outcome = run("watch", folder, "--to", "out", "--once")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
        assert not Path("out/images/a/DeepZoom.dzi").exists()

    def test_as_json(self, run: Run, clock: FakeClock, small_slide: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        shutil.copy(small_slide, folder / "a.svs")
        words = ("--once", "--log-format", "json")
        outcome = run("watch", folder, "--to", "out", *words)
        events = [json.loads(line) for line in outcome.err.splitlines()]
        assert [event["event"] for event in events] == ["start", "done"]
        assert events[1]["id"] == "a"

    def test_to_s3(
        self, run: Run, clock: FakeClock, small_slide: Path, place: Place, tmp_path: Path
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        shutil.copy(small_slide, folder / "a.svs")
        (folder / "b.svs").write_text("hello")
        to_private = ("--private-to", private_of(place))
        words = ("watch", folder, "--to", place, *to_private, "--once", "--quiet")
        assert run(*words).code == 1
        assert "images/a/DeepZoom.dzi" in place.objects()
        assert len(opened(place).names("watch")) == 1
        assert run(*words).code == 0
        assert run(*words, "--retry").code == 1

    def test_two_at_once_convert_each_slide_once(self, real_slide: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        for number in range(4):
            shutil.copy(real_slide, folder / f"{number}.svs")
        command = command_line(folder, tmp_path / "out")
        words = ("--once", "--interval", "0.1", "--lane", "pixels", "--workers", "1")
        both = [
            subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = "".join(process.communicate(timeout=PATIENCE)[0] for process in both)
        assert [process.returncode for process in both] == [0, 0]
        lines = sorted(line.split(":")[0] for line in said.splitlines() if "skipped" not in line)
        assert lines == ["0", "1", "2", "3"]

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM")
    def test_sigterm_ends_it_and_the_next_one_goes_on(
        self, real_slide: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        shutil.copy(real_slide, folder / "a.svs")
        command = command_line(folder, tmp_path / "out")
        words = ("--interval", "0.1", "--lane", "pixels", "--tile-size", "64", "--workers", "1")
        process = subprocess.Popen([*command, *words], stderr=subprocess.PIPE, text=True)
        until(lambda: list(tmp_path.glob("out/images/.a.partial/**/*.jpeg")))
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=20)[1]
        assert process.returncode == 143
        first, last = said.splitlines()
        assert "in is watched, but for .*, #recycle, " in first
        assert last == "Stopped: nothing half-made is published."
        assert not (tmp_path / "out/images/a").exists()
        subprocess.run([*command, *words, "--once"], check=True, timeout=PATIENCE)
        assert verify(str(tmp_path / "out/images/a")).errors == []

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("none",), "none is no folder"),
            ((".", "--submit", "q"), "--job-definition"),
            ((".", "--job-definition", "q"), "--submit"),
            ((".", "--seen-as", "/mnt"), "--submit"),
            ((".", "--submit", "", "--job-definition", "d"), "empty"),
        ],
    )
    def test_wrong_use(self, run: Run, words: tuple[str, ...], sentence: str) -> None:
        outcome = run("watch", *words, "--to", "out")
        assert outcome.code == 2
        assert_one_sentence(outcome.err, sentence)

    def test_an_interval_that_is_no_number(self, run: Run) -> None:
        outcome = run("watch", ".", "--to", "out", "--interval", "nan")
        assert outcome.code == 2
        assert "that is no number" in outcome.err

    def test_an_archive_is_no_destination(self, run: Run) -> None:
        outcome = run("watch", ".", "--to", "a.zip")
        assert outcome.code == 2
        assert_one_sentence(outcome.err, "a.zip")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take UTF-8 only")
def test_hostile_names(
    run: Run,
    clock: FakeClock,
    small_slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slides, and folders, that are named so are left out, and told of in what a terminal may show;
    a folder may be named in another encoding."""
    # What pytest has seen of a log goes from process to process, in UTF-8.
    monkeypatch.setattr(logging.getLogger("vsv_pyramid"), "propagate", False)
    folder = tmp_path / "in"
    for name in FILES:
        (folder / f"{name}.d").mkdir(parents=True)
        shutil.copy(small_slide, folder / f"{name}.d/inside.svs")
        shutil.copy(small_slide, folder / f"{name}.svs")
    shutil.copy(small_slide, folder / "good.svs")
    outcome = run("watch", folder, "--to", "out", "--once", "--tile-size", 256)
    assert outcome.code == 1
    assert all(line.isprintable() for line in outcome.err.splitlines())
    assert outcome.err.count("skipped, its name has") == 2 * len(FILES) - 2
    assert "cannot be an id" in outcome.err
    assert {line.partition(":")[0] for line in outcome.out.splitlines()} == {"good", "inside"}
    again = run("watch", folder, "--to", "out", "--once", "--tile-size", 256)
    assert (again.code, again.out) == (0, "")


def test_the_service_watches(run: Run, clock: FakeClock, small_slide: Path, tmp_path: Path) -> None:
    """By the words of the file for systemd, in other folders."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.read(Path(__file__).parents[2] / "batch/vsv-pyramid-watch.service", encoding="utf-8")
    program, *words = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "vsv-pyramid"
    places = {"/mnt/scanner": tmp_path / "in", "/srv/www": "www", "/srv/private": "private"}
    (tmp_path / "in").mkdir()
    shutil.copy(small_slide, tmp_path / "in/a.svs")
    ended = run(*(places.get(word, word) for word in words), "--once")
    assert ended.code == 0, ended.err
    assert Path("www/images/a/DeepZoom.dzi").exists()
    assert Path("private/private/images/a").is_dir()
    written = unit["Service"]["ReadWritePaths"].split()
    assert written == [word for word in words if word.startswith("/srv/")]
    assert unit["Service"]["RestartPreventExitStatus"] == str(OptionError.exit_code)
    assert unit["Service"]["SuccessExitStatus"] == str(EXIT_SIGNALLED + signal.SIGTERM)
