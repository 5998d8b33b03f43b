"""Forged TIFFs, one a row: how it is made, what it shows in truth, and what must come of it."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import TiffFile, TiffWriter

from tests.support.tiles import Pixels, cut, tissue
from vsv_pyramid.jpeg.markers import APP0, APP14, DHT, DQT, SOS, is_frame, segment, segments

SIZE = (200, 150)  # px
TILE = 64  # px
PICTURE = tissue(*SIZE)
GRAY = np.asarray(Image.fromarray(PICTURE).convert("L"))
LABEL: Pixels = np.full((80, 120, 3), (200, 30, 30), np.uint8)
NOISE = np.random.default_rng(1).integers(0, 256, (*PICTURE.shape[:2], 1)).astype(np.uint8)
ALPHA = np.where(np.arange(SIZE[0]) < 60, 0, 255).astype(np.uint8)[None, :, None]
ALPHA = np.broadcast_to(ALPHA, (*PICTURE.shape[:2], 1))

# How a page is cut up.
PLACES: dict[str, dict[str, Any]] = {
    "tiles": {"tile": (TILE, TILE)},
    "strips": {"rowsperstrip": 40},
}

ORDERS: dict[str, dict[str, Any]] = {
    "II": {"byteorder": "<"},
    "MM": {"byteorder": ">"},
    "II big": {"byteorder": "<", "bigtiff": True},
    "MM big": {"byteorder": ">", "bigtiff": True},
}
CANNOT = "a BigTIFF of big-endian order in strips, which Pillow cannot read"
LIBTIFF = "no libtiff"  # right where Pillow has it, else said


@dataclass(frozen=True)
class Stored:
    """One page: its samples, or its JPEG streams by tile or strip, and TiffWriter's settings."""

    data: NDArray[Any] | list[bytes]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """`truth` is what a file of these pages shows, RGB; `said` a part of the sentence by which it
    is refused, "" where it is right, LIBTIFF where that depends on Pillow; `left` a part of what is
    told to be left out. The decoder that judges reads the page at `index`, and `shown` makes RGB of
    its samples; streams whose colours are not those of the tags are `rgb` or not by themselves.
    """

    name: str
    pages: Sequence[Stored]
    truth: Pixels = field(default_factory=lambda: PICTURE)
    said: str = ""
    left: str = ""
    index: int = 0
    shown: Callable[[NDArray[Any]], NDArray[Any]] = lambda samples: samples
    streams: Sequence[bool] | None = None
    planes: int = 1
    file: dict[str, Any] = field(default_factory=dict)
    patch: Callable[[Path], None] = lambda path: None

    @property
    def is_lossy(self) -> bool:
        return any(isinstance(page.data, list) for page in self.pages)

    def write(self, path: Path) -> Path:
        with TiffWriter(path, **self.file) as tiff:
            for page in self.pages:
                settings = {"photometric": "rgb", "metadata": None, "software": False}
                settings |= page.settings
                data = iter(page.data) if isinstance(page.data, list) else page.data
                tiff.write(data, **settings)
        self.patch(path)
        return path

    def judged(self, path: Path) -> NDArray[Any]:
        """What tifffile and imagecodecs see, RGB."""
        with TiffFile(path) as tiff:
            page = tiff.pages[self.index].aspage()
            if self.streams is None:
                return self.shown(page.asarray())
            tiles = []
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                tiff.filehandle.seek(offset)
                tiles.append(tiff.filehandle.read(count))
            tables = page.jpegtables
        if self.planes > 1:
            decoded = [imagecodecs.jpeg8_decode(tile) for tile in tiles]
            each = len(decoded) // self.planes
            parts = (decoded[at : at + each] for at in range(0, len(decoded), each))
            return self.shown(np.stack([_joined(part) for part in parts]))
        kinds = itertools.cycle(self.streams)
        decoded = [
            imagecodecs.jpeg8_decode(
                tile, tables=tables, colorspace="rgb" if rgb else "ycbcr", outcolorspace="rgb"
            )
            for tile, rgb in zip(tiles, kinds, strict=False)
        ]
        return self.shown(_joined(decoded))


def _joined(tiles: Sequence[Any]) -> NDArray[Any]:
    columns = -(-SIZE[0] // TILE)
    rows = [np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles), columns)]
    return np.vstack(rows)[: SIZE[1], : SIZE[0]]


# JPEG streams.

JFIF = segment(APP0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform: int) -> bytes:
    return segment(APP14, b"Adobe\0\x64\0\0\0\0" + bytes((transform,)))


def stream(
    pixels: Pixels,
    *,
    rgb: bool = False,
    marker: bytes = b"",
    ids: bytes = b"\1\2\3",
    subsampling: str = "4:4:4",
    without: tuple[int, ...] = (),
    **settings: Any,
) -> bytes:
    """A JPEG whose samples are RGB or YCbCr, which says of it what `marker` and `ids` say, and
    leaves out the segments `without`."""
    out = io.BytesIO()
    settings = {"quality": 95, "subsampling": subsampling, **settings}
    Image.fromarray(pixels).save(out, "JPEG", keep_rgb=rgb, **settings)
    data, made, scan = out.getvalue(), b"\xff\xd8" + marker, 0
    for code, body, behind in segments(data):
        scan = behind
        if code in (APP0, APP14, *without):
            continue
        changed = bytearray(body)
        if pixels.ndim == 3 and is_frame(code):
            changed[6::3] = ids
        elif pixels.ndim == 3 and code == SOS:
            changed[1:7:2] = ids
        made += segment(code, bytes(changed))
    return made + data[scan:]


def tables_of(stream_: bytes, *more: bytes) -> bytes:
    """A JPEGTables tag of the stream's own tables."""
    kept = [segment(code, body) for code, body, _ in segments(stream_) if code in (DQT, DHT)]
    return b"\xff\xd8" + b"".join((*more, *kept)) + b"\xff\xd9"


def tiles(pixels: Pixels = PICTURE, **settings: Any) -> list[bytes]:
    return [stream(part, **settings) for row in cut3(pixels) for part in row]


def cut3(pixels: Pixels) -> list[list[Pixels]]:
    if pixels.ndim == 3:
        return cut(pixels, TILE)
    return [[part[..., 0] for part in row] for row in cut(np.dstack([pixels] * 3), TILE)]


def jpeg(
    data: list[bytes],
    tag: str,
    *,
    shape: tuple[int, ...] = PICTURE.shape,
    **settings: Any,
) -> Stored:
    colours = {"outcolorspace": "rgb" if tag == "rgb" else "ycbcr"} if tag != "minisblack" else None
    return Stored(
        data,
        {
            "shape": shape,
            "dtype": np.uint8,
            "photometric": tag,
            "tile": (TILE, TILE),
            "compression": "jpeg",
            "compressionargs": colours,
            **settings,
        },
    )


def strips(rows: int = 48, pixels: Pixels = PICTURE, **settings: Any) -> list[bytes]:
    return [stream(pixels[y : y + rows], **settings) for y in range(0, len(pixels), rows)]


# What is shown.


def gray(samples: NDArray[Any]) -> NDArray[Any]:
    return np.dstack([samples] * 3)


def blended(colours: NDArray[Any], alpha: NDArray[Any], background: int = 255) -> Pixels:
    part = alpha / 255.0
    return np.asarray((colours * part + background * (1 - part)).round().astype(np.uint8))


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The picture to show of the stored one (TIFF 6.0, page 36)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def reduced(times: int) -> Pixels:
    return np.asarray(Image.fromarray(PICTURE).reduce(times))


# Tags that no writer writes.


def with_tag(code: int, value: int) -> Callable[[Path], None]:
    def patch(path: Path) -> None:
        with TiffFile(path, mode="r+") as tiff:
            tiff.pages.first.tags[code].overwrite(value)

    return patch


def without_tag(code: int) -> Callable[[Path], None]:
    """Gives the tag a number that means nothing."""

    def patch(path: Path) -> None:
        with TiffFile(path) as tiff:
            place, order = tiff.pages.first.tags[code].offset, tiff.byteorder
        with path.open("r+b") as file:
            file.seek(place)
            file.write((65000).to_bytes(2, "little" if order == "<" else "big"))

    return patch


def with_places(
    change: Callable[[list[int], list[int]], object], number: int = 0
) -> Callable[[Path], None]:
    """What is done to the offsets and the byte counts of a page's tiles or strips."""

    def patch(path: Path) -> None:
        with TiffFile(path, mode="r+") as tiff:
            page = tiff.pages[number].aspage()
            offsets, counts = list(page.dataoffsets), list(page.databytecounts)
            change(offsets, counts)
            names = "Tile" if page.is_tiled else "Strip"
            page.tags[f"{names}Offsets"].overwrite(offsets, dtype="I")
            page.tags[f"{names}ByteCounts"].overwrite(counts, dtype="I")

    return patch


def beyond_the_end(number: int) -> Callable[[Path], None]:
    def change(_: list[int], counts: list[int]) -> None:
        counts[-1] = 10**9

    return with_places(change, number)
