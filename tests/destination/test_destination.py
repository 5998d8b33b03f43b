"""What is private lies in a place of its own, which the destination knows, or is not kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support.destinations import as_formerly, keeping, opened, private_of
from tests.support.forge import forge_svs
from tests.support.s3_server import Place
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination, tie
from vsv_pyramid.errors import NoSuchObject, OptionError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import records
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.store import Store, open_store
from vsv_pyramid.store.directory import DirectoryStore, PrivateStore
from vsv_pyramid.store.s3 import S3Store

OPTIONS = ConvertOptions(workers=1)
DOCUMENT = keys.private_json_key("a")
LIST = f"{keys.KEPT}/{keys.CATALOG}"
NEITHER_MODES = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no modes")


@pytest.fixture
def slide(real_slide: Path, tmp_path: Path) -> Path:
    path = tmp_path / "scans/a.svs"
    path.parent.mkdir()
    forge_svs(path, tissue=real_slide, size=(300, 200), levels=(1,))
    return path


def files(folder: Path) -> set[str]:
    found = filter(Path.is_file, folder.rglob("*"))
    return {path.relative_to(folder).as_posix() for path in found}


def at_top(store: Store) -> set[str]:
    """What is in the root, but for folders that are empty, which some servers keep."""
    return {found.key.partition("/")[0] for found in store.keys("")}


class TestWithoutAPrivatePlace:
    def test_nothing_is_kept(self, slide: Path, target: str) -> None:
        assert convert(slide, target, OPTIONS).status == "converted"
        place = open_destination(target)
        assert at_top(place) == {"images"}
        assert list(place.keys(keys.PRIVATE)) == []
        document = json.loads(place.get(keys.slide_json_key("images/a")))
        assert "review" not in document

    def test_the_same_again_is_skipped_without_opening_the_slide(
        self, slide: Path, target: str
    ) -> None:
        convert(slide, target, OPTIONS)
        with mock.patch("vsv_pyramid.slide.files.open_slide", side_effect=AssertionError):
            assert convert(slide, target, OPTIONS).status == "skipped"

    def test_the_desk_lists_and_changes_nothing(self, slide: Path, target: str) -> None:
        convert(slide, target, OPTIONS)
        desk = Desk(open_destination(target), "anna")
        assert [entry["id"] for entry in desk.slides()] == ["a"]
        assert desk.awaited() == []
        with pytest.raises(StoreError, match=r"no private place is given.*--private-to"):
            desk.set({"a": None}, {"status": "GOOD"})

    def test_nothing_private_can_be_put(self, target: str) -> None:
        place = open_destination(target)
        for put in (
            lambda: place.put(DOCUMENT, b""),
            lambda: place.put_if(DOCUMENT, b"", None),
        ):
            with pytest.raises(StoreError, match="no private place is given"):
                put()
        with pytest.raises(NoSuchObject):
            place.get(DOCUMENT)
        assert (place.head(DOCUMENT), place.tagged(DOCUMENT)) == (None, None)

    def test_what_watch_remembers_goes_into_the_folder_of_state(
        self, target: str, tmp_path: Path
    ) -> None:
        for place in (target, str(tmp_path / "another")):
            open_destination(place, state=tmp_path / "state").put("watch/1.json", place.encode())
        assert (
            open_destination(target, state=tmp_path / "state").get("watch/1.json")
            == target.encode()
        )
        assert open_destination(target).names("") == []
        assert len(files(tmp_path / "state")) == 2


class TestAPlaceOfItsOwn:
    def test_it_is_kept_there(self, slide: Path, target: str) -> None:
        convert(slide, target, keeping(OPTIONS, target))
        place = opened(target)
        assert at_top(place.published) == {"images"}
        assert place.private
        assert {found.key for found in place.private.keys("")} == {"root.json", DOCUMENT, LIST}
        assert records.record(place, "a").source["location"] == str(slide)

    def test_it_can_be_given_later(self, slide: Path, target: str) -> None:
        convert(slide, target, OPTIONS)
        assert convert(slide, target, keeping(OPTIONS, target)).status == "skipped"
        assert records.record(opened(target), "a").value("status") == "NEW"

    def test_once_it_is_there_nothing_is_done_without_it(self, slide: Path, target: str) -> None:
        convert(slide, target, keeping(OPTIONS, target))
        other = keeping(OPTIONS, f"{target}-other")
        for options, sentence in (
            (OPTIONS, "has a private place, which was not given; give it as --private-to"),
            (other, "is not the private place of"),
        ):
            with pytest.raises(OptionError, match=sentence):
                convert(slide, target, options)
        with pytest.raises(OptionError, match="is not the private place of"):
            convert(slide, f"{target}-other", keeping(OPTIONS, target))
        assert convert(slide, target, keeping(OPTIONS, target)).status == "skipped"

    def test_a_look_ties_nothing(self, target: str) -> None:
        place = opened(target)
        assert place.names("images") == []
        assert place.tagged(DOCUMENT) is None
        assert place.private
        assert place.private.names("") == []

    @pytest.mark.parametrize("step", [1, 2, 3])
    def test_tying_that_was_interrupted_goes_on(self, target: str, step: int) -> None:
        place = opened(target)
        puts = 0

        def counted(put_if: Callable[..., bool]) -> Callable[..., bool]:
            def counting(*words: object) -> bool:
                nonlocal puts
                puts += 1
                if puts == step:
                    raise KeyboardInterrupt
                return put_if(*words)

            return counting

        assert place.private
        with (
            mock.patch.object(place.private, "put_if", counted(place.private.put_if)),
            mock.patch.object(place.published, "put_if", counted(place.published.put_if)),
            pytest.raises(KeyboardInterrupt),
        ):
            place.put(DOCUMENT, b"1")
        again = opened(target)
        again.put(DOCUMENT, b"1")
        assert again.private
        assert tie.is_tied(again.published, again.private, again.published.tagged(keys.root_key()))

    def test_nothing_is_published_into_a_private_place(self, target: str, slide: Path) -> None:
        convert(slide, target, keeping(OPTIONS, target))
        sentence = r"is the private place of another destination.*; give another one"
        with pytest.raises(OptionError, match=sentence):
            convert(slide, private_of(target), OPTIONS)
        kept, other = open_store(private_of(target)), open_store(f"{target}-other")
        with pytest.raises(OptionError, match=sentence):
            tie.tie(kept, other)
        assert other.names("") == []

    def test_a_root_json_of_another_program_is_let_be(self, target: str, slide: Path) -> None:
        for foreign in (b"{", b"[]", b'{"name": "site"}'):
            open_store(target).put(keys.ROOT, foreign)
            assert convert(slide, target, replace(OPTIONS, overwrite=True)).status == "converted"

    def test_a_damaged_root_json_is_told(self, target: str) -> None:
        opened(target).put(DOCUMENT, b"1")
        open_destination(target).published.put(keys.root_key(), b"{")
        with pytest.raises(StoreError, match=r"root.json: is damaged"):
            opened(target).names("images")

    @pytest.mark.parametrize(
        ("destination", "place", "sentence"),
        [
            ("to", "to", "in to, which is published"),
            ("to", "to/private", "in to, which is published"),
            ("to", "other/../to/private", "in to, which is published"),
            ("to/www", "to", "around to/www"),
            ("to", ".", "around to"),
            ("s3://images/a", "s3://images/b", "in the bucket that is published"),
            ("to", "private.zip", "is no private place"),
            ("to", "", "an empty path"),
        ],
    )
    def test_a_place_in_reach_is_refused(
        self, run: Run, slide: Path, destination: str, place: str, sentence: str
    ) -> None:
        outcome = run("convert", slide, "--to", destination, "--private-to", place)
        assert outcome.code == 2, outcome
        assert sentence in outcome.err
        assert files(Path.cwd()) == set()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
    @pytest.mark.parametrize(("at", "place"), [(".", "kept"), ("images", "kept"), ("images", ".")])
    def test_a_place_in_reach_by_a_link_is_refused(
        self, run: Run, slide: Path, at: str, place: str
    ) -> None:
        Path("to").mkdir()
        Path("real/kept").mkdir(parents=True)
        link = Path("to") / at
        if at == ".":
            link.rmdir()
        link.symlink_to(Path("real").absolute())
        outcome = run("convert", slide, "--to", "to", "--private-to", Path("real") / place)
        assert outcome.code == 2, outcome
        assert "which is published" in outcome.err
        assert files(Path.cwd()) == set()

    def test_what_cannot_be_remembered_is_not_published(self, run: Run, slide: Path) -> None:
        Path("kept").write_bytes(b"a file")
        outcome = run("convert", slide, "--to", "to", "--private-to", "kept")
        assert outcome.code == 1, outcome
        assert "kept: a file is in the way of a folder; choose another folder" in outcome.err
        assert files(Path.cwd()) == {"kept"}

    def test_an_archive_has_none(self, run: Run, slide: Path) -> None:
        outcome = run("convert", slide, "--to", "a.zip", "--private-to", "private")
        assert outcome.code == 0, outcome
        assert files(Path.cwd()) == {"a.zip"}

    @pytest.mark.parametrize("name", ["a.zip", "scans/170782.SZI", "a.szi/"])
    def test_an_archive_is_no_object(self, run: Run, slide: Path, name: str) -> None:
        outcome = run("convert", slide, "--to", f"s3://bucket/{name}")
        assert outcome.code == 2, outcome
        assert_one_sentence(outcome.err, "files are written to a disk only; give a path")


@NEITHER_MODES
def test_nobody_else_reads_it(slide: Path, tmp_path: Path) -> None:
    target, kept = tmp_path / "to", tmp_path / "deep/er/private"
    kept.mkdir(parents=True, mode=0o755)
    convert(slide, target, replace(OPTIONS, private_to=str(kept)))
    modes = {path.stat().st_mode & 0o777 for path in kept.rglob("*") if path.is_dir()}
    assert modes == {0o700}
    assert {path.stat().st_mode & 0o777 for path in kept.rglob("*") if path.is_file()} == {0o600}
    new = PrivateStore(tmp_path / "new/place")
    new.put("a", b"1")
    assert new.root.stat().st_mode & 0o777 == 0o700


class TestFormerParts:
    """What lies in .private and its like, from before there were private places."""

    @pytest.fixture
    def former(self, slide: Path, target: str) -> str:
        """A destination whose slide was deleted as a bad scan by then."""
        convert(slide, target, keeping(OPTIONS, target))
        place = opened(target)
        Desk(place, "anna").delete({"a": None})
        place.put("watch/1.json", b"{}")
        place.put("manifests/1.txt", b"s3://scans/a.svs")
        as_formerly(target)
        return target

    def test_no_deleted_scan_comes_back(
        self, former: str, slide: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with mock.patch("vsv_pyramid.destination.former._told", set()):
            for options in (OPTIONS, keeping(OPTIONS, former), OPTIONS):
                assert convert(slide, former, options).status == "skipped"
        (sentence,) = [entry.message for entry in caplog.records]
        assert sentence.startswith(
            f"{former}: .private and .watch and .manifests can be read by whoever may read the "
            f"slides; move what is there: vsv-pyramid private move {former} --private-to PLACE"
        )

    def test_what_is_changed_goes_into_the_private_place(self, former: str, slide: Path) -> None:
        options = replace(keeping(OPTIONS, former), overwrite=True)
        assert convert(slide, former, options).status == "converted"
        document = records.record(opened(former), "a")
        assert [event.action for event in document.history] == ["converted", "deleted", "converted"]
        place = opened(former)
        assert place.private
        assert place.private.head(DOCUMENT)
        assert records.deleted(place) == {}

    def test_it_is_moved(self, former: str, run: Run) -> None:
        before = opened(former)
        names = ("private", "watch", "manifests")
        known = {found.key: before.get(found.key) for name in names for found in before.keys(name)}
        assert run("verify", former).code == 1
        outcome = run("private", "move", former, "--private-to", private_of(former))
        assert (outcome.code, outcome.out) == (
            0,
            f"{len(known)} objects moved to {private_of(former)}\n",
        )
        after = opened(former)
        assert after.private
        assert {key: after.private.get(key) for key in known} == known
        assert at_top(after.published) == {"images"}
        outcome = run("verify", former)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"{former}: good, its pyramids were not looked into\n"

    @pytest.mark.parametrize("step", range(1, 6))
    def test_moving_that_was_interrupted_goes_on(self, former: str, run: Run, step: int) -> None:
        known = {found.key for found in opened(former).keys("private")}
        deletes = 0
        delete = type(opened(former).published).delete

        def dies(store: DirectoryStore, *keys: str) -> None:
            nonlocal deletes
            deletes += 1
            if deletes == step:
                raise StoreError(keys[0], "planted")
            delete(store, *keys)

        words = ("private", "move", former, "--private-to", private_of(former))
        with mock.patch.object(type(opened(former).published), "delete", dies):
            run(*words)
        assert {found.key for found in opened(former).keys("private")} == known
        assert run(*words).code == 0
        assert at_top(opened(former).published) == {"images"}

    def test_what_is_somebody_elses_stays(self, former: str, run: Run) -> None:
        store = open_store(former)
        others = (".private/bin/tool", ".watch/config", ".private/images/a/notes.txt")
        for key in others:
            store.put(key, b"mine")
        words = ("private", "move", former, "--private-to", private_of(former))
        assert run(*words).code == 0
        left = {found.key for found in store.keys(".")}
        assert left == set(others)
        assert run("verify", former).code == 0

    def test_what_cannot_be_put_stays(
        self, former: str, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As where another process holds its lock for long."""
        before = {found.key for found in open_store(former).keys(".private/")}
        words = ("private", "move", former, "--private-to", private_of(former))
        with monkeypatch.context() as patch:
            for kind in DirectoryStore, S3Store:
                patch.setattr(kind, "put_if", lambda *_: False)
            refused = run(*words)
        assert refused.code != 0
        assert "do it once more" in refused.err
        assert {found.key for found in open_store(former).keys(".private/")} == before
        assert run(*words).code == 0

    def test_where_nothing_is_published_nothing_is_moved(self, run: Run) -> None:
        outcome = run("private", "move", "nowhere", "--private-to", "kept")
        assert outcome.code == 1
        assert "nowhere: there is no such folder; check the path" in outcome.err
        assert files(Path.cwd()) == set()

    def test_where_to_must_be_said(self, run: Run) -> None:
        outcome = run("private", "move", "to")
        assert outcome.code == 2
        assert "no private place is given" in outcome.err


class TestVerifyingARoot:
    def test_a_slide_beside_the_pyramids_is_told(self, run: Run, slide: Path) -> None:
        (Path.cwd() / "a.svs").write_bytes(slide.read_bytes())
        assert run("convert", "a.svs").code == 0
        outcome = run("verify", ".")
        assert outcome.code == 0
        assert "warning: ./a.svs is a slide's own file, with its label" in outcome.out

    def test_what_is_private_is_an_error(self, run: Run, slide: Path) -> None:
        assert run("convert", slide).code == 0
        Path("private").mkdir()
        outcome = run("verify", ".")
        assert outcome.code == 1
        assert "error: ./private is private" in outcome.out

    @pytest.mark.parametrize("option", ["--deep", "--against"])
    def test_it_is_no_pyramid(self, run: Run, slide: Path, option: str) -> None:
        assert run("convert", slide).code == 0
        outcome = run("verify", ".", option, *[slide] * (option == "--against"))
        assert outcome.code == 2
        assert "is no pyramid" in outcome.err

    def test_a_bucket(self, run: Run, slide: Path, place: Place) -> None:
        assert run("convert", slide, "--to", place).code == 0
        assert run("verify", place).code == 0
        place.put(".private/images/a/label.jpeg", b"1")
        assert run("verify", place).code == 1


class TestWithinAnother:
    """What is private lies in no published folder, be it another one's; and what is in a private
    place is no destination."""

    def test_a_private_place_in_another_published_folder(
        self, slide: Path, tmp_path: Path, run: Run
    ) -> None:
        convert(slide, str(tmp_path / "www"), OPTIONS)
        inside = tmp_path / "www/images/private"
        outcome = run("convert", slide, "--to", tmp_path / "other", "--private-to", inside)
        assert outcome.code == 2 and "which is published; give another folder" in outcome.err
        assert not inside.exists()

    @pytest.mark.parametrize("state", ["www", "www/state", "www/images", "."])
    def test_what_watch_remembers(self, slide: Path, tmp_path: Path, run: Run, state: str) -> None:
        place = tmp_path / "to"
        words = ("--to", place / "www", "--state", place / state, "--once")
        outcome = run("watch", slide.parent, *words)
        assert outcome.code == 2 and "cannot be kept here" in outcome.err
        assert not place.exists()

    @pytest.mark.parametrize("scratch", ["www", "www/images", "www/../www/tmp"])
    def test_a_slide_that_is_fetched(
        self, place: Place, real_slide: Path, tmp_path: Path, run: Run, scratch: str
    ) -> None:
        """With its label, if only for a while."""
        place.put("a.svs", real_slide.read_bytes())
        www = tmp_path / "www"
        (tmp_path / scratch).mkdir(parents=True)
        before = files(tmp_path)
        words = ("convert", f"{place}/a.svs", "--to", www)
        outcome = run(*words, "--scratch", tmp_path / scratch)
        assert outcome.code == 2 and "give another folder as --scratch" in outcome.err
        assert files(tmp_path) == before
        assert run(*words, "--scratch", tmp_path).code == 0

    def test_the_folders_of_a_private_place(self, slide: Path, target: str, run: Run) -> None:
        convert(slide, target, keeping(OPTIONS, target))
        inside = f"{private_of(target)}/private"
        before = contents(inside)
        for words in (
            ("index", inside),
            ("slides", inside),
            ("delete", "a", "--in", inside, "--yes"),
            ("delete", f"{inside}/images/a", "--yes"),
            ("convert", slide, "--to", inside),
            ("verify", inside),
            ("refresh", inside),
            ("serve", inside, "--port", 0),
            ("viewer", "--to", inside),
        ):
            outcome = run(*words)
            assert outcome.code == 2, words
            assert "is in the private place" in outcome.err, words
        assert contents(inside) == before


def contents(place: str) -> dict[str, bytes]:
    store = open_store(place)
    return {found.key: store.get(found.key) for found in store.keys("")}
