"""A slide as a TIFF: how its base level is stored, and whether it is all there."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile

from vsv_pyramid.containers.codecs import PREDICTED, Codec, codec
from vsv_pyramid.containers.pages import (
    OmeImage,
    Page,
    base_page,
    ome_images,
    stated_planes,
    stated_shape,
)
from vsv_pyramid.containers.raw import StoredLevel
from vsv_pyramid.containers.reading import Watched, naming, twice, unavailable
from vsv_pyramid.errors import SlideError, SlideUnavailable, passing
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size

BIG_ENDIAN, BIG_ENDIAN_BIGTIFF = b"MM\0*", b"MM\0+"
_MAGIC = (b"II*\0", BIG_ENDIAN, b"II+\0", BIG_ENDIAN_BIGTIFF)
_EOI = b"\xff\xd9"

# What tifffile raises on bytes that are no TIFF, or only the beginning of one.
_DAMAGED = (
    tifffile.TiffFileError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OSError,
    ArithmeticError,
    MemoryError,  # for a tag that claims to be larger
)

# OpenSlide ends the process where it lacks the memory for a tile: 4 bytes a px, half a GB here.
_TILE_PIXELS = 1 << 27
_LIBTIFF_READS = 1024  # bytes at once
_DESCRIPTION = 1 << 16  # characters of it that are looked at
_WORDS = (270, 271, 272, 305, 306, 315, 316, 33432)  # tags that hold text about the picture
_UNITS = {2: 25400.0, 3: 10000.0}  # ResolutionUnit, in um

_Choice = Callable[[Sequence[Page]], Page]


@dataclass(frozen=True)
class TiffBase(StoredLevel):
    """How the base level is stored: the page of a TIFF that is the slide.

    A strip counts as a tile of the whole width. `tables` is the JPEGTables tag; `pages` are all of
    the file's, `tags` those of the base that say what it is of; `magic` is what the file begins
    with, and `cut` tells that it ends before data of a page that the base does without.
    """

    page: Page
    pages: tuple[Page, ...]
    icc_profile: bytes | None
    tags: Mapping[str, str]
    cut: bool
    magic: bytes
    codec: Codec

    @property
    def beyond_openslide(self) -> bool:
        """Whether OpenSlide 4.0.1 does not take it for a TIFF: a classic one, big-endian."""
        return self.magic == BIG_ENDIAN

    @property
    def tiled(self) -> bool:
        return self.page.tile is not None

    @property
    def said(self) -> dict[str, str]:
        """What it says of itself, as OpenSlide has it of a tiled TIFF that is nobody's own."""
        return {"openslide.vendor": "generic-tiff", **self.tags} if self.tiled else {}

    @property
    def planes(self) -> int:
        """How many tiles there are of each place: one, or one a sample."""
        return self.page.samples if self.page.planar else 1

    @property
    def obstacle(self) -> str | None:
        if self.page.orientation != 1:
            return f"it is stored turned or mirrored (Orientation {self.page.orientation})"
        if self.page.planar:
            return "its colours are stored apart (PlanarConfiguration 2)"
        return None

    def decoded(self, data: bytes, index: int) -> Pixels:
        return self.codec(data, index)


def tiff_base(path: Path, choose: _Choice = base_page) -> TiffBase | None:
    """How the base level is stored, or another page of those that there are; None where the file is
    not a TIFF.

    Raises SlideError where the TIFF is damaged, or ends before data that the page or another tiled
    one points to.
    """
    return twice(lambda: _tiff_base(path, choose), SlideError)


def _tiff_base(path: Path, choose: _Choice) -> TiffBase | None:
    with naming(path), Watched(path) as file:
        try:
            base = _read_base(path, file, choose)
        except SlideError as exc:
            # By this name, tifffile takes the file for Hamamatsu's, of numbers of 64 bits.
            if path.suffix.lower() != ".ndpi" or isinstance(exc, SlideUnavailable):
                raise
            base = _read_base(path, file, choose, is_ndpi=False)
        if file.trouble:  # tifffile goes on without the page
            raise unavailable(path, file.trouble)
        return base


def _read_base(path: Path, file: BinaryIO, choose: _Choice, **flags: Any) -> TiffBase | None:
    file.seek(0)
    magic = file.read(4)
    if magic not in _MAGIC:
        return None
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        with tifffile.TiffFile(file, **flags) as tiff:
            chain = [page.aspage() for page in list(tiff.pages)]  # list ends where a chain has none
            images = ome_images(_description(chain[0]), len(chain)) if chain else {}
            found = [(_page(page, n, images.get(n)), page) for n, page in enumerate(chain)]
            found += [(_page(page, None, images.get(n)), page) for n, page in _sub_pages(chain)]
            shown = choose([page for page, _ in found])
            page = next(page for kept, page in found if kept is shown)
            base = TiffBase(
                files=(path,),
                page=shown,
                pages=tuple(page for page, _ in found),
                size=shown.size,
                tile_size=shown.tile or Size(shown.size.width, _rows_per_strip(page)),
                compression=shown.compression_name,
                photometric=shown.photometric_name,
                tables=page.jpegtables + _EOI if page.jpegtables else b"",  # which may lack it
                # 8 bytes a tile, where a tuple of integers takes 40
                offsets=array("Q", page.dataoffsets),
                counts=array("Q", page.databytecounts),
                icc_profile=_profile(page),
                tags=_said(page),
                cut=any(_end(other) > size for _, other in found),
                magic=magic,
                codec=codec(page),
            )
            tiles = base.grid.pixels * base.planes
            if not tiles or len(base.offsets) != len(base.counts) or len(base.counts) < tiles:
                raise tifffile.TiffFileError("fewer tiles than cover the image")
            needed = [_end(other) for kept, other in found if kept.tile or kept is shown]
            # Its objects refer to each other: 80 bytes a tile would stay until they are collected.
            for _, page in found:
                page.dataoffsets = page.databytecounts = ()
                for tag in "TileOffsets", "TileByteCounts":
                    if tag in page.tags:
                        del page.tags[tag]
    except _DAMAGED as exc:
        if cause := passing(exc):
            raise unavailable(path, cause) from exc
        raise SlideError(
            path,
            "damaged or cut off: its TIFF directories cannot be read; copy it from the scanner "
            "again",
        ) from exc
    if max(needed) > size:
        raise SlideError(
            path,
            f"cut off at {size:,} of at least {max(needed):,} bytes; copy it from the scanner "
            "again",
        )
    return base


def check_tiles(path: Path, tile_size: Size, *, tiled: bool = False) -> None:
    """Raises SlideError where a tile, or strip, would fill the memory; a tile of progressive JPEG
    takes 12 bytes a px."""
    if tile_size.pixels > (_TILE_PIXELS // 2 if tiled else _TILE_PIXELS):
        width, height = tile_size
        raise SlideError(
            path, f"its tiles of {width} x {height} px are too large; save it with smaller ones"
        )


def libtiff_takes(base: TiffBase) -> bool:
    """Whether libtiff reads the page's bare tiles: it reads whole KiB of one, and refuses what is
    more than the pixels, be it spare or of what lies behind the tile."""
    counts = np.frombuffer(base.counts, np.uint64)
    return not (spare_bytes(base).any() or (counts % _LIBTIFF_READS).any())


def spare_bytes(base: TiffBase) -> npt.NDArray[np.int64]:
    """What each tile has beyond its pixels, where there is no compression: 0 for one that is left
    out, and less than 0 for one that is cut."""
    page, (width, height), grid = base.page, base.tile_size, base.grid
    row_bytes = -(-width * (1 if page.planar else page.samples) * page.bits[0] // 8)
    rows = np.full(grid.height, height)
    if page.tile is None:  # the last strip is as short as the picture is
        rows[-1] = page.size.height - height * (grid.height - 1)
    pixels = np.tile(np.repeat(rows * row_bytes, grid.width), base.planes)
    counts = np.frombuffer(base.counts, np.uint64)[: len(pixels)].astype(np.int64)
    return np.where(counts, counts - pixels, 0)


def base_pixels(file: BinaryIO) -> int | None:
    """The base level's pixels as the TIFF states them; None where it is none."""
    try:
        with tifffile.TiffFile(file) as tiff:
            return int(tiff.pages.first.imagewidth) * int(tiff.pages.first.imagelength)
    except _DAMAGED:
        return None


def _page(page: Any, number: int | None, image: OmeImage | None) -> Page:
    """The page as its tags describe it; those that lack have the standard's defaults."""
    tags = page.tags
    samples = int(tags.valueof(277, 1))
    size = _size(page.imagewidth, page.imagelength)
    description = _description(page)
    shaped = stated_shape(description)
    planes = [stated_planes(description, samples), shaped // max(1, size.pixels * samples)]
    if page.is_stk:
        planes.append(tags[33629].count)
    is_fax = int(page.compression) in (2, 3, 4)  # of which readers take 0 for white
    photometric = tags.valueof(262, 0 if is_fax else -1)
    orientation = tags.valueof(274, 1)
    palette = tags.valueof(320)
    return Page(
        number=number,
        size=size,
        tile=_size(page.tilewidth, page.tilelength) if 322 in tags else None,
        compression=int(page.compression),
        compression_name=_name(page.compression),
        photometric=int(photometric),
        photometric_name=_name(page.photometric),
        samples=samples,
        bits=_numbers(tags.valueof(258, 1)),
        formats=_numbers(tags.valueof(339, 1)),
        extra=_numbers(tags.valueof(338, ())),
        planar_configuration=int(tags.valueof(284, 1)),
        subsampling=_numbers(tags.valueof(530, (2, 2))),
        reversed_bits=tags.valueof(266, 1) == 2,
        predictor=int(tags.valueof(317, 1)) if int(page.compression) in PREDICTED else 1,
        orientation=-1 if isinstance(orientation, bytes) else int(orientation),
        depth=int(tags.valueof(32997, 1)),
        inks=int(tags.valueof(332, 1)),
        narrow_palette=photometric == 3 and palette is not None and np.max(palette) < 256,
        subfile=int(page.subfiletype),
        description=description,
        name=str(tags.valueof(285, "")),
        planes=max(planes),
        image=image,
    )


def _sub_pages(chain: Sequence[tifffile.TiffPage]) -> list[tuple[int, tifffile.TiffPage]]:
    """The pages one step off the chain of directories, as far as they can be read, each with the
    number of the page it is under."""
    found = []
    places = {page.offset for page in chain}
    for number, page in enumerate(chain):
        if not page.subifds:
            continue
        try:
            sub = [other.aspage() for other in page.aspage().pages or ()]
        except _DAMAGED:
            continue
        found += [(number, other) for other in sub if other.offset not in places]
        places.update(other.offset for other in sub)
    return found


def _description(page: Any) -> str:
    return page.description[:_DESCRIPTION] if isinstance(page.description, str) else ""


def _size(width: Any, height: Any) -> Size:
    """Raises TypeError for tags that are no whole numbers, ValueError for negative ones."""
    size = Size(index(width), index(height))
    if min(size) < 0:
        raise ValueError(f"a picture or tile of {size.width} x {size.height} px")
    return size


def _rows_per_strip(page: Any) -> int:
    return max(1, min(int(page.tags.valueof(278, page.imagelength)), int(page.imagelength)))


def _end(page: Any) -> int:
    """Where the page's data end in the file."""
    return max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)


def _profile(page: Any) -> bytes | None:
    profile = page.tags.valueof(34675)
    return profile if isinstance(profile, bytes) else None


def _said(page: Any) -> dict[str, str]:
    """What the tags say in words, by OpenSlide's names for them, and the size of a pixel in um."""
    said = {
        f"tiff.{tag.name}": tag.value
        for tag in page.tags
        if tag.code in _WORDS and isinstance(tag.value, str)
    }
    unit = _UNITS.get(page.tags.valueof(296, 2))
    for tag, axis in ("XResolution", "x"), ("YResolution", "y"):
        value = page.tags.valueof(tag)
        if isinstance(value, tuple) and len(value) == 2 and all(value):
            said[f"tiff.{tag}"] = f"{value[0] / value[1]:.12g}"
            if unit:
                said[f"openslide.mpp-{axis}"] = f"{unit * value[1] / value[0]:.12g}"
    if unit:
        said["tiff.ResolutionUnit"] = "inch" if unit == _UNITS[2] else "centimeter"
    return said


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)  # type: ignore[call-overload]


def _name(value: object) -> str:
    """The standard's name for a tag's value, or the number where tifffile knows none."""
    return str(getattr(value, "name", value))
