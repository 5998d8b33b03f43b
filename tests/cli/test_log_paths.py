"""JSON events name a slide by its id; paths and file names only with --log-paths."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Outcome, Run
from tests.support.clock import FakeClock
from tests.support.s3_server import Place
from vsv_pyramid.aws import batch
from vsv_pyramid.cli import messages
from vsv_pyramid.cli.messages import EventProgress, Events, Voice
from vsv_pyramid.errors import QueueError, StoreUnavailable, exit_code
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.slide.pseudonyms import Pseudonyms
from vsv_pyramid.words import digest

JSON = ("--log-format", "json")
PATHS = (*JSON, "--log-paths")
PERSON = "ustermann"
FOLDER, NAME = "Mustermann, Erika (1964)", "mustermann_e.svs"


def events(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.err.splitlines()]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    return folder


@pytest.fixture
def slide(scans: Path, small_slide: Path) -> Path:
    return Path(shutil.copy(small_slide, scans / NAME))


def damage(slide: Path) -> None:
    slide.write_text("hello")


def cut(slide: Path) -> None:
    os.truncate(slide, slide.stat().st_size // 2)


@pytest.mark.parametrize(
    ("change", "words", "told"),
    [
        (lambda _: None, (), ["start", "done"]),
        (lambda _: None, ("--color", "srgb", "--associated", "macro,label"), ["start", "done"]),
        (lambda _: None, ("--tile-size", "100"), ["error"]),
        (damage, (), ["start", "failed"]),
        (damage, ("--dry-run",), ["failed"]),
        (cut, (), ["start", "failed"]),
        (damage, ("--quality", "0", "--bounds"), ["error"]),
        (Path.unlink, (), ["start", "failed"]),
    ],
)
def test_a_conversion(
    run: Run,
    slide: Path,
    change: Callable[[Path], None],
    words: tuple[str, ...],
    told: list[str],
) -> None:
    change(slide)
    for place in slide, os.path.relpath(slide), f"{slide.parent}/../{FOLDER}/{NAME}":
        outcome = run("convert", place, "--to", "out", "--id", "170782", *JSON, *words)
        assert PERSON not in outcome.err.lower()
        assert [event["event"] for event in events(outcome)] == told
        assert {event.get("id", "170782") for event in events(outcome)} == {"170782"}
        assert not any({"slide", "folder"} & event.keys() for event in events(outcome))
        shutil.rmtree("out", ignore_errors=True)


def test_the_sentence_is_the_same_but_for_the_name(run: Run, slide: Path) -> None:
    damage(slide)
    words = ("convert", slide, "--to", "out", "--id", "170782")
    (_, hidden), (_, shown) = events(run(*words, *JSON)), events(run(*words, *PATHS))
    assert shown["error"].startswith(f"{slide}: neither a slide")
    assert hidden["error"] == shown["error"].replace(str(slide), "170782")
    assert shown["slide"] == str(slide)
    assert run(*words).err == f"Error: {shown['error']}\n"


def test_paths_are_asked_for_by_a_variable(
    run: Run, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSV_PYRAMID_LOG_PATHS", "1")
    (*_, done) = events(run("convert", slide, "--to", "out", "--id", "170782", *JSON))
    assert (done["slide"], done["id"]) == (str(slide), "170782")


def test_the_result_is_no_log(run: Run, slide: Path) -> None:
    outcome = run("convert", slide, "--to", "out", "--id", "170782", *JSON, "--json")
    (result,) = json.loads(outcome.out)["slides"]
    assert result["slide"] == str(slide)


def test_a_name_that_is_an_id_is_public(run: Run, slide: Path) -> None:
    """And no other part of its path is."""
    outcome = run("convert", slide, "--to", "out", *JSON)
    start, done = events(outcome)
    assert start["id"] == done["id"] == "mustermann_e"
    assert "Mustermann" not in outcome.err
    assert NAME not in outcome.err


def test_a_name_that_is_no_id_is_not(run: Run, slide: Path) -> None:
    slide = slide.rename(slide.with_name("Mustermann, Erika.svs"))
    start, failed = events(outcome := run("convert", slide, "--to", "out", *JSON))
    assert PERSON not in outcome.err.lower()
    assert start["id"] == failed["id"] == f"slide {digest(str(slide))}"
    assert "cannot be an id" in failed["error"]
    named, *_ = events(outcome := run("convert", slide, "--to", "out", *JSON, "--ids", "safe"))
    assert named["id"].startswith("Mustermann-Erika-")
    assert "Mustermann, Erika" not in outcome.err
    (named, *_) = events(run("convert", slide, "--to", "out", *PATHS, "--ids", "safe"))
    assert named["slide"] == str(slide)


def test_a_folder(run: Run, slide: Path, scans: Path) -> None:
    """One of whose slides is double, and in which others are skipped."""
    (scans / "again").mkdir()
    shutil.copy(slide, scans / "again")
    (scans / "Mustermann.svs").symlink_to("nothing")
    (scans / "Mustermann Max").symlink_to(scans / "again")
    (scans / "mustermann same").mkdir()
    os.link(slide, scans / "mustermann same" / NAME)
    (scans / "mustermann same" / "one more.svs").symlink_to("one more.svs")
    (scans / "again" / f"x{NAME}").symlink_to(slide)
    words = ("convert", scans, "--to", "out", "--ids", "safe")
    outcome = run(*words, *JSON)
    said = json.dumps([{**event, "id": ""} for event in events(outcome)])
    assert "Mustermann Max" not in said
    assert "same/" not in said
    assert NAME not in said
    assert f"folder {digest(str(scans / 'Mustermann Max'))}: skipped, it is a link" in said
    assert "Mustermann: skipped, it is a link to what cannot be read" in said
    assert "mustermann_e and mustermann_e would get the same id" in said
    assert str(scans) in run(*words, *PATHS).err


def test_two_slides_of_the_same_id(run: Run, slide: Path, scans: Path) -> None:
    other = Path(shutil.copytree(scans, scans.with_name("Mustermann, Max"))) / NAME
    outcome = run("convert", slide, other, "--to", "out", *JSON)
    assert [event["event"] for event in events(outcome)] == ["failed", "failed"]
    assert outcome.err.count("mustermann_e and mustermann_e would get the same id") == 2
    assert "Mustermann" not in outcome.err
    assert "folder" not in outcome.err


def test_a_folder_without_slides(run: Run, scans: Path) -> None:
    for place in scans, os.path.relpath(scans), f"{scans}/", scans / "gone":
        outcome = run("convert", place, "--to", "out", *JSON)
        (failed,) = (event for event in events(outcome) if event["event"] == "failed")
        assert PERSON not in outcome.err.lower()
        assert failed["error"]
    (failed,) = events(run("convert", scans, "--to", "out", *JSON))
    assert failed["id"] == f"folder {digest(str(scans))}"
    assert failed["error"].startswith(f"{failed['id']}: a folder without slides; ")


def test_a_destination_among_the_slides(
    run: Run, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(slide.parent)
    words = ("convert", NAME, "--id", "170782", *JSON)
    for to in ".", slide.parent / "out":
        outcome = run(*words, "--to", to)
        assert outcome.code == 0
        assert PERSON not in outcome.err.lower()
    assert events(outcome)[-1]["target"] == (
        f"folder {digest(str(slide.parent))}/out/images/170782/DeepZoom.dzi"
    )


def test_another_destination_is_named(run: Run, slide: Path, tmp_path: Path) -> None:
    to = tmp_path / "mustermann_e/out"
    words = ("convert", slide, "--to", to, "--id", "170782", *JSON)
    start, done = events(run(*words))
    assert (start["target"], done["target"]) == (
        str(to),
        f"{to}/images/170782/DeepZoom.dzi",
    )


@pytest.mark.parametrize("name", ["Mustermann, Erika", "mustermann"])
def test_a_watch_of_no_folder(run: Run, tmp_path: Path, name: str) -> None:
    for words in (name, *name.split()), (name,):
        outcome = run("watch", *words, "--to", "out", *JSON)
        assert outcome.code == 2
        assert [event["event"] for event in events(outcome)] == ["error"]
        assert PERSON not in outcome.err.lower()
    assert name in run("watch", name, "--to", "out", *PATHS).err


class TestWatch:
    @pytest.fixture(autouse=True)
    def _clock(self, clock: FakeClock) -> None:
        """Pauses are over at once."""

    def test_what_goes_well(self, run: Run, slide: Path, scans: Path) -> None:
        slide.rename(slide.with_name("Mustermann, Erika.svs"))
        words = ("watch", scans, "--to", "out", "--once", "--ids", "safe")
        outcome = run(*words, *JSON)
        assert [event["event"] for event in events(outcome)] == ["named", "start", "done"]
        assert "Mustermann, Erika" not in outcome.err
        assert not any("slide" in event for event in events(outcome))

    def test_what_is_set_aside(self, run: Run, slide: Path, scans: Path) -> None:
        damage(slide)
        slide.rename(slide.with_name("Mustermann Erika.svs"))
        words = ("watch", scans, "--to", "out", "--once")
        name = f"slide {digest(str(scans / 'Mustermann Erika.svs'))}"
        for said in "is set aside until it changes", "cannot be an id":
            outcome = run(*words, *JSON)
            assert PERSON not in outcome.err.lower()
            assert said in outcome.err
            assert name in outcome.err
        assert str(scans / "Mustermann Erika.svs") in run(*words, *PATHS).err

    def test_what_was_set_aside_of_a_share_that_is_away(
        self, run: Run, slide: Path, scans: Path
    ) -> None:
        """Then there are only the notes to know the slides by."""
        (scans / "again").mkdir()
        shutil.copy(slide, scans / "again")
        words = ("watch", scans, "--to", "out", "--once", "--ids", "safe", *JSON)
        run(*words)
        shutil.rmtree(scans)
        scans.mkdir()
        outcome = run(*words)
        assert "set aside: mustermann_e and mustermann_e would" in outcome.err
        assert "Mustermann" not in outcome.err
        assert "again" not in outcome.err

    def test_what_is_not_all_there_yet(self, run: Run, slide: Path, scans: Path) -> None:
        cut(slide)
        slide.rename(slide.with_name("4711.svs"))
        (warning,) = events(run("watch", scans, "--to", "out", "--once", *JSON))
        assert warning["message"] == "4711 is not complete yet; it waits for the rest"

    def test_what_fails_by_a_defect(
        self, run: Run, slide: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(path: Path, *_: object, **__: object) -> None:
            raise KeyError(f"{path.parent}/Slidedat of Erika.ini")

        monkeypatch.setattr("vsv_pyramid.cli.unattended.convert", fail)
        outcome = run("watch", scans, "--to", "out", "--once", *JSON)
        assert "the program failed (KeyError: " in outcome.err
        assert "Mustermann" not in outcome.err
        assert "Slidedat" not in outcome.err

    def test_what_is_submitted_or_is_not(
        self, run: Run, slide: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Queue:
            def __init__(self, *_: str) -> None:
                self.ended = dict.fromkeys

            def submit(self, place: str) -> str:
                assert place == str(slide.with_name("4711.svs"))
                return next(answers)(place)

        def refused(place: str) -> str:
            raise QueueError("slides", f"{place} is no name of a job; check the queue")

        answers: Iterator[Callable[[str], str]] = iter([refused, lambda _: "job-1"])

        slide.rename(slide.with_name("4711.svs"))
        monkeypatch.setattr(batch, "Queue", Queue)
        to_batch = ("--submit", "slides", "--job-definition", "convert")
        words = ("watch", scans, "--to", "out", "--once", *to_batch, *JSON)
        for kind in "failed", "submitted":
            outcome = run(*words)
            first, *_ = events(outcome)
            assert (first["event"], first["id"]) == (kind, "4711")
            assert PERSON not in outcome.err.lower()

    def test_watching(self, capsys: pytest.CaptureFixture[str], scans: Path) -> None:
        Events(ConvertOptions()).watching(scans, ConvertOptions())
        assert set(json.loads(capsys.readouterr().err)) == {"time", "event", "excluded"}


def test_progress(
    capsys: pytest.CaptureFixture[str],
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for shows_paths in False, True:
        monkeypatch.setattr(Voice, "shows_paths", shows_paths)
        show = EventProgress({"slide": NAME, "id": "170782"})
        clock.advance(10)
        show(Progress(5, 20, 1000))
        event = json.loads(capsys.readouterr().err)
        assert (event["id"], "slide" in event) == ("170782", shows_paths)


class TestInS3:
    @pytest.mark.parametrize("body", [b"hello", None])
    def test_a_slide(self, run: Run, place: Place, body: bytes | None) -> None:
        if body:
            place.put(f"{FOLDER}/{NAME}", body)
        slide = f"{place}/{FOLDER}/{NAME}"
        words = ("convert", slide, "--to", f"{place}/to", "--id", "170782")
        outcome = run(*words, *JSON)
        (*_, failed) = events(outcome)
        assert failed["error"].startswith("170782: ")
        assert PERSON not in outcome.err.lower()
        assert slide in run(*words, *PATHS).err

    def test_what_cannot_be_a_key(self, run: Run, place: Place) -> None:
        for slide in f"{place}/{FOLDER}/", f"s3:///{FOLDER}/{NAME}", f"{place}/{FOLDER}/m.mrxs":
            outcome = run("convert", slide, "--to", f"{place}/to", "--id", "170782", *JSON)
            assert outcome.code
            assert PERSON not in outcome.err.lower()


PLACES = {
    "/mnt/Doe, John/HE 1'2\\3 \udcff.svs": "170782",
    "/mnt/Doe, John/a.svs": "0001",
    "s3://scans/Doe John/ü 1.svs": "170783",
    "Doe/doe.svs": "170784",
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing is named", "nothing is named"),
        ("/mnt/Doe, John/a.svs: bad; a slide", "0001: bad; a slide"),
        ("/mnt/Doe, John/a.svs and a.svs, 'a' and \"a\"", "0001 and 0001, '0001' and \"0001\""),
        ("a: /mnt/Doe, John/a/Slidedat.ini", "0001: 0001/Slidedat.ini"),
        ("/mnt/Doe, John/b.svs, gone: bad", "FOLDER: bad"),
        ("/mnt/Doe, John: no slides; see '/mnt/Doe, John'", "FOLDER: no slides; see 'FOLDER'"),
        ("/mnt/Doe, John-2/a.txt", "/mnt/Doe, John-2/a.txt"),
        ("HE 1'2\\3 \udcff: bad", "170782: bad"),
        ("HE 1'2\\3 \\udcff: bad", "170782: bad"),
        (f"{str('HE 1' + chr(39) + '2' + chr(92) + '3 ')!r}", '"HE 1\'2\\\\3 "'),
        (
            f"{chr(72) + 'E 1' + chr(39) + '2' + chr(92) + '3 ' + chr(0xDCFF)!r}: bad",
            '"170782": bad',
        ),
        ("s3://scans/Doe John/ü 1.svs: bad", "170783: bad"),
        ("https://s3/scans/Doe%20John/%C3%BC%201.svs", "https://s3/scans/170783"),
        ("https://s3/scans/Doe+John%2F%C3%BC+1.svs", "https://s3/scans/170783"),
        ("s3://scans/Doe John/other.svs: bad", "URL: bad"),
        ("s3://scans: no such bucket", "s3://scans: no such bucket"),
        ("doe: doe.svs, Doe/doe.svs, does", "170784: 170784, 170784, does"),
        ("170784: bad", "170784: bad"),
    ],
)
def test_sentences(text: str, said: str) -> None:
    names = Pseudonyms()
    names.begin(PLACES.get)
    names.meet(PLACES)
    said = said.replace("FOLDER", names.called("/mnt/Doe, John"))
    assert names.sentence(text) == said.replace("URL", names.called("s3://scans/Doe John"))


def test_what_has_no_id_has_a_name_of_its_own() -> None:
    names = Pseudonyms()
    names.meet(["/mnt/a/b.svs", "/mnt/a/c.svs"])
    names.meet_folder("/mnt/a/d")
    called = {names.called(f"/mnt/a/{name}") for name in ("b.svs", "c.svs", "d")} | {
        names.called("/mnt/a")
    }
    assert len(called) == 4
    assert {name.split()[0] for name in called} == {"slide", "folder"}


def test_an_error_of_the_system_names_no_file_of_a_slide(
    capsys: pytest.CaptureFixture[str], slide: Path
) -> None:
    say = Events(ConvertOptions(slide_id="170782"))
    for exc in (
        PermissionError(13, "Permission denied", str(slide.parent / "Slidedat of Erika.ini")),
        StoreUnavailable("s3://to", f"{slide.name!r} was not put; try again"),
    ):
        say.failed(str(slide), exc, exit_code(exc))
        err = capsys.readouterr().err
        assert PERSON not in err.lower()
        assert "Erika" not in err
    assert messages.called(str(slide)) == "170782"
