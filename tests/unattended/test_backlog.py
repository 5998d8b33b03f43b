"""`vsv-pyramid submit`: the slides of a bucket that wait, as jobs."""

from __future__ import annotations

import gzip
import json
import math
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import quote_plus

import pytest
import worker

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support import many_slides
from tests.support.destinations import keeping, opened, private_of
from tests.support.s3_server import Place
from vsv_pyramid import catalog, catalog_json, repacking
from vsv_pyramid.aws import batch, costs, session
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import OptionError, QueueError, StoreError
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.store import open_store
from vsv_pyramid.unattended import backlog, manifests, packing, sampled
from vsv_pyramid.unattended.backlog import Waiting, find

CROWD = 6000
FULL = sqlite3.OperationalError("database or disk is full")
OPTIONS = ConvertOptions(tile_size=480, workers=2, update=True)


class Submitted(batch.Queue):
    """In place of AWS: what was submitted."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, int]] = []

    def submit(self, place: str, children: int = 1) -> str:
        self.jobs.append((place, children))
        return f"job-{len(self.jobs)}"


@pytest.fixture
def scans(place: Place, small_slide: Path) -> Iterator[str]:
    """Three slides in S3, and what is none or cannot be one."""
    names = ["a.svs", "b/c.SVS", "b/d.tif", "a.txt", "b/._a.svs", "e.mrxs", "f g.svs", "x/a.tif"]
    for name in names:
        place.put(f"scans/{name}", small_slide.read_bytes())
    place.put("scans-of-others/z.svs", b"")
    yield f"{place}/scans"
    for name in names:
        place.delete(f"scans/{name}")


def keys(found: backlog.Backlog) -> list[str]:
    return [str(slide.url).partition("/scans/")[2] for slide in found.slides]


def test_what_waits(scans: str, place: Place) -> None:
    found = find(scans, f"{place}/to")
    assert keys(found) == ["a.svs", "b/c.SVS", "b/d.tif"]
    assert found.published == 0
    assert [sentence.partition("/scans/")[2].split(":")[0] for sentence in found.refused] == [
        "e.mrxs",
        "f g.svs",
        "x/a.tif",
    ]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("b/b\u2028b/e.svs", "has a control character"),
        ("b\n/etc/e.svs", "has a control character"),
        ("\x1b[2J/e.svs", "has a control character"),
        ("\u202esvs.e/e.svs", "has a control character"),
        ("b/%2e%2e/e.svs", "'.' or '..'"),
    ],
)
def test_a_key_that_no_job_may_have(run: Run, scans: str, place: Place, key: str, why: str) -> None:
    place.put(f"scans/{key}", b"slide")
    found = find(scans, f"{place}/to")
    outcome = run("submit", scans, "--to", f"{place}/to", "--dry-run")
    place.delete(f"scans/{key}")
    assert keys(found) == ["a.svs", "b/c.SVS", "b/d.tif"]
    assert len([said for said in found.refused if why in said]) == 1
    (warning,) = [line for line in outcome.err.splitlines() if why in line]
    assert warning.isprintable()


def test_what_is_published_does_not_wait_until_it_is_replaced(
    scans: str, place: Place, real_slide: Path
) -> None:
    to = f"{place}/to"
    convert(f"{scans}/b/c.SVS", to, OPTIONS)
    found = find(scans, to)
    assert (keys(found), found.published) == (["a.svs", "b/d.tif"], 1)
    place.put("scans/b/c.SVS", real_slide.read_bytes())
    found = find(scans, to)
    assert (keys(found), found.published) == (["a.svs", "b/c.SVS", "b/d.tif"], 0)


def test_what_was_deleted_does_not_wait_until_it_is_scanned_anew(
    scans: str, place: Place, real_slide: Path
) -> None:
    to = f"{place}/to"
    convert(f"{scans}/b/c.SVS", to, keeping(OPTIONS, to))
    Desk(opened(to), "anna").delete({"c": None})
    options = keeping(OPTIONS, to)
    found = find(scans, to, options)
    assert (keys(found), found.published) == (["a.svs", "b/d.tif"], 1)
    place.put("scans/b/c.SVS", real_slide.read_bytes())
    assert keys(find(scans, to, options)) == ["a.svs", "b/c.SVS", "b/d.tif"]


def test_another_slide_of_a_published_ones_name_is_refused(
    scans: str, place: Place, small_slide: Path
) -> None:
    to = f"{place}/to"
    options = keeping(OPTIONS, to)
    convert(f"{scans}/a.svs", to, options)
    place.put("scans/a.svs/a.svs", small_slide.read_bytes() + b" ")
    found = find(f"{scans}/a.svs/a.svs", to, options)
    assert (list(found.slides), found.published) == ([], 0)
    (sentence,) = found.refused
    assert "a.svs/a.svs: a slide of this name in another place is published" in sentence


def test_an_entry_that_does_not_say_of_what_it_is_counts(scans: str, place: Place) -> None:
    to = f"{place}/to"
    convert(f"{scans}/a.svs", to, OPTIONS)
    (entry,) = catalog.Catalog(open_store(to)).slides().values()
    assert entry.pop("source")["etag"]
    place.put("to/images/index.json", catalog_json.write([entry]))
    found = find(scans, to)
    assert (keys(found), found.published) == (["b/c.SVS", "b/d.tif"], 1)


def test_one_slide(scans: str, place: Place) -> None:
    found = find(f"{scans}/b/c.SVS", f"{place}/to")
    assert (keys(found), list(found.refused)) == (["b/c.SVS"], [])


def test_a_folder_without_slides(place: Place) -> None:
    assert tuple(find(f"{place}/none", f"{place}/to").slides) == ()


def test_a_bucket_that_is_not_there(place: Place) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        find("s3://no-such-bucket", f"{place}/to")


@pytest.mark.crowd
def test_many_slides_take_no_memory(tmp_path: Path) -> None:
    """The lists by themselves would be 19 MB, and 3 GB of a million slides."""
    many_slides.lay_out(tmp_path / "to", CROWD)
    tracemalloc.start()
    try:
        told = list(many_slides.submitted(tmp_path / "to", CROWD))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    half = f"{CROWD // 2:,}"
    assert told[0] == f"{half} waiting, {half} published"
    assert told[2:] == [f"{half} children", "20 told of"]
    assert peak < 8e6


class TestInventory:
    SCHEMA = "Bucket, Key, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"

    def put(self, place: Place, rows: list[str], **changed: object) -> str:
        """The URL of the manifest of a list with these rows."""
        place.put("inventory/1.csv.gz", gzip.compress("".join(rows).encode()))
        manifest = {
            "sourceBucket": "images",
            "destinationBucket": "arn:aws:s3:::images",
            "fileFormat": "CSV",
            "fileSchema": self.SCHEMA,
            "files": [{"key": f"{place.prefix}/inventory/1.csv.gz", "size": 1}],
            **changed,
        }
        place.put("inventory/manifest.json", json.dumps(manifest).encode())
        return f"{place}/inventory/manifest.json"

    def row(
        self, key: str, etag: str, size: int = 5, latest: bool = True, kind: str = "STANDARD"
    ) -> str:
        said = str(latest).lower()
        cells = ("images", quote_plus(key), said, "false", size, "2026-11-01T10:00:00.000Z", etag)
        return ",".join(f'"{cell}"' for cell in (*cells, kind)) + "\n"

    def test_it_is_taken_for_the_list(self, run: Run, scans: str, place: Place) -> None:
        to = f"{place}/to"
        convert(f"{scans}/a.svs", to, OPTIONS)
        (entry,) = catalog.Catalog(open_store(to)).slides().values()
        folder = f"{place.prefix}/scans"
        rows = [
            self.row(f"{folder}/new one+1/n.svs", "1"),
            self.row(f"{folder}/a.svs", entry["source"]["etag"], entry["source"]["size"]),
            self.row(f"{folder}/former.svs", "2", latest=False),
            self.row(f"{folder}/old.svs", "3", kind="DEEP_ARCHIVE"),
            self.row(f"{folder}/a\nb/c.svs", "4"),
            self.row(f"{folder}-of-others/z.svs", "5"),
        ]
        manifest = self.put(place, rows)
        found = find(scans, to, inventory=manifest)
        assert keys(found) == ["new one+1/n.svs"]
        assert (found.published, found.archived, len(found.refused)) == (1, 1, 1)
        assert [slide.modified.month for slide in found.slides] == [11]
        words = ("submit", scans, "--to", to, "--dry-run", "--inventory", manifest)
        assert run(*words).out.startswith(f"{scans}: 1 waiting, 1 published")

    @pytest.mark.parametrize(
        "changed",
        [
            {"sourceBucket": "another"},
            {"fileFormat": "Parquet"},
            {"fileSchema": "Bucket, Key"},
            {"fileSchema": None},
            {"files": [1]},
        ],
    )
    def test_what_is_none(
        self, run: Run, scans: str, place: Place, changed: dict[str, object]
    ) -> None:
        manifest = self.put(place, [], **changed)
        words = ("submit", scans, "--to", f"{place}/to", "--dry-run", "--inventory", manifest)
        outcome = run(*words)
        assert outcome.code == 2
        assert_one_sentence(outcome.err, manifest, "S3 Inventory")

    @pytest.mark.parametrize("row", ["a,b\n", '"images","k","true","false","x","y","z","w"\n'])
    def test_a_damaged_list(self, scans: str, place: Place, row: str) -> None:
        manifest = self.put(place, [row])
        with pytest.raises(OptionError, match=r"1\.csv\.gz: is damaged"):
            find(scans, f"{place}/to", inventory=manifest)
        place.put("inventory/1.csv.gz", b"no gzip")
        with pytest.raises(OptionError, match=r"1\.csv\.gz: is damaged"):
            find(scans, f"{place}/to", inventory=manifest)
        place.delete("inventory/1.csv.gz")
        with pytest.raises(StoreError, match=r"1\.csv\.gz"):
            find(scans, f"{place}/to", inventory=manifest)


def test_no_room_for_the_lists(
    run: Run, scans: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog.Backlog, "sort_out", Mock(side_effect=FULL))
    outcome = run("submit", scans, "--to", f"{place}/to", "--dry-run")
    assert outcome.code == 1
    assert_one_sentence(outcome.err, "disk is full", "set TMPDIR")


def waiting(number: int) -> list[Waiting]:
    now = datetime.now(timezone.utc)
    return [Waiting(session.S3Url("scans", f"{index}.svs"), 10, now) for index in range(number)]


@pytest.mark.parametrize(
    ("slides", "children"),
    [
        (0, []),
        (1, [1]),
        (2, [2]),
        (10_000, [10_000]),
        (10_001, [10_000, 1]),
        (20_500, [10_000, 10_000, 500]),
    ],
)
def test_as_few_jobs_as_can_be(place: Place, slides: int, children: list[int]) -> None:
    queue = Submitted()
    names = backlog.submit(waiting(slides), str(place), queue, options=keeping(OPTIONS, place))
    assert len(names) == len(children)
    assert [count for _, count in queue.jobs] == children
    listed: list[str] = []
    for url, count in queue.jobs:
        if count == 1:
            listed.append(url)
        else:
            ends = [manifests.place_in(url, number) for number in (0, count - 1)]
            key = url.removeprefix(f"{place.private}/")
            listed += (places := json.loads(place.private.get(key)["Body"].read()))
            assert [places[0], places[-1]] == ends
            with pytest.raises(OptionError, match="no slide of number"):
                manifests.place_in(url, count)
    assert listed == [str(slide.url) for slide in waiting(slides)]


def test_the_pixels_are_those_of_the_slides(scans: str, place: Place) -> None:
    found = find(scans, f"{place}/to")
    estimate = sampled.estimated(found.slides)
    assert estimate.slides == 3
    assert estimate.gigapixels == pytest.approx(3 * 1501 * 1103 / 1e9)
    assert estimate.objects == round(estimate.gigapixels * costs.OBJECTS)


def test_what_states_no_pixels_counts_by_its_bytes(place: Place) -> None:
    place.put("scans/a.tif", bytes(1000))
    (slide,) = find(f"{place}/scans", f"{place}/to").slides
    estimate = sampled.estimated([slide])
    assert estimate.gigapixels == pytest.approx(1000 / costs.SLIDE_BYTES)
    assert sampled.estimated([]).dollars == 0


def test_the_estimate() -> None:
    """By hand: two jobs of 100 s each on two vCPUs and 4 GB."""
    gigapixels = 2 * 40 * costs.JOB_VCPUS / costs.CPU_SECONDS
    estimate = costs.estimate(2, gigapixels)
    assert estimate.vcpu_hours == pytest.approx(2 * 100 * 2 / 3600)
    hourly = 2 * 0.04048 + 4 * 0.004445
    assert estimate.compute_dollars == pytest.approx(200 / 3600 * hourly * 0.3)
    dearer = costs.estimate(2, gigapixels, on_demand=0.25)
    assert dearer.compute_dollars == pytest.approx(200 / 3600 * hourly * (0.75 * 0.3 + 0.25))
    beside = 200 / 3600 * (0.005 + 30 * 0.000111) + 2 * 5e-6 * 0.5
    assert estimate.job_dollars == pytest.approx(beside)
    assert estimate.get_dollars == pytest.approx(gigapixels * 245 / 8 * 0.0004 / 1000)
    parts = (estimate.compute_dollars, beside, estimate.get_dollars, estimate.put_dollars)
    assert math.isclose(estimate.dollars, sum(parts))


@pytest.mark.parametrize(
    ("slides", "max_vcpus", "is_packed", "jobs", "on_demand", "limit"),
    [
        (1, 64, False, 1, 0, "slides"),
        (32, 64, True, 32, 0, "slides"),
        (48, 64, True, 48, 1 / 3, "slides"),
        (1000, 8, False, 8, 0.5, "vCPUs"),
        (100_000, 64, False, 64, 0.5, "puts"),
        (100_000, 64, True, 64, 0.5, "vCPUs"),
        (0, 64, False, 1, 0, "slides"),
    ],
)
def test_what_limits(
    slides: int, max_vcpus: int, is_packed: bool, jobs: int, on_demand: float, limit: str
) -> None:
    part = costs.on_demand_part(slides, max_vcpus)
    assert part == pytest.approx(on_demand)
    taken = costs.estimate(slides, slides * 4.0, is_packed=is_packed, on_demand=part)
    plan = costs.schedule(taken, max_vcpus)
    assert (plan.jobs, plan.limit) == (jobs, limit)
    seconds = {
        "slides": min(slides, 1) * (60 + 4 * 7.4 / 2),
        "vCPUs": slides * (60 + 4 * 7.4 / 2) / jobs,
        "puts": slides * 4 * 2620 / 3500,
    }
    assert plan.hours == pytest.approx(seconds[limit] / 3600)


class TestCommand:
    def test_dry_run(self, run: Run, scans: str, place: Place) -> None:
        outcome = run("submit", scans, "--to", f"{place}/to", "--dry-run")
        assert outcome.code == 0
        assert outcome.out.startswith(f"{scans}: 3 waiting, 0 published; about 0.00 gigapixels")
        assert outcome.err.count("Warning: ") == 3
        assert f"{scans}: 3 slides left out, as told\n" in outcome.err
        assert "\n3 jobs at the same time, about 0.0 hours: a job for each slide\n" in outcome.out
        assert not [key for key in place.objects() if key.startswith("to/")]

    def test_without_slides(self, run: Run, place: Place) -> None:
        outcome = run("submit", f"{place}/typo", "--to", f"{place}/to", "--dry-run")
        assert outcome.code == 1
        assert_one_sentence(outcome.err, f"{place}/typo", "check the bucket")

    def test_as_json(self, run: Run, scans: str, place: Place) -> None:
        outcome = run("submit", scans, "--to", f"{place}/to", "--dry-run", "--json")
        facts = json.loads(outcome.out)
        assert [url.rpartition("/")[2] for url in facts["slides"]] == ["a.svs", "c.SVS", "d.tif"]
        assert facts["estimate"]["slides"] == 3
        assert (facts["estimate"]["jobs"], facts["estimate"]["limit"]) == (3, "slides")
        assert len(facts["refused"]) == 3
        assert facts["jobs"] == []

    def test_it_submits(
        self, run: Run, scans: str, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = Submitted()
        monkeypatch.setattr(batch, "Queue", lambda *names: queue if names == ("q", "d") else None)
        words = ("--queue", "q", "--job-definition", "d")
        outcome = run("submit", scans, "--to", f"{place}/to", *words)
        assert outcome.code == 0
        assert outcome.out.endswith("submitted: job-1\n")
        ((url, children),) = queue.jobs
        assert url.startswith("s3://images/.vsv-pyramid/manifests/")
        assert children == 3
        private = private_of(f"{place}/to")
        assert (
            run("submit", scans, "--to", f"{place}/to", "--private-to", private, *words).code == 0
        )
        assert queue.jobs[1][0].startswith(f"{private}/manifests/")

    @pytest.mark.parametrize("as_json", [False, True])
    def test_jobs_that_are_there_are_told_of_where_the_next_one_is_refused(
        self,
        run: Run,
        scans: str,
        place: Place,
        monkeypatch: pytest.MonkeyPatch,
        as_json: bool,
    ) -> None:
        class Full(Submitted):
            def submit(self, place: str, children: int = 1) -> str:
                if self.jobs:
                    raise QueueError("q", "is full; try again")
                return super().submit(place, children)

        monkeypatch.setattr(batch, "Queue", lambda *_: Full())
        monkeypatch.setattr(manifests, "MOST_CHILDREN", 2)
        words = ("--queue", "q", "--job-definition", "d", *["--json"] * as_json)
        outcome = run("submit", scans, "--to", f"{place}/to", *words)
        assert outcome.code == 1
        assert outcome.err.endswith("Error: q: is full; try again\n")
        if as_json:
            assert json.loads(outcome.out)["jobs"] == ["job-1"]
        else:
            assert outcome.out.endswith("submitted: job-1\n")

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("s3://scans", "--to", "s3://images"), "--dry-run"),
            (("s3://scans", "--to", "s3://images", "--queue", "q"), "--job-definition"),
            (("s3://scans", "--to", "out", "--dry-run"), "'out'"),
            (("scans", "--to", "s3://images", "--dry-run"), "'scans'"),
        ],
    )
    def test_wrong_use(self, run: Run, words: tuple[str, ...], sentence: str) -> None:
        outcome = run("submit", *words)
        assert outcome.code == 2
        assert_one_sentence(outcome.err, sentence)


class TestPack:
    @pytest.fixture
    def root(self, scans: str, place: Place) -> str:
        """Three slides as tiles."""
        root = f"{place}/to"
        for name in "a.svs", "b/c.SVS", "b/d.tif":
            convert(f"{scans}/{name}", root, keeping(OPTIONS, root))
        return root

    def test_jobs_pack_what_is_left(self, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(session, "client", lambda *_, **__: None)
        queue, options = Submitted(), keeping(OPTIONS, root)
        pyramids = packing.tiles_in(root, options)
        assert pyramids == [f"{root}/images/{name}" for name in "acd"]
        packing.pack(pyramids, root, queue, options=options)
        ((manifest, children),) = queue.jobs
        assert (children, manifest.startswith(f"{private_of(root)}/manifests/")) == (3, True)
        places = [manifests.place_in(manifest, number) or "" for number in range(3)]
        monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "1")
        monkeypatch.setenv("VSV_PYRAMID_DESTINATION", root)
        command = worker.arguments([manifest])
        assert command == ["pack", f"{root}/images/c", "--yes"]
        assert places[1] == f"pack {root}/images/c"
        store = opened(root).private
        assert store
        manifests.leave_out(store, manifest.removeprefix(f"{store}/"), places[1].__eq__)
        assert worker.arguments([manifest]) is None
        assert manifests.place_in(manifest, 2) == places[2]
        repacking.pack(open_store(root), "images/c")
        assert packing.tiles_in(root, options) == [f"{root}/images/{name}" for name in "ad"]
        made = convert(
            f"{root.removesuffix('/to')}/scans/a.svs", root, replace(options, slide_id="e")
        )
        assert made.target.endswith(".szi")

    def test_one_is_a_job_of_its_own(self, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VSV_PYRAMID_DESTINATION", root)
        queue = Submitted()
        packing.pack([f"{root}/images/a"], root, queue, options=keeping(OPTIONS, root))
        assert queue.jobs == [(f"pack {root}/images/a", 1)]
        assert worker.arguments([queue.jobs[0][0]]) == ["pack", f"{root}/images/a", "--yes"]

    def test_a_list_needs_a_private_place(self, scans: str, place: Place) -> None:
        root = f"{place}/to"
        for name in "a.svs", "b/c.SVS":
            convert(f"{scans}/{name}", root, OPTIONS)
        with pytest.raises(OptionError, match="needs a private place; give it as --private-to"):
            packing.pack(packing.tiles_in(root), root, Submitted())

    def test_the_command(self, run: Run, root: str) -> None:
        words = ("submit", root, "--pack", "--dry-run", "--private-to", private_of(root))
        assert run(*words).out == f"{root}: 3 pyramids to be packed\n"
        assert json.loads(run(*words, "--json").out)["pyramids"][0] == f"{root}/images/a"
        assert_one_sentence(run(*words, "--to", root).err, "give either --to or --pack")

    def test_of_a_place_without_pyramids(self, run: Run, place: Place) -> None:
        ended = run("submit", f"{place}/nowhere", "--pack", "--dry-run")
        assert ended.code == 1
        assert_one_sentence(ended.err, "holds no images/")


def test_the_costs_are_those_of_the_script() -> None:
    folder = Path(__file__).parents[2] / "cloudformation"
    command = [sys.executable, str(folder / "costs.py")]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert made in (folder / "README.md").read_text(encoding="utf-8")
