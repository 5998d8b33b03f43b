"""It loses nothing: what is done in which situation, how that ends, and what is there afterwards.

Each row is played in a folder, in S3, or in both. Somebody's own files lie beside the tiles, and
stay there whatever is done.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import s3_events

from tests.conftest import Outcome, Run
from tests.support.clock import FakeClock, fake
from tests.support.destinations import opened, private_of
from tests.support.forge import forge_svs
from tests.support.s3_proxy import Fault, Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid import catalog
from vsv_pyramid.aws import retry
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import StoreBusy
from vsv_pyramid.layout import keys
from vsv_pyramid.review import records, rescans
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.slide.files import normal
from vsv_pyramid.store import lease, open_store
from vsv_pyramid.unattended.backlog import find
from vsv_pyramid.words import digest

ID = "170782"
DESCRIPTOR = f"images/{ID}/DeepZoom.dzi"
SLIDE_JSON = f"images/{ID}/slide.json"
PRIVATE = f"private/images/{ID}/slide.private.json"
MINE = {
    f"images/{ID}/annotations.json": b"mine",
    f"images/{ID}/notes/a.txt": b"mine, too",
    f"images/{ID}/DeepZoom_files/vips-properties.xml": b"mine, of another program",
    f"images/{ID}/DeepZoom_files/8/0_0.jpeg.txt": b"mine, among the tiles",
}
NO_LINKS = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")


@dataclass
class World:
    """A folder that slides are in, a destination, and what was said at last."""

    run: Run
    tissue: Path
    scans: Path
    to: str
    proxy: Proxy | None
    others: dict[str, bytes] = field(default_factory=lambda: dict(MINE))

    @cached_property
    def store(self) -> Destination:
        return opened(self.to)

    def scan(self, name: str = f"{ID}.svs", width: int = 300) -> Path:
        path = self.scans / name
        path.parent.mkdir(parents=True, exist_ok=True)
        forge_svs(path, tissue=self.tissue, size=(width, 200), levels=(1,))
        os.utime(path, (1, width))
        return path

    def convert(self, *words: object) -> Outcome:
        return self.run("convert", *(words or [self.scans]), *self.at("--to"), "--workers", 1)

    def file(self, key: str) -> Path:
        """Where an object lies, in a folder."""
        return Path(private_of(self.to) if keys.is_private(key) else self.to, key)

    def at(self, option: str) -> tuple[str, ...]:
        """The destination for a command, and its private place."""
        return (option, self.to, "--private-to", private_of(self.to))

    def watch(self, *words: object) -> Outcome:
        with fake():  # so it looks a second time at once
            return self.run("watch", self.scans, *self.at("--to"), "--once", *words)

    def publish(self) -> None:
        """The slide, and what somebody keeps beside its tiles."""
        self.scan()
        assert self.convert().code == 0
        for key, data in self.others.items():
            self.store.put(key, data)

    def state(self) -> dict[str, Any]:
        """What is said of the slide, wherever it is."""
        entry = catalog.Catalog(self.store).slides().get(ID)
        document = records.record(self.store, ID)
        return {
            "served": self.store.head(DESCRIPTOR) is not None,
            "listed": entry and records.Kept(self.store).slides()[ID]["review"]["status"],
            "said": document.value("status"),
            "deleted": document.is_deleted,
            "awaited": ID in records.deleted(self.store),
        }

    def width(self, slide_id: str = ID) -> int | None:
        """Of what is published, and is whole."""
        target = f"{self.to}/images/{slide_id}"
        if self.store.head(f"images/{slide_id}/DeepZoom.dzi") is None:
            return None
        outcome = self.run("verify", target)
        assert outcome.code == 0, outcome
        return int(json.loads(self.store.get(f"images/{slide_id}/slide.json"))["width"])


Action = Callable[[World], Outcome]


def overwrite(world: World) -> Outcome:
    return world.convert(world.scan(width=340), "--overwrite")


def delete(world: World) -> Outcome:
    return world.run("delete", ID, *world.at("--in"), "--yes")


def slides_delete(world: World) -> Outcome:
    return world.run("slides", "delete", ID, *world.at("--in"), "--yes")


def slides_set(world: World) -> Outcome:
    return world.run("slides", "set", ID, *world.at("--in"), "--status", "good")


def rescanned(world: World) -> Outcome:
    world.scan(width=340)
    return world.watch()


SERVED = {"served": True, "listed": "NEW", "said": "NEW", "deleted": False, "awaited": False}
DELETED = {"served": False, "listed": None, "said": "BAD", "deleted": True, "awaited": True}


@pytest.fixture(params=["folder", "s3"])
def world(
    request: pytest.FixtureRequest, run: Run, real_slide: Path, tmp_path: Path
) -> Iterator[World]:
    scans = tmp_path / "scans"
    scans.mkdir()
    if request.param == "folder":
        yield World(run, real_slide, scans, str(tmp_path / "to"), None)
        return
    proxy = request.getfixturevalue("proxy")
    place: Place = request.getfixturevalue("place")
    yield World(run, real_slide, scans, f"{place}/to", proxy)


@pytest.fixture
def folder(run: Run, real_slide: Path, tmp_path: Path) -> World:
    (tmp_path / "scans").mkdir()
    return World(run, real_slide, tmp_path / "scans", str(tmp_path / "to"), None)


@pytest.fixture
def bucket(run: Run, real_slide: Path, tmp_path: Path, proxy: Proxy, place: Place) -> World:
    (tmp_path / "scans").mkdir()
    return World(run, real_slide, tmp_path / "scans", f"{place}/to", proxy)


def refused(outcome: Outcome, code: int, sentence: str) -> None:
    assert outcome.code == code, outcome
    assert re.search(sentence, outcome.err), outcome
    assert "Traceback" not in outcome.err


class TestOthersFiles:
    """What somebody keeps beside the tiles."""

    @pytest.mark.parametrize(
        ("what", "code", "width"),
        [
            (overwrite, 0, 340),
            (lambda w: w.convert(w.scan(width=340), "--update"), 0, 340),
            (rescanned, 0, 340),
            (lambda w: w.convert(w.scans / f"{ID}.svs", "--overwrite", "--quality", "50"), 0, 300),
            (delete, 0, None),
            (slides_delete, 0, None),
            (slides_set, 0, 300),
            (lambda w: w.run("index", w.to), 0, 300),
            (lambda w: w.convert(w.scan(width=340)), 1, 300),
        ],
        ids=["overwrite", "update", "watch", "options", "delete", "bad", "set", "index", "refused"],
    )
    def test_they_stay(self, world: World, what: Action, code: int, width: int | None) -> None:
        world.publish()
        assert what(world).code == code
        for key, data in MINE.items():
            assert world.store.get(key) == data
        assert world.width() == width

    def test_they_are_not_in_the_way_of_what_comes_next(self, world: World) -> None:
        world.publish()
        world.run("delete", ID, *world.at("--in"), "--yes")
        assert world.convert().code == 0
        assert world.width() == 300
        assert all(world.store.head(key) for key in MINE)

    def test_nor_where_they_come_first(self, world: World) -> None:
        for key, data in MINE.items():
            world.store.put(key, data)
        world.scan()
        assert world.convert().code == 0
        assert world.width() == 300
        assert all(world.store.head(key) for key in MINE)

    @pytest.mark.parametrize("words", [(), ("--lane", "pixels")])
    def test_what_fails_leaves_all_as_it_was(self, world: World, words: tuple[str, ...]) -> None:
        world.publish()
        (world.scans / f"{ID}.svs").write_bytes(b"II*\0 no slide")
        assert world.convert(world.scans, "--overwrite", *words).code == 65
        assert world.width() == 300
        assert all(world.store.head(key) for key in MINE)

    def test_the_folder_itself_stays(self, folder: World) -> None:
        """With its mode, and for whoever is in it."""
        folder.publish()
        path = Path(folder.to, "images", ID)
        path.chmod(0o750)
        before = path.stat()
        assert folder.convert(folder.scan(width=340), "--overwrite").code == 0
        assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)

    @NO_LINKS
    def test_a_broken_link_of_somebodys(self, folder: World) -> None:
        folder.publish()
        link = Path(folder.to, "images", ID, "mine")
        link.symlink_to("nowhere")
        assert folder.convert(folder.scan(width=340), "--overwrite").code == 0
        assert folder.run("delete", ID, *folder.at("--in"), "--yes").code == 0
        assert link.is_symlink()


@NO_LINKS
class TestInTheWay:
    """It is named, and stays."""

    @pytest.mark.parametrize(
        ("name", "kind", "sentence"),
        [
            ("", "link", f"images/{ID}: is a link, to .*mine"),
            ("", "dangling", f"images/{ID}: is a link, to .*nowhere"),
            ("", "file", f"images/{ID}: is a file in the way of a folder"),
            ("DeepZoom_files", "link", "DeepZoom_files: is a link, to .*mine"),
            ("DeepZoom_files", "file", "DeepZoom_files: is a file in the way of a folder"),
            ("DeepZoom.dzi", "link", r"DeepZoom\.dzi: is a link"),
            ("thumbnail.jpeg", "folder", r"thumbnail\.jpeg: is a folder in the way of a file"),
            ("thumbnail.jpeg", "pipe", r"thumbnail\.jpeg: is a pipe or a device in the way"),
            ("DeepZoom_files/8", "link", "DeepZoom_files/8: is a link, to .*mine"),
            ("DeepZoom_files/8", "file", "DeepZoom_files/8: is a file in the way of a folder"),
            ("DeepZoom_files/8/0_0.jpeg", "folder", r"0_0\.jpeg: is a folder in the way of a file"),
            ("DeepZoom_files/8/0_0.jpeg", "link", r"0_0\.jpeg: is a link"),
            *(
                (f"../.{ID}.{word}", kind, rf"images/\.{ID}\.{word}: is in the way of")
                for word in ("partial", "old", "new", "lock")
                for kind in ("link", "dangling", "file", "folder")
            ),
        ],
    )
    def test_it_is_named(
        self, folder: World, tmp_path: Path, name: str, kind: str, sentence: str
    ) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/file").write_text("mine")
        way = Path(os.path.normpath(Path(folder.to, "images", ID, name)))
        way.parent.mkdir(parents=True)
        if kind == "file":
            way.write_text("mine")
        elif kind == "pipe":
            os.mkfifo(way)
        elif kind == "folder":
            way.mkdir()
            (way / "mine").write_text("mine")
        else:
            way.symlink_to(tmp_path / "mine" if kind == "link" else "nowhere")
        before = way.lstat().st_ino
        refused(folder.convert(folder.scan(), "--overwrite"), 1, sentence)
        assert way.lstat().st_ino == before
        assert (tmp_path / "mine/file").read_text() == "mine"
        assert kind != "folder" or (way / "mine").read_text() == "mine"
        assert not folder.store.head(SLIDE_JSON)

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("images/index.json", overwrite),
            ("images/index.json", delete),
            ("images/index.json", slides_delete),
            ("images/index.json", slides_set),
            (PRIVATE, overwrite),
            (PRIVATE, slides_delete),
            (keys.DELETED, overwrite),
            (keys.DELETED, slides_delete),
        ],
    )
    def test_a_pipe_is_not_waited_for(self, folder: World, name: str, what: Action) -> None:
        folder.publish()
        pipe = folder.file(name)
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        refused(what(folder), 1, f"{pipe}: is a pipe or a device, and no file; move it away")
        assert pipe.is_fifo()
        assert folder.width() == 300

    @pytest.mark.root
    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("", overwrite),
            ("DeepZoom.dzi", overwrite),
            ("DeepZoom_files", overwrite),
            ("slide.json", overwrite),
            ("", delete),
            ("DeepZoom_files/8", overwrite),
            ("DeepZoom_files/8/0_0.jpeg", overwrite),
            ("DeepZoom_files/8/0_0.jpeg", delete),
            ("DeepZoom_files/8/0_0.jpeg", slides_delete),
        ],
    )
    def test_what_nobody_may_change(self, folder: World, name: str, what: Action) -> None:
        folder.publish()
        protected = Path(folder.to, "images", ID, name)
        subprocess.run(["chattr", "+i", protected], check=True)
        try:
            refused(what(folder), 1, f"{protected}.*: no permission")
            assert folder.state() == SERVED
            assert folder.width() == 300
        finally:
            subprocess.run(["chattr", "-i", protected], check=True)

    @pytest.mark.root
    @pytest.mark.parametrize(
        ("words", "name"),
        [
            ("delete {id} --in {to} --private-to {kept} --yes", "images/index.json"),
            ("delete {id} --in {to} --private-to {kept} --yes", keys.DELETED),
            ("slides delete {id} --in {to} --private-to {kept} --yes", "images/index.json"),
            ("slides delete {id} --in {to} --private-to {kept} --yes", keys.DELETED),
            ("slides set {id} --in {to} --private-to {kept} --status good", "images/index.json"),
            ("convert {scan} --to {to} --private-to {kept} --overwrite", "images/index.json"),
            ("convert {scan} --to {to} --private-to {kept} --overwrite", keys.DELETED),
        ],
    )
    def test_what_another_may_read_alone(self, folder: World, words: str, name: str) -> None:
        """Its folder would let it be replaced."""
        folder.publish()
        others = folder.file(name)
        if not others.exists():
            others.write_text('{"version": 1, "slides": []}')
        os.chown(others, 4242, 4242)
        others.chmod(0o600)
        named = {"id": ID, "to": folder.to, "kept": private_of(folder.to)}
        said = words.format(**named, scan=folder.scan(width=340)).split()
        as_any_other = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        outcome = subprocess.run(
            [*as_any_other, sys.executable, "-m", "vsv_pyramid", *said],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode == 1, outcome
        assert f"{others}: no permission" in outcome.stderr
        assert folder.state() == SERVED
        assert folder.width() == 300


class TestNamesLikeOurs:
    """Only what the program has left itself is brought to an end."""

    @pytest.mark.parametrize(
        ("what", "is_in_images"),
        [
            (overwrite, True),
            (delete, True),
            (slides_delete, True),
            (slides_set, True),
            (lambda w: w.convert(w.scan("another.svs")), True),
            (lambda w: w.run("delete", Path(w.to) / ID, "--yes"), False),
            (lambda w: w.run("convert", w.scan(), "--to", f"{w.to}/{ID}.zip"), False),
        ],
        ids=["overwrite", "delete", "bad", "set", "another", "elsewhere", "archive"],
    )
    def test_they_stay(self, folder: World, what: Action, is_in_images: bool) -> None:
        folder.publish()
        root = Path(folder.to)
        if not is_in_images:
            (root / f"images/{ID}").rename(root / ID)
        place = root / "images" if is_in_images else root
        mine = {f".mine.d.{word}/precious": word for word in ("old", "new", "partial")}
        mine |= {"mine.d/precious": "current", ".mine.lock": "1", ".mine.zip.partial": "2"}
        for name, text in mine.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text)
        (place / ".link.old").symlink_to(folder.scans)
        outcome = what(folder)
        assert outcome.code == 0, outcome
        assert {name: (place / name).read_text() for name in mine} == mine
        assert (place / ".link.old").is_symlink()
        assert (folder.scans / f"{ID}.svs").exists()

    @pytest.mark.parametrize("what", [delete, slides_delete, slides_set])
    @pytest.mark.parametrize("word", ["old", "new", "partial"])
    def test_nor_are_they_taken_for_the_slides(
        self, folder: World, what: Action, word: str
    ) -> None:
        folder.publish()
        place = Path(folder.to, "images", f".{ID}.{word}")
        place.mkdir()
        (place / "precious").write_text("mine")
        assert what(folder).code == 0
        assert (place / "precious").read_text() == "mine"


class TestNotTheUsers:
    """Bins, snapshots, and what is on its way."""

    @pytest.mark.parametrize(
        "name",
        [
            "#recycle/{}",
            "@Recycle/{}",
            "$RECYCLE.BIN/S-1-5-21/{}",
            "$Recycle.Bin/{}",
            ".Trash-1000/files/{}",
            ".Trashes/501/{}",
            ".recycle/{}",
            "RECYCLER/{}",
            "@eaDir/{}/SYNOFILE.svs",
            "deep/er/#recycle/again/{}",
            ".snapshot/hourly.0/{}",
            "~snapshot/{}",
            "#snapshot/GMT-2026/{}",
            "@Recently-Snapshot/{}",
            ".zfs/snapshot/x/{}",
            "System Volume Information/{}",
            "lost+found/{}",
            "__MACOSX/{}",
            "incoming.part/{}",
            "incoming.tmp/{}",
        ],
    )
    def test_are_left_out(self, folder: World, name: str) -> None:
        """What was deleted is not published, and does not keep its rescan waiting."""
        bin_ = name.format(f"{ID}.svs")
        folder.scan(bin_, width=340)
        outcome = folder.watch()
        assert (outcome.code, outcome.out) == (0, "")
        folder.scan()
        assert folder.watch().code == 0
        assert folder.width() == 300
        assert folder.convert(folder.scans).code == 0
        key = f"scans/{bin_}"
        assert list(s3_events.arrived(created(key))) == []

    @pytest.mark.parametrize(
        "name", ["._{}", "~$_{}", ".{}.Xy12ab", ".syncthing.{}.tmp", "{}.part", "{}.crdownload"]
    )
    def test_are_no_slides(self, folder: World, name: str) -> None:
        folder.scan(name.format(f"{ID}.svs"))
        assert folder.watch().code == 0
        refused(folder.convert(folder.scans), 1, "a folder without slides")

    def test_what_is_named_is_meant(self, folder: World) -> None:
        assert folder.convert(folder.scan(f"#recycle/{ID}.svs")).code == 0
        assert folder.convert(folder.scans / "#recycle").code == 0

    @pytest.mark.parametrize(
        ("pattern", "left"),
        [
            ("old*", {"a", "c"}),
            ("OLD_ones", {"a", "c"}),
            ("c.svs", {"a", "b"}),
            ("d/*", {"a", "b"}),
        ],
    )
    def test_and_what_is_excluded(self, folder: World, pattern: str, left: str) -> None:
        for name in ("a.svs", "old_ones/b.svs", "d/c.svs"):
            folder.scan(name)
        assert folder.convert(folder.scans, "--exclude", pattern).code == 0
        assert folder.watch("--exclude", pattern).code == 0
        found = {path.name for path in Path(folder.to, "images").iterdir() if path.is_dir()}
        assert found == set(left)

    def test_in_a_bucket(self, bucket: World, place: Place) -> None:
        for name in ("a.svs", "#recycle/b.svs", ".Trash/c.svs", "old/d.svs"):
            place.put(f"scans/{name}", b"1")
        found = find(f"{place}/scans", bucket.to)
        assert [slide.stem for slide in found.slides] == ["a", "d"]
        words = ("submit", f"{place}/scans", "--to", bucket.to, "--dry-run", "--json")
        told = json.loads(bucket.run(*words, "--exclude", "old").out)
        assert told["slides"] == [f"{place}/scans/a.svs"]


def created(key: str, size: int = 1) -> dict[str, Any]:
    """S3's event about a new object."""
    detail = {"bucket": {"name": "images"}, "object": {"key": key, "size": size}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


class TestNames:
    """They are what they are."""

    @pytest.mark.parametrize(
        "key", ["/x.svs", "a//x.svs", "//x.svs", "a/ x.svs", "a+b/x.svs", "ä/x.svs", "a%2Fb/x.svs"]
    )
    def test_a_key_is_asked_for_as_it_is(self, bucket: World, place: Place, key: str) -> None:
        """The server of the tests has no such objects; what counts is which one is asked for."""
        assert bucket.proxy
        (slide,) = s3_events.arrived(created(key))
        asked: list[str] = []

        def ask(handler: Handler, request: Request) -> bool:
            if request.method == "HEAD" and ".svs" in request.path:
                asked.append(request.path)
                handler.answer(404, {}, b"")
                return True
            return False

        bucket.proxy.fault = ask
        assert bucket.convert(slide.url).code == 1
        (path,) = asked
        assert unquote(path) == f"/images/{key}"

    @pytest.mark.parametrize(
        ("key", "size", "is_slide"),
        [
            ("a/x.svs", 1, True),
            ("a/x.svs/", 0, False),
            ("a/x.svs", 0, False),
            ("a/x.svs/y.svs", 1, True),
            ("a/.hidden/x.svs", 1, False),
        ],
    )
    def test_submit_and_the_event_agree(
        self, bucket: World, place: Place, key: str, size: int, is_slide: bool
    ) -> None:
        prefix = f"{place.prefix}/scans"
        place.server.client().put_object(Bucket="images", Key=f"{prefix}/{key}", Body=b"1" * size)
        found = [str(slide.url) for slide in find(f"{place}/scans", bucket.to).slides]
        told = [slide.url for slide in s3_events.arrived(created(f"{prefix}/{key}", size))]
        assert found == told == [f"s3://images/{prefix}/{key}"] * is_slide

    def test_an_empty_object_is_told_of(self, bucket: World, place: Place) -> None:
        place.put("scans/x.svs", b"")
        found = find(f"{place}/scans", bucket.to)
        assert list(found.slides) == []
        (sentence,) = found.refused
        assert "x.svs: is empty; it waits for what is put in its place" in sentence

    def test_an_empty_file_waits(self, folder: World) -> None:
        (folder.scans / f"{ID}.svs").write_bytes(b"")
        os.utime(folder.scans / f"{ID}.svs", (1, 1))
        outcome = folder.watch()
        assert outcome.code == 0
        assert "is not complete yet" in outcome.err
        folder.scan()
        assert folder.watch().code == 0
        assert folder.width() == 300

    @NO_LINKS
    @pytest.mark.parametrize("way", ["link/{}", "../scans/{}", "d/../{}", "{}.link.svs", "./{}"])
    def test_all_ways_to_a_file_are_one_place(
        self, world: World, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        world.publish()
        path = world.scan(width=340)
        (world.scans / "d").mkdir()
        (world.scans / "link").symlink_to(world.scans)
        (world.scans / f"{ID}.svs.link.svs").symlink_to(path)
        monkeypatch.chdir(world.scans)
        outcome = world.convert(way.format(f"{ID}.svs"), "--update", "--id", ID)
        assert outcome.code == 0, outcome
        assert world.width() == 340

    def test_another_place_is_another_place(self, world: World) -> None:
        world.publish()
        world.scan(f"other/{ID}.svs", width=340)
        outcome = world.convert(world.scans / "other", "--update")
        refused(outcome, 2, "is of a slide of this name in another place")
        assert world.width() == 300

    @NO_LINKS
    def test_what_an_older_release_called_the_place(self, folder: World, tmp_path: Path) -> None:
        """It did not follow links."""
        folder.publish()
        (tmp_path / "link").symlink_to(folder.scans)
        document = json.loads(folder.store.get(SLIDE_JSON))
        document["source"]["place"] = digest(str(tmp_path / f"link/{ID}.svs"))
        folder.store.put(SLIDE_JSON, json.dumps(document).encode())
        folder.store.delete(keys.private_json_key(ID))
        folder.scan(width=340)
        assert folder.convert(folder.scans, "--update").code == 2
        assert folder.convert(tmp_path / "link", "--update").code == 0
        assert folder.width() == 340

    def test_capitals_are_those_of_the_file_system(
        self, folder: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As where it does not tell them from small letters."""
        path = folder.scan("Scan A.svs")
        monkeypatch.setattr(
            Path, "samefile", lambda one, other: str(one).lower() == str(other).lower()
        )
        assert normal(path.with_name("SCAN a.SVS")) == path
        assert normal(path) == path

    @NO_LINKS
    def test_one_file_by_two_ways_is_one_slide(
        self, folder: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = folder.scan()
        (folder.scans / "again").mkdir()
        (folder.scans / f"again/{ID}.svs").symlink_to(path)
        monkeypatch.chdir(folder.scans)
        outcome = folder.convert(path, f"{ID}.svs", folder.scans, folder.scans / "again")
        assert outcome.code == 0
        assert "1 converted" in outcome.out
        assert folder.watch().code == 0


class TestIds:
    """`HE 12-345 A1.svs` has none."""

    NAME = "HE 12-345 A1"

    def test_the_sentence_names_what_helps(self, folder: World) -> None:
        folder.scan(f"{self.NAME}.svs")
        refused(folder.convert(), 2, f"{self.NAME}.* cannot be an id.*--ids safe: HE-12-345-A1-")
        refused(folder.watch(), 1, f"{self.NAME}.* cannot be an id.*--ids safe: HE-12-345-A1-")

    def test_it_is_told_beforehand_and_always_the_same(self, world: World) -> None:
        path = world.scan(f"{self.NAME}.svs")
        planned = world.convert(path, "--ids", "safe", "--dry-run")
        found = re.search(r"gets the id (HE-12-345-A1-[0-9a-f]{10})\n", planned.err)
        assert found, planned
        assert f"/images/{found[1]}/" in planned.out
        outcome = world.convert(path, "--ids", "safe")
        assert outcome.code == 0
        assert f"gets the id {found[1]}\n" in outcome.err
        assert world.width(found[1]) == 300
        world.scan(f"{self.NAME}.svs", width=340)
        assert world.watch("--ids", "safe").code == 0
        assert world.width(found[1]) == 340

    def test_two_names_are_two_ids(self, folder: World) -> None:
        names = ["HE 12-345 A1", "HE 12/345 A1", "HE-12-345 A1", "HE 12-345  A1", "Ä", "A", "ä"]
        for name in names:
            folder.scan(f"{name}.svs")
        assert folder.convert(folder.scans, "--ids", "safe").code == 0
        images = [path for path in Path(folder.to, "images").iterdir() if path.is_dir()]
        assert len(images) == len(names)

    @pytest.mark.parametrize("words", [(), ("--overwrite",), ("--update",), ("--dry-run",)])
    @pytest.mark.parametrize(
        "names",
        [
            ("a.svs", "a.tif"),
            ("a.svs", "d/a.svs", "e/a.tiff"),
            pytest.param(
                ("e\u0301 1.svs", "\u00e9 1.svs"),
                marks=pytest.mark.skipif(sys.platform == "darwin", reason="one file to a Mac"),
            ),
        ],
        ids=["suffix", "folder", "accent"],
    )
    def test_slides_that_would_get_the_same_fail_and_no_other(
        self, folder: World, names: tuple[str, ...], words: tuple[str, ...]
    ) -> None:
        for name in (*names, "b.svs"):
            folder.scan(name)
        outcome = folder.convert(folder.scans, "--ids", "safe", *words)
        assert outcome.code == 2
        assert outcome.err.count("Error: ") == len(names)
        for name in names:
            first = re.escape(f"Error: {folder.scans / name} and {folder.scans}")
            assert re.search(f"{first}.* would get the same id; rename one of them", outcome.err)
        assert f"{len(names)} failed" in outcome.out
        found = [path.parent.name for path in Path(folder.to).rglob("DeepZoom.dzi")]
        assert found == ([] if "--dry-run" in words else ["b"])

    @pytest.mark.skipif(sys.platform == "darwin", reason="one file to a Mac")
    def test_ids_made_of_one_name_in_two_ways(self, folder: World) -> None:
        for name in ("e\u0301.svs", "\u00e9.svs"):
            folder.scan(name)
        outcome = folder.convert(folder.scans, "--ids", "opaque", "--overwrite")
        assert (outcome.code, outcome.err.count("would get the same id")) == (2, 2)
        assert not list(Path(folder.to).rglob("DeepZoom.dzi"))

    def test_they_are_told_on_one_line(self, folder: World) -> None:
        folder.scan("a\nb\x1b[31m.svs")
        outcome = folder.convert(folder.scans, "--ids", "safe")
        assert r"/a\nb\x1b[31m.svs: skipped, its name has a control character" in outcome.err
        assert "\x1b" not in outcome.err

    def test_in_a_bucket(self, bucket: World, place: Place) -> None:
        place.put(f"scans/{self.NAME}.svs", b"1")
        words = ("submit", f"{place}/scans", "--to", bucket.to, "--dry-run")
        assert "rename the object, or have ids made" in bucket.run(*words).err
        outcome = bucket.run(*words, "--ids", "safe")
        assert "1 waiting" in outcome.out
        assert "gets the id HE-12-345-A1-" in outcome.err


def slow_down(handler: Handler, _: Request) -> bool:
    handler.refuse(503, "SlowDown")
    return True


class TestLease:
    """It is as patient as its holder, and is lost to somebody."""

    @pytest.fixture
    def held(self, place: Place) -> str:
        return f"{place.prefix}/.leases/images/{ID}"

    def test_the_two_figures_are_one(self) -> None:
        gap = lease.SECONDS / lease._RENEWALS
        assert retry.GIVE_UP_SECONDS + gap + 20 < lease.SECONDS

    @pytest.mark.parametrize("seconds", [80, 119, 1000])
    def test_an_outage_takes_it_from_nobody(
        self, clock: FakeClock, place: Place, proxy: Proxy, seconds: int
    ) -> None:
        store = open_store(str(place))
        with store.replacing(f"images/{ID}") as staged:
            proxy.fault = slow_down
            clock.advance(seconds)
            proxy.fault = lambda *_: False
            staged.put(SLIDE_JSON, b"1")
        assert set(place.objects()) == {SLIDE_JSON}

    def test_one_that_cannot_be_renewed_yet_is_no_loss(
        self, clock: FakeClock, place: Place, proxy: Proxy
    ) -> None:
        """Nothing is written as long as it may be somebody else's, and then goes on."""
        slept = 0

        def mend() -> None:
            nonlocal slept
            slept += 1
            if slept == 5:
                proxy.fault = lambda *_: False

        with open_store(str(place)).replacing(f"images/{ID}") as staged:
            proxy.fault = slow_down
            clock.advance(lease.SECONDS + 40)
            proxy.requests.clear()
            clock.meanwhile = mend
            staged.put(SLIDE_JSON, b"1")
            puts = [path for method, path in proxy.requests if method == "PUT"]
        assert slept >= 5
        assert SLIDE_JSON in puts[-1]
        assert all(".leases" in path for path in puts[:-1])

    def test_what_is_gone_in_time_is_taken_again(
        self, clock: FakeClock, place: Place, held: str
    ) -> None:
        with open_store(str(place)).replacing(f"images/{ID}") as staged:
            place.delete(f".leases/images/{ID}")
            clock.advance(lease.SECONDS / 2)
            assert f".leases/images/{ID}" in place.objects()
            staged.put(SLIDE_JSON, b"1")
        assert set(place.objects()) == {SLIDE_JSON}

    def test_what_is_gone_when_it_has_expired_may_have_been_anybodys(
        self, clock: FakeClock, place: Place, proxy: Proxy
    ) -> None:
        store = open_store(str(place))
        with pytest.raises(StoreBusy) as raised, store.replacing(f"images/{ID}") as staged:
            proxy.fault = slow_down
            clock.advance(lease.SECONDS + 40)
            place.delete(f".leases/images/{ID}")
            proxy.fault = lambda *_: False
            staged.put(SLIDE_JSON, b"1")
        assert "its lease was not renewed in time" in str(raised.value)
        assert "taken" not in str(raised.value)
        assert place.objects() == {}

    @pytest.mark.parametrize("seconds", [60, 1000])
    def test_who_was_seen_is_named(
        self, clock: FakeClock, place: Place, proxy: Proxy, seconds: int
    ) -> None:
        store = open_store(str(place))
        with pytest.raises(StoreBusy) as raised, store.replacing(f"images/{ID}") as staged:
            place.put(f".leases/images/{ID}", b"another", owner="another", seconds="100")
            clock.advance(seconds)
            staged.put(SLIDE_JSON, b"1")
        assert "another process has taken it over" in str(raised.value)
        assert set(place.objects()) == {f".leases/images/{ID}"}


def refusing(*words: str) -> Callable[[Handler, Request], bool]:
    """403 for the deletes, or for the puts, of keys with one of the words."""

    def fault(handler: Handler, request: Request) -> bool:
        kind = words[0]
        is_delete = request.method == "DELETE" or (
            request.method == "POST" and "delete" in request.path
        )
        is_meant = is_delete if kind == "delete" else request.method == "PUT"
        said = request.path.encode() + (request.body if is_delete else b"")
        if is_meant and all(word.encode() in said for word in words[1:]):
            handler.refuse(403, "AccessDenied")
            return True
        return False

    return fault


@pytest.fixture
def small_disk(folder: World) -> Iterator[World]:
    """A destination on a disk of its own, of 2 MB."""
    Path(folder.to).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder.to], check=True)
    yield folder
    subprocess.run(["umount", folder.to], check=True)


@pytest.mark.root
@pytest.mark.parametrize("what", [delete, slides_delete])
@pytest.mark.parametrize("document", ["images/index.json", keys.DELETED])
def test_what_is_deleted_makes_room_on_a_full_disk(
    small_disk: World, what: Action, document: str
) -> None:
    small_disk.publish()
    said = {"slide_id": None, "case_id": None, "who": "anna", "when": "2026-11-27T10:00:00+00:00"}
    others = [{"id": f"other{number}", **said} for number in range(500)]
    found = small_disk.store.tagged(document)
    present = json.loads(found.data)["slides"] if found else []
    text = json.dumps({"version": 1, "slides": present + others})
    small_disk.store.put(document, text.encode())
    with Path(small_disk.to, "fill").open("wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(1024))
    outcome = what(small_disk)
    assert outcome.code == 0, outcome
    assert not small_disk.state()["served"]
    assert not small_disk.state()["listed"]
    left = [found.key for found in small_disk.store.keys(f"images/{ID}/")]
    assert sorted(left) == sorted(MINE)


class TestRefusedHalfWay:
    """There is one truth, wherever one looks."""

    @pytest.mark.parametrize(
        ("what", "fault"),
        [
            (slides_delete, ("delete", "images/170782")),
            (slides_delete, ("delete", "DeepZoom.dzi")),
            (slides_delete, ("delete", "DeepZoom_files")),
            (slides_delete, ("put", "slide.private.json")),
            (slides_delete, ("put", "images/index.json")),
            (delete, ("delete", "private/images")),
            (delete, ("put", "images/index.json")),
            (slides_set, ("put", "images/170782/slide.json")),
            (slides_set, ("put", "images/index.json")),
            (overwrite, ("put", "/images/170782/")),
            (overwrite, ("put", "slide.private.json")),
        ],
    )
    def test_in_a_bucket(
        self,
        bucket: World,
        what: Action,
        fault: tuple[str, ...],
    ) -> None:
        assert bucket.proxy
        bucket.publish()
        bucket.proxy.fault = refusing(*fault)
        refused(what(bucket), 1, r"\(403\)|refused")
        bucket.proxy.fault = lambda *_: False
        assert bucket.state() == SERVED
        assert bucket.width() == 300

    def test_a_scanned_object_that_may_not_be_deleted(self, bucket: World, place: Place) -> None:
        assert bucket.proxy
        place.put(f"scans/{ID}.svs", bucket.scan().read_bytes())
        assert bucket.convert(f"{place}/scans/{ID}.svs").code == 0
        bucket.proxy.fault = refusing("delete", "/scans/")
        words = ("slides", "delete", ID, *bucket.at("--in"), "--yes", "--source")
        refused(bucket.run(*words), 1, "its scanned file cannot be deleted")
        assert bucket.state() == SERVED
        bucket.proxy.fault = lambda *_: False
        assert bucket.run(*words).code == 0
        assert bucket.state() == DELETED
        assert f"scans/{ID}.svs" not in place.objects()

    def test_a_slide_that_is_just_written(self, world: World) -> None:
        world.publish()
        with world.store.exclusive(f"images/{ID}"):
            refused(slides_delete(world), 75, "another process is writing it")
        assert world.state() == SERVED
        assert slides_delete(world).code == 0
        assert world.state() == DELETED

    @pytest.mark.parametrize("step", ["document", "list"])
    def test_what_dies_half_way_is_told_by_nobody_and_goes_on(
        self, world: World, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        world.publish()
        name = {"document": "changed", "list": "change_deleted"}[step]

        def dies(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(records, name, dies)
            with pytest.raises(KeyboardInterrupt):
                Desk(world.store, "anna").delete({ID: None})
        assert world.store.head(DESCRIPTOR) is None
        assert slides_delete(world).code == 0
        assert world.state() == DELETED
        assert all(world.store.head(key) for key in MINE)

    @pytest.mark.parametrize("dying", ["replaced", "tied", "list"])
    def test_a_rescan_is_tied_whatever_comes_between(
        self, world: World, monkeypatch: pytest.MonkeyPatch, dying: str
    ) -> None:
        world.publish()
        desk = Desk(world.store, "anna")
        desk.set({ID: None}, {"slide_id": "S1", "case_id": "C1"})
        desk.delete({ID: None})
        rescan = world.scan("rescan.svs", width=340)
        (world.scans / f"{ID}.svs").unlink()
        assert world.convert(rescan).code == 0
        left = {"replaced": 1, "tied": 2, "list": 3}[dying]

        def counting(function: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*words: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
                return function(*words)

            return counted

        changed = records.changed(
            world.store,
            "rescan",
            lambda present: present.logged("set", "anna", {"slide_id": "S1"}),
        )
        with monkeypatch.context() as patch:
            for name in ("changed", "change_deleted"):
                patch.setattr(rescans, name, counting(getattr(records, name)))
            with pytest.raises(KeyboardInterrupt):
                rescans.link(world.store, changed)
        tied = rescans.link(world.store, records.record(world.store, "rescan"))
        assert tied.ids == {"slide_id": "S1", "case_id": "C1"}
        assert records.deleted(world.store)[ID]["rescanned_as"] == "rescan"
        for document in (tied, records.record(world.store, ID)):
            told = [event.action for event in document.history]
            assert max(told.count("tied"), told.count("replaced")) <= 1


LOGIN = b"<!doctype html><p>Login<br>"
DOCUMENTS = (SLIDE_JSON, "images/index.json", PRIVATE, keys.DELETED)


def reads(request: Request, key: str = "") -> bool:
    return (
        request.method == "GET" and "list-type" not in request.path and request.path.endswith(key)
    )


def a_page(**headers: str) -> Fault:
    def fault(handler: Handler, _: Request) -> bool:
        handler.answer(200, {"content-type": "text/html", **headers}, LOGIN)
        return True

    return fault


def other_json(handler: Handler, _: Request) -> bool:
    """What some logins answer to programs."""
    handler.answer(200, {"content-type": "application/json"}, b'{"error": "login"}')
    return True


def emptied(handler: Handler, _: Request) -> bool:
    handler.answer(200, {"content-type": "application/json"}, b"")
    return True


def sent_on(handler: Handler, request: Request) -> bool:
    handler.answer(302, {"location": "/login"}, b"")
    return True


class TestNoS3:
    """What something on the way answers in S3's place is never written, nor taken for a truth."""

    @pytest.mark.parametrize(
        ("answer", "key"),
        [
            (a_page(), ""),
            (a_page(etag='"abc"'), ""),
            (other_json, ""),
            (emptied, ""),
            (sent_on, ""),
            *((a_page(), key) for key in DOCUMENTS),
        ],
        ids=["page", "tagged", "json", "empty", "redirect", *DOCUMENTS],
    )
    @pytest.mark.parametrize(
        "what",
        [
            slides_set,
            slides_delete,
            delete,
            overwrite,
            lambda w: w.run("index", w.to),
            lambda w: w.convert(w.scan(width=340), "--update"),
            lambda w: w.run(
                "slides", "send", ID, *w.at("--in"), "--cdr", f"{private_of(w.to)}/cdr"
            ),
        ],
        ids=["set", "bad", "delete", "overwrite", "index", "update", "send"],
    )
    def test_a_document(self, bucket: World, what: Action, answer: Fault, key: str) -> None:
        """All of them, or one."""
        assert bucket.proxy
        bucket.publish()
        bucket.store.put(keys.DELETED, b'{"version": 1, "slides": []}')
        before = {key: bucket.store.get(key) for key in DOCUMENTS}
        asked = 0

        def fault(handler: Handler, request: Request) -> bool:
            nonlocal asked
            if request.path == "/login":
                return a_page(etag='"abc"')(handler, request)
            if not reads(request, key):
                return False
            asked += 1
            return answer(handler, request)

        bucket.proxy.fault = fault
        outcome = what(bucket)
        bucket.proxy.fault = lambda *_: False
        is_in_the_way = what is not delete or not keys.is_private(key)  # it goes, whatever it says
        if not asked or not is_in_the_way:
            assert key
            return
        refused(outcome, 1, r"the server http://127.0.0.1:\d+ is no S3 server")
        if not key:
            assert {key: bucket.store.get(key) for key in DOCUMENTS} == before
            assert bucket.state() == SERVED
        for document in DOCUMENTS:
            json.loads(bucket.store.get(document))

    @pytest.mark.parametrize("what", [slides_set, slides_delete, delete, overwrite])
    def test_a_check_of_rights_undoes_nobodys_work(self, bucket: World, what: Action) -> None:
        """Who knows no conditional writes looks at the checksum, and takes nothing either."""
        assert bucket.proxy
        bucket.publish()
        asked: list[str] = []

        def fault(handler: Handler, request: Request) -> bool:
            if request.method != "PUT" or "content-md5" not in request.headers:
                return False
            asked.append(request.path)
            right = base64.b64encode(hashlib.md5(request.body).digest()).decode()
            assert request.headers["content-md5"] != right
            assert request.headers["if-none-match"] == "*"
            handler.refuse(400, "BadDigest")
            return True

        bucket.proxy.fault = fault
        assert what(bucket).code == 0
        assert asked
