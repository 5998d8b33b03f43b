"""The size that a codestream states, found where a decoder finds it, not where a liar puts it."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from tifffile import TiffFile, imwrite

from vsv_pyramid.containers.codecs import DICOM_CODECS, SIZES, Codec, codec, is_jpeg_2000_ycbcr
from vsv_pyramid.containers.codecs import JPEG_2000 as DICOM_JPEG_2000
from vsv_pyramid.containers.codecs import _jpeg_ls as jpeg_ls
from vsv_pyramid.errors import StreamError

PICTURE = (np.arange(48 * 80 * 3) % 251).astype(np.uint8).reshape(48, 80, 3)
RLE = DICOM_CODECS["1.2.840.10008.1.2.5"]
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


def test_a_box_may_have_a_long_length() -> None:
    assert JPEG_2000
    data = bytes(imagecodecs.jpeg2k_encode(PICTURE, level=0, codecformat="jp2"))
    free = struct.pack(">I4sQ", 1, b"free", 16 + 9) + bytes(9)
    at = data.index(b"jp2c") - 4
    last = struct.pack(">I4sQ", 1, b"jp2c", len(data) - at + 8) + data[at + 8 :]
    assert JPEG_2000(data[:at] + free + last) == (80, 48)


def test_whose_colours_were_transformed_is_no_ycbcr() -> None:
    transformed, plain = (
        bytes(imagecodecs.jpeg2k_encode(PICTURE, level=0, codecformat="j2k", mct=mct))
        for mct in (True, False)
    )
    assert not is_jpeg_2000_ycbcr(transformed)
    assert is_jpeg_2000_ycbcr(plain)
    cod = transformed.index(b"\xff\x52")
    length = 2 + int.from_bytes(transformed[cod + 2 : cod + 4], "big")
    assert is_jpeg_2000_ycbcr(transformed[:cod] + transformed[cod + length :])
    assert is_jpeg_2000_ycbcr(transformed[:cod])


def test_jpeg_ls() -> None:
    data = bytes(imagecodecs.jpegls_encode(PICTURE))
    assert jpeg_ls(data) == (80, 48)
    comment = b"\xff\xfe" + struct.pack(">H", 13) + b"\xff\xf7" + bytes(9)
    assert jpeg_ls(data[:2] + comment + data[2:]) == (80, 48)
    with pytest.raises(StreamError):
        jpeg_ls(b"nothing")
    assert jpeg_ls(bytes(imagecodecs.jpeg8_encode(PICTURE))) is None


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
    assert WEBP(b"RIFF0000WEBPALPH" + bytes(20)) is None


@pytest.mark.parametrize("bits", [*range(1, 9), None])
@pytest.mark.parametrize("lossless", [True, False])
def test_jpeg_xl_of_another_depth_is_none_of_ours(lossless: bool, bits: int | None) -> None:
    """Decoders make 8 bits of any, half as bright."""
    assert JPEG_XL
    picture = PICTURE if bits is None else PICTURE >> (8 - bits)
    data = bytes(imagecodecs.jpegxl_encode(picture, lossless=lossless, bitspersample=bits))
    assert JPEG_XL(data) == ((80, 48) if bits in (8, None) else None)
    wide = bytes(imagecodecs.jpegxl_encode(picture.astype(np.uint16) * 257, lossless=lossless))
    assert JPEG_XL(wide) is None


def tile_of(path: Path, compression: str) -> tuple[Codec, bytes]:
    imwrite(path, PICTURE, tile=(48, 80), photometric="rgb", compression=compression)
    with TiffFile(path) as tiff:
        page = tiff.pages.first
        handle = tiff.filehandle
        handle.seek(page.dataoffsets[0])
        return codec(page), handle.read(page.databytecounts[0])


@pytest.mark.parametrize("compression", ["ZLIB", "LZW", "ZSTD", "JPEG2000", "WEBP", "JPEGXL"])
def test_a_torn_tile_is_told(compression: str, tmp_path: Path) -> None:
    decode, data = tile_of(tmp_path / "a.tif", compression)
    assert decode(data, 0).shape == PICTURE.shape
    for torn in data[: len(data) // 2], b"", bytes(len(data)):
        with pytest.raises(StreamError):
            decode(torn, 0)


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("samples", [1, 3, 4])
def test_lzw_is_as_imagecodecs_own_decoder_has_it(
    samples: int, predictor: int, planarconfig: str, tmp_path: Path
) -> None:
    """With tiles at the right and at the bottom that go past the picture."""
    noise = np.random.default_rng(1).integers(0, 255, (100, 120, samples), np.uint8)
    picture = np.where(np.arange(120)[:, np.newaxis] % 40 < 20, noise, 200).astype(np.uint8)
    is_planar = planarconfig == "separate" and samples > 1
    stored = np.moveaxis(picture, 2, 0) if is_planar else picture
    path = tmp_path / "a.tif"
    imwrite(
        path,
        stored[..., 0] if samples == 1 else stored,
        tile=(48, 64),
        photometric="rgb" if samples > 1 else "minisblack",
        planarconfig=planarconfig if samples > 1 else None,
        compression="lzw",
        predictor=predictor,
        byteorder=">",
        metadata=None,
    )
    with TiffFile(path) as tiff:
        page = tiff.pages.first
        decode = codec(page)
        for index, (at, count) in enumerate(
            zip(page.dataoffsets, page.databytecounts, strict=True)
        ):
            tiff.filehandle.seek(at)
            data = tiff.filehandle.read(count)
            expected = page.decode(data, index)[0][0]
            assert decode(data, index).shape == expected.shape
            assert (decode(data, index) == expected).all()
    assert index + 1 == 6 * (samples if is_planar else 1)


def test_lzw_of_which_only_the_end_is_missing_is_whole(tmp_path: Path) -> None:
    decode, data = tile_of(tmp_path / "a.tif", "LZW")
    assert (decode(data[:-1], 0) == PICTURE).all()
    for cut in range(3, len(data), 7):
        with pytest.raises(StreamError):
            decode(data[:-cut], 0)


def test_a_tile_of_another_size_is_told(tmp_path: Path) -> None:
    decode, _ = tile_of(tmp_path / "a.tif", "JPEG2000")
    other = bytes(imagecodecs.jpeg2k_encode(PICTURE[:32, :32], level=0))
    with pytest.raises(StreamError, match="no JPEG2000 tile of the slide's size"):
        decode(other, 0)
    with pytest.raises(StreamError, match="another size"):
        DICOM_JPEG_2000(other, PICTURE.shape, False)


def test_a_frame_by_run_lengths() -> None:
    """Of three segments, each a row of equal bytes by PackBits."""
    shape = (1, 100, 3)
    offsets = [64, 66, 68]
    frame = struct.pack("<16I", 3, *offsets, *[0] * 12) + b"\x9d\x01\x9d\x02\x9d\x03"
    assert (RLE(frame, shape, False) == (1, 2, 3)).all()
    for torn in b"", frame[:64], frame[:-2], frame + frame[64:], b"\xff" * 100:
        with pytest.raises(StreamError):
            RLE(torn, shape, False)
    for other in (1, 99, 3), (1, 101, 3), (2, 100, 3):
        with pytest.raises(StreamError):
            RLE(frame, other, False)


def test_a_tile_with_other_samples_is_told(tmp_path: Path) -> None:
    decode, _ = tile_of(tmp_path / "a.tif", "JPEG2000")
    for other in PICTURE[..., 0], PICTURE.astype(np.uint16):
        with pytest.raises(StreamError, match=r"with 8 bits|cannot be reshaped"):
            decode(bytes(imagecodecs.jpeg2k_encode(other, level=0)), 0)
