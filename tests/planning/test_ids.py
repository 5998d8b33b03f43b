"""Opaque ids, which tell nothing of the names that they are made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.clock import fake
from tests.support.destinations import opened, private_of
from tests.support.forge import forge_svs
from tests.support.s3_server import Place
from vsv_pyramid import catalog
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import OptionError, StoreError, StoreUnavailable
from vsv_pyramid.layout import keys
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import open_store
from vsv_pyramid.unattended.watch import Watch

NAME = "Roe^Zoë 1952"


@pytest.fixture
def scans(real_slide: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number, name in enumerate([NAME, "170782"]):
        path = folder / f"{name}.svs"
        forge_svs(path, tissue=real_slide, size=(300, 200 + number), levels=(1,))
    return folder


def options(target: str) -> ConvertOptions:
    return ConvertOptions(workers=1, ids="opaque", private_to=private_of(target))


def published(target: str) -> set[str]:
    return {entry["id"] for entry in catalog.listed(open_store(target))}


def test_they_are_always_the_same_and_tell_no_name(target: str, scans: Path, run: Run) -> None:
    words = (
        "convert",
        scans,
        "--to",
        target,
        "--private-to",
        private_of(target),
        "--ids",
        "opaque",
    )
    outcome = run(*words)
    assert outcome.code == 0
    found = published(target)
    assert len(found) == 2 and all(len(slide_id) == 24 for slide_id in found)
    assert "170782" not in str(found)
    # Whoever converts is told which slide gets which.
    assert sum(f"gets the id {slide_id}" in outcome.err for slide_id in found) == 2
    assert run(*words).out.splitlines()[-1].startswith("0 converted, 2 skipped")
    for key in open_store(target).keys(""):
        assert "Roe" not in key.key and b"Roe" not in open_store(target).get(key.key)


def test_another_destination_makes_others(scans: Path, tmp_path: Path) -> None:
    places = [str(tmp_path / name) for name in ("one", "two")]
    made = [convert(scans / "170782.svs", target, options(target)).id for target in places]
    assert len(set(made)) == 2


def test_all_that_looks_for_a_slide_finds_it(target: str, scans: Path, run: Run) -> None:
    place = ("--to", target, "--private-to", private_of(target), "--ids", "opaque")
    with fake():
        assert run("watch", scans, *place, "--once").code == 0
    found = published(target)
    with fake():
        outcome = run("watch", scans, *place, "--once", "--log-format", "json")
    assert outcome.code == 0 and "start" not in outcome.err
    planned = run("convert", scans, *place, "--dry-run", "--json")
    assert {slide["id"] for slide in json.loads(planned.out)["slides"]} == found


def test_the_desk_finds_a_slide_by_its_file(target: str, scans: Path, run: Run) -> None:
    place = ("--private-to", private_of(target))
    assert run("convert", scans, "--to", target, *place, "--ids", "opaque").code == 0
    (found,) = json.loads(run("slides", target, *place, "--search", "170782", "--json").out)[
        "slides"
    ]
    assert found["id"] == convert(scans / "170782.svs", target, options(target)).id
    assert found["file"] == "170782.svs"


def test_they_need_the_private_place(target: str, scans: Path, run: Run) -> None:
    outcome = run("convert", scans, "--to", target, "--ids", "opaque")
    assert outcome.code == 2
    assert "--ids opaque needs the private place" in outcome.err and "--private-to" in outcome.err


def test_a_plan_makes_no_key(target: str, scans: Path, run: Run) -> None:
    words = ("--private-to", private_of(target), "--ids", "opaque", "--dry-run")
    outcome = run("convert", scans, "--to", target, *words)
    assert outcome.code == 2 and "not known before the first conversion" in outcome.err
    assert list(open_store(private_of(target)).keys("")) == []


def test_the_first_of_two_makes_the_key(target: str) -> None:
    both = [ids.keyed(options(target), opened(target)).ids_key for _ in range(2)]
    assert both[0] == both[1] and len(both[0] or b"") == 32


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b'{"version": 1, "key": 7}',
        b'{"version": 1, "key": "no"}',
        b'{"version": 1, "key": ""}',
        b'{"version": 1, "key": "ab"}',
        b'{"version": 9, "key": "' + b"00" * 32 + b'"}',
    ],
)
def test_a_damaged_key(target: str, damage: bytes) -> None:
    ids.keyed(options(target), opened(target))
    opened(target).put(keys.IDS_KEY, damage)
    with pytest.raises(StoreError, match="is damaged; bring a former version back"):
        ids.keyed(options(target), opened(target))


def test_one_machine_that_is_set_up_otherwise_publishes_no_names(
    target: str, scans: Path, run: Run
) -> None:
    place = ("--to", target, "--private-to", private_of(target))
    assert run("convert", scans / "170782.svs", *place, "--ids", "opaque").code == 0
    for words in (("convert", scans), ("convert", scans, "--ids", "safe"), ("watch", scans)):
        outcome = run(*words, *place)
        assert outcome.code == 2 and "do not tell names; give --ids opaque" in outcome.err
    assert run("convert", scans / "170782.svs", *place, "--id", "a").code == 0
    assert published(target) == {"a", convert(scans / "170782.svs", target, options(target)).id}


def test_a_watch_waits_for_a_destination_that_does_not_answer(
    target: str, scans: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with the question for its ids, which is the first one."""
    keyed, away = ids.keyed, iter([True, True])

    def answers(*words: object) -> ConvertOptions:
        if next(away, False):
            raise StoreUnavailable(target, "does not answer; try again")
        monkeypatch.setattr(Watch, "run", lambda *_, **__: None)  # it would go on
        return keyed(options(target), opened(target))

    monkeypatch.setattr(ids, "keyed", answers)
    words = ("watch", scans, "--to", target, "--private-to", private_of(target), "--ids", "opaque")
    with fake():
        outcome = run(*words)
    assert outcome.code == 0 and outcome.err.count("does not answer") == 1
    away = iter([True])
    with fake():
        outcome = run(*words, "--once")
    assert outcome.code == 75


def test_an_archive_has_none(scans: Path, tmp_path: Path, run: Run) -> None:
    words = ("--to", tmp_path / "a.zip", "--private-to", tmp_path / "p", "--ids", "opaque")
    outcome = run("convert", scans / "170782.svs", *words)
    assert outcome.code == 2 and "is an archive, which has no opaque ids" in outcome.err


def test_submit_tells_those_that_jobs_make(place: Place, scans: Path, run: Run) -> None:
    target = f"{place}/to"
    place.put("scans/170782.svs", (scans / "170782.svs").read_bytes())
    words = ("--to", target, "--private-to", private_of(target), "--ids", "opaque")
    planned = run("submit", f"{place}/scans", *words, "--dry-run")
    assert planned.code == 2 and "not known before the first conversion" in planned.err
    assert not any("to/" in key for key in (*place.objects(), *place.private.objects()))
    made = convert(f"{place}/scans/170782.svs", target, options(target)).id
    planned = run("submit", f"{place}/scans", *words, "--dry-run", "--json")
    assert json.loads(planned.out)["published"] == 1
    place.put("scans/new.svs", b"new")
    planned = run("submit", f"{place}/scans", *words, "--dry-run")
    key = ids.keyed(options(target), opened(target)).ids_key
    assert key and f"gets the id {keys.opaque_id('new', key)}" in planned.err
    assert made == keys.opaque_id("170782", key)


def test_a_lost_key_is_told(target: str, scans: Path) -> None:
    made = convert(scans / "170782.svs", target, options(target)).id
    key = opened(target).get(keys.IDS_KEY)
    opened(target).delete(keys.IDS_KEY)
    with pytest.raises(StoreError, match=r"ids\.json: is lost, and all slides would get other ids"):
        convert(scans / "170782.svs", target, options(target))
    opened(target).put(keys.IDS_KEY, key)
    assert convert(scans / "170782.svs", target, options(target)).id == made


def test_one_that_is_given_is_taken(target: str, scans: Path) -> None:
    given = ConvertOptions(workers=1, ids="opaque", slide_id="a")
    assert convert(scans / "170782.svs", target, given).id == "a"


def test_names_that_are_written_otherwise_get_the_same() -> None:
    """As file systems write them: composed, or letter and accent apart."""
    assert keys.opaque_id("Zoe\u0308", b"k") == keys.opaque_id("Zo\xeb", b"k")
    assert keys.opaque_id("a", b"k") != keys.opaque_id("b", b"k") != keys.opaque_id("b", b"l")
    assert keys.is_id(keys.opaque_id("a", b"k"))
    with pytest.raises(OptionError, match="--ids"):
        ConvertOptions(ids="hidden")
