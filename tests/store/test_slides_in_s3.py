"""Slides and pyramids that are read from S3."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_events

from tests.conftest import Run
from tests.situations.test_keeps import created
from tests.store.conftest import OPTIONS
from tests.store.test_s3 import DESCRIPTOR, SLIDE_JSON, cut_the_answer
from tests.support.clock import FakeClock
from tests.support.forge import damage_tile
from tests.support.forge_dicom import concatenated
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import (
    EXIT_BAD_SLIDE,
    SlideAccessError,
    SlideChanged,
    StoreError,
)
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.unattended.backlog import find


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def uploaded(small_slide: Path, place: Place) -> Iterator[str]:
    """The small slide in S3."""
    place.put("scans/small.svs", small_slide.read_bytes())
    yield f"{place}/scans/small.svs"
    place.delete("scans/small.svs")


def to(place: Place) -> str:
    return f"{place}/to"


class TestSlidesInS3:
    def test_convert(
        self, uploaded: str, place: Place, scratch: Path, on_disk: dict[str, str], proxy: Proxy
    ) -> None:
        options = ConvertOptions(tile_size=240, scratch=scratch)
        summary = convert(uploaded, to(place), options)
        assert summary.slide == uploaded
        found = {key.removeprefix("to/"): etag for key, etag in place.objects().items()}
        assert {key: found[key] for key in on_disk} == on_disk
        document = json.loads(place.get(f"to/{SLIDE_JSON}")["Body"].read())
        etag = place.objects()["scans/small.svs"]
        head = place.get("scans/small.svs")
        source = document["source"]
        assert source == {"size": head["ContentLength"], "etag": etag}
        assert list(scratch.iterdir()) == []
        proxy.requests.clear()
        assert convert(uploaded, to(place), options).status == "skipped"
        assert proxy.count("GET", "scans") == 0
        place.put("scans/small.svs", b"another")
        with pytest.raises(StoreError, match="--overwrite"):
            convert(uploaded, to(place), options)

    def test_one_that_changes_under_way(self, uploaded: str, place: Place, scratch: Path) -> None:
        def change(progress: Progress) -> None:
            place.put("scans/small.svs", b"another")

        options = ConvertOptions(tile_size=240, scratch=scratch)
        with pytest.raises(SlideChanged, match="changed while it was read"):
            convert(uploaded, to(place), options, progress=change)
        assert f"to/{DESCRIPTOR}" not in place.objects()
        assert list(scratch.iterdir()) == []

    def test_one_that_changes_while_it_is_fetched(
        self, uploaded: str, place: Place, proxy: Proxy, scratch: Path
    ) -> None:
        def change(_: Handler, request: Request) -> bool:
            if request.method == "GET" and request.path.endswith("small.svs"):
                place.put("scans/small.svs", b"another")
            return False

        proxy.fault = change
        with pytest.raises(SlideChanged):
            convert(uploaded, to(place), ConvertOptions(scratch=scratch))
        assert list(scratch.iterdir()) == []

    def test_a_download_that_ends_half_way_is_tried_again(
        self, uploaded: str, place: Place, proxy: Proxy, scratch: Path
    ) -> None:
        turns = itertools.count()

        def cut(handler: Handler, request: Request) -> bool:
            fetched = request.method == "GET" and request.path.endswith("small.svs")
            return fetched and next(turns) < 8 and cut_the_answer(handler, request)

        proxy.fault = cut
        options = ConvertOptions(tile_size=240, scratch=scratch)
        assert convert(uploaded, to(place), options).status == "converted"
        assert next(turns) > 8

    def test_what_fails_leaves_no_scratch(self, run: Run, place: Place, scratch: Path) -> None:
        place.put("scans/bad.svs", b"II*\0 and no more")
        outcome = run("convert", f"{place}/scans/bad.svs", "--to", to(place), "--scratch", scratch)
        assert outcome.code == 65
        assert f"Error: {place}/scans/bad.svs: damaged" in outcome.err
        assert str(scratch) not in outcome.err
        assert list(scratch.iterdir()) == []
        outcome = run("convert", f"{place}/scans/none.svs", "--to", to(place))
        assert outcome.code == 1
        assert "there is no such object" in outcome.err

    def test_a_damaged_tile_is_told_by_the_slides_own_name(
        self, small_slide: Path, place: Place, tmp_path: Path, scratch: Path
    ) -> None:
        slide = tmp_path / "small.svs"
        shutil.copy(small_slide, slide)
        damage_tile(slide, 0, 3)
        place.put("scans/small.svs", slide.read_bytes())
        with pytest.raises(Exception, match=f"{place}/scans/small.svs: tile 11/") as caught:
            convert(f"{place}/scans/small.svs", to(place), ConvertOptions(scratch=scratch))
        assert str(scratch) not in str(caught.value)

    def test_ctrl_c_leaves_no_scratch(self, uploaded: str, place: Place, scratch: Path) -> None:
        options = ConvertOptions(tile_size=240, scratch=scratch)
        seen: list[int] = []

        def stop(_: Progress) -> None:
            seen.append(len(list(scratch.rglob("small.svs"))))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            convert(uploaded, to(place), options, progress=stop)
        assert seen == [1]
        assert list(scratch.iterdir()) == []

    def test_a_scratch_folder_that_is_too_small(
        self, uploaded: str, place: Place, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(scratch)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(StoreError, match=r"0\.0 GB free, and .* needs 0\.1 GB"):
            convert(uploaded, to(place), ConvertOptions(scratch=scratch))
        monkeypatch.undo()

    def test_a_slide_of_more_than_one_file(self, place: Place) -> None:
        with pytest.raises(SlideAccessError, match="more than one file"):
            convert(f"{place}/a.mrxs", to(place), ConvertOptions())


class TestVerifyAndInfo:
    @pytest.fixture
    def target(self, small_slide: Path, place: Place) -> str:
        convert(small_slide, str(place), OPTIONS)
        return f"{place}/images/small"

    def test_a_good_one(self, run: Run, target: str, small_slide: Path) -> None:
        for words in ([], ["--deep"], ["--deep", "--sample", "10"], ["--against", small_slide]):
            outcome = run("verify", target, *words)
            assert outcome.code == 0, outcome.out
            assert f"{target}: good, 60 tiles checked" in outcome.out
        assert run("verify", f"{target}/DeepZoom.dzi").code == 0
        assert run("verify", target, "--sample", "10").code == 2

    def test_defects(self, run: Run, target: str, place: Place) -> None:
        tiles = "images/small/DeepZoom_files"
        place.delete(f"{tiles}/11/2_1.jpeg")
        body = place.get(f"{tiles}/11/1_1.jpeg")["Body"].read()
        place.put(f"{tiles}/11/1_1.jpeg", body[:-600])
        place.put(f"{tiles}/11/77_1.jpeg", body)
        outcome = run("verify", target)
        assert outcome.code == 1
        assert "tile 11/2_1 is missing" in outcome.out
        assert f"{tiles.removeprefix('images/')}/11/77_1.jpeg is not part" in outcome.out
        for words in (["--deep"], ["--deep", "--sample", "1000"]):
            assert "tile 11/1_1 is damaged" in run("verify", target, *words).out
        place.put(f"{tiles}/11/1_1.jpeg", body)

    def test_nothing_there(self, run: Run, place: Place) -> None:
        for command in ("verify", "info"):
            outcome = run(command, f"{place}/images/none")
            assert outcome.code == 1
            assert "Error: " in outcome.err
        assert run("verify", "s3://only-a-bucket").code == 1

    def test_info(self, run: Run, target: str, place: Place, uploaded: str) -> None:
        facts = json.loads(run("info", target, "--json").out)
        assert (facts["state"], facts["tiles"], facts["objects"]) == ("complete", 60, 63)
        assert (facts["width"], facts["height"], facts["tile_size"]) == (1501, 1103, 240)
        assert "State:             complete\n" in run("info", target).out
        place.delete("images/small/DeepZoom_files/11/1_1.jpeg")
        assert "State:             damaged" in run("info", target).out
        place.delete(DESCRIPTOR)
        assert "not complete" in run("info", target).out
        assert json.loads(run("info", uploaded, "--json").out)["width"] == 1501


class TestSeries:
    """DICOM: a folder of objects is a slide."""

    FILES = ("7.dcm", "8.dcm", "9.dcm")

    @pytest.fixture
    def parts(self, tmp_path: Path) -> dict[str, bytes]:
        concatenated(tmp_path)
        return {name: (tmp_path / name).read_bytes() for name in self.FILES}

    @pytest.fixture
    def folder(self, place: Place, parts: dict[str, bytes]) -> str:
        for name, data in parts.items():
            place.put(f"scans/170782.1/{name}", data)
        place.put("scans/170782.1/notes.txt", b"not of it")
        return f"{place}/scans/170782.1"

    def test_each_event_is_of_the_one_slide(
        self, folder: str, place: Place, scratch: Path, clock: FakeClock
    ) -> None:
        options = ConvertOptions(scratch=scratch, update=True)
        told = [
            slide.url
            for name in self.FILES
            for slide in s3_events.arrived(created(f"{folder}/{name}".removeprefix("s3://images/")))
        ]
        statuses = []
        for url in [*told, f"{folder}/"]:
            summary = convert(url, to(place), options)
            statuses.append((summary.id, summary.status))
        assert statuses == [("170782.1", "converted"), *[("170782.1", "skipped")] * 3]
        assert sum(clock.slept) >= 55  # once, until all files were at rest
        assert list(scratch.iterdir()) == []

    def test_what_lacks_is_waited_for(
        self, folder: str, place: Place, parts: dict[str, bytes], run: Run, clock: FakeClock
    ) -> None:
        place.delete("scans/170782.1/7.dcm")
        words = ("convert", f"{folder}/8.dcm", "--to", to(place))
        refused = run(*words)
        assert (refused.code, "a part of its picture" in refused.err) == (EXIT_BAD_SLIDE, True)
        early = run(*words, "--update")
        assert (early.code, "it waits for the rest" in early.err) == (0, True)
        assert early.out.endswith("0 converted, 0 skipped, 0 failed, 1 incomplete\n")
        place.put("scans/170782.1/7.dcm", parts["7.dcm"])
        assert run(*words, "--update").code == 0
        assert place.objects()[f"to/{DESCRIPTOR.replace('small', '170782.1')}"]

    def test_submit_takes_it_once(self, folder: str, place: Place, clock: FakeClock) -> None:
        (waiting,) = find(f"{place}/scans", to(place)).slides
        assert (str(waiting.url), waiting.stem) == (f"{folder}/", "170782.1")
        convert(str(waiting.url), to(place), ConvertOptions())
        found = find(f"{place}/scans", to(place))
        assert (list(found.slides), found.published, list(found.refused)) == ([], 1, [])

    def test_it_is_not_removed(self, folder: str, clock: FakeClock) -> None:
        with pytest.raises(SlideAccessError, match="several files"):
            find_source(f"{folder}/7.dcm").check_removable()

    def test_a_folder_without_one(self, place: Place) -> None:
        place.put("scans/none/a.txt", b"x")
        with pytest.raises(SlideAccessError, match="has no DICOM files"):
            find_source(f"{place}/scans/none/")


@pytest.mark.parametrize("lacks", ["Content-Length", "Last-Modified", "ETag"])
def test_an_answer_that_lacks_something_is_no_s3_server_s(
    place: Place, proxy: Proxy, lacks: str
) -> None:
    told = {"Content-Length": "9", "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "ETag": '"a"'}

    def fault(handler: Handler, request: Request) -> bool:
        handler.send_response(200)
        for name in told.keys() - {lacks}:
            handler.send_header(name, told[name])
        handler.end_headers()
        return True

    proxy.fault = fault
    with pytest.raises(StoreError, match="is no S3 server"):
        find_source(f"{place}/a.svs")
