"""A technician's day on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.review.test_desk import scan
from tests.support import cdr_stub
from tests.support.cdr_stub import Cdr
from tests.support.clock import FakeClock
from tests.support.destinations import opened, private_of
from tests.support.s3_server import Place
from vsv_pyramid.review import failures
from vsv_pyramid.review.barcode import Barcode
from vsv_pyramid.review.failures import Failed


@pytest.fixture
def repository(clock: FakeClock) -> Iterator[Cdr]:
    with cdr_stub.running() as running:
        yield running


@pytest.fixture
def scans(real_slide: Path, tmp_path: Path) -> Path:
    """Three slides, of which the first two are of one day."""
    for slide_id, date in ("170782", "11/01/26"), ("170783", "11/01/26"), ("170784", "11/02/26"):
        description = {"Date": date, "Time": "09:00:00"}
        scan(real_slide, tmp_path / f"scans/{slide_id}.svs", description=description)
    return tmp_path / "scans"


@pytest.fixture(autouse=True)
def private(run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the folder that commands run in."""
    private = private_of(Path.cwd())
    monkeypatch.setenv("VSV_PYRAMID_PRIVATE", private)
    return Path(private)


@pytest.fixture(params=["here", "s3"])
def target(
    request: pytest.FixtureRequest, run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    place = "."
    if request.param == "s3":
        place = str(request.getfixturevalue("place"))
        monkeypatch.setenv("VSV_PYRAMID_PRIVATE", private_of(place))
    assert run("convert", scans, "--to", place).code == 0
    return place


def ids(run: Run, *words: str) -> list[str]:
    outcome = run("slides", *words, "--json")
    assert outcome.code == 0, outcome.err
    return [slide["id"] for slide in json.loads(outcome.out)["slides"]]


def test_a_day(run: Run, target: str, scans: Path, real_slide: Path, repository: Cdr) -> None:
    assert ids(run, target, "--status", "new") == ["170782", "170783", "170784"]
    listed = run("slides", target, "--status", "NEW", "--since", "2026-11-02")
    assert listed.out.splitlines() == [
        "ID      STATUS  SLIDE ID  CASE ID  SCANNED     REVISION",
        "170784  NEW     -         -        2026-11-02  1",
        "1 slide",
    ]

    at = ("--in", target, "--by", "anna")
    assert run("slides", "set", "170782", "170784", "--case-id", "S26-1", *at).code == 0
    one = run("slides", "set", "170782", "--slide-id", "S26-1-A1", "--status", "good", *at)
    assert one.out == "170782: GOOD, slide ID S26-1-A1, case ID S26-1\n"
    assert ids(run, target, "--search", "s26-1") == ["170782", "170784"]

    deleted = run("slides", "delete", "170783", "--source", "--yes", *at)
    assert deleted.out == "170783: deleted, awaits its rescan\n"
    assert not (scans / "170783.svs").exists()
    assert ids(run, target, "--status", "awaiting") == ["170783"]
    awaiting = run("slides", target, "--status", "awaiting").out.splitlines()
    assert awaiting[1].split()[:4] == ["170783", "-", "-", "anna"]
    assert awaiting[2] == "1 slide awaiting a rescan"
    scan(real_slide, scans / "170783.svs", width=333)
    assert "1 converted, 2 skipped" in run("convert", scans, "--to", target).out
    assert ids(run, target, "--status", "awaiting") == []

    repository.fail(503, 503)
    sent = run("slides", "send", "170782", "170784", "--cdr", repository.url, *at)
    assert sent.code == 1
    assert sent.out == "170782: SENT, slide ID S26-1-A1, case ID S26-1\n"
    assert_one_sentence(sent.err, "170784: has no slide ID; set what is missing, then send it")
    assert list(repository.records) == ["170782"]
    assert ids(run, target, "--status", "sent") == ["170782"]

    shown = run("slides", "show", "170782", "--in", target).out
    assert "Scanned file:      " + str(scans / "170782.svs") in shown
    assert "set by anna: status NEW -> GOOD, slide ID none -> S26-1-A1" in shown
    facts = json.loads(run("slides", "show", "170782", "--in", target, "--json").out)
    assert facts["review"]["revision"] == len(facts["history"]) == 4
    assert facts["history"][-1]["facts"]["status"] == 201

    assert run("delete", f"{target}/images/170783", "--yes").code == 0
    assert_one_sentence(run("slides", "show", "170783", "--in", target).err, "no such slide")


def test_a_slide_id_that_was_only_read_is_marked(
    run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Barcode("read", "S26-1-A1", "QR Code")
    monkeypatch.setattr("vsv_pyramid.review.rescans.read_barcode", lambda label: read)
    assert run("convert", scans / "170782.svs").code == 0

    def listed(*words: str) -> list[str]:
        return run("slides", *words).out.splitlines()[1].split()

    assert listed()[:3] == ["170782", "NEW", "S26-1-A1?"]
    assert "Slide ID:          S26-1-A1 (not confirmed)\n" in run("slides", "show", "170782").out
    run("slides", "set", "170782", "--status", "good")
    assert listed()[:3] == ["170782", "GOOD", "S26-1-A1?"]
    run("slides", "set", "170782", "--slide-id", "S26-1-A1")
    assert listed()[:3] == ["170782", "GOOD", "S26-1-A1"]
    assert "Slide ID:          S26-1-A1\n" in run("slides", "show", "170782").out
    run("slides", "delete", "170782", "--yes")
    assert listed("--status", "awaiting")[:2] == ["170782", "S26-1-A1"]


def test_so_is_that_of_a_deleted_slide(
    run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Barcode("read", "S26-1-A1", "QR Code")
    monkeypatch.setattr("vsv_pyramid.review.rescans.read_barcode", lambda label: read)
    run("convert", scans / "170782.svs")
    run("slides", "delete", "170782", "--yes")
    awaiting = run("slides", "--status", "awaiting").out.splitlines()
    assert awaiting[1].split()[:2] == ["170782", "S26-1-A1?"]


def test_records_in_a_bucket(run: Run, target: str, place: Place) -> None:
    run("slides", "set", "170782", "--slide-id", "A1", "--case-id", "C1", "--in", target)
    assert (
        run("slides", "send", "170782", "--cdr", f"{place.private}/cdr", "--in", target).code == 0
    )
    assert json.loads(place.private.get("cdr/170782.json")["Body"].read())["CaseID"] == "C1"


def test_a_revision_that_was_looked_at(run: Run, scans: Path) -> None:
    run("convert", scans)
    (slide, *_) = json.loads(run("slides", "--json").out)["slides"]
    revision = slide["review"]["revision"]
    words = ("slides", "set", "170782", "--revision", revision, "--json", "--status")
    assert json.loads(run(*words, "good").out)["slides"][0]["review"]["status"] == "GOOD"
    late = run(*words, "bad")
    assert late.code == 1
    assert_one_sentence(late.err, "170782: was changed since you looked", "NEW -> GOOD")
    (told,) = json.loads(late.out)["slides"]
    assert (told["conflict"], told["review"]["status"]) == (True, "GOOD")


def test_a_deletion_is_asked_for(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("convert", scans / "170782.svs")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    outcome = run("slides", "delete", "170782", "--source")
    assert outcome.code == 1
    assert f"170782, scanned as {scans / '170782.svs'}, which is deleted, too" in outcome.err
    assert "Stopped: nothing was removed." in outcome.err
    assert Path("images/170782/DeepZoom.dzi").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["set", "170782"], "there is nothing to set; give --slide-id"),
        (["set", "170782", "--slide-id", "Doe, Jane"], "the slide ID 'Doe, Jane' is refused"),
        (["set", "170782", "--status", "sent"], "'sent' is not one of"),
        (["set", "nobody", "--status", "good"], "nobody: there is no such slide"),
        (["show", "nobody"], "nobody: there is no such slide"),
        (["show", "../x"], "'../x' cannot be an id"),
        (["delete", "nobody", "--yes"], "nobody: there is no such slide"),
        (["send", "nobody", "--cdr", "x"], "--cdr 'x' is refused"),
        (["send", "nobody"], "Missing option '--cdr'"),
        (["set"], "Missing argument 'ID...'"),
        (["--since", "yesterday"], "'yesterday' does not match the format"),
        (["--status", "fine"], "'fine' is not one of"),
        ([""], "an empty path"),
    ],
)
def test_wrong_use(run: Run, words: list[str], sentence: str) -> None:
    Path("images").mkdir()
    outcome = run("slides", *words)
    assert outcome.code in (1, 2)
    assert outcome.out == ""
    assert_one_sentence(outcome.err, sentence)


def test_a_place_without_images_is_told(run: Run, tmp_path: Path) -> None:
    Path("to/images/170782").mkdir(parents=True)
    set_words = ["set", "a", "--note", "x"]
    for words in ([], ["nowhere"], ["to/images"], ["to/images/170782"], set_words):
        outcome = run("slides", *words)
        assert outcome.code == 1
        assert_one_sentence(outcome.err, "give ", "images") if "nowhere" not in words else None
    assert run("slides", "to").out.splitlines()[-1] == "0 slides"
    awaiting = run("slides", "to", "--status", "awaiting")
    assert awaiting.out.splitlines()[-1] == "0 slides awaiting a rescan"


def test_a_rescan_is_given_up_by_deleting_for_good(run: Run, scans: Path, private: Path) -> None:
    run("convert", scans / "170782.svs")
    run("slides", "delete", "170782", "--yes")
    assert (private / "private/images/170782").is_dir()
    assert run("delete", "images/170782", "--yes").out.endswith("170782: 0 objects removed\n")
    assert not (private / "private/images/170782").exists()
    assert ids(run, ".", "--status", "awaiting") == []
    assert_one_sentence(run("delete", "images/170782", "--yes").err, "there is no pyramid")


def test_a_slide_id_that_another_slide_has_is_warned_of(run: Run, scans: Path) -> None:
    run("convert", scans)
    assert run("slides", "set", "170782", "--slide-id", "A1").err == ""
    outcome = run("slides", "set", "170783", "--slide-id", "A1")
    assert (outcome.code, outcome.err) == (
        0,
        "Warning: 170783 and 170782 have the same slide ID.\n",
    )


def test_what_failed(run: Run, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSV_PYRAMID_PRIVATE", private_of(place))
    store = opened(place)
    for slide_id in ("170782", "170783"):
        slide, reason = f"/scans/{slide_id}.svs", "the file is cut off; copy it again"
        failures.remember(store, Failed(slide_id, slide, reason, "2026-11-27T10:00:00+00:00"))
    at = ("--in", place, "--by", "anna")

    assert run("slides", place, "--failed").out.splitlines() == [
        "ID      FAILED AT                  TRIED AGAIN  WHY",
        "170782  2026-11-27T10:00:00+00:00  -            the file is cut off; copy it again",
        "170783  2026-11-27T10:00:00+00:00  -            the file is cut off; copy it again",
        "2 slides could not be converted",
    ]
    assert run("slides", "retry", "170783", *at).out == "170783: will be tried again\n"
    assert run("slides", "dismiss", "170782", *at).out == "170782: dismissed\n"
    listed = json.loads(run("slides", place, "--failed", "--json").out)["failed"]
    assert [(one["id"], one["who"], bool(one["again"])) for one in listed] == [
        ("170783", "anna", True)
    ]
    neither = run("slides", "retry", "170784", "170783", *at, "--json")
    assert neither.code == 1
    assert_one_sentence(neither.err)
    results = json.loads(neither.out)["slides"]
    assert [one["id"] for one in results if "error" not in one] == ["170783"]


@pytest.mark.parametrize(
    "words", [["--status", "new"], ["--search", "x"], ["--since", "2026-11-01"]]
)
def test_a_filter_of_what_failed(run: Run, words: list[str]) -> None:
    outcome = run("slides", "--failed", *words)
    assert outcome.code == 2
    assert_one_sentence(outcome.err)


def test_nobody_has_a_name_or_a_note_that_is_not_seen(run: Run, scans: Path) -> None:
    assert run("convert", scans / "170782.svs").code == 0
    for sentence, words in (
        ("has a character that is not seen (U+202E)", "set --status good --by a\u202eb"),
        ("has a character that is not seen (U+001B)", "set --status good --note a\x1b[2Jb"),
        ("has a character that is not seen (U+0007)", "delete --yes --by a\x07b"),
        ("has a character that is not seen (U+000A)", "send --cdr s3://b/c --by a\nb"),
        ("has a character that is not seen (U+200F)", "retry --by a\u200fb"),
        ("has a character that is not seen (U+2029)", "dismiss --by a\u2029b"),
        ("a name has 1 to 64 characters", "set --status good --by "),
        ("the slide ID 'A\\u20281' is refused", "set --slide-id A\u20281"),
        ("the case ID 'A\\x001' is refused", "set --case-id A\x001"),
    ):
        command, *more = words.split(" ")
        outcome = run("slides", command, "170782", *more)
        assert outcome.code == 2, words
        assert_one_sentence(outcome.err, sentence)
        assert outcome.err.rstrip("\n").isprintable()
    for words in ("slides set 170\x1b782 --status good", "convert scans/170783.svs --id a\u202eb"):
        outcome = run(*words.split(" "))
        assert outcome.code == 2
        assert_one_sentence(outcome.err, "cannot be an id")
    assert run("slides", "show", "170782", "--json").out.count('"action"') == 1
