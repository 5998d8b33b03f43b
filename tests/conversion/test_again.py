"""A slide once more: what is skipped, replaced, and seen meanwhile; and whatever ends it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conversion.test_conversion import OPTIONS, objects, stated
from tests.support.forge import forge_svs
from vsv_pyramid import slide_json
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import OptionError, SlideError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.slide_json import ALGORITHM
from vsv_pyramid.store import directory, moves
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.verification import verify

NO_COUNTS = json.dumps({"source": {}, "origin": {}, "pyramid": {}, "options": {}, "software": {}})


def test_the_same_again_is_skipped(small_slide: Path, tmp_path: Path) -> None:
    first = convert(small_slide, str(tmp_path), OPTIONS)
    before = objects(tmp_path)
    again = convert(small_slide, str(tmp_path), ConvertOptions(workers=1))
    assert (again.status, again.tiles, again.bytes) == ("skipped", first.tiles, first.bytes)
    assert objects(tmp_path) == before


@pytest.mark.parametrize(("there", "given"), [("Small", "small"), ("a-B", "A-b")])
def test_another_slide_of_an_id_that_a_disk_takes_for_the_same_stays(
    small_slide: Path, tmp_path: Path, there: str, given: str
) -> None:
    """As a disk shows its folder that tells no capitals apart."""
    convert(small_slide, str(tmp_path), replace(OPTIONS, slide_id=there))
    (tmp_path / "images" / there).rename(tmp_path / "images" / given)
    before = objects(tmp_path)
    options = replace(OPTIONS, slide_id=given)
    for how in options, replace(options, overwrite=True), replace(options, update=True):
        with pytest.raises(StoreError, match=f"is of the slide '{there}', from which the disk"):
            convert(small_slide, str(tmp_path), how)
    assert objects(tmp_path) == before


def test_the_same_again_has_the_same_bytes(small_slide: Path, tmp_path: Path) -> None:
    for folder, workers in (("1", 1), ("2", 2), ("7", 7)):
        convert(small_slide, str(tmp_path / folder), ConvertOptions(tile_size=64, workers=workers))
    made = [objects(tmp_path / folder) for folder in ("1", "2", "7")]
    for one in made:
        one.pop("images/small/slide.json")  # says when, and how long it took
        one.pop(keys.catalog_key())
    assert made[0] == made[1] == made[2]


def test_the_version_changes_with_the_tiles_only(small_slide: Path, tmp_path: Path) -> None:
    def version(folder: str, **options: Any) -> str:
        summary = convert(small_slide, str(tmp_path / folder), ConvertOptions(**options))
        return str(stated(summary)["pyramid"]["version"])

    versions = [
        version("a", quality=80),
        version("b", quality=80, associated=()),
        version("c", quality=81),
        version("d", quality=80, tile_size=256),
    ]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def test_something_else_is_replaced_only_when_told_to(small_slide: Path, tmp_path: Path) -> None:
    convert(small_slide, str(tmp_path), OPTIONS)
    before = objects(tmp_path)
    other = ConvertOptions(quality=50, tile_size=256, workers=2)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), other)
    assert objects(tmp_path) == before
    options = ConvertOptions(quality=50, tile_size=256, workers=2, overwrite=True)
    summary = convert(small_slide, str(tmp_path), options)
    assert summary.status == "converted"
    assert verify(Path(summary.target), deep=True).errors == []
    assert convert(small_slide, str(tmp_path), other).status == "skipped"


def test_what_another_process_publishes_meanwhile_is_not_replaced(
    small_slide: Path, real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing = DirectoryStore.replacing

    def late(self: DirectoryStore, folder: str) -> Any:
        monkeypatch.setattr(DirectoryStore, "replacing", replacing)
        convert(real_slide, str(tmp_path), ConvertOptions(slide_id="small"))
        return replacing(self, folder)

    monkeypatch.setattr(DirectoryStore, "replacing", late)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), OPTIONS)
    document = json.loads((tmp_path / "images/small/slide.json").read_text())
    assert slide_json.is_of(document, find_source(real_slide).fingerprint)


def test_a_changed_slide_is_not_the_same(small_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(small_slide.read_bytes())
    convert(slide, str(tmp_path), OPTIONS)
    os.utime(slide, (1, 1))
    with pytest.raises(StoreError, match="--overwrite"):
        convert(slide, str(tmp_path), OPTIONS)


class TestUpdate:
    """Where slides lie is remembered in the private place, or else in the folder of state."""

    @pytest.fixture(params=["private_to", "state"])
    def options(self, request: pytest.FixtureRequest, tmp_path: Path) -> ConvertOptions:
        folder = tmp_path / "remembered"
        given: dict[str, Any] = {"private_to": str(folder), "state": folder}
        place = {request.param: given[request.param]}
        return ConvertOptions(tile_size=256, workers=2, update=True, **place)

    @pytest.fixture
    def to(self, tmp_path: Path) -> str:
        return str(tmp_path / "to")

    @pytest.fixture
    def paths(self, small_slide: Path, tmp_path: Path) -> list[Path]:
        """Two of one name."""
        paths = [tmp_path / folder / "a.svs" for folder in ("one", "two")]
        for number, path in enumerate(paths):
            path.parent.mkdir()
            path.write_bytes(small_slide.read_bytes())
            os.utime(path, (number, number))
        return paths

    def test_it_replaces_what_is_of_another_file_only(
        self, paths: list[Path], to: str, options: ConvertOptions
    ) -> None:
        convert(paths[0], to, options)
        other = replace(options, quality=50)
        assert convert(paths[0], to, other).status == "skipped"
        os.utime(paths[0], (9, 9))
        assert convert(paths[0], to, other).status == "converted"
        assert convert(paths[0], to, other).status == "skipped"

    def test_it_does_not_replace_another_slide_of_the_same_name(
        self, paths: list[Path], to: str, options: ConvertOptions
    ) -> None:
        convert(paths[0], to, options)
        with pytest.raises(
            OptionError, match=r"two/a\.svs: .*images/a is of a slide of this name in an"
        ):
            convert(paths[1], to, options)
        assert convert(paths[0], to, options).status == "skipped"
        os.utime(paths[1], (0, 0))  # the same slide, moved
        assert convert(paths[1], to, options).status == "skipped"

    def test_what_others_have_published_of_it_is_remembered(
        self, paths: list[Path], to: str, options: ConvertOptions
    ) -> None:
        convert(paths[0], to, OPTIONS)
        assert convert(paths[0], to, options).status == "skipped"
        with pytest.raises(OptionError, match="in another place"):
            convert(paths[1], to, options)
        os.utime(paths[0], (9, 9))
        assert convert(paths[0], to, options).status == "converted"

    def test_a_folder_of_state_that_takes_nothing_is_told(
        self, paths: list[Path], to: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        state = tmp_path / "state"
        state.write_text("no folder")
        options = ConvertOptions(tile_size=256, update=True, state=state)
        assert convert(paths[0], to, options).status == "converted"
        assert "a: the place of its file is not remembered" in caplog.text
        assert convert(paths[0], to, options).status == "skipped"
        os.utime(paths[0], (9, 9))
        with pytest.raises(OptionError, match="not known here"):
            convert(paths[0], to, options)

    def test_of_which_place_it_is_nobody_knows(self, paths: list[Path], to: str) -> None:
        options = ConvertOptions(tile_size=256, update=True)
        assert convert(paths[0], to, options).status == "converted"
        assert convert(paths[0], to, options).status == "skipped"
        os.utime(paths[0], (9, 9))
        with pytest.raises(OptionError, match=r"not known here; .*--private-to.*--overwrite"):
            convert(paths[0], to, options)


@pytest.mark.parametrize(
    ("section", "name", "value", "is_current"),
    [
        ("software", "vsv-pyramid", "0.0.1", True),
        ("software", "openslide", "3.4.1", True),
        ("pyramid", "algorithm", ALGORITHM, True),
        ("pyramid", "algorithm", None, True),  # as it was before there was one
        ("pyramid", "algorithm", 0, False),
        ("options", "subsampling", None, True),  # as before there was that option
        ("options", "subsampling", "444", False),
        ("options", "sharpened", True, False),
    ],
)
def test_what_decides_on_what_is_current(
    small_slide: Path, tmp_path: Path, section: str, name: str, value: Any, is_current: bool
) -> None:
    summary = convert(small_slide, str(tmp_path), OPTIONS)
    path = Path(summary.target).with_name("slide.json")
    document = json.loads(path.read_text())
    document[section][name] = value
    if value is None:
        del document[section][name]
    path.write_text(json.dumps(document))
    if is_current:
        assert convert(small_slide, str(tmp_path), OPTIONS).status == "skipped"
    else:
        with pytest.raises(StoreError, match="--overwrite"):
            convert(small_slide, str(tmp_path), OPTIONS)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pyramid": 1}', NO_COUNTS])
def test_a_folder_that_is_no_whole_pyramid_is_not_taken_for_one(
    small_slide: Path, tmp_path: Path, text: str
) -> None:
    summary = convert(small_slide, str(tmp_path), OPTIONS)
    Path(summary.target).with_name("slide.json").write_text(text)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), OPTIONS)
    Path(summary.target).unlink()
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), OPTIONS)


def test_a_slide_that_grows_is_not_published(small_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(small_slide.read_bytes())

    def grow(_: Progress) -> None:
        with slide.open("ab") as file:
            file.write(b"more")

    with pytest.raises(SlideError, match="changed while it was read"):
        convert(slide, str(tmp_path / "to"), OPTIONS, progress=grow)
    assert not (tmp_path / "to").exists()


def test_a_slide_that_vanishes_is_not_published(small_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(small_slide.read_bytes())
    with pytest.raises(SlideError, match="changed while it was read"):
        convert(
            slide,
            str(tmp_path / "to"),
            OPTIONS,
            progress=lambda _: slide.unlink(missing_ok=True),
        )
    assert not (tmp_path / "to").exists()


def test_a_reader_sees_the_old_or_the_new_pyramid(small_slide: Path, tmp_path: Path) -> None:
    """While one replaces the other, the descriptor and its last tile always belong together."""
    large = ConvertOptions(tile_size=512, workers=1, overwrite=True)
    small = ConvertOptions(tile_size=256, workers=1, overwrite=True)
    folder = Path(convert(small_slide, str(tmp_path), large).target).parent
    done = threading.Event()
    sizes: set[int] = set()
    wrong: list[str] = []

    def read() -> None:
        while not done.wait(0.001):
            before = Descriptor.parse((folder / "DeepZoom.dzi").read_bytes())
            *_, last = before.pyramid.tiles()
            there = (folder / f"DeepZoom_files/{last}.jpeg").exists()
            after = Descriptor.parse((folder / "DeepZoom.dzi").read_bytes())
            sizes.add(after.tile_size)
            if before == after and not there:
                wrong.append(str(before))

    reader = threading.Thread(target=read)
    reader.start()
    for options in (small, large, small, large):
        convert(small_slide, str(tmp_path), options)
    done.set()
    reader.join()
    assert wrong == []
    assert sizes == {256, 512}


class Died(BaseException):
    """What kill -9 would do at this point."""


def test_what_died_amid_the_moves_is_brought_to_its_end(
    real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it had moved around somebody's own files by then; not only with --overwrite."""
    scans = [tmp_path / f"{height}.svs" for height in (200, 240)]
    for scan, height in zip(scans, (200, 240), strict=True):
        forge_svs(scan, tissue=real_slide, size=(300, height), levels=(1,))
    slide = tmp_path / "a.svs"
    move = moves._move
    state = tmp_path / "state"
    options = ConvertOptions(workers=1, tile_size=256, update=True, state=state)
    died = True
    at = 0
    while died:
        at += 1
        root = tmp_path / str(at)
        mine = root / "images/a/annotations.json", root / "images/a/DeepZoom_files/0/notes.txt"
        shutil.copy(scans[0], slide)
        convert(slide, root, options)
        for path in mine:
            path.write_text("mine")
        shutil.copy(scans[1], slide)
        calls = itertools.count(1)

        def dies(path: Path, to: Path) -> None:
            if next(calls) == at:  # noqa: B023
                raise Died
            move(path, to)

        with monkeypatch.context() as patch:
            patch.setattr(moves, "_move", dies)
            patch.setattr(directory, "settle", settled_before(moves.settle))
            try:
                convert(slide, root, options)
                died = False
            except Died:
                pass
        convert(slide, root, options)
        assert verify(root / "images/a", deep=True, against=slide).errors == []
        assert [path.read_text() for path in mine] == ["mine", "mine"]
        assert {path.name for path in (root / "images").iterdir()} <= {"a", "index.json", ".a.lock"}
    assert at > 10


def settled_before(settle: Callable[..., None]) -> Callable[..., None]:
    """Settles what was found, and not what is left."""

    def settled(target: Path, *, made_here: bool = False) -> None:
        if not (made_here and sys.exc_info()[0] is Died):
            settle(target, made_here=made_here)

    return settled
