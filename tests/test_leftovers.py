"""What writes leave that are ended amid them, and what is there by a link only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.desk import Desk

# Ends as a kill would, right before the file gets its name.
KILLED = """
import os, pathlib, sys
replace = pathlib.Path.replace
def killed(path, to):
    if path.name == sys.argv[1]:
        os._exit(137)
    return replace(path, to)
pathlib.Path.replace = killed
from vsv_pyramid.cli.main import main
main(sys.argv[2:])
"""
LEFT = (
    "to/images/a/.slide.json.partial",
    "to/images/.index.json.partial",
    "to/images/.a.0123abcd.left/DeepZoom.dzi",
    "private/private/.deleted.json.partial",
    "private/private/failed/.a.json.partial",
    "private/private/images/.index.json.partial",
    "private/watch/.0123.json.partial",
    "private/manifests/.0123.json.partial",
)


@pytest.fixture
def where(small_slide: Path, tmp_path: Path) -> tuple[str, ...]:
    """What is said to a command of a destination with two slides, and of its private place."""
    target, private = str(tmp_path / "to"), str(tmp_path / "private")
    for name in "a", "b":
        convert(
            small_slide,
            target,
            ConvertOptions(slide_id=name, tile_size=256, workers=1, private_to=private),
        )
    Desk(open_destination(target, private), "anna").set({"a": None}, {"slide_id": "S26-47110"})
    return "--in", target, "--private-to", private


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed_at(name: str, *words: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, name, *words], check=False)
    assert ended.returncode == 137


@pytest.mark.parametrize(
    "words",
    [
        ("delete", "link", "--yes"),
        ("delete", "link", "--yes", "--purge"),
        ("slides", "delete", "link", "--yes"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("inside", [True, False])
def test_nothing_is_deleted_through_a_link(
    words: tuple[str, ...], inside: bool, where: tuple[str, ...], tmp_path: Path, run: Run
) -> None:
    images = tmp_path / "to/images"
    place = images / "b"
    if not inside:
        place = (images / "b").rename(tmp_path / "own")
    (images / "link").symlink_to(place)
    before = files(tmp_path)
    ended = run(*words, *where)
    assert ended.code == 1
    assert "link: is a link, to " in ended.err
    assert files(tmp_path) == before


def test_no_slide_gets_what_is_said_of_a_link_to_it(
    where: tuple[str, ...], tmp_path: Path, run: Run
) -> None:
    target, *private = where[1:]
    assert run("refresh", target, *private, "--details", "lab").code == 0
    (tmp_path / "to/images/link").symlink_to("b")
    slide = tmp_path / "to/images/b/slide.json"
    before = slide.read_bytes()
    ended = run("slides", "set", "link", *where, "--slide-id", "S26-9999")
    assert ended.code == 1
    assert "link: is a link, to b, through which nothing is changed" in ended.err
    Desk(open_destination(target, private[1]), "anna").set({"b": None}, {"case_id": "C1"})
    before = slide.read_bytes()
    ended = run("refresh", target, *private, "--details", "lab")
    assert "S26-9999" not in slide.read_text()
    assert slide.read_bytes() == before
    assert not (tmp_path / "private/private/images/link").exists()


def test_tiles_behind_a_link_are_told(where: tuple[str, ...], tmp_path: Path, run: Run) -> None:
    tiles = tmp_path / "to/images/a/DeepZoom_files"
    tiles.rename(tmp_path / "tiles")
    tiles.symlink_to(tmp_path / "tiles")
    before = files(tmp_path)
    for words in (("delete", "a", "--yes"), ("delete", "a", "--yes", "--purge")):
        ended = run(*words, *where)
        assert ended.code == 1
        assert_one_sentence(ended.err, "DeepZoom_files: is a link, to ")
        assert files(tmp_path) == before
    assert run("verify", where[1], *where[2:], "--purged", "a").code == 1


def test_a_purge_leaves_nothing_of_what_was_ended(
    where: tuple[str, ...], tmp_path: Path, run: Run
) -> None:
    own = tmp_path / "to/images/a/.notes.txt.partial"
    for path in (*(tmp_path / name for name in LEFT), own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("S26-47110")
    assert run("delete", "a", *where, "--purge", "--yes").code == 0
    assert [path for path in files(tmp_path) if ".partial" in str(path)] == [own]
    assert not [path for path in files(tmp_path) if ".left" in str(path)]
    assert run("verify", where[1], *where[2:], "--purged", "a").code == 0
    for name in LEFT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("S26-47110")
        assert run("verify", where[1], *where[2:], "--purged", "a").code == 1, name
        (tmp_path / name).unlink()


def test_a_killed_deletion_and_a_purge(where: tuple[str, ...], tmp_path: Path, run: Run) -> None:
    killed_at(".deleted.json.partial", "slides", "delete", "a", "--yes", *where)
    assert (tmp_path / "private/private/.deleted.json.partial").exists()
    assert run("delete", "a", *where, "--purge", "--yes").code == 0
    assert [path for path, data in files(tmp_path).items() if b"S26-47110" in data] == []


def test_a_killed_refresh_and_the_next(where: tuple[str, ...], tmp_path: Path, run: Run) -> None:
    target, *private = where[1:]
    assert run("delete", "b", *where, "--yes").code == 0  # or it may be the first
    killed_at(".slide.json.partial", "refresh", target, *private, "--details", "lab")
    left = tmp_path / "to/images/a/.slide.json.partial"
    assert b"S26-47110" in left.read_bytes()
    ended = run("verify", target)
    assert ended.code == 1
    assert "images/a/.slide.json.partial is what a command that was ended has left" in ended.out
    assert run("refresh", target, *private, "--dry-run").code == 0
    assert left.exists()
    assert run("refresh", target, *private).code == 0
    assert not left.exists()
    assert run("verify", target).code == 0


def test_a_put_whose_partial_file_was_swept(where: tuple[str, ...], tmp_path: Path) -> None:
    """By a purge, in the moment before it gets its name."""
    store = open_destination(where[1]).published
    replace = os.replace
    swept: list[Path] = []

    def once(path: Path, to: Path) -> Path:
        if not swept:
            swept.append(path)
            path.unlink()
        replace(path, to)
        return to

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", once)
        store.put(keys.root_key(), b"{}")
    assert swept
    assert (tmp_path / "to/images/root.json").read_bytes() == b"{}"


def test_what_lies_behind_a_link_in_the_private_place_stays(
    where: tuple[str, ...], tmp_path: Path, run: Run
) -> None:
    kept = tmp_path / "private/private/images/a"
    whole = files(tmp_path)
    for place in kept, kept / "slide.private.json":
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
        before = files(tmp_path)
        for words in (
            ("delete", "a", "--yes"),
            ("delete", "a", "--yes", "--purge"),
            ("slides", "delete", "a", "--yes"),
        ):
            ended = run(*words, *where)
            assert ended.code == 1, words
            assert "is a link, to " in ended.err
            assert files(tmp_path) == before
        assert run("verify", where[1], *where[2:], "--purged", "a").code == 1
        place.unlink()
        (tmp_path / "elsewhere").rename(place)
    assert files(tmp_path) == whole


@pytest.mark.parametrize("is_within", [True, False])
def test_a_private_place_that_is_linked_with_the_published_one(
    is_within: bool, where: tuple[str, ...], tmp_path: Path, run: Run
) -> None:
    published, private = tmp_path / "to/.private", tmp_path / "private/private"
    if is_within:
        private.rename(published)
        private.symlink_to(published)
    else:
        published.symlink_to(private)
    before = files(tmp_path)
    for words in (
        ("private", "move", where[1], *where[2:]),
        ("delete", "a", "--yes", *where),
        ("refresh", where[1], *where[2:]),
    ):
        ended = run(*words)
        assert ended.code in (1, 2), words
        assert_one_sentence(ended.err, "remove the link")
        assert files(tmp_path) == before
    if not is_within:
        assert run("verify", where[1]).code == 1


def test_a_purge_leaves_other_programs_notes(
    where: tuple[str, ...], tmp_path: Path, run: Run
) -> None:
    others = {
        tmp_path / "private/watch/theirs.json": b'{"slide": "a", "mine": "another program"}',
        tmp_path / "private/manifests/theirs.json": b'["a.svs", "b.svs"]',
    }
    for path, data in others.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    assert run("delete", "a", *where, "--purge", "--yes").code == 0
    assert {path: path.read_bytes() for path in others} == others


def test_a_hard_link_is_not_written_through(where: tuple[str, ...], tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_bytes(b"mine")
    (tmp_path / "to/images/.index.json.partial").hardlink_to(own)
    store = open_destination(where[1]).published
    with pytest.raises(StoreError, match="is in the way of a file that is to be made"):
        store.put(keys.catalog_key(), b"{}")
    assert own.read_bytes() == b"mine"
