"""How large what is read as a whole may be: never less than an honest one, and looked at before."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.hostile import descriptors
from vsv_pyramid import catalog
from vsv_pyramid.errors import DescriptorError, StoreError, TooLarge, VsvPyramidError
from vsv_pyramid.layout import bounds, keys
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.geometry import Size, TileAddress
from vsv_pyramid.store import open_store
from vsv_pyramid.unattended.manifests import MOST_CHILDREN

FOLDER = "images/170782"
KEYS = {
    keys.descriptor_key(FOLDER): 200,
    keys.slide_json_key(FOLDER): 200_000,
    keys.root_key(): 200,
    keys.ROOT: 200,
    keys.IDS_KEY: 200,
    keys.catalog_key(): 400 * catalog.MOST_SLIDES,
    f"images/{keys.shard_name('0' * 32, 1)}": 400 * 1_000_000 // catalog.SHARDS,
    keys.DELETED: 400 * 10_000,
    keys.private_json_key("170782"): 500 * 10_000,
    keys.place_key("170782"): 4096,
    f"{keys.WATCHED}/0123456789abcdef.json": 10_000,
    f"{keys.MANIFESTS}/{'0' * 32}.txt": 1100 * MOST_CHILDREN,
    keys.icc_key(FOLDER): 10_000_000,
    keys.tile_key(FOLDER, TileAddress(11, 0, 0)): 100_000_000,
    keys.associated_key(FOLDER, "thumbnail"): 10_000_000,
}


@pytest.mark.parametrize("key", KEYS)
def test_no_honest_object_comes_near(key: str) -> None:
    assert 2 * KEYS[key] <= bounds.bound(key).most <= 1 << 28
    assert bounds.bound(f"some/where/{key}") == bounds.bound(key)


@pytest.mark.parametrize("key", [keys.descriptor_key(FOLDER), keys.slide_json_key(FOLDER)])
def test_what_is_larger_is_not_read(target: str, key: str) -> None:
    store = open_store(target)
    most = bounds.bound(key).most
    store.put(key, bytes(most))
    assert len(store.get(key)) == most
    store.put(key, bytes(most + 1))
    for read in (store.get, store.tagged, lambda key: store.read(key, 1)):
        with pytest.raises(TooLarge, match=rf"{key}: has {most + 1:,} bytes, and .* {most:,} at"):
            read(key)
    assert store.read(key, 0, 10).data == bytes(10)


def test_a_hole_of_a_terabyte_is_not_read(tmp_path: Path, run: Run) -> None:
    """Nor does it keep the others out of the catalog."""
    for name in (keys.DESCRIPTOR, keys.SLIDE_JSON):
        path = tmp_path / "to/images/a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(1 << 40)
    for words in (["verify", tmp_path / "to/images/a"], ["info", tmp_path / "to/images/a"]):
        outcome = run(*words)
        assert outcome.code == 1
        assert "has 1,099,511,627,776 bytes, and" in outcome.err + outcome.out
    outcome = run("index", tmp_path / "to")
    assert outcome.code == 0
    assert "a is left out" in outcome.out
    assert "0 slides in 1 document, 1 left out" in outcome.out


def bomb(path: Path, others: int, compression: int) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        xml = Descriptor(Size(10, 10), 256).xml
        archive.writestr(zipfile.ZipInfo("images/a/DeepZoom.dzi"), xml)
        for name in ("slide.json", *(f"else-{number}" for number in range(others))):
            archive.writestr(f"images/a/{name}", bytes(5_000_000))
    return path


def test_what_is_compressed_is_not_unfolded(tmp_path: Path, run: Run) -> None:
    path = bomb(tmp_path / "bomb.zip", 14, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    for words in (["verify", path], ["info", path], ["index", path]):
        assert run(*words).code == 1
    with pytest.raises(StoreError, match=r"is large and not the slide's; move it"):
        list(open_store(path).others("images/a"))  # type: ignore[attr-defined]


def test_members_that_share_bytes_are_refused(tmp_path: Path, run: Run) -> None:
    """Each is as large as the file; a few thousand of them would be read as terabytes."""
    path = bomb(tmp_path / "bomb.zip", 0, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, len(data) - 6)
    first = data.index(b"PK\1\2", start + 4)  # of slide.json
    data[first + 20 : first + 28] = struct.pack("<2I", start, start)
    path.write_bytes(data)
    outcome = run("verify", path)
    assert outcome.code == 1
    assert "its members are more than there are bytes" in outcome.err


def test_a_descriptor_is_one_or_there_is_a_sentence() -> None:
    sound = set()
    for name, data in descriptors():
        try:
            stated = Descriptor.parse(data)
        except DescriptorError as exc:
            assert "convert the slide again" in str(exc)
        else:
            assert stated.pyramid.tile_count > 0
            sound.add(name)
    assert {"the largest", "the most tiles", "UTF-16"} <= sound
    assert not sound & {"entities", "a long entity", "another file"}


@pytest.mark.parametrize("tile_size", [1, 256, (1 << 31) - 1])
def test_the_largest_pyramid_there_can_be_is_told_of(
    tmp_path: Path, run: Run, tile_size: int
) -> None:
    """Whose tiles nobody can count, or make room for."""
    side = (1 << 31) - 1
    store = open_store(str(tmp_path / "to"))
    store.put(keys.descriptor_key("images/a"), Descriptor(Size(side, side), tile_size).xml)
    store.put("images/a/DeepZoom_files/0/0_0.jpeg", b"")
    for words in (
        ["verify", tmp_path / "to/images/a"],
        ["verify", tmp_path / "to/images/a", "--deep"],
        ["info", tmp_path / "to/images/a"],
        ["pack", tmp_path / "to", "--yes"],
        ["unpack", tmp_path / "to", "--yes"],
        ["index", tmp_path / "to"],
    ):
        outcome = run(*words)
        assert outcome.code in (0, 1)
        assert outcome.out + outcome.err


def test_a_key_is_not_looked_for_in_a_slide(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.svs"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    outcome = run("serve", tmp_path, "--edit", "--token-file", path)
    assert (outcome.code, "it has more than 1,048,576 bytes" in outcome.err) == (2, True)
    words = ["--base-url", "https://slides.example.org", "--key-id", "K", "--private-key", path]
    outcome = run("share", "170782", *words)
    assert (outcome.code, "it has more than 1,048,576 bytes" in outcome.err) == (2, True)


def test_too_large_is_one_of_the_program_s_errors() -> None:
    assert issubclass(TooLarge, VsvPyramidError)
