"""What a run says while it goes on, as lines and as events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from vsv_pyramid.cli.messages import Events, Lines, Voice
from vsv_pyramid.planning.options import ConvertOptions

SAFE = ConvertOptions(ids="safe", exclude=("old*",))
NAME = "scans/HE 12-345 A1.svs"


def test_lines_of_a_watch(capsys: pytest.CaptureFixture[str]) -> None:
    say = Lines(quiet=False, as_json=False)
    say.watching(Path("scans"), SAFE)
    say.named(NAME, SAFE)
    say.named("scans/a.svs", SAFE)
    say.submitted("scans/a.svs", "job-1")
    out, err = capsys.readouterr()
    assert out == "scans/a.svs: submitted as job job-1\n"
    watched, named = err.splitlines()
    assert watched.startswith("scans is watched, but for .*, ")
    assert watched.endswith(", old*")
    assert named == f"{NAME}: gets the id {SAFE.id_of('HE 12-345 A1')}"


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    say = Lines(quiet=True, as_json=False)
    say.watching(Path("scans"), SAFE)
    say.named(NAME, SAFE)
    say.submitted("scans/a.svs", "job-1")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shows_paths", [False, True])
def test_events_of_a_watch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shows_paths: bool
) -> None:
    monkeypatch.setattr(Voice, "shows_paths", shows_paths)
    say = Events(SAFE)
    say.watching(Path("scans"), SAFE)
    say.named(NAME, SAFE)
    say.submitted("scans/a.svs", "job-1")
    out, err = capsys.readouterr()
    watching, named, submitted = map(json.loads, err.splitlines())
    assert out == ""
    assert watching["event"] == "watching"
    assert watching["excluded"][-1] == "old*"
    assert (named["event"], named["id"]) == ("named", SAFE.id_of("HE 12-345 A1"))
    assert (submitted["id"], submitted["job"]) == ("a", "job-1")
    shown = (watching.get("folder"), named.get("slide"), submitted.get("slide"))
    assert shown == (("scans", NAME, "scans/a.svs") if shows_paths else (None, None, None))


@pytest.mark.parametrize("place", ["http://[", "http://\u2100", "file://[x", "s3://bucket/a\x01b"])
@pytest.mark.parametrize(
    "words",
    [
        ("convert", "SLIDE", "--to", "PLACE"),
        ("verify", "PLACE"),
        ("refresh", "PLACE"),
        ("slides", "PLACE"),
        ("viewer", "--to", "PLACE"),
        ("tidy", "PLACE"),
        ("slides", "send", "a", "--cdr", "PLACE", "--in", "."),
        ("convert", "SLIDE", "--to", ".", "--private-to", "PLACE"),
    ],
    ids=" ".join,
)
def test_what_is_no_address(
    words: tuple[str, ...], place: str, small_slide: Path, run: Run
) -> None:
    names = {"PLACE": place, "SLIDE": str(small_slide)}
    ended = run(*(names.get(word, word) for word in words))
    assert ended.code in (1, 2)
    assert "Traceback" not in ended.err
    assert "\x01" not in ended.err
    assert ended.err.strip()


@pytest.mark.parametrize("host", ["127..0.0.1", ".x", "a" * 64, "\udcff"])
def test_what_is_no_host(host: str, small_slide: Path, run: Run) -> None:
    assert run("convert", small_slide).code == 0
    ended = run("serve", ".", "--port", "0", "--host", host)
    assert ended.code == 1
    assert "there is no such address; check --host" in ended.err
