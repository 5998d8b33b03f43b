"""Plain images that others than Pillow decode: the same pixels, and no byte of them is Pillow's."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageFile

from tests.slide.test_plain import FINE, chunk, exif, saved
from tests.support.forge_tiffs import PICTURE, SIZE
from vsv_pyramid.errors import SlideError
from vsv_pyramid.slide.decoding import decoded, opened
from vsv_pyramid.slide.pixels import open_slide

WIDTH, HEIGHT = 37, 23
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
DEPTHS = {0: (1, 2, 4, 8), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Of Adam7: where each pass begins, and its steps.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
PASSES += [(0, 1, 1, 2)]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(colour: int, depth: int, *, interlaced: bool, transparent: bool) -> bytes:
    """Noise."""
    random = np.random.default_rng(depth)
    rows = b""
    for x, y, dx, dy in PASSES if interlaced else [(0, 0, 1, 1)]:
        size = (-(-(WIDTH - x) // dx) * CHANNELS[colour] * depth + 7) // 8
        rows += b"".join(b"\0" + random.bytes(size) for _ in range(-(-(HEIGHT - y) // dy)))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    body = chunk(b"IHDR", header)
    if colour == 3:
        body += chunk(b"PLTE", random.bytes(3 << depth))
    if transparent:
        body += chunk(b"tRNS", b"\x80" if colour == 3 else b"\0\1" * CHANNELS[colour])
    return SIGNATURE + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def rgba(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGBA"))


def ours(data: bytes) -> Image.Image:
    file = io.BytesIO(data)
    with opened(file, is_tiff=False) as image:
        made = decoded(image, file)
        made.load()
        return made


def kinds() -> Iterator[tuple[int, int, bool, bool]]:
    for colour, depths in DEPTHS.items():
        for depth in depths:
            for interlaced in (False, True):
                yield colour, depth, interlaced, False
                if colour == 3 or (depth in (1, 8) and colour in (0, 2)):
                    yield colour, depth, interlaced, True


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decoders fail."""

    def load(image: ImageFile.ImageFile) -> None:
        raise AssertionError(f"{image.format} is decoded by Pillow")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


@pytest.mark.parametrize(("colour", "depth", "interlaced", "transparent"), [*kinds()])
def test_a_png_is_what_pillow_shows(
    colour: int, depth: int, interlaced: bool, transparent: bool
) -> None:
    data = png(colour, depth, interlaced=interlaced, transparent=transparent)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(rgba(ours(data)), rgba(image))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_is_what_pillow_shows(mode: str, subsampling: int, progressive: bool) -> None:
    file = io.BytesIO()
    settings = {"subsampling": subsampling, "progressive": progressive}
    Image.fromarray(PICTURE).convert(mode).save(file, "JPEG", **settings)
    with Image.open(file) as image:
        made = ours(file.getvalue())
        assert made.mode == mode
        assert np.array_equal(np.asarray(made), np.asarray(image))


@pytest.mark.usefixtures("without_pillow")
@pytest.mark.parametrize(
    "data",
    [
        lambda: png(6, 8, interlaced=True, transparent=False),
        lambda: png(3, 4, interlaced=False, transparent=True),
        lambda: saved("JPEG"),
        lambda: saved("JPEG", progressive=True, subsampling=0),
    ],
)
def test_pillow_decodes_neither(data: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data())
    with open_slide(path) as slide:
        assert slide.size in (SIZE, (WIDTH, HEIGHT))


@pytest.mark.parametrize("behind", [b"3Roe of a scanner, which is no chunk", b"x", bytes(1000)])
def test_what_follows_the_end_of_a_png_is_nothing(behind: bytes) -> None:
    data = png(2, 8, interlaced=False, transparent=False)
    assert np.array_equal(rgba(ours(data + behind)), rgba(ours(data)))


def test_what_a_png_says_behind_its_pixels_counts() -> None:
    data = saved("PNG")
    at = data.index(b"IEND") - 4
    turn = exif(6).tobytes().removeprefix(b"Exif\0\0")
    told = ours(data[:at] + chunk(b"eXIf", turn) + data[at:])
    assert told.getexif()[0x0112] == 6


@pytest.mark.parametrize("form", ["EPS", "PCX", "TGA", "ICO", "TIFF", "PDF", "SPIDER", "IM"])
def test_what_is_no_format_of_slides_is_not_opened(form: str, tmp_path: Path) -> None:
    """Pillow would have Ghostscript run what an EPS says."""
    path = tmp_path / "a.png"
    if form == "TIFF":  # what a TIFF's reader refuses is not for Pillow to try as another one
        path.write_bytes(b"II*\0" + bytes(40))
    else:
        image = Image.fromarray(PICTURE).convert("F" if form == "SPIDER" else "RGB")
        other = tmp_path / f"a.{form.lower()}"  # which SPIDER's is from now on, whatever it was
        image.save(other, form)
        other.rename(path)
    with pytest.raises(SlideError, match=r"neither a slide nor an image|damaged, cut off|TIFF"):
        open_slide(path)


def test_damage_that_pillow_passes_over_is_told(tmp_path: Path) -> None:
    data = bytearray(saved("JPEG", **FINE))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(SlideError, match="a JPEG image that is damaged or cut off"):
        open_slide(path)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_half_a_file_is_refused(form: str, kept: float, tmp_path: Path) -> None:
    data = saved(form)
    path = tmp_path / "a"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(SlideError, match=f"a {form} image that is damaged or cut off"):
        open_slide(path)


def test_a_jpeg_that_libjpeg_turbo_does_not_know_is_pillows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def header(_: bytes) -> None:
        raise ValueError("Could not determine subsampling level of JPEG image")

    monkeypatch.setattr(simplejpeg, "decode_jpeg_header", header)
    with Image.open(io.BytesIO(saved("JPEG"))) as image:
        assert np.array_equal(np.asarray(ours(saved("JPEG"))), np.asarray(image))
