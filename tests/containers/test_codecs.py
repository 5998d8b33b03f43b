"""The size that a codestream states, found where a decoder finds it, not where a liar puts it."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from vsv_pyramid.containers.codecs import SIZES
from vsv_pyramid.containers.codecs import _jpeg_ls as jpeg_ls
from vsv_pyramid.errors import StreamError

PICTURE = (np.arange(48 * 80 * 3) % 251).astype(np.uint8).reshape(48, 80, 3)
JPEG_2000, WEBP, JPEG_XL = (SIZES[number] for number in (34712, 50001, 50002))


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def siz(width: int, height: int) -> bytes:
    return b"\xff\x4f\xff\x51" + struct.pack(">2H4I", 47, 0, width, height, 0, 0)


@pytest.mark.parametrize("codecformat", ["jp2", "j2k"])
def test_jpeg_2000(codecformat: str) -> None:
    assert JPEG_2000
    data = bytes(imagecodecs.jpeg2k_encode(PICTURE, level=0, codecformat=codecformat))
    assert JPEG_2000(data) == (80, 48)


def test_a_codestream_in_another_box_is_none() -> None:
    assert JPEG_2000
    data = bytes(imagecodecs.jpeg2k_encode(PICTURE, level=0, codecformat="jp2"))
    lying = data[:12] + box(b"uuid", siz(9, 9)) + data[12:]
    assert JPEG_2000(lying) == (80, 48)
    far = data[:12] + box(b"free", bytes(1 << 17)) + data[12:]
    assert JPEG_2000(far) == (80, 48)
    for cut in 0, 3, 12, 20, data.index(b"jp2c") + 6:
        assert JPEG_2000(data[:cut]) is None
    assert JPEG_2000(data[:12] + bytes(100)) is None  # a box of no length
    assert JPEG_2000(b"x" + siz(80, 48)) is None


def test_jpeg_ls() -> None:
    data = bytes(imagecodecs.jpegls_encode(PICTURE))
    assert jpeg_ls(data) == (80, 48)
    comment = b"\xff\xfe" + struct.pack(">H", 13) + b"\xff\xf7" + bytes(9)
    assert jpeg_ls(data[:2] + comment + data[2:]) == (80, 48)
    with pytest.raises(StreamError):
        jpeg_ls(b"nothing")


@pytest.mark.parametrize("shape", [(48, 80), (64, 64), (1, 1), (8, 256), (300, 400), (255, 257)])
def test_webp_and_jpeg_xl(shape: tuple[int, int]) -> None:
    assert WEBP and JPEG_XL
    picture = np.zeros((*shape, 3), np.uint8)
    expected = shape[::-1]
    assert JPEG_XL(bytes(imagecodecs.jpegxl_encode(picture, lossless=True))) == expected
    for lossless in True, False:
        assert WEBP(bytes(imagecodecs.webp_encode(picture, lossless=lossless))) == expected
    with_alpha = np.zeros((*shape, 4), np.uint8)
    assert WEBP(bytes(imagecodecs.webp_encode(with_alpha, lossless=False))) == expected
    assert WEBP(b"RIFF") is JPEG_XL(b"RIFF") is None
