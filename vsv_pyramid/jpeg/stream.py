"""JPEG headers: read those of a source tile, write those of a joined one.

Section numbers are those of ITU-T T.81. A stream is *abbreviated* when its tables lie elsewhere,
in a slide in the JPEGTables tag (TIFF Technical Note 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from vsv_pyramid.errors import StreamError, Unspliceable
from vsv_pyramid.jpeg.colour import is_rgb
from vsv_pyramid.jpeg.markers import (
    APP0,
    APP14,
    DHT,
    DQT,
    DRI,
    SOI,
    SOS,
    is_frame,
    segment,
    segments,
)

ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
)  # fmt: skip

_SOF_KIND = {0xC0: "baseline", 0xC1: "extended sequential", 0xC2: "progressive", 0xC3: "lossless"}


@dataclass(frozen=True)
class Component:
    """One component of the frame; h and v are its sampling factors, tq its quantisation table."""

    id: int
    h: int
    v: int
    tq: int


@dataclass(frozen=True)
class HuffmanTable:
    """A DHT: how many codes there are of each length 1..16, and the symbols in the codes' order."""

    counts: bytes
    symbols: bytes


@dataclass(frozen=True)
class Stream:
    """What a JPEG stream says before its entropy-coded data.

    quantisation: per component its 64 steps in zigzag order. coding: per component its (DC, AC)
    tables. restart: MCUs between restart markers, 0 for none. scan: offset of the entropy-coded
    data. adobe: the transform of an APP14 marker, None without one.
    """

    width: int
    height: int
    components: tuple[Component, ...]
    quantisation: tuple[tuple[int, ...], ...]
    coding: tuple[tuple[HuffmanTable, HuffmanTable], ...]
    restart: int
    scan: int
    jfif: bool
    adobe: int | None

    def is_rgb(self, stated: bool) -> bool:
        """Whether the samples are RGB; `stated` is the container's word, for a silent stream."""
        return len(self.components) == 3 and is_rgb(
            bytes(c.id for c in self.components),
            [(c.h, c.v) for c in self.components],
            self.jfif,
            self.adobe,
            stated,
        )


def parse(tile: bytes, tables: bytes = b"") -> Stream:
    """The header of a baseline JPEG stream, with the tables an abbreviated one leaves out.

    Raises Unspliceable for a kind of JPEG that is not baseline, and StreamError for a damaged
    header.
    """
    reader = _Reader()
    if tables:
        reader.read(tables, whole=False)
        reader.forget()
    return reader.read(tile, whole=True)


def luma_steps(jpeg: bytes) -> list[int]:
    """The quantisation table of the lowest number, row by row, of whatever kind of JPEG. Raises
    StreamError where it has none."""
    reader = _Reader()
    for code, body, _ in segments(jpeg):
        if code == DQT:
            reader._dqt(body)
    if not reader.quantisation:
        raise StreamError("a JPEG stream without a quantisation table")
    steps = reader.quantisation[min(reader.quantisation)]
    return [step for _, step in sorted(zip(ZIGZAG, steps, strict=True))]


def table_numbers(body: bytes) -> Iterator[int]:
    """The numbers of the quantisation tables in a DQT that has been parsed."""
    at = 0
    while at < len(body):
        yield body[at] & 15
        at += 1 + (64 << (body[at] >> 4))


class _Reader:
    """Collects the tables of both streams, and the frame."""

    def __init__(self) -> None:
        self.quantisation: dict[int, tuple[int, ...]] = {}
        self.huffman: dict[tuple[int, int], HuffmanTable] = {}
        self.size = (0, 0)
        self.components: tuple[Component, ...] = ()
        self.restart = 0
        self.jfif = False
        self.adobe: int | None = None

    def forget(self) -> None:
        """What the next SOI resets: all but the tables (libjpeg's jdmarker.c, get_soi)."""
        self.restart = 0
        self.jfif = False
        self.adobe = None

    def read(self, data: bytes, *, whole: bool) -> Stream:
        for code, body, behind in segments(data):
            if code == DQT:
                self._dqt(body)
            elif code == DHT:
                self._dht(body)
            elif is_frame(code):
                self._sof(code, body)
            elif code == DRI:
                if len(body) != 2:
                    raise StreamError("a DRI marker of a wrong length")
                self.restart = int.from_bytes(body, "big")
            elif code == 0xCC:
                raise Unspliceable("arithmetic coding")
            elif code == APP0 and body[:5] == b"JFIF\0":
                self.jfif = True
            elif code == APP14 and body[:5] == b"Adobe" and len(body) >= 12:
                self.adobe = body[11]
            elif code == SOS and whole:
                return self._sos(body, behind)
        if whole:
            raise StreamError("the JPEG stream ends before its scan")
        return Stream(0, 0, (), (), (), 0, 0, self.jfif, self.adobe)

    def _dqt(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            wide, number = body[at] >> 4, body[at] & 15
            steps = body[at + 1 : at + 1 + (64 << wide)]
            if wide > 1 or number > 3 or len(steps) != 64 << wide:
                raise StreamError("a damaged quantisation table (DQT)")
            values = tuple(
                int.from_bytes(steps[i : i + 1 + wide], "big")
                for i in range(0, len(steps), 1 + wide)
            )
            if 0 in values:
                raise StreamError("a quantisation table (DQT) with a step of 0")
            self.quantisation[number] = values
            at += 1 + len(steps)

    def _dht(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            kind, number = body[at] >> 4, body[at] & 15
            counts = body[at + 1 : at + 17]
            symbols = body[at + 17 : at + 17 + sum(counts)]
            if (
                kind > 1
                or number > 3
                or len(counts) != 16
                or len(symbols) != sum(counts)
                or len(symbols) > 256
            ):
                raise StreamError("a damaged Huffman table (DHT)")
            space = 1 << 16
            for length, count in enumerate(counts, 1):
                space -= count << (16 - length)
            if space < 0:
                raise StreamError("a Huffman table (DHT) with more codes than there can be")
            self.huffman[kind, number] = HuffmanTable(counts, symbols)
            at += 17 + len(symbols)

    def _sof(self, code: int, body: bytes) -> None:
        if self.components:
            raise StreamError("two frames (SOF) in one stream")
        if code not in (0xC0, 0xC1):
            raise Unspliceable(
                f"a {_SOF_KIND.get(code, 'hierarchical or arithmetic')} JPEG (SOF{code - 0xC0})"
            )
        if len(body) < 6 or len(body) != 6 + 3 * body[5]:
            raise StreamError("a damaged frame header (SOF)")
        if body[0] != 8:
            raise Unspliceable(f"{body[0]} bits a sample")
        height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        if not width or not height:
            raise StreamError(f"a frame of {width} x {height} px")
        if body[5] not in (1, 3):
            raise Unspliceable(f"{body[5]} components")
        self.size = width, height
        self.components = tuple(
            Component(body[i], body[i + 1] >> 4, body[i + 1] & 15, body[i + 2])
            for i in range(6, len(body), 3)
        )
        if any(not (1 <= c.h <= 4 and 1 <= c.v <= 4 and c.tq <= 3) for c in self.components):
            raise StreamError("a frame (SOF) with impossible sampling factors or tables")
        if len({c.id for c in self.components}) != len(self.components):
            raise StreamError("a frame (SOF) that names a component twice")

    def _sos(self, body: bytes, scan: int) -> Stream:
        if not self.components:
            raise StreamError("a scan (SOS) before its frame (SOF)")
        if not body or len(body) != 4 + 2 * body[0]:
            raise StreamError("a damaged scan header (SOS)")
        count = body[0]
        if [body[1 + 2 * i] for i in range(count)] != [c.id for c in self.components]:
            raise Unspliceable("components in several scans, or in another order than the frame's")
        if tuple(body[-3:]) != (0, 63, 0):
            raise Unspliceable("a scan that is not sequential")
        huffman = _STANDARD | self.huffman
        try:
            quantisation = tuple(self.quantisation[c.tq] for c in self.components)
            coding = tuple(
                (huffman[0, body[2 + 2 * i] >> 4], huffman[1, body[2 + 2 * i] & 15])
                for i in range(count)
            )
        except KeyError as exc:
            raise StreamError(
                "a scan that names a table which is neither in the tile nor in JPEGTables"
            ) from exc
        return Stream(
            *self.size,
            self.components,
            quantisation,
            coding,
            self.restart,
            scan,
            self.jfif,
            self.adobe,
        )


def header(
    stream: Stream,
    sampling: tuple[tuple[int, int], ...],
    coding: tuple[tuple[HuffmanTable, HuffmanTable], ...],
    size: tuple[int, int],
    rgb: bool,
) -> bytes:
    """All bytes before the scan of a joined tile of this (width, height).

    The quantisation is the stream's. The APP14 marker tells decoders RGB from YCbCr; Safari shows
    RGB in false colours without it.
    """
    count = len(stream.components)
    steps = _numbered(stream.quantisation)
    dc, ac = (
        _numbered(tuple(pair[0] for pair in coding)),
        _numbered(tuple(pair[1] for pair in coding)),
    )
    ids = b"RGB" if rgb else bytes((1, 2, 3))
    out = bytearray((0xFF, SOI))
    if count == 3:
        out += segment(APP14, b"Adobe" + bytes((0, 100, 0, 0, 0, 0, 0 if rgb else 1)))
    for table, number in steps.items():
        wide = max(table) > 255
        out += segment(
            DQT,
            bytes(((wide << 4) | number,))
            + b"".join(step.to_bytes(1 + wide, "big") for step in table),
        )
    width, height = size
    frame = bytes((8,)) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes((count,))
    for i, (h, v) in enumerate(sampling):
        frame += bytes((ids[i], h << 4 | v, steps[stream.quantisation[i]]))
    # SOF1 where baseline does not reach: 16-bit steps and a third pair of Huffman tables (B.2.2).
    extended = max(map(max, stream.quantisation)) > 255 or max(len(dc), len(ac)) > 2
    out += segment(0xC1 if extended else 0xC0, frame)
    for kind, tables in enumerate((dc, ac)):
        for huffman, number in tables.items():
            out += segment(DHT, bytes((kind << 4 | number,)) + huffman.counts + huffman.symbols)
    scan = bytes((count,))
    for i, pair in enumerate(coding):
        scan += bytes((ids[i], dc[pair[0]] << 4 | ac[pair[1]]))
    return bytes(out + segment(SOS, scan + bytes((0, 63, 0))))


_Table = TypeVar("_Table", tuple[int, ...], HuffmanTable)


def _numbered(tables: tuple[_Table, ...]) -> Mapping[_Table, int]:
    """Each distinct table with a number, in order of first use."""
    return {table: number for number, table in enumerate(dict.fromkeys(tables))}


def _standard(counts: str, symbols: str) -> HuffmanTable:
    return HuffmanTable(bytes.fromhex(counts), bytes.fromhex(symbols))


# Annex K.3: the tables that code every symbol a baseline scan can hold.
LUMINANCE = (
    _standard("00010501010101010100000000000000", "000102030405060708090a0b"),
    _standard(
        "0002010303020403050504040000017d",
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a"
        "25262728292a3435363738393a434445464748494a535455565758595a636465666768696a73747576777879"
        "7a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9"
        "cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    ),
)
CHROMINANCE = (
    _standard("00030101010101010101010000000000", "000102030405060708090a0b"),
    _standard(
        "00020102040403040705040400010277",
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f117"
        "18191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778"
        "797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7"
        "c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
    ),
)
# What a stream without tables of these numbers means, as Motion JPEG leaves them out.
_STANDARD = {
    (kind, number): pair[kind]
    for number, pair in enumerate((LUMINANCE, CHROMINANCE))
    for kind in (0, 1)
}
