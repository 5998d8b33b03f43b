"""What technicians do to slides, on disk and in S3: nothing is lost, whoever else is at it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import cdr_stub
from tests.support.cdr_stub import Cdr
from tests.support.clock import FakeClock
from tests.support.destinations import keeping, opened
from tests.support.forge import forge_svs
from vsv_pyramid import catalog, removal, slide_json
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import (
    CdrError,
    OptionError,
    ReviewConflict,
    ReviewError,
    StoreBusy,
    StoreError,
    VsvPyramidError,
)
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import cdr, records, rescans
from vsv_pyramid.review import desk as desk_module
from vsv_pyramid.review.barcode import Barcode
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.history import Record
from vsv_pyramid.review.outcome import Outcome
from vsv_pyramid.review.search import found
from vsv_pyramid.store import Store, edits
from vsv_pyramid.store.directory import DirectoryStore

OPTIONS = ConvertOptions(workers=1)


@pytest.fixture
def store(target: str) -> Store:
    return opened(target)


@pytest.fixture
def anna(store: Destination) -> Desk:
    return Desk(store, "anna")


@pytest.fixture
def ben(target: str) -> Desk:
    return Desk(opened(target), "ben")


@pytest.fixture
def slide(real_slide: Path, tmp_path: Path) -> Path:
    return scan(real_slide, tmp_path / "scans/170782.svs")


@pytest.fixture
def published(slide: Path, target: str) -> Summary:
    return convert(slide, target, keeping(OPTIONS, target))


@pytest.fixture
def repository(clock: FakeClock) -> Iterator[Cdr]:
    with cdr_stub.running() as running:
        yield running


def scan(tissue: Path, path: Path, width: int = 300, **options: Any) -> Path:
    """A small slide as a scanner drops it, over the one before."""
    path.parent.mkdir(exist_ok=True)
    forge_svs(path, tissue=tissue, size=(width, 200), levels=(1,), **options)
    return path


def public(store: Destination, slide_id: str) -> list[dict[str, Any]]:
    """The slide's review as it is published: in slide.json, and in the catalog."""
    document = json.loads(store.get(keys.slide_json_key(keys.folder(slide_id))))
    entry = catalog.Catalog(store).slides()[slide_id]
    return [document["review"], entry["review"]]


def error(outcomes: list[Outcome]) -> VsvPyramidError:
    """That of the only outcome."""
    (outcome,) = outcomes
    assert outcome.error
    return outcome.error


def test_a_converted_slide_is_new(
    published: Summary, slide: Path, store: Destination, anna: Desk
) -> None:
    document = anna.record("170782")
    assert document.properties["aperio.AppMag"] == "20"
    assert document.source["location"] == str(slide)
    assert [str(event) for event in document.history] == ["converted by vsv-pyramid"]
    assert public(store, "170782") == [document.published()] * 2
    assert document.review()["status"] == "NEW"


def test_what_is_set_is_published_without_who_and_notes(
    published: Summary, store: Destination, anna: Desk
) -> None:
    changes = {"slide_id": "S26-1-A1", "case_id": "S26-1", "status": "GOOD"}
    (outcome,) = anna.set({"170782": 1}, changes, "Jane Roe asked for it")
    assert outcome.error is None
    document = anna.record("170782")
    assert document == outcome.record
    assert str(document.history[-1]) == (
        "set by anna: status NEW -> GOOD, slide ID none -> S26-1-A1, case ID none -> S26-1, "
        "“Jane Roe asked for it”"
    )
    for said in public(store, "170782"):
        assert said == document.published()
        assert {name: said[name] for name in changes} == changes
        assert "anna" not in str(said) and "Roe" not in str(said)


def test_the_second_is_told_what_changed(
    published: Summary, store: Destination, anna: Desk, ben: Desk
) -> None:
    anna.set({"170782": 1}, {"slide_id": "A1"})
    conflict = error(ben.set({"170782": 1}, {"slide_id": "B1"}))
    assert isinstance(conflict, ReviewConflict)
    assert str(conflict) == (
        "170782: was changed since you looked (set by anna: slide ID none -> A1); look at it again"
    )
    assert anna.record("170782").value("slide_id") == "A1"
    ben.set({"170782": 2}, {"slide_id": "B1"})
    assert public(store, "170782")[1]["slide_id"] == "B1"


def test_who_gives_no_revision_is_told_of_what_comes_between(
    published: Summary, anna: Desk, ben: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = anna._store
    put_if = type(store).put_if
    between = iter([True])

    def put(self: Destination, key: str, data: bytes, tag: str | None) -> bool:
        if self is store and next(between, False):
            ben.set({"170782": None}, {"status": "BAD"})
        return put_if(self, key, data, tag)

    monkeypatch.setattr(type(store), "put_if", put)
    conflict = error(anna.set({"170782": None}, {"status": "GOOD"}))
    assert "set by ben: status NEW -> BAD" in str(conflict)
    assert anna.record("170782").value("status") == "BAD"


def test_a_put_that_was_denied_and_went_well_is_no_conflict(
    published: Summary, anna: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = anna._store
    put_if = type(store).put_if

    def put(self: Destination, key: str, data: bytes, tag: str | None) -> bool:
        return put_if(self, key, data, tag) and not key.endswith(".private.json")

    monkeypatch.setattr(type(store), "put_if", put)
    (outcome,) = anna.set({"170782": 1}, {"status": "GOOD"})
    assert outcome.error is None
    assert anna.record("170782").revision == 2


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gives up, however slow the machine is."""
    monkeypatch.setattr(edits, "GIVE_UP_SECONDS", float("inf"))


@pytest.mark.crowd
@pytest.mark.usefixtures("unhurried")
def test_twenty_technicians_lose_nothing(
    published: Summary, target: str, store: Destination
) -> None:
    """Each notes something five times, and looks again where told that somebody else did."""
    notes = 5

    def work(number: int) -> int:
        mine = Desk(opened(target), f"t{number}")
        told = 0
        for note in range(notes):
            while True:
                revision = mine.record("170782").revision
                status = ("GOOD", "BAD")[note % 2]
                (outcome,) = mine.set({"170782": revision}, {"status": status}, f"{number}/{note}")
                if outcome.error is None:
                    break
                assert isinstance(outcome.error, ReviewConflict)
                told += 1
        return told

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(20)))
    document = records.record(store, "170782")
    assert sorted(event.note for event in document.history[1:]) == sorted(
        f"{number}/{note}" for number in range(20) for note in range(notes)
    )
    assert public(store, "170782") == [document.published()] * 2


@pytest.mark.crowd
@pytest.mark.usefixtures("unhurried")
def test_edits_during_a_conversion_are_published(
    slide: Path, published: Summary, target: str, store: Destination, anna: Desk
) -> None:
    """Whenever they come: before, amid and after the replacement of the folder."""
    done = threading.Event()

    def edit() -> None:
        number = 0
        while not done.is_set():
            anna.set({"170782": None}, {"slide_id": f"A{number}"})
            number += 1

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        for quality in range(70, 80):
            convert(
                slide,
                target,
                keeping(ConvertOptions(workers=1, quality=quality, overwrite=True), target),
            )
    finally:
        done.set()
        thread.join()
    document = records.record(store, "170782")
    assert public(store, "170782") == [document.published()] * 2
    facts = json.loads(store.get(keys.slide_json_key("images/170782")))
    assert facts["pyramid"]["quality"] == 79
    assert document.value("slide_id") is not None


def test_a_folder_is_not_replaced_while_a_review_is_put_into_it(
    slide: Path, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the old folder's slide.json would be in the new one."""
    target = str(tmp_path / "to")
    convert(slide, target, keeping(OPTIONS, target))
    put = DirectoryStore.put
    statuses: list[str] = []

    def late(self: DirectoryStore, key: str, data: bytes) -> None:
        if key.endswith("/slide.json") and not statuses:
            statuses.append("")
            options = ConvertOptions(workers=1, quality=70, overwrite=True)
            statuses[0] = convert(slide, target, keeping(options, target)).status
        put(self, key, data)

    monkeypatch.setattr(DirectoryStore, "put", late)
    Desk(opened(target), "anna").set({"170782": 1}, {"status": "GOOD"})
    assert statuses == ["busy"]


@pytest.mark.crowd
@pytest.mark.usefixtures("unhurried")
def test_many_at_once(
    real_slide: Path, tmp_path: Path, target: str, store: Destination, anna: Desk
) -> None:
    ids = [f"s{number}" for number in range(12)]
    for slide_id in ids:
        convert(
            scan(real_slide, tmp_path / f"scans/{slide_id}.svs"), target, keeping(OPTIONS, target)
        )
    anna.set({"s3": 1}, {"status": "BAD"})
    outcomes = anna.set({**dict.fromkeys(ids, 1), "nobody": 1, "../s1": 1}, {"status": "GOOD"})
    failed = {outcome.id: str(outcome.error) for outcome in outcomes if outcome.error}
    assert failed.keys() == {"s3", "nobody", "../s1"}
    assert "was changed since you looked" in failed["s3"]
    assert "there is no such slide" in failed["nobody"]
    assert "cannot be an id" in failed["../s1"]
    statuses = {entry["id"]: entry["review"]["status"] for entry in anna.slides()}
    assert statuses == {slide_id: "BAD" if slide_id == "s3" else "GOOD" for slide_id in ids}


class TestRescan:
    def test_the_same_name_again(
        self,
        real_slide: Path,
        slide: Path,
        published: Summary,
        target: str,
        store: Destination,
        anna: Desk,
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1"})
        (outcome,) = anna.delete({"170782": 2})
        assert outcome.error is None and outcome.record and outcome.record.is_deleted
        assert list(store.keys("images/170782/")) == []
        assert anna.slides() == []
        (awaited,) = anna.awaited()
        assert (awaited["id"], awaited["slide_id"], awaited["who"]) == ("170782", "A1", "anna")
        assert slide.exists()

        again = convert(slide, target, keeping(OPTIONS, target))
        assert (again.status, again.target) == ("skipped", "")
        assert again.notes == (
            "it was deleted as a bad scan; --overwrite converts it all the same",
        )

        scan(real_slide, slide, width=400)
        assert convert(slide, target, keeping(OPTIONS, target)).status == "converted"
        document = anna.record("170782")
        assert document.ids == {"slide_id": "A1", "case_id": "C1"}
        assert [event.action for event in document.history] == [
            *("converted", "set", "deleted", "rescanned")
        ]
        replaced = document.history[-1].facts["replaced"]
        assert slide_json.source_facts(replaced)["file"] == awaited["source"]["file"]
        assert document.value("status") == "NEW"
        assert anna.awaited() == []
        assert public(store, "170782") == [document.published()] * 2

    def test_another_name_and_the_same_barcode(
        self,
        real_slide: Path,
        tmp_path: Path,
        published: Summary,
        target: str,
        anna: Desk,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "S26-1", "case_id": "C1"})
        anna.delete({"170782": 2})
        monkeypatch.setattr(
            rescans, "read_barcode", lambda label: Barcode("read", "S26-1", "QR Code")
        )
        rescan = scan(real_slide, tmp_path / "scans/170790.svs", width=320)
        convert(rescan, target, keeping(OPTIONS, target))
        document = anna.record("170790")
        assert document.ids == {"slide_id": "S26-1", "case_id": "C1"}
        assert str(document.history[-1]) == (
            "tied by vsv-pyramid: case ID none -> C1, slide ID confirmed, a rescan of 170782"
        )
        former = anna.record("170782")
        assert str(former.history[-1]) == "replaced by vsv-pyramid: by the rescan 170790"
        assert anna.awaited() == []
        # The bad scan does not come back, and does not count as waiting.
        again = convert(tmp_path / "scans/170782.svs", target, keeping(OPTIONS, target))
        assert (again.status, again.target) == ("skipped", "")
        assert records.deleted(anna._store)["170782"]["rescanned_as"] == "170790"

    def test_another_name_and_the_id_by_hand(
        self,
        real_slide: Path,
        tmp_path: Path,
        published: Summary,
        target: str,
        anna: Desk,
        repository: Cdr,
    ) -> None:
        """What is typed can be wrong: it counts when it is sent."""
        anna.set({"170782": 1}, {"slide_id": "S26-1", "case_id": "C1"})
        anna.delete({"170782": 2})
        rescan = scan(real_slide, tmp_path / "scans/170790.svs", width=320)
        convert(rescan, target, keeping(OPTIONS, target))
        anna.set({"170790": 1}, {"slide_id": "S26-1", "case_id": "C2"})
        assert len(anna.awaited()) == 1
        anna.send({"170790": 2}, repository.url)
        assert anna.awaited() == []
        assert anna.record("170790").ids["case_id"] == "C2"
        assert anna.slides()[0]["review"]["status"] == "SENT"

    def test_a_copy_of_the_bad_scan_is_no_rescan(
        self, slide: Path, target: str, anna: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rescans, "read_barcode", lambda _: Barcode("read", "S26-1", "QR Code"))
        convert(slide, target, keeping(OPTIONS, target))
        anna.delete({"170782": None})
        copy = slide.with_name("copy.svs")
        copy.write_bytes(slide.read_bytes())
        convert(copy, target, keeping(OPTIONS, target))
        assert [awaited["id"] for awaited in anna.awaited()] == ["170782"]

    @pytest.mark.parametrize("spelling", ["moved", "touched", "linked"])
    def test_the_bad_scan_under_another_path(
        self, slide: Path, published: Summary, target: str, anna: Desk, spelling: str
    ) -> None:
        anna.delete({"170782": 1})
        if spelling == "touched":
            os.utime(slide, (1, 1))
        else:
            other = slide.parent.with_name("others")
            if spelling == "moved":
                slide.parent.rename(other)
            else:
                other.symlink_to(slide.parent)
            slide = other / slide.name
        assert convert(slide, target, keeping(OPTIONS, target)).status == "skipped"

    def test_another_scan_without_a_deletion(
        self, real_slide: Path, slide: Path, published: Summary, target: str, anna: Desk
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "status": "GOOD"})
        scan(real_slide, slide, width=400)
        convert(slide, target, keeping(ConvertOptions(workers=1, update=True), target))
        document = anna.record("170782")
        assert document.value("status") == "NEW"
        assert document.value("slide_id") == "A1"
        assert document.history[-1].action == "rescanned"

    def test_the_same_file_with_other_options_is_no_rescan(
        self, slide: Path, published: Summary, target: str, anna: Desk
    ) -> None:
        anna.set({"170782": 1}, {"status": "GOOD"})
        convert(
            slide, target, keeping(ConvertOptions(workers=1, quality=70, overwrite=True), target)
        )
        assert anna.record("170782").revision == 2
        assert anna.slides()[0]["review"]["status"] == "GOOD"

    def test_a_deletion_is_taken_back_by_converting_again(
        self, slide: Path, published: Summary, target: str, anna: Desk
    ) -> None:
        anna.delete({"170782": 1})
        convert(slide, target, keeping(ConvertOptions(workers=1, overwrite=True), target))
        assert anna.awaited() == []
        assert anna.slides()[0]["review"]["status"] == "NEW"
        assert anna.record("170782").history[-1].action == "converted"


class TestDelete:
    def test_with_the_scanned_file(self, slide: Path, published: Summary, anna: Desk) -> None:
        anna.delete({"170782": 1}, source=True)
        assert not slide.exists()
        assert anna.slides() == []

    def test_with_a_scanned_object(
        self, slide: Path, place: Any, store: Destination, target: str, anna: Desk
    ) -> None:
        place.put("scans/170782.svs", slide.read_bytes())
        convert(f"{place}/scans/170782.svs", target, keeping(OPTIONS, target))
        anna.delete({"170782": 1}, source=True)
        assert "scans/170782.svs" not in place.objects()
        assert anna.slides() == []

    def test_a_scanned_file_that_is_another_by_now(
        self, real_slide: Path, slide: Path, published: Summary, anna: Desk
    ) -> None:
        scan(real_slide, slide, width=400)
        told = error(anna.delete({"170782": 1}, source=True))
        assert str(told) == f"170782: {slide} is another scan by now; look at it first"
        assert slide.exists()
        assert len(anna.slides()) == 1 and anna.awaited() == []

    @pytest.mark.parametrize("is_remote", [False, True])
    def test_a_scan_that_comes_while_it_is_deleted_stays(
        self,
        real_slide: Path,
        slide: Path,
        place: Any,
        published: Summary,
        target: str,
        anna: Desk,
        monkeypatch: pytest.MonkeyPatch,
        is_remote: bool,
    ) -> None:
        if is_remote:
            again = replace(OPTIONS, overwrite=True)
            place.put("scans/170782.svs", slide.read_bytes())
            convert(f"{place}/scans/170782.svs", target, keeping(again, target))
        remove = removal.remove

        def scanned_anew(*words: Any) -> None:
            remove(*words)
            scan(real_slide, slide, width=400)
            if is_remote:
                place.put("scans/170782.svs", slide.read_bytes())

        monkeypatch.setattr(removal, "remove", scanned_anew)
        told = error(anna.delete({"170782": None}, source=True))
        assert "is another scan by now; look at it first" in str(told)
        assert slide.exists()
        assert not is_remote or "scans/170782.svs" in place.objects()
        assert [one["id"] for one in anna.awaited()] == ["170782"]

    def test_no_rescan_comes_between(
        self,
        real_slide: Path,
        slide: Path,
        published: Summary,
        store: Destination,
        target: str,
        anna: Desk,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Or its pyramid would go with the old one's."""
        remove = removal.remove

        def busy(*words: Any) -> None:
            with pytest.raises(StoreBusy), store.exclusive("images/170782"):
                pass
            remove(*words)

        monkeypatch.setattr(removal, "remove", busy)
        assert anna.delete({"170782": 1})[0].error is None

    def test_of_a_link_nothing_is_deleted(
        self, slide: Path, target: str, anna: Desk, tmp_path: Path
    ) -> None:
        link = tmp_path / "link.svs"
        link.symlink_to(slide)
        convert(link, target, keeping(OPTIONS, target))
        told = error(anna.delete({"link": None}, source=True))
        assert f"is a link to {slide.resolve()}; delete both yourself" in str(told)
        assert link.exists() and slide.exists()
        assert "link" in {one["id"] for one in anna.slides()}

    def test_a_scanned_file_that_is_away(self, slide: Path, published: Summary, anna: Desk) -> None:
        slide.unlink()
        told = error(anna.delete({"170782": 1}, source=True))
        assert "its scanned file cannot be deleted from here" in str(told)
        assert len(anna.slides()) == 1
        assert error(anna.delete({"170782": 7})).args
        assert anna.delete({"170782": 1})[0].error is None

    @pytest.mark.parametrize(("module", "name"), [(records, "change_deleted"), (removal, "remove")])
    def test_one_that_was_interrupted_goes_on(
        self,
        published: Summary,
        store: Destination,
        anna: Desk,
        monkeypatch: pytest.MonkeyPatch,
        module: Any,
        name: str,
    ) -> None:
        def dies(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, name, dies)
            anna.delete({"170782": 1})
        assert anna.slides()
        (outcome,) = anna.delete({"170782": 2})
        assert outcome.error is None
        assert anna.slides() == []
        assert [slide["id"] for slide in anna.awaited()] == ["170782"]
        assert [event.action for event in records.record(store, "170782").history] == [
            *("converted", "deleted")
        ]

    def test_the_rest_of_one_that_was_killed_among_the_tiles(
        self,
        real_slide: Path,
        slide: Path,
        published: Summary,
        target: str,
        store: Destination,
        anna: Desk,
    ) -> None:
        tile = next(found.key for found in store.keys("images/170782/DeepZoom_files/"))
        data = store.get(tile)
        anna.delete({"170782": 1})
        store.put(tile, data)
        assert convert(slide, target, keeping(OPTIONS, target)).target == ""
        scan(real_slide, slide, width=400)
        assert convert(slide, target, keeping(OPTIONS, target)).status == "converted"

    def test_the_scanned_file_of_one_that_is_deleted_already(
        self, slide: Path, published: Summary, anna: Desk
    ) -> None:
        anna.delete({"170782": 1})
        anna.delete({"170782": 2}, source=True)
        assert not slide.exists()

    def test_a_scanned_file_that_may_not_be_deleted(
        self, slide: Path, published: Summary, anna: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path, **_: object) -> None:
            raise PermissionError(13, f"{path} is protected")

        unlink = Path.unlink
        with monkeypatch.context() as patch:
            patch.setattr(
                Path,
                "unlink",
                lambda path, **options: (refuse if path == slide else unlink)(path, **options),
            )
            told = error(anna.delete({"170782": 1}, source=True))
        assert "170782: is deleted, but its scanned file is not: " in str(told)

    def test_a_deleted_slide_is_not_changed_or_sent(self, published: Summary, anna: Desk) -> None:
        anna.delete({"170782": 1})
        for outcomes in (
            anna.set({"170782": 2}, {"status": "GOOD"}),
            anna.send({"170782": 2}, "https://127.0.0.1:9/"),
        ):
            assert "awaits its rescan; convert that first" in str(error(outcomes))
        assert "awaits its rescan" in str(error(anna.delete({"170782": 2})))


class TestSend:
    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({}, "170782: has no slide ID and no case ID; set what is missing, then send it"),
            ({"slide_id": "A1"}, "170782: has no case ID; set what is missing, then send it"),
            ({"case_id": "C1"}, "170782: has no slide ID; set what is missing, then send it"),
            (
                {"slide_id": "A1", "case_id": "C1", "status": "BAD"},
                "170782: is BAD; delete it for a rescan, or set it good",
            ),
        ],
    )
    def test_what_is_not_sent(
        self,
        published: Summary,
        anna: Desk,
        repository: Cdr,
        changes: dict[str, str | None],
        sentence: str,
    ) -> None:
        anna.set({"170782": 1}, changes)
        assert str(error(anna.send({"170782": None}, repository.url))) == sentence
        assert repository.requests == 0

    def test_a_slide_is_sent_once(
        self, published: Summary, store: Destination, anna: Desk, repository: Cdr
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1", "status": "GOOD"})
        for _ in range(2):
            (outcome,) = anna.send({"170782": None}, repository.url)
            assert outcome.error is None
        assert repository.requests == 1
        assert repository.records["170782"]["SlideID"] == "A1"
        assert public(store, "170782")[1]["status"] == "SENT"
        event = anna.record("170782").history[-1]
        assert event.facts == {
            "to": repository.url,
            "status": 201,
            "answer": '{"taken": true}',
            "date": "2009-12-29T09:59:15",
        }
        assert event.who == "anna"

    def test_another_repository_gets_it_too(
        self, published: Summary, anna: Desk, repository: Cdr, place: Any
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1", "status": "GOOD"})
        for _ in range(2):
            for url in (repository.url, f"{place.private}/cdr"):
                assert anna.send({"170782": None}, url)[0].error is None
        assert repository.requests == 1
        assert list(place.private.objects()).count("cdr/170782.json") == 1
        assert [event.action for event in anna.record("170782").history].count("sent") == 2

    def test_it_is_sent_again_with_another_time_zone(
        self, published: Summary, target: str, anna: Desk, repository: Cdr
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1"})
        anna.send({"170782": None}, repository.url)
        repository.records.clear()
        berlin = Desk(opened(target), "anna", time_zone="Europe/Berlin")
        for _ in range(2):
            berlin.send({"170782": None}, repository.url)
        assert repository.requests == 2
        assert repository.records["170782"]["ScanDate"] == "2009-12-29T09:59:15+01:00"

    def test_not_into_the_bucket_that_is_published(
        self, real_slide: Path, place: Any, slide: Path
    ) -> None:
        convert(slide, str(place), keeping(OPTIONS, place))
        desk = Desk(opened(place), "anna")
        desk.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1"})
        with pytest.raises(OptionError, match="records would lie in the bucket that is published"):
            desk.send({"170782": None}, f"{place}/cdr")
        assert not any("cdr" in key for key in place.objects())

    def test_what_is_corrected_is_sent_again(
        self, published: Summary, anna: Desk, repository: Cdr
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1"})
        anna.send({"170782": 2}, repository.url)
        (outcome,) = anna.set({"170782": 3}, {"slide_id": "A2"})
        assert outcome.record and outcome.record.value("status") == "GOOD"
        repository.records.clear()
        anna.send({"170782": 4}, repository.url)
        assert repository.records["170782"]["SlideID"] == "A2"

    def test_a_refusal_changes_nothing(
        self, published: Summary, anna: Desk, repository: Cdr
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1"})
        repository.fail(422)
        assert isinstance(error(anna.send({"170782": 2}, repository.url)), CdrError)
        assert anna.record("170782").revision == 2

    def test_one_that_is_changed_while_it_is_sent(
        self,
        published: Summary,
        anna: Desk,
        ben: Desk,
        repository: Cdr,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        anna.set({"170782": 1}, {"slide_id": "A1", "case_id": "C1"})
        send = cdr.send

        def slowly(*what: Any) -> dict[str, Any]:
            ben.set({"170782": 2}, {"case_id": "C2"})
            return send(*what)

        monkeypatch.setattr(cdr, "send", slowly)
        told = error(anna.send({"170782": 2}, repository.url))
        assert isinstance(told, ReviewConflict)
        assert "the old record was sent: set by ben: case ID C1 -> C2" in str(told)
        document = anna.record("170782")
        assert document.value("status") == "NEW"
        assert document.history[-1].action == "sent"

    def test_nowhere(self, anna: Desk) -> None:
        with pytest.raises(OptionError):
            anna.send({"170782": 2}, "cdr.example.org")


# Of labels as laboratories print them; five were published before.
LABELS = ["ROE-19520317", "Roe/Zoe/F/1961-03-04", "MRN1952031701", "219-09-9999", "PID:1952031"]


class TestWhatIsReadOffALabel:
    """It is private until somebody has confirmed it, or it is the lab's own pattern."""

    @pytest.fixture(params=LABELS)
    def label(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        label: str = request.param
        monkeypatch.setattr(rescans, "read_barcode", lambda _: Barcode("read", label, "QR Code"))
        return label

    def everything(self, store: Destination) -> bytes:
        return b"".join(store.get(found.key) for found in store.keys("images/"))

    def test_it_is_not_published(
        self, label: str, slide: Path, target: str, store: Destination, anna: Desk
    ) -> None:
        options = replace(keeping(OPTIONS, target), lab_id_pattern=r"S\d\d-\d{4,6}-[A-Z]\d+")
        convert(slide, target, options)
        assert anna.slides()[0]["review"]["slide_id"] == label
        anna.set({"170782": 1}, {"status": "GOOD", "case_id": "C1"})
        assert label.encode() not in self.everything(store)
        assert public(store, "170782")[0]["slide_id"] is None
        anna.set({"170782": 2}, {"slide_id": label})
        assert [said["slide_id"] for said in public(store, "170782")] == [label] * 2
        anna.set({"170782": 3}, {"slide_id": "S26-1"})
        anna.set({"170782": 4}, {"slide_id": label}, confirmed=False)
        assert label.encode() not in self.everything(store)

    def test_it_is_tied_to_the_deleted_one_and_no_more_known_for_it(
        self,
        label: str,
        real_slide: Path,
        slide: Path,
        target: str,
        store: Destination,
        anna: Desk,
    ) -> None:
        convert(slide, target, keeping(OPTIONS, target))
        anna.delete({"170782": None})
        again = scan(real_slide, slide.with_name("170790.svs"), width=320)
        convert(again, target, keeping(OPTIONS, target))
        assert anna.record("170790").history[-1].facts == {"rescan_of": "170782"}
        assert label.encode() not in self.everything(store)

    @pytest.mark.parametrize(
        ("read", "is_public"),
        [("S26-1041-A1", True), ("S26-1041-A", False), ("XS26-1041-A1", False)],
    )
    def test_the_lab_s_own_pattern(
        self,
        slide: Path,
        target: str,
        store: Destination,
        monkeypatch: pytest.MonkeyPatch,
        read: str,
        is_public: bool,
    ) -> None:
        monkeypatch.setattr(rescans, "read_barcode", lambda _: Barcode("read", read, "QR Code"))
        options = replace(keeping(OPTIONS, target), lab_id_pattern=r"S\d\d-\d{4,6}-[A-Z]\d+")
        convert(slide, target, options)
        assert public(store, "170782")[0]["slide_id"] == (read if is_public else None)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"version": 1, "slides": [{"id": "170782", "review": null}]}']
)
def test_a_damaged_list_of_what_is_known_is_made_anew(
    published: Summary, store: Destination, anna: Desk, damage: bytes
) -> None:
    key = f"{keys.KEPT}/{keys.CATALOG}"
    store.put(key, damage)
    assert anna.slides()[0]["review"] == anna.record("170782").review()
    (outcome,) = anna.set({"170782": 1}, {"status": "GOOD"})
    assert outcome.error is None
    assert anna.slides()[0]["review"]["status"] == "GOOD"
    assert json.loads(store.get(key))["slides"][0]["review"]["status"] == "GOOD"


def test_a_part_of_the_list_that_is_lost_is_made_anew(
    real_slide: Path,
    tmp_path: Path,
    target: str,
    store: Destination,
    anna: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog, "MOST_SLIDES", 2)
    monkeypatch.setattr(catalog, "SHARDS", 2)
    ids = [f"s{number}" for number in range(6)]
    path = scan(real_slide, tmp_path / "scans/s0.svs")
    for slide_id in ids:
        convert(path.rename(path.with_name(f"{slide_id}.svs")), target, keeping(OPTIONS, target))
        path = path.with_name(f"{slide_id}.svs")
    parts = [name for name in store.names(keys.KEPT) if keys.is_shard(name)]
    assert len(parts) == 2
    before = anna.slides()
    store.delete(*(f"{keys.KEPT}/{name}" for name in parts))
    assert anna.slides() == before
    anna.set(dict.fromkeys(ids), {"status": "GOOD"})
    assert records.Kept(store).slides().keys() == set(ids)
    assert all(store.head(f"{keys.KEPT}/{name}") for name in parts)
    assert {slide["review"]["status"] for slide in anna.slides()} == {"GOOD"}


def test_a_slide_without_details_has_no_review(
    slide: Path, target: str, store: Destination, anna: Desk
) -> None:
    convert(slide, target, replace(keeping(OPTIONS, target), details="none"))
    anna.set({"170782": 1}, {"slide_id": "S26-1", "case_id": "C1", "status": "GOOD"})
    document = json.loads(store.get("images/170782/slide.json"))
    assert document["kept"] and "review" not in document
    assert "review" not in catalog.Catalog(store).slides()["170782"]
    assert anna.slides()[0]["review"] == anna.record("170782").review()
    assert anna.doubles(["170782"]) == {}


def test_slides_that_were_published_before_have_no_document(
    slide: Path, published: Summary, target: str, store: Destination, anna: Desk
) -> None:
    """As an older version of this program left them."""
    store.delete(keys.private_json_key("170782"), f"{keys.KEPT}/{keys.CATALOG}")
    key = keys.slide_json_key("images/170782")
    facts = json.loads(store.get(key))
    del facts["review"]
    store.put(key, json.dumps(facts).encode())
    catalog.Catalog(store).update(["170782"])
    assert "review" not in catalog.Catalog(store).slides()["170782"]
    assert anna.slides()[0]["review"] == Record("").review()
    assert "its scanned file is not known" in str(error(anna.delete({"170782": 0}, source=True)))
    anna.set({"170782": 0}, {"status": "GOOD"})
    assert anna.slides()[0]["review"]["status"] == "GOOD"
    convert(slide, target, keeping(ConvertOptions(workers=1, overwrite=True), target))
    assert anna.slides()[0]["review"]["status"] == "GOOD"
    assert anna.record("170782").source["location"] == str(slide)


def test_a_store_without_a_catalog_gets_none(
    published: Summary, store: Destination, anna: Desk
) -> None:
    store.delete(keys.catalog_key())
    anna.set({"170782": 1}, {"status": "GOOD"})
    assert store.head(keys.catalog_key()) is None
    assert anna.slides()[0]["review"]["status"] == "GOOD"


def test_a_damaged_document_is_told_of(published: Summary, store: Destination, anna: Desk) -> None:
    store.put(keys.private_json_key("170782"), b"{}")
    with pytest.raises(StoreError, match=r"slide.private.json: is damaged .* bring a former"):
        anna.record("170782")
    store.put(keys.DELETED, b"{}")
    with pytest.raises(StoreError, match=r"deleted.json: is damaged; remove it"):
        anna.awaited()


def test_others_that_write_all_the_time(
    published: Summary, anna: Desk, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(anna._store), "put_if", lambda *_: False)
    assert "others have been writing it" in str(error(anna.set({"170782": 1}, {"status": "GOOD"})))


def test_a_slide_json_that_is_not_there(published: Summary, store: Destination, anna: Desk) -> None:
    store.delete(keys.slide_json_key("images/170782"))
    assert isinstance(error(anna.delete({"170782": 1})), ReviewError)


def test_nothing_is_remembered_of_what_is_forgotten(
    published: Summary, store: Destination, anna: Desk
) -> None:
    anna.delete({"170782": 1})
    rescans.forget(store, "170782")
    assert anna.awaited() == []
    assert list(store.keys(keys.private_folder("170782"))) == []


def test_slides_are_found() -> None:
    def slide(name: str, scanned: str | None, **said: Any) -> dict[str, Any]:
        blank = Record("").review()
        created = "2026-11-20T00:00:00+00:00"
        return {"id": name, "scanned": scanned, "created": created, "review": {**blank, **said}}

    slides = [
        slide("a10", "2026-11-01T10:00:00", status="GOOD", slide_id="S26-7"),
        slide("a9", "2026-11-02T10:00:00", case_id="S26-8"),
        slide("b", None),
    ]

    def ids(**wanted: str) -> list[str]:
        return [slide["id"] for slide in found(slides, **wanted)]

    assert ids() == ["a9", "a10", "b"]
    assert ids(status="NEW") == ["a9", "b"]
    assert ids(search="s26") == ["a9", "a10"]
    assert ids(search="s26 11-01") == ["a10"]
    assert ids(search="2026-11") == ["a9", "a10"]
    assert ids(since="2026-11-02") == ["a9", "b"]
    assert ids(since="2026-11-21") == []


def test_the_account_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid 1000")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert desk_module.user_name() == "unknown"


def test_what_is_saved_and_not_published_is_told(
    published: Summary, anna: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = anna._store
    put_if = type(store).put_if

    def put(self: Destination, key: str, data: bytes, tag: str | None) -> bool:
        if key.endswith("/slide.json"):
            raise StoreError(key, "no permission")
        return put_if(self, key, data, tag)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put_if", put)
        with pytest.raises(StoreError, match="is saved, but not published; do it once more"):
            anna.set({"170782": 1}, {"status": "GOOD"})
    assert public(store, "170782")[1]["status"] == "NEW"
    anna.set({"170782": None}, {"status": "GOOD"})
    assert public(store, "170782")[1] == anna.record("170782").published()
    assert anna.record("170782").revision == 2


def test_a_damaged_slide_json_does_not_keep_others(
    real_slide: Path,
    tmp_path: Path,
    published: Summary,
    target: str,
    store: Destination,
    anna: Desk,
) -> None:
    convert(scan(real_slide, tmp_path / "scans/other.svs"), target, keeping(OPTIONS, target))
    store.put(keys.slide_json_key("images/170782"), b"{")
    outcomes = anna.set({"170782": 1, "other": 1}, {"status": "GOOD"})
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert public(store, "other")[1]["status"] == "GOOD"
    assert "170782" not in catalog.Catalog(store).slides()


def test_slide_ids_that_two_have(
    real_slide: Path, tmp_path: Path, published: Summary, target: str, anna: Desk
) -> None:
    convert(scan(real_slide, tmp_path / "scans/other.svs"), target, keeping(OPTIONS, target))
    assert anna.doubles(["170782", "other"]) == {}
    anna.set({"170782": 1, "other": 1}, {"slide_id": "A1"})
    assert anna.doubles(["170782"]) == {"170782": "other"}


def test_an_archive_stays_as_it_is(slide: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "a.zip")
    convert(slide, place, keeping(OPTIONS, place))
    desk = Desk(opened(place), "anna")
    assert [entry["id"] for entry in desk.slides()] == ["170782"]
    with pytest.raises(StoreError, match="is an archive, and stays as it is"):
        desk.set({"170782": 0}, {"status": "GOOD"})


def test_a_document_that_cannot_be_read_is_not_said_to_be_saved(
    published: Summary, store: Destination, anna: Desk
) -> None:
    store.put(keys.private_json_key("170782"), b"{")
    told = error(anna.set({"170782": None}, {"status": "GOOD"}))
    assert "slide.private.json: is damaged" in str(told)
