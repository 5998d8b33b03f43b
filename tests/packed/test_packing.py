"""The packed form: every tile once, where the index says, in a zip that others read."""

from __future__ import annotations

import io
import random
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.jpeg.planes import Planes
from vsv_pyramid.layout import szi
from vsv_pyramid.layout.geometry import Pyramid, Size, TileAddress
from vsv_pyramid.packed import index
from vsv_pyramid.packed.index import Index
from vsv_pyramid.packed.order import (
    FRONT_TILES,
    behind,
    front_levels,
    in_front,
    in_order,
    subtree_level,
)
from vsv_pyramid.packed.records import Member, directory, member
from vsv_pyramid.packed.writing import Packing, scan_properties
from vsv_pyramid.pyramid.leaves import Leaf
from vsv_pyramid.pyramid.quadtree import build

ROOT = "170782"
FILES = {f"{ROOT}/{ROOT}.dzi": b"<Image/>", f"{ROOT}/slide.json": b"{}", f"{ROOT}/empty": b""}


def pyramids() -> st.SearchStrategy[Pyramid]:
    side = st.integers(1, 320)
    return st.builds(Pyramid, st.builds(Size, side, side), st.sampled_from([10, 16, 64, 256]))


def jpeg(address: TileAddress) -> bytes:
    """Of another length for each address."""
    return f"{address}".encode() * (1 + hash(address) % 5)


def packed(pyramid: Pyramid, shuffled: random.Random | None = None) -> bytes:
    """The file, the tiles brought in its own order, or in any."""
    tail: list[bytes] = []
    packing = Packing(pyramid, ROOT, tail.append)
    tiles = list(in_order(pyramid))
    if shuffled:
        shuffled.shuffle(tiles)
    for address in tiles:
        packing.put_tile(address, jpeg(address))
    return packing.complete(FILES) + b"".join(tail)


def found(data: bytes) -> Index:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.header_offset) == (f"{ROOT}/{szi.INDEX}", 0)
        return Index.parse(ROOT, archive.read(first))


@given(pyramids())
@settings(max_examples=40)
def test_each_tile_has_one_place(pyramid: Pyramid) -> None:
    order = list(in_order(pyramid))
    assert len(order) == pyramid.tile_count
    assert set(order) == set(pyramid.tiles())
    front = list(in_front(pyramid))
    assert order == [*front, *behind(pyramid)]
    levels = front_levels(pyramid)
    assert {address.level for address in front} == set(range(levels))
    assert all(level.columns * level.rows > FRONT_TILES for level in pyramid.levels[levels:])


@given(pyramids())
@settings(max_examples=40)
def test_a_tile_comes_behind_those_below_it_or_close_to_them(pyramid: Pyramid) -> None:
    """So that the walk, which makes it last, need not hold more than a subtree of tiles."""
    order = list(behind(pyramid))
    place = {address: number for number, address in enumerate(order)}
    for address in order:
        if address.level < pyramid.base.number:
            last = max(place[child] for row in pyramid.children(address) for child in row)
            assert last - place[address] < 4 * 4 * 4 + 4 * 4 + 4 + 1


def test_neighbours_lie_together() -> None:
    pyramid = Pyramid(Size(3200, 2400), 100)  # 32 x 24 tiles
    order = [address for address in behind(pyramid) if address.level == pyramid.base.number]
    for number in range(0, len(order), 64):
        block = order[number : number + 64]
        assert {address.column // 8 for address in block} == {block[0].column // 8}
        assert block == sorted(block, key=lambda address: (address.row, address.column))


@given(pyramids(), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_others_read_it_and_the_index_leads_to_each_tile(
    pyramid: Pyramid, draw: random.Random
) -> None:
    data = packed(pyramid)
    assert packed(pyramid, draw) == data
    read = found(data)
    assert read.pyramid == pyramid
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[: 1 + len(FILES)] == [f"{ROOT}/{szi.INDEX}", *FILES]
        assert {name: archive.read(name) for name in FILES} == FILES
        assert len(names) == 1 + len(FILES) + pyramid.tile_count
        for address in pyramid.tiles():
            start, end = read.span(address)
            assert data[start:end] == jpeg(address)
            assert archive.read(f"{ROOT}/{ROOT}_files/{address}.jpeg") == jpeg(address)
    last = max(read.span(address)[1] for address in pyramid.tiles())
    assert data[last:].startswith(b"PK\1\2")


def test_names_in_other_letters() -> None:
    files = {"a/ä.txt": b"1", "a/b.txt": b"2", "a/日本.txt": b"3"}
    members = [member(name, data) for name, data in files.items()]
    data = b"".join(one.header + files[one.name] for one in members) + directory(members)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files


class Blank:
    """Base tiles of nothing; the first of all comes when `may_come` is set."""

    def __init__(self) -> None:
        self.may_come = threading.Event()

    def leaf(self, address: TileAddress, half: Planes) -> Leaf:
        if address.column + address.row == 0:
            assert self.may_come.wait(60)
        half[0][:], half[1][:], half[2][:] = 0, 128, 128
        return Leaf(b"tile")


def test_few_tiles_wait() -> None:
    """However large the pyramid, and whatever comes late."""
    pyramid = Pyramid(Size(1024, 1024), 8)  # 128 x 128 base tiles
    packing = Packing(pyramid, ROOT, lambda _: None)
    leaves, block = Blank(), 64 + 16 + 4 + 1
    most = 0

    def emit(address: TileAddress, jpeg: bytes) -> None:
        nonlocal most
        packing.put_tile(address, jpeg)
        most = max(most, len(packing._waiting))
        if most == block:
            leaves.may_come.set()

    build(
        pyramid,
        leaves,
        emit,
        quality=80,
        subsampling="420",
        workers=2,
        split=subtree_level(pyramid),
    )
    assert block <= most <= 6 * block
    packing.complete({})


def test_more_entries_than_16_bits_count() -> None:
    members = [Member(f"a/{number}", 0, 0) for number in range(70_000)]
    data = b"".join(member.header for member in members) + directory(members)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.infolist()) == 70_000
        assert archive.read("a/69999") == b""


def test_more_bytes_than_32_bits_count(tmp_path: Path) -> None:
    """In a file with holes."""
    hole, last = 3 << 30, b"behind five gigabytes"
    members = [
        Member("a/0", 0, hole),
        Member("a/1", 0, hole),
        Member("a/2", zlib.crc32(last), len(last)),
    ]
    with (tmp_path / "a.szi").open("wb") as file:
        for member in members[:2]:
            file.write(member.header)
            file.seek(hole, 1)
        file.write(members[2].header + last + directory(members))
    with zipfile.ZipFile(tmp_path / "a.szi") as archive:
        assert [item.file_size for item in archive.infolist()] == [hole, hole, len(last)]
        assert archive.read("a/2") == last


def damaged(data: bytes) -> Iterator[bytes]:
    yield from (b"", data[:20], data[:-1], data + b"x", b"PK" + data[2:])
    for place in (4, 6, 8, 13, 17, 29, 33, len(data) - 1):  # each number of the header
        yield data[:place] + bytes([data[place] ^ 0xA1]) + data[place + 1 :]


def test_an_index_that_is_damaged_is_refused() -> None:
    pyramid = Pyramid(Size(700, 500), 64)
    data = found(packed(pyramid)).data
    assert Index.parse(ROOT, data).data == data
    for other in damaged(data):
        with pytest.raises(DescriptorError):
            Index.parse(ROOT, other)
    huge = data[:8] + b"\1\0\0\0" + b"\xff" * 8 + data[20:]
    with pytest.raises(DescriptorError, match="as many tiles"):
        Index.parse(ROOT, huge)
    with pytest.raises(DescriptorError, match="as many tiles"):
        Index.parse(ROOT, data[:8] + bytes(12) + data[20:])


@pytest.mark.parametrize("longest", [0, 1, 255, 256, 65535, 65536, 1 << 24, (1 << 32) - 1])
def test_lengths_of_any_size(longest: int) -> None:
    pyramid = Pyramid(Size(40, 40), 16)
    lengths = np.arange(pyramid.tile_count, dtype=np.int64) % max(1, longest)
    lengths[3] = longest
    made = Index(ROOT, pyramid, 77, lengths)
    assert len(made.data) == index.index_bytes(pyramid.tile_count, longest)
    read = Index.parse(ROOT, made.data)
    assert (read.lengths == lengths).all() and read.start == 77


def test_scan_properties() -> None:
    made = ElementTree.fromstring(scan_properties(Size(300, 200), (0.25, 0.5)))
    assert made.tag == "{http://www.pathozoom.com/szi}image"
    said = {item[0].text: item[1].text for item in made[0]}
    assert said == {
        "ImageWidth": "300",
        "ImageHeight": "200",
        "MicronsPerPixelX": "0.25",
        "MicronsPerPixelY": "0.5",
    }
    bare = ElementTree.fromstring(scan_properties(Size(300, 200), (None, None)))
    assert [item[0].text for item in bare[0]] == ["ImageWidth", "ImageHeight"]
