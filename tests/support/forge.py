"""Forged SVS slides: any size, made of a real slide's own tissue, ten gigapixels in seconds."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tifffile import TiffFile, TiffWriter

TILE = 240  # px, as in the real slide
PERIOD = (8, 12)  # tiles: whole ones only, and 1920 x 2880 px is still whole at 1/16 and 1/64
RECODED = (2048, 2816)  # px of the period where it is encoded anew: whole in 256 px, and at 1/16
LIBRARY = "Aperio Image Library v11.2.1 "
KEYS = {
    "AppMag": "20",
    "MPP": "0.4990",
    "Date": "12/29/09",
    "Time": "09:59:15",
    "ImageID": "1004486",
    "ScanScope ID": "CPAPERIOCS",
}
# Finer than the base: where a lower level and its base disagree, it is not the forge's doing.
LOWER_QUALITY = 90


@dataclass(frozen=True)
class Encoding:
    """How the tissue's tiles are encoded anew: tile in px, a subsampling as Pillow names it.

    Each tile is a whole JPEG where `whole`, else they share their tables.
    """

    tile: int
    quality: int
    subsampling: str
    rgb: bool
    whole: bool = False

    @property
    def name(self) -> str:
        """As Aperio's description has it."""
        return f"JPEG/{'RGB' if self.rgb else 'YCC'} Q={self.quality}"


class Pattern(NamedTuple):
    """A level's abbreviated JPEG tiles in rows, repeated without end, and their shared tables."""

    tables: bytes
    tile: int
    rows: list[list[bytes]]

    def tiles(self, size: tuple[int, int]) -> Iterator[bytes]:
        """The tiles that cover a level of `size` px, row by row."""
        columns, rows = (-(-length // self.tile) for length in size)
        for row in islice(cycle(self.rows), rows):
            yield from islice(cycle(row), columns)


def forge_svs(
    path: Path,
    *,
    tissue: Path,
    size: tuple[int, int],
    levels: tuple[int, ...] = (1, 4, 16),
    description: Mapping[str, str | None] | None = None,
    associated: Mapping[str, Image.Image] | None = None,
    described: bool = True,
    icc: bytes | None = None,
    bigtiff: bool | None = None,
    encoding: Encoding | None = None,
) -> None:
    """Write an Aperio SVS of `size` px whose base level is `tissue`'s own JPEG tiles, repeated.

    With `encoding` all levels' tiles are the tissue's pixels encoded anew.

    The levels show one picture, and are `size` divided by each of `levels`, rounded down as
    Aperio does. `description` adds Aperio keys or overrides KEYS; None takes a key away.
    `associated` may hold a thumbnail, a label and a macro image; the latter two have no
    ImageDescription unless `described`. BigTIFF is written when the classic kind would not do,
    unless `bigtiff` says which.

    Raises ValueError for levels that cannot repeat with the base, and for a label or a macro
    image where readers expect the thumbnail.
    """
    associated = associated or {}
    width, height = size
    period = RECODED if encoding else (PERIOD[0] * TILE, PERIOD[1] * TILE)
    if levels[0] != 1 or any(length % down for length in period for down in levels):
        raise ValueError(f"levels {levels}: the first is 1, the others divide {math.gcd(*period)}")
    if unknown := set(associated) - {"thumbnail", "label", "macro"}:
        raise ValueError(f"associated images an SVS does not have: {', '.join(sorted(unknown))}")
    # OpenSlide takes whatever is on page 1 and not tiled for the thumbnail.
    if associated and "thumbnail" not in associated and len(levels) == 1:
        raise ValueError("a slide of one level needs a thumbnail before its label and macro image")

    base, picture = _base(tissue)
    lower = encoding or Encoding(TILE, LOWER_QUALITY, "4:4:4", rgb=True)
    sizes = {down: (max(1, width // down), max(1, height // down)) for down in levels}
    patterns = {
        down: base
        if down == 1 and not encoding
        else _reduced(picture.crop((0, 0, *period)), down, lower, sizes[down])
        for down in levels
    }
    if bigtiff is None:
        data = sum(len(tile) for down in levels for tile in patterns[down].tiles(sizes[down]))
        bigtiff = data > 2**32 - 2**26  # the rest: tables, profile, associated images
    wanted = {**KEYS, **(description or {})}
    keys = {key: value for key, value in wanted.items() if value is not None}
    canvas = f"{width}x{height} [0,0 {width}x{height}] ({lower.tile}x{lower.tile})"

    with TiffWriter(path, bigtiff=bigtiff) as tiff:

        def write_level(down: int, header: str, icc: bytes | None = None) -> None:
            tiff.write(
                patterns[down].tiles(sizes[down]),
                shape=(*sizes[down][::-1], 3),
                dtype=np.uint8,
                photometric="rgb",
                tile=(lower.tile, lower.tile),
                compression="jpeg",
                # The YCbCrSubSampling tag is left to say (2, 2): it lies on the real slide, too.
                compressionargs={"outcolorspace": "rgb" if lower.rgb else "ycbcr"},
                jpegtables=patterns[down].tables or None,
                description=_description(header, keys),
                iccprofile=icc,
                metadata=None,
                software=False,
            )

        def write_associated(name: str, header: str, keys: Mapping[str, str], kind: int) -> None:
            lossless = name == "label"
            tiff.write(
                np.asarray(associated[name].convert("RGB")),
                photometric="rgb",
                rowsperstrip=16,
                compression="lzw" if lossless else "jpeg",
                compressionargs=None if lossless else {"outcolorspace": "rgb", "level": 90},
                predictor=lossless,
                subsampling=None if lossless else (1, 1),
                subfiletype=kind,
                description=_description(header, keys) if described or not kind else None,
                metadata=None,
                software=False,
            )

        write_level(1, f"{canvas} {encoding.name if encoding else 'JPEG/RGB Q=30'}", icc)
        if "thumbnail" in associated:
            to = "{}x{}".format(*associated["thumbnail"].size)
            write_associated("thumbnail", f"{width}x{height} -> {to} - ", keys, 0)
        for down in levels[1:]:
            to = "{}x{}".format(*sizes[down])
            write_level(down, f"{canvas} -> {to} {lower.name}")
        for name, kind in ("label", 1), ("macro", 9):
            if name in associated:
                write_associated(name, "{} {}x{}".format(name, *associated[name].size), {}, kind)


def store_in_order(path: Path, order: Callable[[int, int], Any]) -> None:
    """Move the base level's tiles within the file: that whose order(column, row) is least is first.

    Raises ValueError where something else lies between them.
    """
    with TiffFile(path, mode="r+") as tiff:
        page, file = tiff.pages.first, tiff.filehandle
        offsets, counts = list(page.dataoffsets), page.databytecounts
        columns = -(-page.imagewidth // page.tilewidth)
        tiles = [
            file.seek(at) and file.read(count) for at, count in zip(offsets, counts, strict=True)
        ]
        at = min(offsets)
        if at + sum(counts) != max(map(sum, zip(offsets, counts, strict=True))):
            raise ValueError(f"the tiles of {path} do not lie side by side")
        for index in sorted(range(len(tiles)), key=lambda i: order(i % columns, i // columns)):
            file.seek(at)
            file.write(tiles[index])
            offsets[index], at = at, at + counts[index]
        page.tags["TileOffsets"].overwrite(offsets)


def damage_tile(path: Path, column: int, row: int, level: int = 0) -> None:
    """Zero a tile's bytes in place, so that OpenSlide raises OpenSlideError where it is read.

    OpenSlide takes libjpeg's warnings for errors, too, and an OpenSlide object that has raised
    once raises on every later read, of sound tiles as well: open the slide anew.
    """
    with TiffFile(path) as tiff:
        pages = (page.aspage() for page in tiff.pages)
        page = [page for page in pages if page.is_tiled][level]
        columns = -(-page.imagewidth // page.tilewidth)
        rows = -(-page.imagelength // page.tilelength)
        if not (0 <= column < columns and 0 <= row < rows):
            raise ValueError(f"level {level} has {columns} x {rows} tiles, not ({column}, {row})")
        tile = row * columns + column
        offset, length = page.dataoffsets[tile], page.databytecounts[tile]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(length))


@cache
def _base(tissue: Path) -> tuple[Pattern, Image.Image]:
    """The period as it lies in the real slide, and the slide's pixels."""
    with TiffFile(tissue) as tiff:
        page = tiff.pages.first
        columns, rows = PERIOD
        stride = -(-page.imagewidth // TILE)
        data = tiff.filehandle

        def tile(index: int) -> bytes:
            data.seek(page.dataoffsets[index])
            return bytes(data.read(page.databytecounts[index]))

        tiles = [[tile(row * stride + column) for column in range(columns)] for row in range(rows)]
        picture = Image.fromarray(page.asarray())
        return Pattern(page.jpegtables or b"", TILE, tiles), picture


def _reduced(
    picture: Image.Image, down: int, encoding: Encoding, level: tuple[int, int]
) -> Pattern:
    """The period `down` times smaller, repeated until it fills whole tiles, or the level of so many
    px, and encoded."""
    small, size = picture.reduce(down), encoding.tile
    width, height = (
        min(math.lcm(period, size), -(-length // size) * size)
        for period, length in zip(small.size, level, strict=True)
    )
    sheet = Image.new("RGB", (width, height))
    for y in range(0, height, small.height):
        for x in range(0, width, small.width):
            sheet.paste(small, (x, y))

    def encoded(x: int, y: int, stream: int) -> bytes:  # 0: whole, 1: tables alone, 2: without them
        file = io.BytesIO()
        tile = sheet.crop((x, y, x + size, y + size))
        tile.save(
            file,
            "JPEG",
            quality=encoding.quality,
            keep_rgb=encoding.rgb,
            subsampling=encoding.subsampling,
            streamtype=stream,
        )
        return file.getvalue()

    kind = 0 if encoding.whole else 2
    rows = [[encoded(x, y, kind) for x in range(0, width, size)] for y in range(0, height, size)]
    return Pattern(b"" if encoding.whole else encoded(0, 0, 1), size, rows)


def _description(header: str, keys: Mapping[str, str]) -> bytes:
    fields = (f"{key} = {value}" for key, value in keys.items())
    return "|".join([f"{LIBRARY}\r\n{header}", *fields]).encode()
