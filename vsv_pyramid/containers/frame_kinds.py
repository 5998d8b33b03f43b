"""How a DICOM picture's frames are stored, by its elements: what makes RGB of them, or why nothing
here does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from PIL import Image

from vsv_pyramid.containers.codecs import DICOM_CODECS, JPEG_2000, is_jpeg_2000_ycbcr
from vsv_pyramid.containers.instances import Instance
from vsv_pyramid.errors import StreamError
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size

JPEGS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # baseline and extended
_MOST_PIXELS = 1 << 26  # of a frame
_MOST_TILES = 1 << 22  # 275 gigapixels in tiles of 256 px: any more would fill the memory
_TINY, _MOST_TINY = 32 * 32, 1 << 16  # px of a frame that no scanner makes, and how many of these
_YCBCR = ("YBR_FULL", "YBR_FULL_422")
TRANSFORMED = ("YBR_ICT", "YBR_RCT")  # by JPEG 2000, whose decoders make R, G and B of it again
_COLOURS = ("RGB", *_YCBCR, *TRANSFORMED)
_XYB, _JPEG_XL = "XYB", ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.112")  # likewise
_SAMPLES = {
    "SamplesPerPixel": (3,),
    "BitsAllocated": (8,),
    "BitsStored": (8,),
    "HighBit": (7,),
    "PixelRepresentation": (0,),  # unsigned
    "PlanarConfiguration": (0, 1),
}
_SHAPE = (
    *("Rows", "Columns", "TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
    *("PhotometricInterpretation", "DimensionOrganizationType"),
)


def obstacle(part: Instance, tile: Size, grid: Size) -> str | None:
    """Why the picture is not read, with what to do; None where it is."""
    said, is_jpeg = part.elements, part.syntax in JPEGS
    for name, read in _SAMPLES.items():
        if (found := said.get(name, read[0])) not in read:
            is_found = found if isinstance(found, int) else "no number"
            others = " or ".join(map(str, read))
            return (
                f"its {name} is {is_found}, where it is {others} of slides that are read; export "
                "it anew, in colours of 8 bits"
            )
    if not is_jpeg and part.syntax not in DICOM_CODECS:
        return f"its frames are {_named(part.syntax)}, which is not read; export it anew, as JPEG"
    colours = str(said.PhotometricInterpretation)
    is_read = colours in _COLOURS or (colours == _XYB and part.syntax in _JPEG_XL)
    if not is_read or (colours == "YBR_FULL_422" and not is_jpeg):
        return (
            f"its PhotometricInterpretation is {colours or 'empty'}, which is not read of frames "
            f"that are {_named(part.syntax)}; export it anew, as RGB"
        )
    if not 0 < tile.pixels <= _MOST_PIXELS:
        width, height = tile
        return f"its frames of {width} x {height} px are too large; export it with smaller ones"
    if grid.pixels > (_MOST_TINY if tile.pixels < _TINY else _MOST_TILES):
        return f"it has {grid.pixels:,} frames, which are too many; export it with larger ones"
    return None


def _named(syntax: str) -> str:
    from pydicom.uid import UID

    return UID(syntax).name


def are_alike(parts: Sequence[Instance]) -> bool:
    """Whether their frames are stored in one way, and of one picture."""
    said = [
        (part.syntax, *(part.elements.get(name) for name in (*_SAMPLES, *_SHAPE))) for part in parts
    ]
    return all(other == said[0] for other in said)


def are_layers(said: Any, frames: int, grid: Size) -> bool:
    """Whether the frames are of as many planes and paths as it says, and not of another grid."""
    layers = [said.get(name) for name in ("TotalPixelMatrixFocalPlanes", "NumberOfOpticalPaths")]
    if None in layers:
        return frames % grid.pixels == 0
    return frames <= grid.pixels * prod(max(1, int(number)) for number in layers)


def decoder(part: Instance, tile: Size) -> Callable[[bytes], Pixels]:
    """What makes RGB of a frame that is no JPEG."""
    said = part.elements
    stated = str(said.PhotometricInterpretation)
    shape = (tile.height, tile.width, 3)
    is_planar = bool(said.get("PlanarConfiguration"))
    codec = DICOM_CODECS[part.syntax]

    def decode(data: bytes) -> Pixels:
        pixels = codec(data, shape, is_planar)
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise StreamError("a frame of another size or depth than the series states")
        is_coded_so = codec is not JPEG_2000 or is_jpeg_2000_ycbcr(data)
        if stated in TRANSFORMED and is_coded_so:
            raise StreamError(f"a frame whose colours are not coded as {stated}, which it states")
        if stated in _YCBCR and is_coded_so:
            return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
        return pixels

    return decode
