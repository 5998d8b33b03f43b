"""The base level of a TIFF of JPEG tiles or strips, decoded from its own bytes.

OpenSlide and libvips take the TIFF's word on colour where the stream's own is the other one, and
turn each tile in its place where the picture is to be turned; OpenSlide 4.0.1 reads no classic TIFF
of big-endian order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import openslide
import simplejpeg
from PIL import Image

from vsv_pyramid.containers.pages import JPEG, RGB, is_level
from vsv_pyramid.containers.raw import MOST_READS, RawTiles, probes
from vsv_pyramid.containers.tiff import TiffBase, tiff_base
from vsv_pyramid.errors import StreamError, Unspliceable
from vsv_pyramid.jpeg.colour import contradicts, has_header, standalone
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.samples import WHITE_IS_ZERO

_CACHE_BYTES = 1 << 25
_CACHED = range(4, 1024)  # tiles


class _Turn(NamedTuple):
    """How the stored picture becomes the one to show: `by`; which in stored px begins at the
    `right`, at the `bottom`, and with x and y `swapped`."""

    by: Image.Transpose
    swapped: bool
    right: bool
    bottom: bool


# The Orientation tag (TIFF 6.0, page 36).
_TURNS = {
    2: _Turn(Image.Transpose.FLIP_LEFT_RIGHT, False, True, False),
    3: _Turn(Image.Transpose.ROTATE_180, False, True, True),
    4: _Turn(Image.Transpose.FLIP_TOP_BOTTOM, False, False, True),
    5: _Turn(Image.Transpose.TRANSPOSE, True, False, False),
    6: _Turn(Image.Transpose.ROTATE_270, True, False, True),
    7: _Turn(Image.Transpose.TRANSVERSE, True, True, True),
    8: _Turn(Image.Transpose.ROTATE_90, True, True, False),
}


class UnreadKind(openslide.OpenSlideError):
    """Of a tile that may be sound, but whose kind of JPEG is not read."""


class JpegTiles:
    """The base level's pixels. `read` is safe from several threads."""

    name = "simplejpeg"

    def __init__(self, path: Path, base: TiffBase) -> None:
        self._base = base
        self._raw = RawTiles(path, base)
        self._turn = _TURNS.get(base.page.orientation)
        bytes_each = base.tile_size.pixels * 3
        count = min(max(_CACHE_BYTES // bytes_each, _CACHED.start), _CACHED.stop)
        self._tile = lru_cache(maxsize=count)(self._decoded)
        self.size = self._turned(base.size)
        self.properties: Mapping[str, str] = self._properties()
        self.icc_profile = base.icc_profile

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        page = self._base.page
        levels = (other.size for other in self._base.pages if is_level(other, page))
        return (self.size, *sorted(map(self._turned, levels), reverse=True))

    @property
    def associated_sizes(self) -> Mapping[str, Size]:
        return {}

    def associated(self, name: str) -> Image.Image:
        raise KeyError(name)

    def read(self, x: int, y: int, size: Size) -> Image.Image:
        """The region as RGBA, transparent where the slide has left out a tile, or ends.

        Raises openslide.OpenSlideError where a tile cannot be decoded, and SlideError where it
        cannot be read.
        """
        turn = self._turn
        if turn is None:
            return self._stored(x, y, size)
        across, down = (x, size.width), (y, size.height)
        if turn.swapped:
            across, down = down, across
        stored = self._base.size
        left = stored.width - sum(across) if turn.right else across[0]
        top = stored.height - sum(down) if turn.bottom else down[0]
        return self._stored(left, top, Size(across[1], down[1])).transpose(turn.by)

    def close(self) -> None:
        self._raw.close()

    def _turned(self, size: Size) -> Size:
        return Size(*reversed(size)) if self._turn and self._turn.swapped else size

    def _properties(self) -> dict[str, str]:
        """As OpenSlide has them of a TIFF that is nobody's own; of one in strips, none."""
        if not self._base.tiled:
            return {}
        tile = {
            f"openslide.level[0].tile-{side}": str(length)
            for side, length in self._base.tile_size._asdict().items()
        }
        return {"openslide.vendor": "generic-tiff", **tile, **self._base.tags}

    def _stored(self, x: int, y: int, size: Size) -> Image.Image:
        tile = self._base.tile_size
        region = Image.new("RGBA", size, (0, 0, 0, 0))
        columns, rows = self._base.around(x, y, size)
        for row in rows:
            for column in columns:
                if pixels := self._tile(column, row):
                    region.paste(pixels, (column * tile.width - x, row * tile.height - y))
        return region

    def _decoded(self, column: int, row: int) -> Image.Image | None:
        """The tile as far as it is of the picture, RGB; None where the slide has left it out."""
        planes = []
        for plane in range(self._base.planes):
            samples = self._samples(column, row, plane)
            if samples is None:
                return None
            planes.append(samples)
        pixels = planes[0] if len(planes) == 1 else np.dstack([plane[..., 0] for plane in planes])
        if self._base.page.photometric == WHITE_IS_ZERO:
            pixels = 255 - pixels
        return Image.fromarray(pixels)

    def _samples(self, column: int, row: int, plane: int) -> npt.NDArray[np.uint8] | None:
        data = self._raw.tile(column, row, plane)
        for _ in range(MOST_READS):
            if data is None:
                return None
            try:
                return self._pixels(data, column, row)
            except openslide.OpenSlideError:
                before, data = data, self._raw.tile(column, row, plane)
                if data == before:  # damaged is only what was read twice
                    raise
        raise self._raw.unsteady(column, row)

    def _pixels(self, data: bytes, column: int, row: int) -> npt.NDArray[np.uint8]:
        tile, size, page = self._base.tile_size, self._base.size, self._base.page
        try:
            stream = standalone(data, self._base.tables, page.photometric == RGB)
            pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(stream, "RGB", False, False)
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


def unreadable(path: Path, base: TiffBase) -> str | None:
    """Why the JPEG data are of a kind that is not read, by three tiles; None where one of them is
    read, or damaged."""
    refusal = None
    for tile in probes(path, base):
        try:
            standalone(tile, base.tables, rgb=False)
        except Unspliceable as exc:
            refusal = refusal or (
                f"its JPEG data are of a kind that is not read ({exc.reason}); save it as RGB or "
                "gray with 8 bits a channel first"
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
        if page.tile and page.compression == JPEG and not is_level(page, base.page)
    ]
    for number in areas:
        area = tiff_base(path, itemgetter(number))
        if area and _has_false_colours(path, area):
            return (
                "its JPEG data, or some of them, are not of the colours that its tags state "
                f"({area.photometric}), and OpenSlide would show them in false ones; export it anew"
            )
    return None


def _has_false_colours(path: Path, area: TiffBase) -> bool:
    stated = area.page.photometric == RGB
    with closing(RawTiles(path, area)) as raw:
        for header in raw.headers(has_header):
            with contextlib.suppress(StreamError):  # OpenSlide does not decode it, either
                if contradicts(header, stated):
                    return True
    return False
