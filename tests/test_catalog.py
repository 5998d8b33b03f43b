"""The catalog: what it lists, and that nothing is lost, whoever writes at the same time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support.clock import FakeClock
from tests.support.destinations import opened, private_of
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid import catalog, catalog_json, removal
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import DescriptorError, StoreError, StoreUnavailable
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import Store, edits, open_store
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.words import digest

INDEX = "images/index.json"
OPTIONS = ConvertOptions(tile_size=512, workers=2)


def slide_json(slide_id: str, version: str = "1") -> dict[str, Any]:
    """The parts of a slide.json that a catalog needs, and some that it is to leave alone."""
    return {
        "version": 2,
        "layout": 1,
        "id": slide_id,
        "source": {"file": "0123abcd", "digest": "d", "name": "Doe^Jane.svs"},
        "origin": {"x": 0, "y": 0},
        "width": 3,
        "height": 2,
        "mpp": {"x": 0.25, "y": None},
        "objective_power": None,
        "year": 2026,
        "scanned": None,
        "scanner": "AT2",
        "vendor": "aperio",
        "image_id": "7",
        "properties": {"Title": "Doe^Jane"},
        "pyramid": {"version": version, "tile_size": 64, "bytes": 9, "tile_count": 3, "levels": []},
        "options": {},
        "software": {},
        "created": None,
        "details": "none",
    }


def publish(store: Store, *ids: str, version: str = "1") -> None:
    """As a conversion leaves it, but for the tiles and the catalog."""
    for slide_id in ids:
        folder = keys.folder(slide_id)
        document = json.dumps(slide_json(slide_id, version)).encode()
        store.put(keys.slide_json_key(folder), document)
        store.put(keys.descriptor_key(folder), b"<Image/>")


def named(count: int) -> list[str]:
    return [f"slide-{number:02d}" for number in range(count)]


def read(store: Store, name: str = "index.json") -> dict[str, Any]:
    document = json.loads(store.get(f"images/{name}"))
    assert document["version"] == 1
    assert len(document) == 2
    return dict(document)


def present(store: Store) -> set[str]:
    return {found.key for found in store.keys("")}


def shards(store: Store) -> list[str]:
    return [name for name in store.names("images") if keys.is_shard(name)]


def listed(store: Store) -> dict[str, str]:
    """The versions of the slides by id, as a viewer finds them."""
    root = read(store)
    names = root.get("shards", ["index.json"])
    slides = [slide for name in names for slide in read(store, name)["slides"]]
    ids = [slide["id"] for slide in slides]
    assert len(set(ids)) == len(ids)
    for name in names:
        own = [slide["id"] for slide in read(store, name)["slides"]]
        assert own == sorted(own)
    return {slide["id"]: slide["version"] for slide in slides}


def at_once(actions: list[Callable[[], object]]) -> None:
    """Runs each in a thread of its own, and raises what any of them raises."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> None:
        start.wait()
        action()

    with ThreadPoolExecutor(len(actions)) as pool:
        for ended in [pool.submit(run, action) for action in actions]:
            ended.result()


def after_the_look(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Does something when a catalog has looked at a slide, once, and before it writes."""
    look, turns = Catalog._published, iter([action])

    def interposed(self: Catalog, slide_id: str) -> catalog_json.Entry | None:
        found = look(self, slide_id)
        next(turns, lambda: None)()
        return found

    monkeypatch.setattr(Catalog, "_published", interposed)


@pytest.fixture
def store(target: str) -> Store:
    return open_store(target)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that is spread over four shards when it holds more than ten slides."""
    monkeypatch.setattr(catalog, "MOST_SLIDES", 10)
    monkeypatch.setattr(catalog, "SHARDS", 4)


def test_an_entry_has_no_free_text() -> None:
    entry = catalog_json.entry(slide_json("a"))
    assert entry == {
        "entry": 2,
        "layout": 1,
        "id": "a",
        "version": "1",
        "width": 3,
        "height": 2,
        "tile_size": 64,
        "mpp": {"x": 0.25, "y": None},
        "objective_power": None,
        "year": 2026,
        "scanned": None,
        "scanner": "AT2",
        "vendor": "aperio",
        "created": None,
        "bytes": 9,
        "tile_count": 3,
        "source": {"file": "0123abcd"},
    }


def test_an_entry_of_a_lab_s_details_and_of_a_later_release() -> None:
    more = {"review": {"status": "GOOD"}, "scanned": "2026-11-23T09:00:00", "restorable": True}
    entry = catalog_json.entry({**slide_json("a"), **more, "layout": 2, "another": 1})
    assert {name: entry[name] for name in more} == more
    assert entry["layout"] == 2 and "another" not in entry


def test_an_entry_of_what_version_1_has_published_has_no_details() -> None:
    former = {name: value for name, value in slide_json("a").items() if name != "version"}
    source = {"name": "Doe.svs", "place": "01234567", "size": 7, "mtime_ns": 9, "digest": "d"}
    review = {"status": "GOOD", "slide_id": "S26-1"}
    said = {"scanned": "2026-11-23T09:00:00", "scanner": "SS1302", "source": source}
    entry = catalog_json.entry({**former, **said, "review": review})
    assert (entry["entry"], entry["year"], entry["scanned"]) == (1, 2026, None)
    assert entry["scanner"] is None
    assert "review" not in entry
    assert entry["source"] == {"file": digest("7 9")}


@pytest.mark.parametrize("damage", [{"mpp": None}, {"mpp": {}}, {"width": float("nan")}])
def test_an_entry_of_a_damaged_slide_json(damage: dict[str, Any]) -> None:
    with pytest.raises(DescriptorError, match="--overwrite"):
        catalog_json.entry(slide_json("a") | damage)


class TestCatalog:
    """What holds in a folder and in S3."""

    def test_updates(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        publish(store, "b", "a", "c")
        for slide_id in ("b", "c", "a", "none"):
            Catalog(store).update([slide_id])
        assert [slide["id"] for slide in read(store)["slides"]] == ["a", "b", "c"]
        assert read(store)["slides"][0] == catalog_json.entry(slide_json("a"))
        publish(store, "b", version="2")
        Catalog(store).update(["b"])
        assert listed(store) == {"a": "1", "b": "2", "c": "1"}
        removal.delete(store, "images/a")
        assert listed(store) == {"b": "2", "c": "1"}
        assert Catalog(store).has(catalog_json.entry(slide_json("b", "2")))
        assert not Catalog(store).has(catalog_json.entry(slide_json("b")))
        assert not Catalog(store).has(catalog_json.entry(slide_json("a")))
        monkeypatch.setattr(type(store), "put_if", None)  # an equal entry puts nothing
        Catalog(store).update(["a", "b", "c"])

    @pytest.mark.crowd
    def test_fifty_writers(self, store: Store) -> None:
        gone, ids = named(25), [f"new-{number}" for number in range(25)]
        publish(store, *gone)
        Catalog(store).update(gone)

        def convert(slide_id: str) -> None:
            publish(store, slide_id)
            Catalog(store).update([slide_id])

        at_once(
            [
                *(partial(convert, id) for id in ids),
                *(partial(removal.delete, store, keys.folder(id)) for id in gone),
            ]
        )
        assert listed(store) == dict.fromkeys(ids, "1")

    def test_writers_of_one_slide(self, store: Store) -> None:
        publish(store, "a", version="9")
        at_once([lambda: Catalog(store).update(["a"])] * 10)
        assert listed(store) == {"a": "9"}

    def test_a_split(self, store: Store, few: None) -> None:
        ids = named(30)
        publish(store, *ids)
        for slide_id in ids[:10]:
            Catalog(store).update([slide_id])
        assert shards(store) == []
        Catalog(store).update([ids[10]])
        root = read(store)
        assert list(root) == ["version", "shards"]
        assert sorted(shards(store)) == root["shards"]
        assert len(root["shards"]) == 4
        for slide_id in ids[11:]:
            Catalog(store).update([slide_id])
        assert listed(store) == dict.fromkeys(ids, "1")
        assert Catalog(store).has(catalog_json.entry(slide_json(ids[20])))
        for slide_id in ids[3:]:
            removal.delete(store, keys.folder(slide_id))
        assert listed(store) == dict.fromkeys(ids[:3], "1")
        assert read(store) == root  # which stays, since nobody looks whether it has changed

    @pytest.mark.crowd
    def test_fifty_writers_of_a_catalog_that_is_split(self, store: Store, few: None) -> None:
        ids = named(59)
        publish(store, *ids)
        Catalog(store).update(ids[:9])
        at_once([partial(Catalog(store).update, [id]) for id in ids[9:]])
        assert listed(store) == dict.fromkeys(ids, "1")
        assert sorted(shards(store)) == read(store)["shards"]

    def test_who_loses_the_race_of_a_split_leaves_nothing(
        self, store: Store, few: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = named(12)
        publish(store, *ids)
        Catalog(store).update(ids[:10])

        put_if = type(store).put_if
        turns = iter([lambda: Catalog(open_store(str(store))).update([ids[10]])])

        def interposed(self: Any, key: str, data: bytes, tag: str | None) -> bool:
            if key == INDEX:
                next(turns, lambda: None)()
            return put_if(self, key, data, tag)

        monkeypatch.setattr(type(store), "put_if", interposed)
        Catalog(store).update([ids[11]])
        assert next(turns, None) is None
        assert listed(store) == dict.fromkeys(ids, "1")
        assert sorted(shards(store)) == read(store)["shards"]

    def test_what_another_one_writes_in_between_stays(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(store, "a", "b", "c")
        Catalog(store).update(["c"])
        after_the_look(monkeypatch, lambda: Catalog(open_store(str(store))).update(["b"]))
        Catalog(store).update(["a"])
        assert listed(store) == dict.fromkeys("abc", "1")

    def test_what_is_deleted_after_the_look_is_not_listed(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever deletes it finds no entry, and so writes nothing."""
        publish(store, "a", "b")
        Catalog(store).update(["b"])
        after_the_look(monkeypatch, lambda: removal.delete(store, "images/a"))
        Catalog(store).update(["a"])
        assert listed(store) == {"b": "1"}

    def test_what_is_done_and_undone_during_a_rebuild(
        self, target: str, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The document is the same afterwards, to the byte."""
        publish(store, "a", "b")
        Catalog(store).update(["b"])
        before = store.get(INDEX)

        def do_and_undo() -> None:
            Catalog(store).update(["a"])
            removal.delete(store, "images/a")
            assert store.get(INDEX) == before

        after_the_look(monkeypatch, do_and_undo)
        assert catalog.rebuild_catalog(open_store(target)).slides == 1
        assert listed(store) == {"b": "1"}

    @pytest.mark.crowd
    def test_a_rebuild_among_writers(self, target: str, store: Store, few: None) -> None:
        gone, ids = named(8), [f"new-{number}" for number in range(16)]
        publish(store, *gone, "unlisted")
        Catalog(store).update(gone)

        def convert(slide_id: str) -> None:
            publish(store, slide_id)
            Catalog(store).update([slide_id])

        at_once(
            [
                *(partial(convert, id) for id in ids),
                *(partial(removal.delete, store, keys.folder(id)) for id in gone),
                *[lambda: catalog.rebuild_catalog(open_store(target))] * 4,
            ]
        )
        assert listed(store) == dict.fromkeys([*ids, "unlisted"], "1")

    def test_a_rebuild(self, target: str, store: Store, run: Run) -> None:
        publish(store, "a", "b", "damaged", "missing")
        store.put("images/damaged/slide.json", b"{}")
        store.delete("images/missing/slide.json")
        store.put("images/half/slide.json", b"{}")
        store.put("images/not an id/DeepZoom.dzi", b"")
        store.put("images/file", b"")
        store.put("images/copy/slide.json", store.get("images/a/slide.json"))
        store.put("images/copy/DeepZoom.dzi", b"")
        outcome = run("index", target)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == (
            "warning: damaged is left out: slide.json is damaged (it has no source); convert the "
            "slide again with --overwrite\n"
            "warning: missing is left out: slide.json is missing; convert the slide again with "
            "--overwrite\n"
            f"{target}: 3 slides in 1 document, 2 left out\n"
        )
        assert listed(store) == {"a": "1", "b": "1", "copy": "1"}
        store.delete("images/b/DeepZoom.dzi")
        publish(store, "a", version="2")
        facts = json.loads(run("index", target, "--json").out)
        assert (facts["slides"], facts["documents"], len(facts["warnings"])) == (2, 1, 2)
        assert listed(store) == {"a": "2", "copy": "1"}

    def test_a_rebuild_around_what_cannot_be_looked_at(self, tmp_path: Path, run: Run) -> None:
        """Links that lead round in a circle are refused to everybody."""
        store = DirectoryStore(tmp_path)
        publish(store, "a", "b", "c", "new")
        Catalog(store).update(["a", "b", "c"])
        publish(store, "a", version="2")
        images = tmp_path / "images"
        for name in ("b/slide.json", "c/DeepZoom.dzi", "new/slide.json", "loop"):
            (images / name).unlink(missing_ok=True)
            (images / name).symlink_to(images / name)
        outcome = run("index", tmp_path)
        assert (outcome.code, outcome.err) == (0, "")
        *warnings, last = outcome.out.splitlines()
        assert [line.split()[1] for line in warnings] == ["b", "c", "new"]
        assert f"{images / 'b/slide.json'}: is a link that leads round in a circle" in warnings[0]
        assert last == f"{tmp_path}: 3 slides in 1 document, 1 left out"
        assert listed(store) == {"a": "2", "b": "1", "c": "1"}
        (images / "index.json").unlink()
        assert run("slides", tmp_path).code == 0

    def test_a_rebuild_with_shards(self, target: str, store: Store, few: None) -> None:
        ids = named(40)
        publish(store, *ids)
        store.put("images/index-left-00.json", b"behind")
        assert catalog.rebuild_catalog(open_store(target)).documents == 5
        assert listed(store) == dict.fromkeys(ids, "1")
        names = read(store)["shards"]
        assert sorted(shards(store)) == names
        store.delete(f"images/{names[1]}")
        store.put(f"images/{names[2]}", b"{}")
        store.put("images/index-left-00.json", b"behind")
        with pytest.raises(StoreError, match=f"damaged.*: vsv-pyramid index {target}$"):
            for slide_id in ids:
                Catalog(store).update([slide_id])
        assert catalog.rebuild_catalog(open_store(target)).slides == 40
        assert listed(store) == dict.fromkeys(ids, "1")
        assert sorted(shards(store)) == read(store)["shards"] == names

    def test_an_empty_shard_is_mended(self, target: str, store: Store, few: None) -> None:
        ids = named(11)
        publish(store, *ids)
        Catalog(store).update(ids)
        names = read(store)["shards"]
        for slide_id in ids:
            removal.delete(store, keys.folder(slide_id))
        for name in names:
            store.delete(f"images/{name}")
        assert catalog.rebuild_catalog(open_store(target)).slides == 0
        assert listed(store) == {}

    def test_shards_that_may_be_a_splits_under_way_stay(self, target: str, store: Store) -> None:
        publish(store, "a")
        store.put("images/index-other-00.json", b"of another process")
        assert catalog.rebuild_catalog(open_store(target)).documents == 1
        assert shards(store) == ["index-other-00.json"]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"version": 2, "slides": []}',
            b'{"version": 1, "slides": [{}]}',
            b'{"version": 1, "slides": [{"id": "a", "width": NaN}]}',
            b'{"version": 1, "slides": 7}',
            b'{"version": 1, "shards": []}',
            b'{"version": 1, "shards": ["../a/slide.json"]}',
            b'{"version": 1, "shards": [1]}',
        ],
    )
    def test_a_damaged_catalog(self, target: str, store: Store, run: Run, data: bytes) -> None:
        publish(store, "a")
        store.put(INDEX, data)
        with pytest.raises(StoreError, match=r"index\.json: the catalog is damaged") as caught:
            Catalog(store).update(["a"])
        assert str(caught.value).endswith(f"; make it anew: vsv-pyramid index {target}")
        assert store.get(INDEX) == data
        assert run("index", target).code == 0
        assert listed(store) == {"a": "1"}

    @pytest.mark.parametrize("data", [b'[{"name": "anna"}]', b'{"pages": {}, "title": "Lab"}'])
    def test_another_programs_list_stays(
        self, target: str, store: Store, run: Run, small_slide: Path, data: bytes
    ) -> None:
        publish(store, "a")
        store.put(INDEX, data)
        for words in (("index", target), ("convert", small_slide, "--to", target)):
            outcome = run(*words)
            assert outcome.code == 1
            assert_one_sentence(outcome.err, "another program's", f"index {target}\n")
            assert store.get(INDEX) == data

    def test_nothing_to_index(self, target: str, store: Store, run: Run) -> None:
        outcome = run("index", target)
        assert outcome.code == 1
        assert f"Error: {target}/images: there are no slides; give the folder" in outcome.err
        assert store.names("") == []

    def test_patience_ends(
        self, store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(store, "a")
        monkeypatch.setattr(type(store), "put_if", lambda *_: False)
        with pytest.raises(StoreUnavailable, match=r"index\.json: others have .* try again"):
            Catalog(store).update(["a"])
        # The pace of puts into S3 takes its milliseconds.
        assert 110 < clock.passed <= edits.GIVE_UP_SECONDS + 0.1

    def test_convert_and_delete(self, run: Run, small_slide: Path, target: str) -> None:
        store = open_store(target)
        assert run("convert", small_slide, "--to", target).code == 0
        document = json.loads(store.get("images/small/slide.json"))
        assert read(store)["slides"] == [catalog_json.entry(document)]
        assert run("delete", f"{target}/images/small", "--yes").code == 0
        assert read(store)["slides"] == []
        assert present(store) == {INDEX}

    def test_a_crash_before_the_entry_heals(self, small_slide: Path, target: str) -> None:
        convert(small_slide, target, OPTIONS)
        store = open_store(target)
        whole = store.get(INDEX)
        for left in (
            None,
            catalog_json.write([]),
            whole.replace(b'"tile_size":512', b'"tile_size":64'),
        ):
            if left is None:
                store.delete(INDEX)
            else:
                store.put(INDEX, left)
            assert convert(small_slide, target, OPTIONS).status == "skipped"
            assert store.get(INDEX) == whole

    def test_what_is_published_but_not_listed_is_said(
        self, run: Run, small_slide: Path, target: str
    ) -> None:
        store = open_store(target)
        store.put(INDEX, b"damaged")
        for _ in range(2):
            outcome = run("convert", small_slide, "--to", target)
            assert outcome.code == 1
            assert "DeepZoom.dzi: is published, but not in the catalog: " in outcome.err
            assert outcome.err.endswith(f"make it anew: vsv-pyramid index {target}\n")
            assert store.head("images/small/DeepZoom.dzi")
        assert run("index", target).code == 0
        assert list(listed(store)) == ["small"]
        assert run("convert", small_slide, "--to", target).code == 0

    def test_delete_beside_a_damaged_catalog(self, target: str, store: Store, run: Run) -> None:
        publish(store, "a")
        store.put(INDEX, b"damaged")
        outcome = run("delete", f"{target}/images/a", "--yes")
        assert outcome.code == 1
        assert "the catalog is damaged" in outcome.err
        assert present(store) == {INDEX}

    @pytest.mark.parametrize("error", [StoreUnavailable(INDEX, "is away"), KeyboardInterrupt()])
    def test_delete_goes_on_where_it_was_ended(
        self, target: str, store: Store, run: Run, error: BaseException
    ) -> None:
        """Whoever has deleted the last of the tiles would not look into the catalog again."""
        publish(store, "a", "b")
        Catalog(store).update(["a", "b"])

        def dies(*_: object) -> None:
            raise error

        with pytest.MonkeyPatch.context() as patch, pytest.raises(type(error)):
            patch.setattr(Catalog, "update", dies)
            removal.delete(store, "images/a")
        assert listed(store) == {"a": "1", "b": "1"}
        assert run("delete", f"{target}/images/a", "--yes").code == 0
        assert listed(store) == {"b": "1"}
        assert not [key for key in present(store) if key.startswith("images/a/")]

    def test_delete_of_what_is_remembered_only(self, target: str, store: Store, run: Run) -> None:
        """Somebody's own files beside the tiles are no pyramid."""
        store.put("images/a/annotations.json", b"mine")
        place = opened(target)
        place.put(keys.private_json_key("a"), b"{}")
        words = ("--in", target, "--private-to", private_of(target), "--yes")
        assert run("delete", "a", *words).code == 0
        assert list(place.keys(keys.PRIVATE)) == []
        store.delete(keys.root_key())
        assert present(store) == {"images/a/annotations.json"}

    @pytest.mark.parametrize("name", ["private", "watch"])
    def test_delete_of_a_folder_named_like_a_private_part(
        self, run: Run, small_slide: Path, tmp_path: Path, name: str
    ) -> None:
        convert(small_slide, tmp_path, OPTIONS)
        (tmp_path / "images/small").rename(tmp_path / name)
        outcome = run("delete", tmp_path / name, "--yes")
        assert outcome.code == 0, outcome
        assert not (tmp_path / name).exists()

    def test_delete_makes_no_catalog(self, target: str, store: Store, run: Run) -> None:
        publish(store, "a", "b")
        assert run("delete", f"{target}/images/a", "--yes").code == 0
        assert present(store) == {"images/b/DeepZoom.dzi", "images/b/slide.json"}


def test_the_help_ends_with_examples(run: Run) -> None:
    lines = run("index", "--help").out.splitlines()[-2:]
    publish(open_store("."), "a")
    assert [line.strip() for line in lines] == [
        "vsv-pyramid index .",
        "vsv-pyramid index s3://bucket/prefix --json",
    ]
    assert run(*lines[0].split()[1:]).out == ".: 1 slide in 1 document, 0 left out\n"


@pytest.mark.crowd
def test_fifty_writers_in_ten_processes(tmp_path: Path) -> None:
    store, ids = DirectoryStore(tmp_path), named(50)
    publish(store, *ids)
    code = (
        "import sys, threading, time, pathlib\n"
        "from vsv_pyramid import catalog\n"
        "from vsv_pyramid.store.directory import DirectoryStore\n"
        "catalog.MOST_SLIDES = 20\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "listed = [catalog.Catalog(DirectoryStore(root)) for _ in sys.argv[2:]]\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "threads = [threading.Thread(target=one.update, args=([id],))\n"
        "           for one, id in zip(listed, sys.argv[2:])]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), *ids[start : start + 5]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for start in range(0, 50, 5)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [""] * 10
    assert {process.returncode for process in processes} == {0}
    assert listed(store) == dict.fromkeys(ids, "1")
    names = read(store)["shards"]
    assert len(names) == catalog.SHARDS
    assert {path.name for path in (tmp_path / "images").iterdir()} == {*ids, "index.json", *names}


def test_a_reader_sees_a_whole_document_at_any_time(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    publish(store, *named(20))
    Catalog(store).update(named(1))
    done = threading.Event()
    seen: set[int] = set()
    wrong: list[Exception] = []

    def look() -> None:
        while not done.is_set():
            try:
                seen.add(len(read(store)["slides"]))
            except (ValueError, StoreError) as exc:
                wrong.append(exc)

    reader = threading.Thread(target=look)
    reader.start()
    for slide_id in named(20) * 3:
        Catalog(store).update([slide_id])
        catalog_of_one = catalog_json.write([catalog_json.entry(slide_json("slide-00"))])
        assert store.put_if(INDEX, catalog_of_one, store.tagged(INDEX).tag)  # type: ignore[union-attr]
    done.set()
    reader.join()
    assert wrong == []
    assert seen


def test_pyramids_that_lie_elsewhere(run: Run, published: Summary) -> None:
    folder = Path(published.target).parent
    folder.rename("170782")
    assert run("delete", "170782", "--yes").code == 0
    assert list(Path().iterdir()) == []


def test_an_entry_beside_a_folder_that_lies_elsewhere(run: Run) -> None:
    store = DirectoryStore(Path())
    publish(store, "a", "b")
    Catalog(store).update(["a", "b"])
    Path("images").rename("others")
    assert run("delete", "others/a", "--yes").code == 0
    document = json.loads(Path("others/index.json").read_text())
    assert [slide["id"] for slide in document["slides"]] == ["b"]


@pytest.mark.parametrize("suffix", ["zip", "szi"])
def test_an_archive(run: Run, small_slide: Path, suffix: str) -> None:
    name = f"small.{suffix}"
    for _ in range(2):  # the second one replaces the first
        assert run("convert", small_slide, "--to", name, "--overwrite").code == 0
        store = open_store(name)
        document = json.loads(store.get("images/small/slide.json"))
        assert catalog.listed(store) == [catalog_json.entry(document)]
        assert sorted(store.names("images")) == ["index.json"] * (suffix == "zip") + ["small/"]
    before = Path(name).read_bytes()
    assert "1 skipped" in run("convert", small_slide, "--to", name).out
    assert run("verify", name).code == 0
    indexed = run("index", name)
    if suffix == "zip":
        assert indexed.out == f"{name}: 1 slide in 1 document, 0 left out\n"
    else:
        assert indexed.err.startswith(f"Error: {name}: is one slide, and needs no list;")
    assert run("convert", small_slide, "--to", name, "--id", "other").code == 1
    assert Path(name).read_bytes() == before


WHEN_ALL_IS_WELL = [
    ("GET", "images/root.json"),  # whether there is a private place
    ("GET", ""),  # and what is beside images/: something private, of before there was one
    ("HEAD", "images/small/DeepZoom.dzi"),
    ("GET", "images/small/slide.json"),
    ("GET", "images/index.json"),
]


def test_a_finished_slide_costs_one_read(small_slide: Path, place: Place, proxy: Proxy) -> None:
    convert(small_slide, str(place), OPTIONS)
    proxy.requests.clear()
    assert convert(small_slide, str(place), OPTIONS).status == "skipped"
    seen = [(method, path.partition("/images/")[2]) for method, path in proxy.requests]
    assert seen == [
        (method, f"{place.prefix}/{key}" if key else "") for method, key in WHEN_ALL_IS_WELL
    ]


@pytest.mark.parametrize("count", [3, 30])
def test_a_rebuild_lists_no_tiles(place: Place, proxy: Proxy, count: int) -> None:
    publish(open_store(str(place)), *named(count))
    proxy.requests.clear()
    assert catalog.rebuild_catalog(open_store(str(place))).slides == count
    assert sum("list-type" in path for _, path in proxy.requests) == 1


def test_headers(place: Place, few: None) -> None:
    store = open_store(str(place))
    publish(store, *named(11))
    Catalog(store).update(named(11))
    for name in ("index.json", *read(store)["shards"]):
        answer = place.get(f"images/{name}")
        assert answer["ContentType"] == "application/json"
        assert answer["CacheControl"] == "no-cache"


@pytest.fixture
def conditions(proxy: Proxy) -> Iterator[set[str]]:
    """The conditions of puts, which the server does not know."""
    seen: set[str] = set()

    def fault(handler: Handler, request: Request) -> bool:
        stated = {"if-match", "if-none-match"} & set(request.headers)
        seen.update(stated)
        if request.method == "PUT" and stated:
            handler.refuse(501, "NotImplemented")
            return True
        return False

    proxy.fault = fault
    yield seen


@pytest.mark.usefixtures("clock")
def test_a_server_without_conditional_writes(place: Place, conditions: set[str], few: None) -> None:
    store = open_store(str(place))
    publish(store, *named(20))
    for slide_id in named(20):
        Catalog(store).update([slide_id])
    assert conditions == {"if-match", "if-none-match"}
    assert listed(store) == dict.fromkeys(named(20), "1")


@pytest.mark.usefixtures("clock")
def test_lost_answers(place: Place, proxy: Proxy, few: None) -> None:
    """A put that went well, and is denied when it is tried again; that of the root, too."""
    chance, lost = random.Random(5), []

    def lose(handler: Handler, request: Request) -> bool:
        if request.method == "PUT" and "/images/index" in request.path and chance.random() < 0.5:
            lost.append(request.path.endswith(INDEX))
            handler.forwarded(request)
            handler.hang_up()
            return True
        return False

    store = open_store(str(place))
    publish(store, *named(30))
    Catalog(store).update(named(10))
    proxy.fault = lose
    for slide_id in named(30)[10:]:
        Catalog(store).update([slide_id])
    proxy.fault = lambda *_: False
    assert len(lost) > 5
    assert listed(store) == dict.fromkeys(named(30), "1")
    assert sorted(shards(store)) == read(store)["shards"]


@pytest.mark.usefixtures("clock")
def test_the_lost_answer_of_a_split(place: Place, proxy: Proxy, few: None) -> None:
    lost: list[str] = []

    def lose(handler: Handler, request: Request) -> bool:
        if request.method == "PUT" and request.path.endswith(INDEX) and not lost:
            lost.append(request.path)
            handler.forwarded(request)
            handler.hang_up()
            return True
        return False

    store = open_store(str(place))
    publish(store, *named(11))
    Catalog(store).update(named(10))
    proxy.fault = lose
    Catalog(store).update([named(11)[-1]])
    assert lost
    assert listed(store) == dict.fromkeys(named(11), "1")
    assert sorted(shards(store)) == read(store)["shards"]
