"""What releases before this one have published is read, verified, edited, deleted and refreshed.

Each folder tests/fixtures/release-* was made once, by that release: `scans`, `plain` (two of them,
published without a private place), and `kept` (all three with one: 170782 was set GOOD and got
another slide ID, 170783 got a case ID and has the slide ID that was read off its label, 170784
was deleted for a rescan).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.support.destinations import opened, private_of
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.layout import keys
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.store import open_store
from vsv_pyramid.store.base import Store

RELEASES = sorted((Path(__file__).parent / "fixtures").glob("release-*"))
SCANNED_NS = 1262098755 * 10**9  # the mtime of the scans, which a checkout does not keep
# What is of a person, or may be.
PRIVATE = ["S26-10", "170782.svs", "place", "SS1302", "1004486", "09:59", "12-29", "1262098755"]
PRIVATE += ["anna", "GOOD", "scans"]

Published = Callable[[str], str]


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def release(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture(params=["directory", "s3"])
def published(request: pytest.FixtureRequest, release: Path, tmp_path: Path) -> Published:
    """Copies `plain` or `kept`, and says where it is."""
    is_remote = request.param == "s3"
    root = str(request.getfixturevalue("place")) if is_remote else str(tmp_path / "www")

    def copied(name: str) -> str:
        copy(release / name / "www", open_store(root))
        if name == "kept":
            copy(release / name / "private", open_store(private_of(root)))
        return root

    return copied


@pytest.fixture
def scans(release: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    shutil.copytree(release / "scans", folder)
    for path in folder.iterdir():
        os.utime(path, ns=(SCANNED_NS, SCANNED_NS))
    return folder


def copy(folder: Path, store: Store) -> None:
    for path in filter(Path.is_file, folder.rglob("*")):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())


def at(root: str, *, kept: bool) -> tuple[str, ...]:
    return ("--private-to", private_of(root)) if kept else ()


def contents(store: Store | Destination, prefix: str = "images/") -> dict[str, bytes]:
    return {found.key: store.get(found.key) for found in store.keys(prefix)}


def slide_json(root: str, slide_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(open_store(root).get(f"images/{slide_id}/slide.json"))
    return document


def listed(root: str) -> dict[str, dict[str, Any]]:
    document = json.loads(open_store(root).get(keys.catalog_key()))
    return {entry["id"]: entry for entry in document["slides"]}


def said_of_persons(root: str) -> set[str]:
    """The private words in what is published, but for the tiles."""
    found = contents(open_store(root))
    texts = b"\n".join(data for key, data in found.items() if key.endswith(".json")).decode()
    return {word for word in PRIVATE if word in texts}


def test_there_is_one() -> None:
    assert RELEASES


@pytest.mark.parametrize("name", ["plain", "kept"])
def test_it_is_read_and_verified(published: Published, run: Run, scans: Path, name: str) -> None:
    root = published(name)
    for slide_id in ("170782", "170783"):
        target = f"{root}/images/{slide_id}"
        outcome = run("verify", target, "--deep", "--against", scans / f"{slide_id}.svs")
        assert (outcome.code, outcome.err) == (0, "")
        assert run("info", target).code == 0
    outcome = run("verify", root)
    assert outcome.code == 1 and "of 2 slides, such as 170782; vsv-pyramid" in outcome.out
    assert run("index", root).code == 0
    assert run("verify", root).code == 1  # slide.json is as it was
    outcome = run("slides", root, *at(root, kept=name == "kept"), "--json")
    slides = {slide["id"]: slide for slide in json.loads(outcome.out)["slides"]}
    assert slides.keys() == {"170782", "170783"}
    if name == "kept":
        assert slides["170782"]["review"]["slide_id"] == "S26-1041-A"
        assert slides["170783"]["review"]["slide_id"] == "S26-1042-A1"
        assert slides["170782"]["scanned"] == "2009-12-29T09:59:15-05:00"
        assert [slide["id"] for slide in Desk(opened(root), "ben").awaited()] == ["170784"]


@pytest.mark.parametrize("name", ["plain", "kept"])
def test_a_nightly_conversion_skips_it(
    published: Published, run: Run, scans: Path, name: str
) -> None:
    root = published(name)
    tiles = {key: data for key, data in contents(open_store(root)).items() if ".jpeg" in key}
    words = ("--to", root, *at(root, kept=name == "kept"))
    if name == "plain":
        (scans / "170784.svs").unlink()
    outcome = run("convert", scans, *words)
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1].startswith("0 converted")
    after = contents(open_store(root))
    assert {key: data for key, data in after.items() if ".jpeg" in key} == tiles


@pytest.mark.parametrize("name", ["plain", "kept"])
def test_it_is_deleted(published: Published, run: Run, name: str) -> None:
    root = published(name)
    words = ("--in", root, *at(root, kept=name == "kept"), "--yes")
    for slide_id in ("170782", "170783"):
        assert run("delete", slide_id, *words).code == 0
    left = {keys.catalog_key()} | ({keys.root_key()} if name == "kept" else set())
    assert contents(open_store(root)).keys() == left
    assert listed(root) == {}


def test_its_desk_goes_on(published: Published) -> None:
    root = published("kept")
    anna = Desk(opened(root), "anna")
    (outcome,) = anna.set({"170783": 2}, {"status": "GOOD"})
    assert outcome.error is None
    reviews = {slide["id"]: slide["review"] for slide in anna.slides()}
    assert [reviews[slide_id]["status"] for slide_id in ("170782", "170783")] == ["GOOD"] * 2
    assert [reviews[slide_id]["confirmed"] for slide_id in ("170782", "170783")] == [True, False]
    assert "review" not in slide_json(root, "170783")  # its details were not asked for again


class TestRefresh:
    @pytest.mark.parametrize("name", ["plain", "kept"])
    def test_nothing_of_a_person_is_left(self, published: Published, run: Run, name: str) -> None:
        root = published(name)
        words = ("refresh", root, *at(root, kept=name == "kept"))
        before = contents(open_store(root))
        assert said_of_persons(root) >= {"170782.svs", "place", "SS1302", "1004486", "09:59"}
        planned = run(*words, "--dry-run")
        assert planned.out == f"{root}: 2 slides, 2 would be written anew, 0 left out\n"
        assert contents(open_store(root)) == before
        outcome = run(*words)
        assert outcome.out == f"{root}: 2 slides, 2 written anew, 0 left out\n"
        assert said_of_persons(root) == set()
        assert {entry["year"] for entry in listed(root).values()} == {2009}
        after = contents(open_store(root))
        assert after.keys() == before.keys()
        changed = {key for key in after if after[key] != before[key]}
        assert changed == {keys.catalog_key(), *(f"images/17078{n}/slide.json" for n in (2, 3))}
        assert run(*words).out == f"{root}: 2 slides, 0 written anew, 0 left out\n"
        assert contents(open_store(root)) == after
        assert run("verify", f"{root}/images/170782", "--deep").code == 0
        assert run("verify", root).code == 0

    def test_it_adds_a_lab_s_details_and_takes_them_away(
        self, published: Published, run: Run
    ) -> None:
        root = published("kept")
        words = ("refresh", root, *at(root, kept=True))
        assert run(*words, "--details", "lab").code == 0
        for said in (slide_json(root, "170782"), listed(root)["170782"]):
            assert said["scanned"] == "2009-12-29T09:59:15-05:00"
            assert said["created"].startswith("20")
            assert said["review"] == {
                "status": "GOOD",
                "slide_id": "S26-1041-A",
                "case_id": "S26-1041",
            }
        # What was only read off the label is not published.
        assert listed(root)["170783"]["review"] == {
            "status": "NEW",
            "slide_id": None,
            "case_id": "S26-1042",
        }
        assert run(*words, "--details", "lab").out.endswith("0 written anew, 0 left out\n")
        assert run(*words).code == 0
        assert said_of_persons(root) == set()
        assert run(*words, "--details", "lab").code == 0
        for said in (slide_json(root, "170782"), listed(root)["170782"]):
            assert said["scanned"] == "2009-12-29T09:59:15-05:00"
            assert said["created"].startswith("20")

    def test_the_time_zone(self, published: Published, run: Run) -> None:
        root = published("kept")
        key = keys.private_json_key("170782")
        place = opened(root)
        document = json.loads(place.get(key))
        del document["properties"]["aperio.Time Zone"]
        place.put(key, json.dumps(document).encode())
        words = (*at(root, kept=True), "--details", "lab", "--time-zone", "Europe/Berlin")
        assert run("refresh", root, *at(root, kept=True)).code == 0  # without what it had
        assert run("refresh", root, *words).code == 0
        assert slide_json(root, "170782")["scanned"] == "2009-12-29T09:59:15+01:00"
        assert slide_json(root, "170783")["scanned"] == "2009-12-29T09:59:15-05:00"
        # One that was wrong is corrected, and stays with what the desk publishes.
        assert run("refresh", root, *words[:-1], "Europe/London").code == 0
        Desk(opened(root), "anna").set({"170782": None}, {"status": "BAD"})
        assert slide_json(root, "170782")["scanned"] == "2009-12-29T09:59:15+00:00"

    @pytest.mark.parametrize("scanned", ["2052-03-17", "1952-03-17"])
    def test_a_year_in_which_no_slide_was_scanned(
        self, published: Published, run: Run, scanned: str
    ) -> None:
        root = published("plain")
        document = {**slide_json(root, "170782"), "scanned": f"{scanned}T09:59:15"}
        open_store(root).put("images/170782/slide.json", json.dumps(document).encode())
        assert run("refresh", root).code == 0
        assert slide_json(root, "170782")["year"] is None
        assert slide_json(root, "170783")["year"] == 2009

    def test_what_a_later_release_has_written_stays(self, published: Published, run: Run) -> None:
        root = published("kept")
        store = open_store(root)
        key = "images/170782/slide.json"
        later = {"version": 3, "layout": 2, "restorable": True, "another": {"field": 1}}
        store.put(key, json.dumps({**slide_json(root, "170782"), **later}).encode())
        assert run("refresh", root, *at(root, kept=True)).code == 0
        Desk(opened(root), "anna").set({"170782": None}, {"status": "BAD"})
        said = slide_json(root, "170782")
        assert {name: said[name] for name in later} == later
        entry = listed(root)["170782"]
        assert (entry["layout"], entry["restorable"]) == (2, True)

    def test_one_that_is_damaged_does_not_stop_it(self, published: Published, run: Run) -> None:
        root = published("kept")
        open_store(root).put("images/170782/slide.json", b"{")
        outcome = run("refresh", root, *at(root, kept=True))
        assert outcome.code == 1
        assert outcome.out == f"{root}: 2 slides, 1 written anew, 1 left out\n"
        assert "170782 is left as it is: slide.json is damaged" in outcome.err
        assert slide_json(root, "170783")["version"] == 2

    def test_a_damaged_private_document(self, published: Published, run: Run) -> None:
        """Its slide is left out, and told of; the others' reviews are listed."""
        root = published("kept")
        place = opened(root)
        place.put(keys.private_json_key("170782"), b"{")
        outcome = run("refresh", root, *at(root, kept=True), "--details", "lab")
        assert outcome.code == 1
        assert "170782" in outcome.err and "is damaged" in outcome.err
        outcome = run("refresh", root, *at(root, kept=True))
        assert outcome.code == 0 and "is damaged" in outcome.err
        assert said_of_persons(root) == set()  # for which nothing of it is needed
        assert Desk(opened(root), "ben").slides()[1]["review"]["case_id"] == "S26-1042"

    @pytest.mark.parametrize("value", [7, None, ["a"]])
    def test_a_private_document_of_another_kind(
        self, published: Published, run: Run, value: object
    ) -> None:
        root = published("kept")
        place = opened(root)
        key = keys.private_json_key("170782")
        document = json.loads(place.get(key))
        document["properties"]["aperio.Date"] = value
        place.put(key, json.dumps(document).encode())
        outcome = run("refresh", root, *at(root, kept=True), "--details", "lab")
        assert outcome.code == 1 and "170782 is left as it is" in outcome.err
        assert slide_json(root, "170783")["scanned"]

    def test_a_lab_s_details_without_a_private_place(self, published: Published, run: Run) -> None:
        outcome = run("refresh", published("plain"), "--details", "lab")
        assert outcome.code == 0 and "since no private place is given" in outcome.err

    def test_without_its_private_place_it_is_refused(self, published: Published, run: Run) -> None:
        root = published("kept")
        before = contents(open_store(root))
        outcome = run("refresh", root)
        assert outcome.code == 2 and "has a private place, which was not given" in outcome.err
        assert contents(open_store(root)) == before


def test_unknown_fields_of_a_private_document_stay(published: Published) -> None:
    root = published("kept")
    place = open_destination(root, private_of(root))
    key = keys.private_json_key("170782")
    document = json.loads(place.get(key))
    document["later"] = {"a": 1}
    document["history"][0]["later"] = 2
    place.put(key, json.dumps(document).encode())
    Desk(place, "anna").set({"170782": None}, {"status": "BAD"})
    kept = json.loads(place.get(key))
    assert (kept["later"], kept["history"][0]["later"]) == ({"a": 1}, 2)
    assert kept["history"][-1]["changes"] == {"status": ["GOOD", "BAD"]}
