"""A slide's pixels by a second way, to judge by what the first one made: best, tifffile finds the
tiles and imagecodecs decodes them, and neither OpenSlide nor the kernel has a part in it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import openslide
import simplejpeg
import tifffile
from PIL import Image

from vsv_pyramid.containers.codecs import APERIO_YCBCR, as_libtiff_does, is_jpeg_2000_ycbcr
from vsv_pyramid.containers.dicom import DicomBase
from vsv_pyramid.containers.pages import JPEG, RGB
from vsv_pyramid.containers.raw import JPEG as JPEG_TILES
from vsv_pyramid.containers.raw import RawTiles, StoredLevel
from vsv_pyramid.containers.reading import naming, opened, read_exactly
from vsv_pyramid.containers.tiff import TiffBase
from vsv_pyramid.errors import SlideError, StreamError, TileError
from vsv_pyramid.jpeg.colour import contradicts
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.handles import OpenSlideReader
from vsv_pyramid.slide.pixels import Reader, Slide
from vsv_pyramid.slide.samples import YCBCR
from vsv_pyramid.slide.tiles import IMAGECODECS

# Slides of other makers have tiles that overlap, or lie elsewhere than the TIFF has them.
_VENDORS = ("aperio", "generic-tiff")
_CODECS = (1, 5, 7, 8, 32946, APERIO_YCBCR, 33005)
_TOP_LEFT = 1
_COLOURS = (RGB, YCBCR)


class Reference:
    """The base level of a tiled TIFF. Not safe from several threads."""

    name = "tifffile and imagecodecs"

    def __init__(self, slide: Slide, tiff: tifffile.TiffFile, file: BinaryIO, page: Any) -> None:
        self._path = slide.path
        self._tiff = tiff
        self._file = file
        self._page = page
        as_libtiff_does(page)

    def close(self) -> None:
        self._tiff.close()
        self._file.close()

    def read(self, x: int, y: int, size: Size) -> Pixels:
        """The region at (x, y) of level 0, in slide px, of `size`, as RGBA; what the slide
        has left out is transparent. Raises TileError where it cannot be decoded, and
        SlideAccessError."""
        page = self._page
        width, height = page.tilewidth, page.tilelength
        region = Image.new("RGBA", size)
        for row in range(y // height, -(-(y + size.height) // height)):
            for column in range(x // width, -(-(x + size.width) // width)):
                if tile := self._tile(column, row):
                    region.paste(tile, (column * width - x, row * height - y))
        return np.asarray(region)

    def _tile(self, column: int, row: int) -> Image.Image | None:
        page = self._page
        index = row * -(-page.imagewidth // page.tilewidth) + column
        count = page.databytecounts[index]
        if not count:
            return None
        with naming(self._path):
            data = read_exactly(self._file, self._path, page.dataoffsets[index], count)
        try:
            return Image.fromarray(self._decoded(data, index))
        except Exception as exc:  # whatever the codecs raise
            what = (
                f"its tile at column {column}, row {row} cannot be decoded ({exc}); scan it again"
            )
            raise TileError(self._path, what) from exc

    def _decoded(self, data: bytes, index: int) -> npt.NDArray[np.uint8]:
        page = self._page
        if page.compression == JPEG:
            return _jpeg(data, page.jpegtables, page.photometric == RGB)
        pixels: npt.NDArray[np.uint8] = page.decode(data, index)[0][0]
        if page.compression == APERIO_YCBCR and is_jpeg_2000_ycbcr(data):
            return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
        return pixels


class ByOpenSlide:
    """Tiles that were not read by OpenSlide, where it reads them right: it takes the TIFF's word on
    their colours."""

    name = "OpenSlide"

    def __init__(self, slide: Slide, base: StoredLevel, reader: Reader) -> None:
        self._path = slide.path
        self._base = base
        self._reader = reader
        self._is_its_own = reader is not slide.other
        self._raw = RawTiles(base)

    def close(self) -> None:
        self._raw.close()
        if self._is_its_own:
            self._reader.close()

    def read(self, x: int, y: int, size: Size) -> Pixels:
        """As `Reference.read`."""
        at = self._base.at
        try:
            tiles = self._raw.read(*self._base.around(x - at[0], y - at[1], size))
            if self._base.compression == JPEG_TILES and any(
                contradicts(tile, self._base.is_rgb) for tile in tiles if tile
            ):
                raise TileError(self._path, "is of other colours than its tags state")
            return self._reader.read(x, y, size)
        except (openslide.OpenSlideError, StreamError) as exc:
            raise TileError(self._path, f"cannot be decoded ({exc})") from exc


def by_openslide(slide: Slide) -> ByOpenSlide | None:
    """Another second way, to be closed; None where OpenSlide is the first, or does not read the
    slide right."""
    base = slide.stored
    reader = _of_series(slide, base) if isinstance(base, DicomBase) else slide.other
    if not isinstance(reader, OpenSlideReader):
        return None
    if isinstance(base, DicomBase):
        return ByOpenSlide(slide, base, reader)
    if not isinstance(base, TiffBase) or base.obstacle or base.page.photometric not in _COLOURS:
        return None
    return ByOpenSlide(slide, base, reader)


def _of_series(slide: Slide, base: DicomBase) -> OpenSlideReader | None:
    """OpenSlide's reader of a DICOM series. It takes DICOM's word on the colours of JPEG frames,
    whatever they say themselves, and knows no concatenations; of several planes or optical paths it
    shows which one comes first in each place. It opens whatever is in the folder, pipes, too."""
    beside = slide.path.parent.iterdir()
    if len(base.files) > 1 or base.fragments or base.left_out:
        return None
    if not all(place.is_file() or place.is_dir() for place in beside):
        return None
    with suppress(SlideError):
        reader = OpenSlideReader(slide.path, "dicom", None)
        if reader.size == slide.size:
            return reader
        reader.close()
    return None


def reference(slide: Slide) -> Reference | None:
    """The slide's second way, to be closed; None where there is none: it is the first, or the slide
    is none of the TIFFs that it surely reads right. Raises SlideAccessError."""
    number = slide.tiff.page.number if slide.tiff else None
    if number is None or slide.metadata.vendor not in _VENDORS:
        return None
    if slide.reader == IMAGECODECS and slide.other:  # which is a second way, and this is the first
        return None
    file = opened(slide.path)
    try:
        tiff = tifffile.TiffFile(slide.path)
    except (tifffile.TiffFileError, OSError):
        file.close()
        return None
    page: Any = tiff.pages[number].aspage()
    if _is_plain(page) and (page.imagewidth, page.imagelength) == slide.size:
        return Reference(slide, tiff, file, page)
    tiff.close()
    file.close()
    return None


def _is_plain(page: Any) -> bool:
    """Whether there is nothing about the page but three samples of 8 bits in tiles."""
    orientation = page.tags.valueof("Orientation", _TOP_LEFT)
    colours = _COLOURS if page.compression == JPEG else (RGB,)
    return bool(
        page.is_tiled
        and page.compression in _CODECS
        and page.photometric in colours
        and (page.samplesperpixel, page.bitspersample, page.planarconfig) == (3, 8, 1)
        and (page.fillorder, orientation, page.imagedepth) == (1, _TOP_LEFT, 1)
    )


def _jpeg(data: bytes, tables: bytes | None, tag_says_rgb: bool) -> npt.NDArray[np.uint8]:
    """The stream as RGB. It says itself what it holds: JFIF and Adobe's marker as libjpeg has them,
    then the subsampling, then the names of the components; only where it does not, the tag does."""
    import imagecodecs

    *_, colours, subsampling = simplejpeg.decode_jpeg_header(data)
    head = data[: data.find(b"\xff\xda")]
    colorspace = None
    if b"JFIF\0" not in head and b"Adobe" not in head:
        is_rgb = subsampling == "444" and (tag_says_rgb or colours == "RGB")
        colorspace = "RGB" if is_rgb else "YCBCR"
    pixels: npt.NDArray[np.uint8] = imagecodecs.jpeg_decode(
        data, tables=tables, colorspace=colorspace, outcolorspace="RGB"
    )
    return pixels
