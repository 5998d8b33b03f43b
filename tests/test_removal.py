"""What a packed pyramid has replaced goes a day later, and nothing else."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.clock import FakeClock
from vsv_pyramid import catalog, removal, repacking
from vsv_pyramid.conversion import convert
from vsv_pyramid.deletion import delete
from vsv_pyramid.errors import DescriptorError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published, packed_key
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.removal import DAY
from vsv_pyramid.store import Store, open_store

FOLDER = "images/small"
NEVER_SHOWN = f"{FOLDER}/DeepZoom-{'0' * 32}.szi"


def scanned_twice(target: str, slide: Path) -> str:
    """The key of the object that is not shown any more."""
    options = ConvertOptions(slide_id="small", layout="packed", overwrite=True)
    for tile_size in (480, 720):
        convert(slide, target, replace(options, tile_size=tile_size))
    store = open_store(target)
    (former,) = packed(target) - {packed_key(store, FOLDER)}
    return former


def packed(target: str) -> set[str]:
    found = open_store(target).keys(f"{FOLDER}/")
    return {each.key for each in found if keys.is_packed(each.key.rpartition("/")[2])}


def test_a_day_later(target: str, small_slide: Path, run: Run, clock: FakeClock) -> None:
    former = scanned_twice(target, small_slide)
    (size,) = [each.size for each in open_store(target).keys(former)]
    assert run("tidy", target).out == "0 objects removed, 0.0 MB; 0 failed\n"
    clock.advance(DAY + 5)
    told = f"{former}: {size / 1e6:,.1f} MB\n1 object {{}}, {size / 1e6:,.1f} MB; 0 failed\n"
    ended = run("tidy", f"{target}/{FOLDER}", "--dry-run")
    assert (ended.code, ended.out) == (0, told.format("to be removed"))
    before = set(open_store(target).keys(""))
    ended = run("tidy", target)
    assert (ended.code, ended.out) == (0, told.format("removed"))
    assert {each.key for each in before - set(open_store(target).keys(""))} == {former}
    assert run("verify", f"{target}/{FOLDER}", "--deep", "--against", small_slide).code == 0
    assert run("tidy", target).out == "0 objects removed, 0.0 MB; 0 failed\n"


def test_what_was_never_shown_goes_too(target: str, small_slide: Path, clock: FakeClock) -> None:
    """As where a conversion was killed between its object and slide.json."""
    convert(small_slide, target, ConvertOptions(tile_size=480, slide_id="small"))
    store = open_store(target)
    store.put(NEVER_SHOWN, b"an object")
    clock.advance(DAY + 5)
    assert [each.key for each in removal.tidy(store, FOLDER)] == [NEVER_SHOWN]
    assert store.head(keys.descriptor_key(FOLDER))


@pytest.mark.parametrize("name", ["slide.json", "the object"])
def test_of_what_is_not_whole_nothing_goes(
    target: str, small_slide: Path, clock: FakeClock, name: str
) -> None:
    scanned_twice(target, small_slide)
    store = open_store(target)
    shown = packed_key(store, FOLDER)
    assert shown
    store.delete(keys.slide_json_key(FOLDER) if name == "slide.json" else shown)
    left = packed(target)
    clock.advance(DAY + 5)
    assert removal.tidy(store, FOLDER) == []
    assert packed(target) == left != set()


def test_a_slide_json_that_cannot_be_read_keeps_all(
    target: str, small_slide: Path, run: Run, clock: FakeClock
) -> None:
    scanned_twice(target, small_slide)
    store = open_store(target)
    repacking.unpack(store, FOLDER)
    store.put(NEVER_SHOWN, b"an object")
    store.put(keys.slide_json_key(FOLDER), b"{")
    clock.advance(DAY + 5)
    with pytest.raises(DescriptorError):
        removal.tidy(store, FOLDER)
    ended = run("tidy", target)
    assert (ended.code, ended.out) == (1, "0 objects removed, 0.0 MB; 1 failed\n")
    assert "slide.json" in ended.err
    assert packed(target)


def test_while_it_is_written(target: str, small_slide: Path, run: Run, clock: FakeClock) -> None:
    former = scanned_twice(target, small_slide)
    clock.advance(DAY + 5)
    with open_store(target).exclusive(FOLDER):
        assert run("tidy", target).code != 0
    assert former in packed(target)


def test_what_is_not_there(tmp_path: Path, run: Run) -> None:
    ended = run("tidy", tmp_path / "images" / "nothing")
    assert (ended.code, ended.out) == (1, "0 objects removed, 0.0 MB; 1 failed\n")
    assert "there is no pyramid" in ended.err


def test_one_that_cannot_be_read_goes_as_a_whole(
    target: str, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(small_slide, target, ConvertOptions(slide_id="small"))
    store = open_store(target)

    def unreadable(store: Store, folder: str) -> bool:
        if store.head(keys.slide_json_key(folder)):
            raise StoreError(folder, "Permission denied")
        return is_published(store, folder)

    monkeypatch.setattr(catalog, "is_published", unreadable)
    removal.delete(store, FOLDER)
    assert not list(store.keys(f"{FOLDER}/"))
    assert catalog.listed(store) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
def test_a_name_that_the_disk_takes_for_another(
    small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk shows a folder that tells no capitals apart."""
    target = str(tmp_path)
    convert(small_slide, target, ConvertOptions(slide_id="small", tile_size=240, workers=2))
    images = tmp_path / keys.IMAGES
    (images / "SMALL").symlink_to("small")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", lambda _: iter([images / "SMALL"]))
        with pytest.raises(StoreError, match="is 'SMALL', from which the disk does not tell it"):
            delete(target, "small")
    assert is_published(open_store(target), FOLDER)
    delete(target, "small")
    assert not is_published(open_store(target), FOLDER)
