"""Tiles of a TIFF that are no JPEG, decoded by tifffile and imagecodecs.

The bytes come from outside. imagecodecs is told how many bytes a tile has, and stops there; of the
compressions that state a size of their own, that is read first, and must be the tile's.

LZW is decoded by libtiff, which imagecodecs has too: 1.5 times as fast as its own decoder. Of the
slide, libtiff sees such a tile's codes only, as the one strip of a TIFF that is written here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from vsv_pyramid.errors import StreamError
from vsv_pyramid.jpeg.markers import segments
from vsv_pyramid.jpeg.planes import Pixels

Codec = Callable[[bytes, int], Pixels]
_Shape = tuple[int, int, int]
DicomCodec = Callable[[bytes, _Shape, bool], Pixels]
_Size = tuple[int, int]

LZW = 5
PREDICTED = (LZW, 8, 32946, 34925, 50000)  # and deflate twice, LZMA, Zstandard: what has Predictors
APERIO_YCBCR = 33003  # JPEG 2000 in YCbCr, whatever the photometric tag says

_SIZ = re.compile(rb"\xff\x4f\xff\x51.{4}(.{16})", re.DOTALL)  # ITU-T T.800, A.5.1
_COMPONENTS = 40  # where their number is, from the codestream's start
_JP2 = b"\0\0\0\x0cjP  "  # before a codestream in boxes (I.5.1)
_STRIP_AT = 8 + 2 + 7 * 12 + 4
_COD, _SOT = 0xFF52, 0xFF90
_JPEG_LS = 0xF7  # its frame, in ITU-T T.87
_JXL_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def _jpeg_2000(data: bytes) -> _Size | None:
    siz = _SIZ.match(data, _codestream_at(data))
    if siz is None:
        return None
    right, bottom, left, top = struct.unpack(">4I", siz[1])
    return (right - left, bottom - top) if states_jpeg_2000_of_8_bits(data) else None


def states_jpeg_2000_of_8_bits(data: bytes) -> bool:
    """Whether all components are of 8 bits, unsigned, as its SIZ says (A.5.1); decoders make 8 bits
    of any depth."""
    at = _codestream_at(data) + _COMPONENTS
    count = int.from_bytes(data[at : at + 2], "big")
    depths = data[at + 2 : at + 2 + 3 * count : 3]
    return len(depths) == count > 0 and set(depths) == {7}


def is_jpeg_2000_ycbcr(data: bytes) -> bool:
    """Whether Aperio's tag for YCbCr samples can be right: a stream whose colours were transformed
    for coding (its COD says so, A.6.1) had R, G and B, which decoders make of it again."""
    at = _codestream_at(data) + 2
    while at + 9 <= len(data):
        marker, length = struct.unpack_from(">2H", data, at)
        if marker == _COD:
            return data[at + 8] == 0
        if marker == _SOT:
            break
        at += 2 + length
    return True


def _codestream_at(data: bytes) -> int:
    """Where the codestream begins, as a decoder finds it (I.4); the end where boxes have none. What
    looks like one in another box is none."""
    if not data.startswith(_JP2):
        return 0
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 16 if length == 1 else 8
        if kind == b"jp2c":
            return at + header
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if length < header:
            break
        at += length
    return len(data)


def _webp(data: bytes) -> _Size | None:
    """As in RFC 9649: simple, lossless and extended files."""
    kind, at = data[12:16], data[20:30]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(at) < 10:
        return None
    if kind == b"VP8 ":
        width, height = struct.unpack("<2H", at[6:])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(at[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(at[4:7], "little") + 1, int.from_bytes(at[7:10], "little") + 1
    return None


def _jpeg_xl(data: bytes) -> _Size | None:
    """As in ISO/IEC 18181-1 (SizeHeader, ImageMetadata), of a bare codestream of 8 bits."""
    if data[:2] != b"\xff\x0a":
        return None
    bits = int.from_bytes(data[2:14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & (1 << count) - 1, bits >> count
        return value

    is_small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = _JXL_RATIOS[take(3)]
    width = height * ratio[0] // ratio[1] if ratio else side()
    if not take(1):  # else all is as usual
        if take(1):
            take(3)  # orientation
            if take(3):  # another size to show, a preview, an animation
                return None
        if take(1) or take(2):  # floating-point samples, or other depths
            return None
    return width, height


def _jpeg_ls(data: bytes) -> _Size | None:
    """As in ITU-T T.87. Raises StreamError."""
    for code, body, _ in segments(data):
        if code == _JPEG_LS and len(body) >= 5 and body[0] == 8:
            height, width = struct.unpack_from(">2H", body, 1)
            return width, height
    return None


# By the Compression tag: the size that a tile states, None where it states none.
SIZES: dict[int, Callable[[bytes], _Size | None] | None] = {
    1: None,
    LZW: None,
    8: None,  # deflate, by two numbers
    32946: None,
    32773: None,  # PackBits
    50000: None,  # Zstandard
    APERIO_YCBCR: _jpeg_2000,
    33005: _jpeg_2000,  # Aperio's RGB
    34712: _jpeg_2000,
    50001: _webp,
    50002: _jpeg_xl,
}


def codec(page: Any) -> Codec:
    """What decodes the tiles of a tifffile.TiffPage into (rows, columns, samples)."""
    stated_size = SIZES.get(int(page.compression))
    as_libtiff_does(page)
    samples = 1 if page.planarconfig == 2 else int(page.samplesperpixel)
    lzw = _lzw(page, samples) if page.compression == LZW else None

    def decoded(data: bytes, index: int) -> Pixels:
        if stated_size and stated_size(data) not in _sizes(page, index):
            raise StreamError(f"no {page.compression.name} tile of the slide's size, with 8 bits")
        try:
            # tifffile's own looks into the file for its first tile when it is asked for.
            pixels, *_ = (lzw or page.decode)(data, index)
        except Exception as exc:  # whatever tifffile and the codecs raise
            raise StreamError(str(exc)) from exc
        result: Pixels = pixels[0]
        if result.dtype != np.uint8 or result.shape[2] != samples:
            raise StreamError(f"no {page.compression.name} tile of {samples} samples with 8 bits")
        if int(page.compression) == APERIO_YCBCR and is_jpeg_2000_ycbcr(data):
            result = np.asarray(Image.fromarray(result, "YCbCr").convert("RGB"))
        return result

    return decoded


def _lzw(page: Any, samples: int) -> Callable[[bytes, int], tuple[Pixels]]:
    """Decodes as the page's own decode does, of tiles that have 8 bits a sample."""
    shape = (1, int(page.tilelength), int(page.tilewidth), samples)
    has_differences = page.predictor == 2

    def decode(data: bytes, _: int) -> tuple[Pixels]:
        import imagecodecs

        size = shape[1] * shape[2] * samples
        tags = (
            (256, size),  # one row
            (257, 1),
            (258, 8),
            (259, LZW),
            (262, 1),  # gray
            (273, _STRIP_AT),
            (279, len(data)),
        )
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        header = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
        pixels = imagecodecs.tiff_decode(b"".join((header, entries, bytes(4), data))).reshape(shape)
        if has_differences:
            imagecodecs.delta_decode(pixels, axis=2, out=pixels)
        return (pixels,)

    return decode


def as_libtiff_does(page: Any) -> None:
    """Has tifffile take no notice of a Predictor that the compression knows nothing of."""
    if int(page.compression) not in PREDICTED:
        page.predictor = 1


def _bare(data: bytes, shape: _Shape, is_planar: bool) -> Pixels:
    flat = np.frombuffer(data, np.uint8, count=shape[0] * shape[1] * shape[2])
    return _of_planes(flat, shape) if is_planar else flat.reshape(shape)


def _rle(data: bytes, shape: _Shape, _: bool) -> Pixels:
    """PackBits, plane by plane whatever the series says (PS3.5, annex G)."""
    import imagecodecs

    samples = shape[0] * shape[1] * shape[2]
    try:
        flat = np.frombuffer(imagecodecs.dicomrle_decode(data, "|u1", out=samples), np.uint8)
    except Exception as exc:  # whatever the codec raises
        raise StreamError(str(exc)) from exc
    if flat.size != samples:
        raise StreamError("a frame with fewer samples than the series states")
    return _of_planes(flat, shape)


def _of_planes(flat: Pixels, shape: _Shape) -> Pixels:
    return np.moveaxis(flat.reshape(shape[2], *shape[:2]), 0, 2)


def _codestream(decoder: str, stated: Callable[[bytes], _Size | None]) -> DicomCodec:
    def decode(data: bytes, shape: _Shape, _: bool) -> Pixels:
        import imagecodecs  # late: only what is no JPEG needs it

        if stated(data) != (shape[1], shape[0]):
            raise StreamError("a frame of another size or depth than the series states")
        try:
            pixels: Pixels = getattr(imagecodecs, decoder)(data)
        except Exception as exc:  # whatever the codec raises
            raise StreamError(str(exc)) from exc
        return pixels

    return decode


# Transfer syntaxes without compression: little-endian, implicit and explicit.
BARE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
JPEG_2000 = _codestream("jpeg2k_decode", _jpeg_2000)
# By the transfer syntax: what makes samples of a frame of (rows, columns, samples).
DICOM_CODECS: dict[str, DicomCodec] = {
    **dict.fromkeys(BARE, _bare),
    "1.2.840.10008.1.2.5": _rle,
    **dict.fromkeys(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"), JPEG_2000),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)), JPEG_2000),
    **dict.fromkeys(
        ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"), _codestream("jpegls_decode", _jpeg_ls)
    ),
    **dict.fromkeys(
        ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.112"),
        _codestream("jpegxl_decode", _jpeg_xl),
    ),
}


def _sizes(page: Any, index: int) -> tuple[_Size, _Size]:
    """What a tile may be: whole, or as much of one as is of the picture."""
    width, height = int(page.tilewidth), int(page.tilelength)
    columns = -(-int(page.imagewidth) // width)
    rows = -(-int(page.imagelength) // height)
    row, column = divmod(index % (columns * rows), columns)
    right = min(width, int(page.imagewidth) - column * width)
    return (width, height), (right, min(height, int(page.imagelength) - row * height))
