"""A base level decoded from its own tiles: JPEG by simplejpeg, all else as its container does.

OpenSlide and libvips take the TIFF's word on colour where the stream's own is the other one, and
turn each tile in its place where the picture is to be turned; OpenSlide 4.0.1 reads no classic TIFF
of big-endian order.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openslide
import simplejpeg
from PIL import Image

from vsv_pyramid.containers.dicom import DicomBase
from vsv_pyramid.containers.pages import is_level
from vsv_pyramid.containers.raw import JPEG, MOST_READS, RawTiles, StoredLevel, probes
from vsv_pyramid.containers.tiff import TiffBase, check_tiles, tiff_base
from vsv_pyramid.errors import SlideError, StreamError, Unspliceable
from vsv_pyramid.jpeg.colour import contradicts, has_header, standalone
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.handles import ASSOCIATED_PIXELS, damaged, too_large
from vsv_pyramid.slide.samples import WHITE_IS_ZERO

IMAGECODECS = "imagecodecs"

_CACHE_BYTES = 1 << 25
_CACHED = range(4, 1024)  # tiles
_LARGE_BYTES = 1 << 26  # a tile of 4,730 px
_LARGE_CACHE_BYTES = 1 << 28


class Facts(NamedTuple):
    """What a container says of a level besides how it is stored: OpenSlide's properties, the sizes
    of smaller levels, the Orientation tag, whether 0 is white, and pictures of the glass; `canvas`
    is the slide's size where it is larger than the picture."""

    properties: Mapping[str, str]
    levels: tuple[Size, ...] = ()
    icc_profile: bytes | None = None
    orientation: int = 1
    is_negative: bool = False
    associated: Mapping[str, StoredLevel] = {}
    canvas: Size | None = None


class _Turn(NamedTuple):
    """How the stored picture becomes the one to show: `by`; which in stored px begins at the
    `right`, at the `bottom`, and with x and y `swapped`."""

    by: Callable[[Pixels], Pixels]
    swapped: bool
    right: bool
    bottom: bool


# The Orientation tag (TIFF 6.0, page 36).
_TURNS = {
    2: _Turn(lambda a: a[:, ::-1], False, True, False),
    3: _Turn(lambda a: a[::-1, ::-1], False, True, True),
    4: _Turn(lambda a: a[::-1], False, False, True),
    5: _Turn(lambda a: a.swapaxes(0, 1), True, False, False),
    6: _Turn(lambda a: a[::-1].swapaxes(0, 1), True, False, True),
    7: _Turn(lambda a: a[::-1, ::-1].swapaxes(0, 1), True, True, True),
    8: _Turn(lambda a: a[:, ::-1].swapaxes(0, 1), True, True, False),
}


class UnreadKind(openslide.OpenSlideError):
    """Of a tile that may be sound, but whose kind of JPEG is not read."""


class NativeTiles:
    """The base level's pixels, out of its tiles, each decoded once as long as the walk stays near
    it. `read` is safe from several threads."""

    def __init__(self, base: StoredLevel, facts: Facts) -> None:
        self.base = base
        self._raw = RawTiles(base)
        self._associated = facts.associated
        self._turn = _TURNS.get(facts.orientation)
        self._is_negative = facts.is_negative
        bytes_each = base.tile_size.pixels * 3
        count = min(max(_CACHE_BYTES // bytes_each, _CACHED.start), _CACHED.stop)
        self._is_large = bytes_each > _LARGE_BYTES
        if self._is_large:  # as no scanner's is; one is decoded at a time, whoever waits for it
            count = max(1, _LARGE_CACHE_BYTES // bytes_each)
        self._turns = threading.Lock() if self._is_large else contextlib.nullcontext()
        self._tile = lru_cache(maxsize=count)(self._decoded)
        self.name = "simplejpeg" if base.compression == JPEG else IMAGECODECS
        self.size = facts.canvas or self._turned(base.size)
        self.level_sizes = (self.size, *sorted(map(self._turned, facts.levels), reverse=True))
        self.properties = facts.properties
        self.icc_profile = facts.icc_profile

    @property
    def associated_sizes(self) -> Mapping[str, Size]:
        return {name: picture.size for name, picture in self._associated.items()}

    def associated(self, name: str) -> Image.Image:
        picture = self._associated[name]
        if picture.size.pixels > ASSOCIATED_PIXELS:
            raise SlideError(picture.files[0], too_large(name, picture.size))
        with closing(NativeTiles(picture, Facts({}))) as tiles:
            try:
                return Image.fromarray(tiles.read(0, 0, picture.size))
            except openslide.OpenSlideError as exc:
                raise SlideError(picture.files[0], damaged(name, exc)) from exc

    def read(self, x: int, y: int, size: Size) -> Pixels:
        """The region as RGB, or as RGBA where the slide has left out a tile, or has no picture.

        Raises openslide.OpenSlideError where a tile cannot be decoded, and SlideError where it
        cannot be read.
        """
        with self._turns:
            return self._read(x, y, size)

    def _read(self, x: int, y: int, size: Size) -> Pixels:
        turn = self._turn
        if turn is None:
            return self._stored(x - self.base.at[0], y - self.base.at[1], size)
        across, down = (x, size.width), (y, size.height)
        if turn.swapped:
            across, down = down, across
        stored = self.base.size
        left = stored.width - sum(across) if turn.right else across[0]
        top = stored.height - sum(down) if turn.bottom else down[0]
        return turn.by(self._stored(left, top, Size(across[1], down[1])))

    def close(self) -> None:
        self._raw.close()

    def _turned(self, size: Size) -> Size:
        return Size(*reversed(size)) if self._turn and self._turn.swapped else size

    def _stored(self, x: int, y: int, size: Size) -> Pixels:
        width, height = self.base.tile_size
        columns, rows = self.base.around(x, y, size)
        places = [(column, row) for row in rows for column in columns]
        # One after the other where they are large: four of them would fill the memory.
        held = {} if self._is_large else {place: self._tile(*place) for place in places}
        end = min(columns.stop * width, self.base.size.width)
        bottom = min(rows.stop * height, self.base.size.height)
        is_covered = min(x, y) >= 0 and end >= x + size.width and bottom >= y + size.height
        is_whole = is_covered and bool(held) and all(tile is not None for tile in held.values())
        if is_whole:
            region = np.empty((size.height, size.width, 3), np.uint8)
        else:
            region = np.zeros((size.height, size.width, 4), np.uint8)
        for column, row in places:
            tile = self._tile(column, row) if self._is_large else held[column, row]
            if tile is not None:
                _paste(tile, region, column * width - x, row * height - y)
        return region

    def _decoded(self, column: int, row: int) -> Pixels | None:
        """The tile as far as it is of the picture, RGB; None where the slide has left it out."""
        planes = []
        for plane in range(self.base.planes):
            samples = self._samples(column, row, plane)
            if samples is None:
                return None
            planes.append(samples)
        pixels = planes[0] if len(planes) == 1 else np.dstack([plane[..., 0] for plane in planes])
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        return 255 - pixels if self._is_negative else pixels

    def _samples(self, column: int, row: int, plane: int) -> Pixels | None:
        data = self._raw.tile(column, row, plane)
        for _ in range(MOST_READS):
            if data is None:
                return None
            try:
                return self._pixels(data, column, row, plane)
            except openslide.OpenSlideError:
                before, data = data, self._raw.tile(column, row, plane)
                if data == before:  # damaged is only what was read twice
                    raise
        raise self._raw.unsteady(column, row)

    def _pixels(self, data: bytes, column: int, row: int, plane: int) -> Pixels:
        base = self.base
        tile, size = base.tile_size, base.size
        try:
            pixels: Pixels
            if base.compression == JPEG:
                stream = standalone(data, base.tables, base.is_rgb)
                pixels = simplejpeg.decode_jpeg(stream, "RGB", False, False)
            else:
                pixels = base.decoded(data, self._raw.index(column, row, plane))
        except Unspliceable as exc:
            raise UnreadKind(exc.reason) from exc
        except StreamError as exc:
            raise openslide.OpenSlideError(exc.reason) from exc
        except ValueError as exc:
            raise openslide.OpenSlideError(str(exc)) from exc
        inside = Size(
            min(tile.width, size.width - column * tile.width),
            min(tile.height, size.height - row * tile.height),
        )
        height, width = pixels.shape[:2]
        # At the edge, it may end with the picture, or anywhere between that and the tile's size.
        if not (inside.width <= width <= tile.width and inside.height <= height <= tile.height):
            raise openslide.OpenSlideError(
                f"{width} x {height} px where the slide's tiles are {tile.width} x {tile.height}"
            )
        return pixels[: inside.height, : inside.width]


def tiff_tiles(base: TiffBase, canvas: Size | None = None) -> NativeTiles:
    """The base level of a TIFF, with what its tags say."""
    page = base.page
    levels = tuple(other.size for other in base.pages if is_level(other, page))
    properties: dict[str, str] = {}
    if base.tiled:  # as OpenSlide has them of a TIFF that is nobody's own
        tile = base.tile_size._asdict().items()
        sides = {f"openslide.level[0].tile-{side}": str(length) for side, length in tile}
        properties = {**base.said, **sides}
    facts = Facts(
        properties,
        levels,
        base.icc_profile,
        page.orientation,
        is_negative=page.photometric == WHITE_IS_ZERO,
        canvas=canvas,
    )
    return NativeTiles(base, facts)


def dicom_tiles(base: DicomBase) -> NativeTiles:
    """The base level of a DICOM series, with what its instances say."""
    return NativeTiles(
        base, Facts(base.properties, base.levels, base.icc_profile, associated=base.associated)
    )


def _paste(tile: Pixels, region: Pixels, x: int, y: int) -> None:
    """Copies the tile, RGB, to (x, y) of the region, as far as it is inside."""
    height, width = tile.shape[:2]
    rows = slice(max(y, 0), min(y + height, region.shape[0]))
    columns = slice(max(x, 0), min(x + width, region.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return  # it meets what the last tile of a row has beyond the picture
    part = tile[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    region[rows, columns, :3] = part
    region[rows, columns, 3:] = 255


def unreadable(base: StoredLevel) -> str | None:
    """Why the JPEG data are of a kind that is not read, by three tiles; None where one of them is
    read, or damaged."""
    refusal = None
    for tile in probes(base):
        try:
            simplejpeg.decode_jpeg_header(standalone(tile, base.tables, rgb=False))
        except Unspliceable as exc:
            refusal = refusal or (
                f"its JPEG data are of a kind that is not read ({exc.reason}); save it as RGB or "
                "gray with 8 bits a channel first"
            )
        except ValueError as exc:
            if "subsampling" not in str(exc):
                return None
            refusal = refusal or (
                "the sampling factors of its JPEG data are of a kind that is not read; save it "
                "with 4:2:0, 4:2:2 or 4:4:4 first"
            )
        except StreamError:
            return None  # what to do about damage is not for here to say
        else:
            return None
    return refusal


def false_colours(path: Path, base: TiffBase) -> str | None:
    """Why a reader that takes the TIFF's word for the JPEG data's colours errs; None where no tile
    is of other ones. Raises SlideError.

    Looked at are all tiles of the base, and of the pages that are no smaller level of it: a slide
    may be of several areas, a page each.
    """
    areas = [
        number
        for number, page in enumerate(base.pages)
        if page.tile and page.compression_name == JPEG and not is_level(page, base.page)
    ]
    for number in areas:
        area = tiff_base(path, itemgetter(number))
        assert area
        check_tiles(path, area.tile_size)
        if _has_false_colours(area):
            return (
                "its JPEG data, or some of them, are not of the colours that its tags state "
                f"({area.photometric}), and OpenSlide would show them in false ones; export it anew"
            )
    return None


def _has_false_colours(area: TiffBase) -> bool:
    with closing(RawTiles(area)) as raw:
        for header in raw.headers(has_header):
            with contextlib.suppress(StreamError):  # OpenSlide does not decode it, either
                if contradicts(header, area.is_rgb):
                    return True
    return False
