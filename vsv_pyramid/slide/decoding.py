"""Pixels of plain images. Pillow reads what their headers say, in Python; PNG and most JPEG are
decoded by others, since Pillow-SIMD is not repaired as soon as Pillow is.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np
import simplejpeg
from PIL import Image

from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.slide.signatures import HEAD

# All others are nobody's slides, and Pillow has another program read some of them.
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "GIF", "SGI", "WEBP", "JPEG2000", "AVIF")
_TIFF = ("TIFF",)
_MOST_BYTES = 16  # a pixel, as no file that is compressed has them
_GRAY_OR_RGB = {"L": "GRAY", "RGB": "RGB"}


def opened(file: BinaryIO, *, is_tiff: bool) -> Image.Image:
    """What the headers say. Raises as PIL.Image.open does."""
    Image.init()
    formats = _TIFF if is_tiff else tuple(name for name in _FORMATS if name in Image.OPEN)
    return Image.open(file, formats=formats)


def decoded(image: Image.Image, file: BinaryIO) -> Image.Image:
    """The opened image, of a mode that is read, with its pixels; itself, still to be decoded, where
    that is for Pillow to do. Raises OSError where it is damaged."""
    if image.format not in ("PNG", "JPEG", "MPO"):
        return image
    file.seek(0)
    data = file.read(HEAD + _MOST_BYTES * image.width * image.height)
    info = image.info
    try:
        if image.format == "PNG":
            info = _info(data)
            pixels = _png(data)
        elif image.mode in _GRAY_OR_RGB and _is_turbo(data):
            pixels = simplejpeg.decode_jpeg(data, _GRAY_OR_RGB[image.mode])
        else:
            return image
    except Exception as exc:  # whatever the codecs raise
        raise OSError(str(exc)) from exc
    if pixels.shape[1::-1] != image.size:
        raise OSError("another size than its header states")
    made = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    made.info = {key: value for key, value in info.items() if key != "transparency"}
    return made


def _is_turbo(data: bytes) -> bool:
    """Whether the chroma is subsampled in a way that libjpeg-turbo's own functions know."""
    try:
        simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return False
    return True


def _png(data: bytes) -> Pixels:
    """Of 16 bits the upper 8. Palettes are resolved, and what is transparent has an alpha."""
    import imagecodecs  # late: few slides need it

    pixels: Pixels = imagecodecs.png_decode(data)
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _info(png: bytes) -> dict[str | tuple[int, int], object]:
    """What all of the PNG's chunks say: of those behind the pixels, Pillow knows once it has
    decoded these."""
    before, pixels, at = [png[:8]], b"", 8
    while at + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        chunk = png[at : at + 12 + length]
        at += len(chunk)
        if name == b"IEND":  # what follows is no chunk
            break
        if name == b"IDAT":
            pixels = pixels or chunk
        elif name != b"fdAT" and not (pixels and name == b"fcTL"):
            before.append(chunk)
    with Image.open(io.BytesIO(b"".join([*before, pixels])), formats=("PNG",)) as image:
        return dict(image.info)
