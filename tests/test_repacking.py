"""A pyramid in its other layout: the same tiles, seen at each moment, whatever interrupts it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.conftest import Run
from vsv_pyramid import repacking
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.conversion import convert
from vsv_pyramid.deletion import delete
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import StoreBusy, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import packed_key
from vsv_pyramid.packed.reading import with_tiles
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import Store, open_store
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.store.s3 import S3Store
from vsv_pyramid.verification import verify

OPTIONS = ConvertOptions(tile_size=240, workers=2)
FOLDER = "images/small"
CATALOG, ROOT = "images/index.json", "images/root.json"


def objects(target: str) -> dict[str, bytes]:
    store = open_store(target)
    return {found.key: store.get(found.key) for found in store.keys("")}


@pytest.fixture
def as_tiles(small_slide: Path, target: str) -> dict[str, bytes]:
    """All objects of the target, in which the slide was converted."""
    convert(small_slide, target, OPTIONS)
    return objects(target)


def shown(target: str) -> dict[str, bytes]:
    """The tiles that our viewer finds, by slide.json, as objects or in one."""
    store = with_tiles(open_store(target), FOLDER)
    prefix = keys.tiles_prefix(FOLDER)
    return {found.key: store.get(found.key) for found in store.keys(prefix)}


def tiles_of(present: dict[str, bytes]) -> dict[str, bytes]:
    return {key: present[key] for key in present if key.startswith(keys.tiles_prefix(FOLDER))}


def test_there_and_back(as_tiles: dict[str, bytes], target: str, small_slide: Path) -> None:
    store = open_store(target)
    assert repacking.pack(store, FOLDER)
    key = packed_key(store, FOLDER)
    packed = objects(target)
    beside = (f"{FOLDER}/slide.json", f"{FOLDER}/thumbnail.jpeg", CATALOG)
    assert packed.keys() == {key, *beside}
    assert verify(f"{target}/{FOLDER}", deep=True, against=small_slide).errors == []
    (entry,) = Catalog(open_destination(target)).slides().values()
    assert f"{FOLDER}/{entry['packed']}" == key
    assert not repacking.pack(store, FOLDER)
    assert objects(target) == packed
    assert repacking.unpack(store, FOLDER)
    assert not repacking.unpack(store, FOLDER)
    assert objects(target) == as_tiles


def test_it_is_the_object_that_a_conversion_makes(
    as_tiles: dict[str, bytes], target: str, small_slide: Path, tmp_path: Path
) -> None:
    repacking.pack(open_store(target), FOLDER)
    convert(small_slide, tmp_path / "packed", ConvertOptions(tile_size=240, layout="packed"))
    made = open_store(tmp_path / "packed")
    key, other = (packed_key(store, FOLDER) for store in (open_store(target), made))
    assert key
    assert other
    assert open_store(target).get(key) == made.get(other)


class Ended(BaseException):
    """As a process that is killed: nothing is tidied up for it."""


EFFECTS = ("put", "put_if", "delete", "assembled")


def _ended_before(number: int) -> tuple[list[Any], list[int]]:
    """Ends whatever would have that effect on a store, the one of that number, and all after it."""
    seen = [0]

    def ending(made: Callable[..., object]) -> Callable[..., object]:
        def effect(*arguments: object, **more: object) -> object:
            seen[0] += 1
            if seen[0] > number:
                raise Ended
            return made(*arguments, **more)

        return effect

    kinds = DirectoryStore, S3Store
    return [
        mock.patch.object(kind, name, ending(getattr(kind, name)))
        for kind in kinds
        for name in EFFECTS
    ], seen


def _moments(act: Callable[[], object]) -> Iterator[int]:
    """Has it end at each of its effects, one after the other, until it is not ended any more; of
    many, at some."""
    number, step = 0, 1
    while True:
        patches, seen = _ended_before(number)
        for patch in patches:
            patch.start()
        try:
            act()
        except Ended:
            pass
        else:
            return
        finally:
            for patch in patches:
                patch.stop()
        assert seen[0] > number
        yield number
        step = 1 if number < 4 else 7
        number += step


@pytest.mark.parametrize("way", [repacking.pack, repacking.unpack])
def test_wherever_it_ends_the_slide_is_there(
    as_tiles: dict[str, bytes],
    target: str,
    small_slide: Path,
    way: Callable[[Store, str], bool],
) -> None:
    if way is repacking.unpack:
        repacking.pack(open_store(target), FOLDER)
    moments = 0
    for _ in _moments(lambda: way(open_store(target), FOLDER)):
        assert shown(target) == tiles_of(as_tiles)
        moments += 1
    assert moments >= 3
    assert verify(f"{target}/{FOLDER}", deep=True, against=small_slide).errors == []
    if way is repacking.unpack:
        assert objects(target) == as_tiles
    else:
        assert not tiles_of(objects(target))


def test_two_at_once(as_tiles: dict[str, bytes], target: str) -> None:
    """One works, and the other leaves."""
    store = open_store(target)
    with open_store(target).exclusive(FOLDER), pytest.raises(StoreBusy):
        repacking.pack(store, FOLDER)
    assert objects(target).keys() >= as_tiles.keys()


def test_a_damaged_pyramid_is_not_packed(as_tiles: dict[str, bytes], target: str) -> None:
    key = next(key for key in as_tiles if "_files/9/" in key)
    store = open_store(target)
    store.put(key, as_tiles[key][:-9])
    with pytest.raises(StoreError, match=r"not those of its slide.json; vsv-pyramid verify --deep"):
        repacking.pack(store, FOLDER)
    assert packed_key(store, FOLDER) is None
    store.delete(key)
    with pytest.raises(StoreError, match="there is no such object"):
        repacking.pack(store, FOLDER)
    assert not any(found.key.endswith(".szi") for found in store.keys(FOLDER))


def test_a_damaged_object_is_not_unpacked(as_tiles: dict[str, bytes], target: str) -> None:
    store = open_store(target)
    repacking.pack(store, FOLDER)
    key = packed_key(store, FOLDER)
    assert key
    data = bytearray(store.get(key))
    data[len(data) // 2] ^= 1
    store.put(key, bytes(data))
    with pytest.raises(StoreError, match=f"{key}: holds a damaged file"):
        repacking.unpack(store, FOLDER)
    assert packed_key(store, FOLDER) == key


Spoil = Callable[[Store, str], object]


def test_a_damaged_object_is_not_said_to_be_packed_already(
    as_tiles: dict[str, bytes], target: str, run: Run
) -> None:
    store = open_store(target)
    repacking.pack(store, FOLDER)
    key = packed_key(store, FOLDER)
    assert key
    store.put(key, store.get(key)[:5000])
    ended = run("pack", f"{target}/{FOLDER}", "--yes")
    assert ended.code == 1
    assert "convert the slide again" in ended.err
    assert ended.out.splitlines()[-1] == "0 packed, 0 already, 1 failed"


def emptied(store: Store, key: str) -> None:
    store.put(key, b"")


def cut(store: Store, key: str) -> None:
    store.put(key, store.get(key)[:100_000])


def stated(**facts: object) -> Spoil:
    def spoil(store: Store, _: str) -> None:
        name = f"{FOLDER}/slide.json"
        document = json.loads(store.get(name))
        for fact, value in facts.items():
            document[fact] = {**document[fact], **value} if isinstance(value, dict) else value
        store.put(name, json.dumps(document).encode())

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (emptied, "no whole zip file"),
        (cut, "no whole zip file"),
        (stated(pyramid={"version": None}), "are not those of its slide.json"),
        (stated(pyramid={"version": "0" * 32}), "are not those of its slide.json"),
        (stated(layout=9), "of a later release"),
        (stated(version=99), "of a later release"),
        (stated(width=10), "has another size than the pyramid"),
    ],
)
def test_what_is_not_unpacked_is_as_it_was(
    as_tiles: dict[str, bytes], target: str, run: Run, spoil: Spoil, sentence: str
) -> None:
    store = open_store(target)
    assert run("pack", target, "--yes").code == 0
    key = packed_key(store, FOLDER)
    assert key
    spoil(store, key)
    before = objects(target)
    ended = run("unpack", target, "--yes")
    assert ended.code == 1
    assert sentence in ended.err
    assert objects(target) == before
    assert "Traceback" not in ended.err + run("verify", f"{target}/{FOLDER}", "--deep").err


def test_what_others_have_written_into_slide_json_is_not_in_the_object(
    as_tiles: dict[str, bytes], target: str
) -> None:
    store = open_store(target)
    repacking.pack(store, FOLDER)
    first = packed_key(store, FOLDER)
    repacking.unpack(store, FOLDER)
    stated(patient="John Doe", vendor="another")(store, "")
    repacking.pack(store, FOLDER)
    key = packed_key(store, FOLDER)
    assert key
    assert key != first  # its bytes are others
    assert b"John Doe" not in store.get(key)
    assert json.loads(store.get(f"{FOLDER}/slide.json"))["patient"] == "John Doe"


def test_a_thumbnail_that_is_missing_is_told(as_tiles: dict[str, bytes], target: str) -> None:
    open_store(target).delete(f"{FOLDER}/thumbnail.jpeg")
    with pytest.raises(StoreError, match=r"thumbnail.jpeg: is missing, which slide.json names"):
        repacking.pack(open_store(target), FOLDER)


def test_where_nothing_is_to_do_nobody_is_asked(
    as_tiles: dict[str, bytes], target: str, run: Run
) -> None:
    assert run("unpack", target).out.splitlines()[-1] == "0 unpacked, 1 already, 0 failed"


def test_tiles_beside_an_object_are_told(as_tiles: dict[str, bytes], target: str) -> None:
    store = open_store(target)
    repacking.pack(store, FOLDER)
    tile = next(iter(tiles_of(as_tiles)))
    store.put(tile, as_tiles[tile])
    report = verify(f"{target}/{FOLDER}")
    assert report.errors == []
    assert any("tiles lie beside it" in warning for warning in report.warnings)
    repacking.pack(store, FOLDER)
    assert verify(f"{target}/{FOLDER}").warnings == []


def test_of_a_whole_root(
    as_tiles: dict[str, bytes], target: str, real_slide: Path, run: Run
) -> None:
    convert(real_slide, target, OPTIONS)
    ended = run("pack", target)
    assert (ended.code, "--yes packs without asking" in ended.err) == (1, True)
    assert "2 slides, " in ended.err
    assert "other viewers than this program's find nothing there any more" in ended.err
    assert ("costs about $0.0" in ended.err) == target.startswith("s3://")
    ended = run("pack", target, "--yes")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "2 packed, 0 already, 0 failed"
    assert json.loads(open_store(target).get(ROOT))["layout"] == "packed"
    made = convert(real_slide, target, ConvertOptions(slide_id="third"))
    assert made.target.endswith(".szi")
    assert run("pack", target, "--yes").out.splitlines()[-1] == "0 packed, 3 already, 0 failed"
    ended = run("unpack", f"{target}/images/third", "--yes")
    assert ended.out.splitlines() == ["third: unpacked", "1 unpacked, 0 already, 0 failed"]
    assert run("unpack", target, "--yes").out.splitlines()[-1] == "2 unpacked, 1 already, 0 failed"
    assert tiles_of(objects(target)) == tiles_of(as_tiles)


def test_one_that_fails_does_not_stop_the_others(
    as_tiles: dict[str, bytes], target: str, real_slide: Path, run: Run
) -> None:
    convert(real_slide, target, ConvertOptions(slide_id="a"))
    open_store(target).delete("images/a/slide.json")
    ended = run("pack", target, "--yes")
    assert ended.code == 1
    assert ended.out.splitlines() == ["small: packed", "1 packed, 0 already, 1 failed"]
    assert "images/a/slide.json" in ended.err


def test_one_that_is_deleted_meanwhile_is_no_failure(
    as_tiles: dict[str, bytes],
    target: str,
    real_slide: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert(real_slide, target, ConvertOptions(slide_id="a"))
    pack = repacking.pack

    def late(store: Store, folder: str, *rest: Any) -> bool:
        if folder == "images/a":
            delete(target, "a")
        return pack(store, folder, *rest)

    monkeypatch.setattr(repacking, "pack", late)
    ended = run("pack", target, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "a: was deleted meanwhile",
        "small: packed",
        "1 packed, 0 already, 0 failed",
    ]


@pytest.mark.parametrize("words", [("nothing",), ("images/nothing",)])
def test_what_is_not_there(run: Run, words: tuple[str]) -> None:
    for more in ["--yes"], []:
        ended = run("pack", *words, *more)
        assert ended.code == 1
        assert "there is no whole pyramid" in ended.err
        assert "Pack" not in ended.err


def test_of_an_archive(small_slide: Path, tmp_path: Path, run: Run) -> None:
    convert(small_slide, tmp_path / "a.zip", OPTIONS)
    ended = run("pack", tmp_path / "a.zip", "--yes")
    assert ended.code == 1
    assert "is one file, and stays so" in ended.err
