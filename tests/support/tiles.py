"""Forges the JPEG tiles of slides, and reads those of the real one.

Tissue, encoders for every variant, and an independent reading of coefficients.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jpeglib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from tifffile import TiffFile

from vsv_pyramid.jpeg.stream import ZIGZAG, HuffmanTable

Pixels = NDArray[np.uint8]
Coefficients = NDArray[np.signedinteger]
MAGENTA = (255, 0, 255)


def tables_of(path: Path) -> dict[int, list[int]]:
    """The quantisation tables of a JPEG, as Pillow takes them to make another one with."""
    with Image.open(path) as image:
        assert isinstance(image, JpegImageFile)
        return dict(image.quantization)


@dataclass(frozen=True)
class RealSlide:
    """The tiles of CMU-1-Small-Region.svs (CC0), by (column, row)."""

    width: int
    height: int
    tile: int
    tables: bytes
    tiles: dict[tuple[int, int], bytes]

    @classmethod
    def read(cls, path: Path) -> RealSlide:
        with TiffFile(path) as tiff:
            page = tiff.pages.first
            columns = -(-page.imagewidth // page.tilewidth)
            tiles = {}
            places = zip(page.dataoffsets, page.databytecounts, strict=True)
            for i, (offset, count) in enumerate(places):
                tiff.filehandle.seek(offset)
                tiles[i % columns, i // columns] = bytes(tiff.filehandle.read(count))
            assert page.jpegtables is not None
            return cls(page.imagewidth, page.imagelength, page.tilewidth, page.jpegtables, tiles)


def tissue(width: int, height: int, seed: int = 0) -> Pixels:
    """Something like H&E: smooth regions, sharp nuclei, white glass."""
    rng = np.random.default_rng(seed)
    small = rng.normal(size=(height // 24 + 2, width // 24 + 2)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    grain = np.asarray(
        Image.fromarray(
            rng.normal(size=(height // 2 + 1, width // 2 + 1)).astype(np.float32)
        ).resize((width, height))
    )
    stain = np.clip(smooth + 0.4 * grain, 0, 2)[..., None]
    stained = 247 - stain * np.array([45, 110, 50]) - 4 * grain[..., None]
    pixels: Pixels = np.clip(stained, 0, 255).astype(np.uint8)
    return pixels


@dataclass(frozen=True)
class Variant:
    """How a scanner writes its tiles; restart in MCUs, 0 for none."""

    name: str
    rgb: bool = False
    subsampling: str = "444"
    quality: int = 70
    abbreviated: bool = False
    optimised: bool = False
    restart: int = 0

    def save(self, pixels: Pixels, streamtype: int) -> bytes:
        out = io.BytesIO()
        extra: dict[str, int] = {"optimize": True} if self.optimised else {}
        if self.restart:
            extra["restart_marker_blocks"] = self.restart
        Image.fromarray(pixels).save(
            out,
            "JPEG",
            quality=self.quality,
            subsampling={"444": 0, "422": 1, "420": 2}[self.subsampling],
            keep_rgb=self.rgb,
            streamtype=streamtype,
            **extra,
        )
        return out.getvalue()

    def whole(self, pixels: Pixels) -> bytes:
        return self.save(pixels, 0)

    def tile(self, pixels: Pixels) -> bytes:
        return self.save(pixels, 2 if self.abbreviated else 0)

    def tables(self) -> bytes:
        return self.save(np.zeros((16, 16, 3), np.uint8), 1) if self.abbreviated else b""


VARIANTS = [
    Variant("rgb444", rgb=True),
    Variant("rgb444-abbreviated", rgb=True, abbreviated=True),
    Variant("rgb444-optimised", rgb=True, optimised=True),
    Variant("ycc444", quality=91),
    Variant("ycc444-abbreviated-restart", abbreviated=True, restart=5),
    Variant("ycc422", subsampling="422", quality=91),
    Variant("ycc422-optimised-restart", subsampling="422", optimised=True, restart=7),
    Variant("ycc420", subsampling="420"),
    Variant("ycc420-abbreviated", subsampling="420", abbreviated=True),
    Variant("ycc420-optimised", subsampling="420", optimised=True, quality=30),
    Variant("ycc420-restart", subsampling="420", restart=1, quality=96),
]


def cut(pixels: Pixels, tile: int, pad: tuple[int, int, int] | None = None) -> list[list[Pixels]]:
    """The image as rows of tiles, filled up by its edge or by a colour."""
    height, width = pixels.shape[:2]
    below, right = -height % tile, -width % tile
    if pad is None:
        full = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
    else:
        full = np.full((height + below, width + right, 3), pad, np.uint8)
        full[:height, :width] = pixels
    return [
        [full[y : y + tile, x : x + tile] for x in range(0, full.shape[1], tile)]
        for y in range(0, full.shape[0], tile)
    ]


def decode(jpeg: bytes) -> Pixels:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB"))


def coefficients(jpeg: bytes) -> tuple[list[NDArray[np.int16]], list[NDArray[np.int16]]]:
    """The quantised coefficients and the table of each component, as libjpeg reads them.

    The coefficients are (block rows, block columns, 8, 8).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tile.jpeg"
        path.write_bytes(jpeg)
        read = jpeglib.read_dct(str(path))
        planes = [p for p in (read.Y, read.Cb, read.Cr) if p is not None]
        return planes, [read.get_component_qt(i) for i in range(len(planes))]


def sample_planes(jpeg: bytes) -> list[NDArray[np.float64]]:
    """The components' samples before any upsampling, MCU padding included."""
    basis = np.array(
        [
            [
                (0.125**0.5 if k == 0 else 0.5) * np.cos((2 * n + 1) * k * np.pi / 16)
                for k in range(8)
            ]
            for n in range(8)
        ]
    )
    planes = []
    for blocks, steps in zip(*coefficients(jpeg), strict=True):
        pixels = np.round(basis @ (blocks * steps.astype(float)) @ basis.T + 128).clip(0, 255)
        planes.append(pixels.transpose(0, 2, 1, 3).reshape(blocks.shape[0] * 8, -1))
    return planes


# --- An encoder of coefficients, slow and free: any Huffman table, any symbol ---------------------


def codes(table: HuffmanTable) -> dict[int, str]:
    """The code of each symbol, as a string of 0 and 1 (T.81, C.2)."""
    found: dict[int, str] = {}
    code, at = 0, 0
    for length, count in enumerate(table.counts, 1):
        for symbol in table.symbols[at : at + count]:
            found[symbol] = f"{code:0{length}b}"
            code += 1
        at += count
        code <<= 1
    return found


def table_of(lengths: dict[int, int]) -> HuffmanTable:
    """A table that gives each symbol a code of this length."""
    by_length = [[s for s, n in lengths.items() if n == length] for length in range(1, 17)]
    return HuffmanTable(bytes(map(len, by_length)), bytes(s for group in by_length for s in group))


def _value(value: int) -> tuple[int, str]:
    size = abs(value).bit_length()
    return size, f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def scan_bits(
    blocks: Sequence[tuple[int, Coefficients]],
    tables: Sequence[tuple[HuffmanTable, HuffmanTable]],
) -> str:
    """The bits of blocks in the scan's order, each (component, 64 coefficients, natural order)."""
    coders = [(codes(dc), codes(ac)) for dc, ac in tables]
    last = [0] * len(tables)
    out = []
    for part, block in blocks:
        dc, ac = coders[part]
        flat = block.reshape(64)
        size, bits = _value(int(flat[0]) - last[part])
        last[part] = int(flat[0])
        out.append(dc[size] + bits)
        run = 0
        for k in range(1, 64):
            value = int(flat[ZIGZAG[k]])
            if value == 0:
                run += 1
                continue
            while run > 15:
                out.append(ac[0xF0])
                run -= 16
            size, bits = _value(value)
            out.append(ac[run << 4 | size] + bits)
            run = 0
        if run:
            out.append(ac[0])
    return "".join(out)


def stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def encode(
    planes: Sequence[Coefficients],
    sampling: Sequence[tuple[int, int]],
    tables: Sequence[tuple[HuffmanTable, HuffmanTable]],
    *,
    step: int = 8,
    restart: int = 0,
) -> bytes:
    """A whole JPEG of these coefficients (MCU-padded).

    It has one quantisation step throughout, and a pair of tables per component.
    """
    h, v = sampling[0]
    height, width = planes[0].shape[0] // v * v * 8, planes[0].shape[1] // h * h * 8
    mcus = [
        [
            (c, plane[my * cv + y, mx * ch + x])
            for c, (plane, (ch, cv)) in enumerate(zip(planes, sampling, strict=True))
            for y in range(cv)
            for x in range(ch)
        ]
        for my in range(planes[0].shape[0] // v)
        for mx in range(planes[0].shape[1] // h)
    ]

    def segment(code: int, body: bytes) -> bytes:
        return bytes((0xFF, code)) + (len(body) + 2).to_bytes(2, "big") + body

    count = len(planes)
    out = b"\xff\xd8" + segment(0xDB, bytes((0,)) + bytes((step,)) * 64)
    frame = bytes((8,)) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes((count,))
    out += segment(
        0xC1, frame + b"".join(bytes((i, ch << 4 | cv, 0)) for i, (ch, cv) in enumerate(sampling))
    )
    for i, (dc, ac) in enumerate(tables):
        out += segment(0xC4, bytes((i,)) + dc.counts + dc.symbols)
        out += segment(0xC4, bytes((0x10 | i,)) + ac.counts + ac.symbols)
    if restart:
        out += segment(0xDD, restart.to_bytes(2, "big"))
    out += segment(
        0xDA,
        bytes((count,))
        + b"".join(bytes((i, i << 4 | i)) for i in range(count))
        + bytes((0, 63, 0)),
    )
    every = restart or len(mcus)
    for number, at in enumerate(range(0, len(mcus), every)):
        if number:
            out += bytes((0xFF, 0xD0 + (number - 1) % 8))
        out += stuffed(scan_bits([block for mcu in mcus[at : at + every] for block in mcu], tables))
    return out + b"\xff\xd9"
