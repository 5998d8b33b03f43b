"""Headers of JPEG tiles: what is read, what is refused and in which words, what is written."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from tests.support.tiles import VARIANTS, RealSlide, tissue
from vsv_pyramid.errors import StreamError, Unspliceable, VsvPyramidError
from vsv_pyramid.jpeg.stream import CHROMINANCE, LUMINANCE, HuffmanTable, Stream, header, parse

WHOLE = VARIANTS[7].whole(tissue(48, 48))


@pytest.fixture(scope="session")
def real(real_slide: Path) -> RealSlide:
    return RealSlide.read(real_slide)


def marker(code: int) -> int:
    return WHOLE.index(bytes((0xFF, code)))


def body(code: int) -> bytes:
    at = marker(code)
    return WHOLE[at + 4 : at + 2 + int.from_bytes(WHOLE[at + 2 : at + 4], "big")]


def with_body(code: int, new: bytes) -> bytes:
    at = marker(code)
    end = at + 2 + int.from_bytes(WHOLE[at + 2 : at + 4], "big")
    return WHOLE[:at] + bytes((0xFF, code)) + (len(new) + 2).to_bytes(2, "big") + new + WHOLE[end:]


def test_whole() -> None:
    stream = parse(WHOLE)
    assert (stream.width, stream.height) == (48, 48)
    assert [(c.id, c.h, c.v, c.tq) for c in stream.components] == [
        (1, 2, 2, 0),
        (2, 1, 1, 1),
        (3, 1, 1, 1),
    ]
    assert stream.jfif and stream.adobe is None and stream.restart == 0
    assert stream.coding == (LUMINANCE, CHROMINANCE, CHROMINANCE)
    assert WHOLE[stream.scan - 3 : stream.scan] == bytes((0, 63, 0))
    with Image.open(io.BytesIO(WHOLE)) as image:
        assert isinstance(image, JpegImageFile)
        steps = image.quantization
    # Pillow shows tables in natural order.
    assert (
        sorted(stream.quantisation[0]) == sorted(steps[0])
        and stream.quantisation[0][0] == steps[0][0]
    )


def test_abbreviated(real: RealSlide) -> None:
    tile = real.tiles[0, 0]
    stream = parse(tile, real.tables)
    assert (stream.width, stream.height, stream.restart) == (240, 240, 0)
    assert [(c.id, c.h, c.v) for c in stream.components] == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]
    assert len(set(stream.coding)) == 1 and not stream.jfif
    with pytest.raises(StreamError, match="neither in the tile nor in JPEGTables"):
        parse(tile)


def test_tables_of_the_tile_win() -> None:
    other = VARIANTS[3].save(tissue(16, 16), 1)
    assert parse(WHOLE, other) == parse(WHOLE)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not begin with SOI"),
        (b"\xff\xd8", "ends within its header"),
        (b"\xff\xd8\xff", "ends within its header"),
        (b"\xff\xd8\xff\xff\xff", "ends within its header"),
        (b"\xff\xd8\xff\xd9", "ends before its scan"),
        (b"\xff\xd8\x00\xd9", "no marker where one must stand"),
        (b"\xff\xd8\xff\xdb\x00\x01", "promises 1 bytes"),
        (b"\xff\xd8\xff\xdb\xff\xff\x00", "promises 65535 bytes"),
        (b"\xff\xd8\xff\xda\x00\x06\x00\x00\x3f\x00", "before its frame"),
        (with_body(0xDB, b"\x00" + b"\x00" * 64), "step of 0"),
        (with_body(0xDB, b"\x00" + b"\x01" * 63), "damaged quantisation"),
        (with_body(0xDB, b"\x04" + b"\x01" * 64), "damaged quantisation"),
        (with_body(0xDB, b"\x20" + b"\x01" * 256), "damaged quantisation"),
        (
            with_body(0xC4, b"\x00" + b"\x03" + b"\x00" * 15 + b"abc"),
            "more codes than there can be",
        ),
        (with_body(0xC4, b"\x00" + b"\x00" * 15 + b"\xff"), "damaged Huffman"),
        (with_body(0xC4, b"\x00\x01"), "damaged Huffman"),
        (with_body(0xC4, b"\x20" + b"\x01" + b"\x00" * 15 + b"a"), "damaged Huffman"),
        (with_body(0xC0, b"\x08\x00\x00\x00\x30" + body(0xC0)[5:]), "a frame of 48 x 0 px"),
        (with_body(0xC0, b"\x08\x00\x30\x00\x00" + body(0xC0)[5:]), "a frame of 0 x 48 px"),
        (with_body(0xC0, body(0xC0)[:-1]), "damaged frame"),
        (with_body(0xC0, body(0xC0)[:5]), "damaged frame"),
        (with_body(0xC0, body(0xC0).replace(b"\x01\x22", b"\x01\x05")), "impossible sampling"),
        (with_body(0xC0, body(0xC0).replace(b"\x02\x11", b"\x01\x11")), "names a component twice"),
        (with_body(0xDA, b""), "damaged scan"),
        (with_body(0xDA, b"\x03\x01\x00"), "damaged scan"),
        (
            WHOLE[: marker(0xC0)] + WHOLE[marker(0xC0) : marker(0xC4)] * 2 + WHOLE[marker(0xC4) :],
            "two frames",
        ),
        (WHOLE[:2] + b"\xff\xdd\x00\x03\x00" + WHOLE[2:], "DRI"),
    ],
)
def test_damage(data: bytes, words: str) -> None:
    with pytest.raises(StreamError, match=words) as caught:
        parse(data)
    assert not isinstance(caught.value, Unspliceable)
    assert isinstance(caught.value, VsvPyramidError)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (WHOLE.replace(b"\xff\xc0", b"\xff\xc2", 1), "progressive"),
        (WHOLE.replace(b"\xff\xc0", b"\xff\xc3", 1), "lossless"),
        (WHOLE.replace(b"\xff\xc0", b"\xff\xc9", 1), "arithmetic"),
        (WHOLE.replace(b"\xff\xc0", b"\xff\xcf", 1), "hierarchical or arithmetic"),
        (WHOLE[:2] + b"\xff\xcc\x00\x02" + WHOLE[2:], "arithmetic"),
        (with_body(0xC0, b"\x0c" + body(0xC0)[1:]), "12 bits a sample"),
        (with_body(0xC0, body(0xC0)[:5] + b"\x02" + body(0xC0)[6:12]), "2 components"),
        (with_body(0xDA, b"\x01\x01\x00\x00\x3f\x00"), "several scans"),
        (with_body(0xDA, b"\x03\x02\x11\x01\x00\x03\x11\x00\x3f\x00"), "another order"),
        (with_body(0xDA, body(0xDA)[:-3] + b"\x00\x05\x00"), "not sequential"),
        (with_body(0xDA, body(0xDA)[:-3] + b"\x00\x3f\x01"), "not sequential"),
    ],
)
def test_other_kinds(data: bytes, words: str) -> None:
    with pytest.raises(Unspliceable, match=words):
        parse(data)


def test_errors_name_their_tile() -> None:
    assert str(StreamError("the scan ends early", (2, 1))) == "tile (2, 1): the scan ends early"
    assert str(StreamError("no tile")) == "no tile"


tables = st.lists(st.integers(1, 300), min_size=64, max_size=64).map(tuple)
huffman = st.sets(st.integers(0, 255), min_size=1, max_size=40).map(
    lambda symbols: HuffmanTable(bytes(7) + bytes((len(symbols),)) + bytes(8), bytes(symbols))
)


@given(
    steps=st.tuples(tables, tables, tables),
    pairs=st.tuples(*[st.tuples(huffman, huffman)] * 3),
    size=st.tuples(st.integers(1, 65535), st.integers(1, 65535)),
    rgb=st.booleans(),
)
@settings(deadline=None)
def test_what_is_written_is_read(
    steps: tuple[tuple[int, ...], ...],
    pairs: tuple[tuple[HuffmanTable, HuffmanTable], ...],
    size: tuple[int, int],
    rgb: bool,
) -> None:
    sampling = ((1, 1),) * 3 if rgb else ((2, 1), (1, 1), (1, 1))
    source = Stream(1, 1, parse(WHOLE).components, steps, (), 0, 0, False, None)
    made = header(source, sampling, pairs, size, rgb)
    stream = parse(made)
    assert (stream.width, stream.height) == size and stream.scan == len(made)
    assert stream.quantisation == steps and stream.coding == pairs
    assert tuple((c.h, c.v) for c in stream.components) == sampling
    assert stream.adobe == (0 if rgb else 1) and not stream.jfif and stream.restart == 0


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 700))
def test_any_bytes(noise: bytes, at: int) -> None:
    with contextlib.suppress(StreamError):
        parse(WHOLE[:at] + noise + WHOLE[at + len(noise) :], WHOLE)
