"""A slide's pixels by a second way, to judge by what the first one made: tifffile finds the tiles,
imagecodecs decodes them. Neither OpenSlide nor the kernel has a part in it.
"""

from __future__ import annotations

import importlib.util
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import simplejpeg
import tifffile
from PIL import Image

from vsv_pyramid.errors import TileError
from vsv_pyramid.geometry import Size
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.reading import naming, opened, read_exactly

# Slides of other makers have tiles that overlap, or lie elsewhere than the TIFF has them.
_VENDORS = ("aperio", "generic-tiff")
_APERIO_YCBCR = 33003  # JPEG 2000 in YCbCr, whatever the photometric tag says
_CODECS = (1, 5, 7, 8, 32946, _APERIO_YCBCR, 33005)
_JPEG, _TOP_LEFT, _RGB, _YCBCR = 7, 1, 2, 6


class Reference:
    """The base level of a tiled TIFF. Not safe from several threads."""

    name = "tifffile and imagecodecs"

    def __init__(self, slide: Slide, tiff: tifffile.TiffFile, file: BinaryIO, page: Any) -> None:
        self._path = slide.path
        self._tiff = tiff
        self._file = file
        self._page = page

    def close(self) -> None:
        self._tiff.close()
        self._file.close()

    def read(self, x: int, y: int, size: Size) -> Image.Image:
        """The region at (x, y) of level 0, in slide px, as an RGBA image of `size`; what the slide
        has left out is transparent. Raises TileError where it cannot be decoded, and
        SlideAccessError."""
        page = self._page
        width, height = page.tilewidth, page.tilelength
        region = Image.new("RGBA", size)
        for row in range(y // height, -(-(y + size.height) // height)):
            for column in range(x // width, -(-(x + size.width) // width)):
                if tile := self._tile(column, row):
                    region.paste(tile, (column * width - x, row * height - y))
        return region

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
        if page.compression == _JPEG:
            return _jpeg(data, page.jpegtables, page.photometric == _RGB)
        pixels: npt.NDArray[np.uint8] = page.decode(data, index)[0][0]
        if page.compression == _APERIO_YCBCR:
            return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
        return pixels


def reference(slide: Slide) -> Reference | None:
    """The slide's second way, to be closed; None where there is none: imagecodecs is not there, or
    the slide is none of the TIFFs that it surely reads right. Raises SlideAccessError."""
    if slide.metadata.vendor not in _VENDORS or not importlib.util.find_spec("imagecodecs"):
        return None
    file = opened(slide.path)
    try:
        tiff = tifffile.TiffFile(slide.path)
    except (tifffile.TiffFileError, OSError):
        file.close()
        return None
    page: Any = tiff.pages.first
    if _is_plain(page) and (page.imagewidth, page.imagelength) == slide.size:
        return Reference(slide, tiff, file, page)
    tiff.close()
    file.close()
    return None


def _is_plain(page: Any) -> bool:
    """Whether there is nothing about the page but three samples of 8 bits in tiles."""
    orientation = page.tags.valueof("Orientation", _TOP_LEFT)
    colours = (_RGB, _YCBCR) if page.compression == _JPEG else (_RGB,)
    return bool(
        page.is_tiled
        and page.compression in _CODECS
        and page.photometric in colours
        and (page.samplesperpixel, page.bitspersample, page.planarconfig) == (3, 8, 1)
        and (page.fillorder, orientation, page.imagedepth) == (1, _TOP_LEFT, 1)
    )


def _jpeg(data: bytes, tables: bytes | None, tag_says_rgb: bool) -> npt.NDArray[np.uint8]:
    """The stream as RGB. It says itself what it holds, as libjpeg has it (JFIF, Adobe, the names of
    the components, the subsampling); only where it does not, the tag decides."""
    import imagecodecs

    *_, colours, subsampling = simplejpeg.decode_jpeg_header(data)
    head = data[: data.find(b"\xff\xda")]
    said = subsampling != "444" or colours == "RGB" or b"JFIF\0" in head or b"Adobe" in head
    colorspace = None if said or not tag_says_rgb else "RGB"
    pixels: npt.NDArray[np.uint8] = imagecodecs.jpeg_decode(
        data, tables=tables, colorspace=colorspace, outcolorspace="RGB"
    )
    return pixels
