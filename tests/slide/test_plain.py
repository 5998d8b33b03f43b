"""Plain images: right, or a sentence that says what the file is."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, features
from tifffile import TiffFile, imwrite

from tests.slide.test_every_picture import ENCODED, apart, options, published
from tests.support.forge_tiffs import ALPHA, GRAY, PICTURE, SIZE, blended, turned
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import SlideError
from vsv_pyramid.inspection import info
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide import plain, signatures
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.verification import verify

LACKS = not features.check("libtiff")
UNUSED = "16 bits a channel, of which not all are used"
WIDE = PICTURE.astype(np.uint16)
WIDE_GRAY = GRAY.astype(np.uint16)[..., None]
FULL = np.full((*GRAY.shape, 1), 4095, np.uint16)
STEPS = np.kron(np.arange(12).reshape(3, 4) % 4, np.ones((40, 40), int))  # 0 to 3
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples: NDArray[np.uint16], colour: int, *more: bytes) -> bytes:
    """16 bits a channel, of this colour type."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def few_bits(depth: int, transparent: int) -> bytes:
    """Gray, of samples of so many bits, one value of which is transparent."""
    height, width = STEPS.shape
    each = 8 // depth
    bits = STEPS.astype(np.uint8).reshape(height, width // each, each)
    rows = (bits << np.arange(8 - depth, -1, -depth, dtype=np.uint8)).sum(2).astype(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", transparent))
    body += chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def ppm(maximum: int, samples: NDArray[np.uint16], magic: str = "P6") -> bytes:
    header = f"{magic} # of a camera\n{SIZE[0]} {SIZE[1]} {maximum}\n"
    return header.encode() + samples.astype(">u2").tobytes()


def sgi(samples: NDArray[np.uint16]) -> bytes:
    height, width = samples.shape[:2]
    header = struct.pack(">HBBHHHH", 474, 0, 2, 3, width, height, 3).ljust(512, b"\0")
    return header + np.moveaxis(samples[::-1], 2, 0).astype(">u2").tobytes()


def j2k(samples: NDArray[Any], bits: int, form: str = "jp2") -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(samples, level=0, codecformat=form, bitspersample=bits))


def saved(form: str, **settings: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, form, **settings)
    return out.getvalue()


def exif(orientation: int | None) -> Image.Exif:
    made = Image.Exif()
    made[0x010F] = "a camera"
    if orientation:
        made[0x0112] = orientation
    return made


def png_xmp() -> PngImagePlugin.PngInfo:
    told = PngImagePlugin.PngInfo()
    told.add_itxt("XML:com.adobe.xmp", XMP)
    return told


@dataclass(frozen=True)
class Plain:
    """What `data` makes shows `truth`, unless `said` is in the sentence by which it is refused."""

    name: str
    data: Callable[[], bytes]
    said: str = ""
    truth: NDArray[Any] = field(default_factory=lambda: PICTURE)


FINE = {"quality": 97, "subsampling": 0}
FILES = [
    Plain("a.png", partial(png, WIDE * 257, 2)),
    Plain("12.png", partial(png, WIDE * 16, 2), UNUSED),
    Plain("12-stated.png", partial(png, WIDE * 16, 2, chunk(b"sBIT", bytes([12] * 3))), UNUSED),
    Plain("10.png", partial(png, WIDE * 4, 2), UNUSED),
    Plain("14.png", partial(png, WIDE * 64, 2), UNUSED),
    Plain("12-with-alpha.png", partial(png, np.dstack([WIDE * 16, FULL]), 6), UNUSED),
    Plain(
        "12-with-full-alpha.png", partial(png, np.dstack([WIDE * 16, FULL * 16 + 15]), 6), UNUSED
    ),
    Plain(
        "12-gray-with-alpha.png",
        partial(png, np.dstack([WIDE_GRAY * 16, FULL * 16 + 15]), 4),
        UNUSED,
    ),
    Plain(
        "alpha.png",
        partial(png, np.dstack([WIDE * 257, ALPHA.astype(np.uint16) * 257]), 6),
        truth=blended(PICTURE, ALPHA),
    ),
    *(
        Plain(
            f"transparent-{depth}.png",
            partial(few_bits, depth, transparent=1),
            f"one of its colours, of {depth} bits a channel, is transparent" if depth != 8 else "",
            np.repeat(np.where(STEPS == 1, 255, STEPS)[..., None], 3, 2).astype(np.uint8),
        )
        for depth in (2, 4, 8)
    ),
    Plain(
        "transparent-16.png",
        partial(png, WIDE * 257, 2, chunk(b"tRNS", bytes(6))),
        "one of its colours, of 16 bits a channel, is transparent",
    ),
    Plain("gray.png", partial(png, WIDE_GRAY * 257, 0), "16 bits a channel; save it with 8 bits"),
    Plain("a.ppm", partial(ppm, 65535, WIDE * 257)),
    Plain("12-stated.ppm", partial(ppm, 4095, WIDE * 257 // 16)),
    Plain("dark.ppm", partial(ppm, 4095, WIDE), truth=PICTURE >> 4),
    Plain("12.ppm", partial(ppm, 65535, WIDE * 16), UNUSED),
    Plain(
        "gray.pgm", partial(ppm, 65535, WIDE_GRAY, "P5"), "16 bits a channel; save it with 8 bits"
    ),
    Plain("a.sgi", partial(sgi, WIDE * 257)),
    Plain("12.sgi", partial(sgi, WIDE * 16), UNUSED),
    *(
        Plain(
            f"{bits}.{form}",
            partial(j2k, WIDE << (bits - 8), bits, form),
            f"{bits} bits a channel; save",
        )
        for bits in (9, 12, 16)
        for form in ("jp2", "j2k")
    ),
    Plain("gray.jp2", partial(j2k, WIDE_GRAY[..., 0] * 16, 12), "12 bits a channel; save"),
    Plain("exif.jpg", partial(saved, "JPEG", exif=exif(6), **FINE), truth=turned(PICTURE, 6)),
    Plain("exif.png", partial(saved, "PNG", exif=exif(8)), truth=turned(PICTURE, 8)),
    Plain("xmp.jpg", partial(saved, "JPEG", xmp=XMP.encode(), **FINE)),
    Plain("exif-and-xmp.jpg", partial(saved, "JPEG", xmp=XMP.encode(), exif=exif(None), **FINE)),
    Plain(
        "both.jpg",
        partial(saved, "JPEG", xmp=XMP.encode(), exif=exif(3), **FINE),
        truth=turned(PICTURE, 3),
    ),
    Plain("xmp.png", partial(saved, "PNG", pnginfo=png_xmp())),
    Plain("exif-and-xmp.png", partial(saved, "PNG", pnginfo=png_xmp(), exif=exif(None))),
]


@pytest.mark.parametrize("image", FILES, ids=lambda image: image.name)
def test_a_plain_image_is_right_or_refused(image: Plain, tmp_path: Path) -> None:
    slide = tmp_path / image.name
    slide.write_bytes(image.data())
    if image.said:
        with pytest.raises(SlideError) as refused:
            convert(slide, str(tmp_path), options("auto"))
        assert image.said in str(refused.value)
        with pytest.raises(SlideError) as planned:
            info(slide, options("auto"))
        assert str(planned.value) == str(refused.value)
        return
    summary = convert(slide, str(tmp_path), options("auto"))
    assert apart(published(summary), image.truth) < ENCODED * 2
    assert verify(summary.target, against=slide).errors == []


NEVER = "which Pillow cannot read; save it as PNG or TIFF"
UNREAD: list[tuple[bytes, str, str]] = [
    (bytes(imagecodecs.webp_encode(PICTURE)), "a WebP image", "webp"),
    (bytes(imagecodecs.avif_encode(PICTURE)), "an AVIF image", "avif"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "an AVIF image", "avif"),
    (j2k(PICTURE, 8), "a JPEG 2000 image", "jpg_2000"),
    (j2k(PICTURE, 8, "j2k"), "a JPEG 2000 image", "jpg_2000"),
    (bytes(imagecodecs.jpegxl_encode(PICTURE)), "a JPEG XL image", NEVER),
    (bytes(imagecodecs.jpegxl_encode(PICTURE, usecontainer=True)), "a JPEG XL image", NEVER),
    (bytes(imagecodecs.jpegxr_encode(PICTURE)), "a JPEG XR image", NEVER),
    (b"\0\0\0\x18ftypheic" + bytes(200), "a HEIC image", NEVER),
    (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC image", NEVER),
    (bytes(imagecodecs.jpegls_encode(PICTURE)), "a JPEG-LS image", NEVER),
    (
        bytes(imagecodecs.jpeg8_encode(WIDE * 16, bitspersample=12)),
        "a JPEG image of 12 bits a channel",
        NEVER,
    ),
    (saved("JPEG"), "a JPEG image", ""),
    (saved("JPEG")[:100], "a JPEG image", ""),
    (saved("PNG"), "a PNG image", ""),
    (b"hello", "neither a slide nor an image, or cut off", "check it, or copy it again"),
    (b"", "neither a slide nor an image, or cut off", "check it, or copy it again"),
]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(("data", "kind", "library"), UNREAD)
def test_what_pillow_does_not_read_is_named(
    data: bytes, kind: str, library: str, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def check(name: str) -> bool:
        asked.append(name)
        return is_there

    monkeypatch.setattr(features, "check", check)
    said = signatures.why_unread(data)
    assert said.startswith(kind)
    if " " in library:
        assert library in said
    elif library and not is_there:
        assert said.endswith(
            "which this Pillow cannot read; install pillow from PyPI, or save it as PNG or TIFF "
            "first"
        )
    else:
        assert said.endswith("that is damaged or cut off; check it, or copy it again")
    assert asked == ([library] if library and " " not in library else [])


@pytest.mark.parametrize(
    ("version", "said"),
    [("2.1.5", f", {NEVER}"), (None, f", {NEVER}"), ("3.0", " that is"), ("10.1.2", " that is")],
)
def test_lossless_jpeg_is_for_newer_libraries(
    version: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "version", lambda _: version)
    data = bytes(imagecodecs.ljpeg_encode(GRAY))
    assert signatures.why_unread(data).startswith(f"a lossless JPEG image{said}")


@pytest.mark.parametrize("name", ["a.jpg", "a.jxl"])
def test_the_sentence_is_the_slides(tmp_path: Path, name: str) -> None:
    slide = tmp_path / name
    slide.write_bytes(
        saved("JPEG")[:300] if name == "a.jpg" else bytes(imagecodecs.jpegxl_encode(PICTURE))
    )
    with pytest.raises(SlideError, match=r"a JPEG (image that is damaged|XL image, which Pillow)"):
        open_slide(slide)


def tiff(path: Path, data: NDArray[Any], **settings: Any) -> Path:
    imwrite(path, data, photometric="rgb", metadata=None, **settings)
    return path


def test_damaged_data_are_told_from_those_that_pillow_cannot_decode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiff(tmp_path / "a.tif", PICTURE, rowsperstrip=40, compression="zstd")
    with TiffFile(path) as opened:
        offset, count = opened.pages.first.dataoffsets[0], opened.pages.first.databytecounts[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(count))
    words = "ZSTD data are" if plain._has_codec(50000) else "ZSTD, which Pillow cannot"
    with pytest.raises(SlideError, match=words):
        open_slide(path)
    monkeypatch.setattr(plain, "_has_codec", lambda _: False)
    with pytest.raises(SlideError, match="its compression is ZSTD, which Pillow cannot read here"):
        open_slide(path)


def test_a_tiled_tiff_is_not_to_be_saved_as_one(tmp_path: Path) -> None:
    """16 bits, which OpenSlide does not show."""
    path = tiff(tmp_path / "a.tif", WIDE * 257, tile=(64, 64), compression="lzw")
    if LACKS:
        with pytest.raises(SlideError, match=r"no libtiff; install .*, or save it without compr"):
            open_slide(path)
    path = tiff(tmp_path / "b.tif", WIDE * 257, tile=(64, 64))
    with open_slide(path) as slide:
        assert apart(np.asarray(slide.read(0, 0, Size(*SIZE)))[..., :3], PICTURE) < 1


def test_cmyk_without_a_word_on_its_zero_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert("CMYK").save(file, "JPEG")
    data = file.getvalue()
    at = data.index(b"\xff\xee")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with open_slide(path) as slide:
        assert slide.size == SIZE
    path.write_bytes(data[:at] + data[at + 2 + length :])
    with pytest.raises(SlideError, match="CMYK, and no Adobe marker"), open_slide(path):
        pass
