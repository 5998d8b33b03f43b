"""The kernel's encoder makes simplejpeg's bytes; where it cannot, simplejpeg does."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from openslide import OpenSlide
from PIL import Image

from vsv_pyramid.conversion import convert
from vsv_pyramid.jpeg import _splice
from vsv_pyramid.jpeg import encode as encoding
from vsv_pyramid.jpeg.encode import by_simplejpeg, encode, has_stepped_back
from vsv_pyramid.jpeg.join import coding_of
from vsv_pyramid.jpeg.planes import FACTORS, Plane, Planes, Subsampling, empty, part
from vsv_pyramid.jpeg.stream import LUMINANCE
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.pyramid.planes import fill, from_rgb

SUBSAMPLINGS: tuple[Subsampling, ...] = ("420", "422", "444")
QUALITIES = (1, 10, 50, 75, 80, 90, 95, 96, 100)
REMEDY = (
    f"simplejpeg {simplejpeg.__version__} makes other bytes than the kernel's encoder. Conversions "
    "are right all the same: they go by simplejpeg, and slide.json says so; but they take longer. "
    "Find what has changed in its libjpeg-turbo (which DCT, quantisation, the header), and "
    "bring vsv_pyramid/jpeg/_encode.h in line with it."
)


# In CI none may be skipped: there the kernel's encoder is tried, and not simplejpeg against itself.
pytestmark = pytest.mark.skipif(not _splice.uses_avx2(), reason="no processor with AVX2")


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """What was found of encoders in one test is not known in the next one."""
    yield
    _splice.use_avx2(True)
    encoding._encoder.cache_clear()
    encoding._different.clear()


def kinds(shape: tuple[int, ...], seed: int) -> list[Plane]:
    """Noise, a slope, scattered dots, and glass."""
    random = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(shape[0]) * 3, np.arange(shape[1]) * 2) % 300
    return [
        random.integers(0, 256, shape, dtype=np.uint8),
        np.minimum(slope, 255).astype(np.uint8),
        np.where(random.random(shape) < 0.02, 255, 0).astype(np.uint8),
        np.full(shape, 243, np.uint8),
    ]


def pictures(size: tuple[int, int], subsampling: Subsampling) -> list[Planes]:
    planes = empty(size, subsampling)
    of_each = [kinds(plane.shape, seed) for seed, plane in enumerate(planes)]
    return [Planes(*chosen) for chosen in zip(*of_each, strict=True)]


def check(planes: Planes, quality: int) -> None:
    assert encode(planes, quality) == by_simplejpeg(planes, quality), REMEDY
    assert not encoding._different, REMEDY


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_sizes(subsampling: Subsampling) -> None:
    for width in range(1, 40):
        for height in range(1, 40):
            number = 39 * width + height
            picture = pictures((width, height), subsampling)[number % 4]
            check(picture, QUALITIES[number % len(QUALITIES)])


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_qualities(subsampling: Subsampling) -> None:
    for quality in range(1, 101):
        for picture in pictures((75, 131), subsampling):
            check(picture, quality)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_tissue(real_slide: Path, subsampling: Subsampling) -> None:
    with OpenSlide(real_slide) as slide:
        image = np.asarray(slide.read_region((600, 900), 0, (768, 720)).convert("RGB"))
    for quality in QUALITIES:
        check(from_rgb(image, subsampling), quality)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_a_part_of_larger_planes(subsampling: Subsampling) -> None:
    whole, alone = pictures((200, 120), subsampling)[0], empty((90, 41), subsampling)
    view = part(whole, 64, 32, (90, 41), subsampling)
    fill(alone, view)
    for quality in QUALITIES:
        assert encode(view, quality) == by_simplejpeg(alone, quality), REMEDY


def test_without_avx2_the_bytes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = pictures((300, 200), "420")[0]
    fast = encode(picture, 80)
    _splice.use_avx2(False)
    assert not _splice.uses_avx2()
    monkeypatch.setattr(encoding, "_encoder", None)
    assert encode(picture, 80) == fast


@pytest.mark.parametrize("frame", [b"\xff\xc0", b"\xff\xc1"], ids=["baseline", "extended"])
def test_simplejpeg_is_the_truth(
    small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: bytes
) -> None:
    before = simplejpeg.encode_jpeg_yuv_planes

    def later(y: Plane, *chroma: Plane, quality: int) -> bytes:
        """A libjpeg-turbo that makes something else of the same planes."""
        jpeg: bytes = before(y, *chroma, quality=quality)
        return (jpeg[:-3] + bytes([jpeg[-3] ^ 1]) + jpeg[-2:]).replace(b"\xff\xc0", frame)

    picture = pictures((300, 200), "420")[0]
    usual = encode(picture, 80)
    encoding._encoder.cache_clear()
    monkeypatch.setattr(simplejpeg, "encode_jpeg_yuv_planes", later)
    assert encode(picture, 80) == later(*picture, quality=80) != usual
    assert has_stepped_back("420", 80) and not has_stepped_back("422", 80)
    convert(small_slide, tmp_path, ConvertOptions(workers=2))
    document = json.loads((tmp_path / "images/small/slide.json").read_bytes())
    assert document["software"]["encoder"] == "simplejpeg"


@pytest.mark.parametrize(
    ("shape", "chroma"),
    [((16, 16), (8, 9)), ((16, 16), (7, 8)), ((0, 16), (0, 8)), ((17, 16), (8, 8))],
)
def test_planes_of_other_sizes_are_refused(shape: tuple[int, int], chroma: tuple[int, int]) -> None:
    encoder = encoding._encoder(FACTORS["420"], 80)
    assert encoder
    with pytest.raises(ValueError, match="whole MCUs"):
        encoder.encode((16, 16), np.zeros(shape, np.uint8), *np.zeros((2, *chroma), np.uint8))


@pytest.mark.parametrize("option", [{"optimize": True}, {"restart_marker_rows": 20}], ids=str)
def test_a_header_of_its_own_is_for_no_other_picture(
    monkeypatch: pytest.MonkeyPatch, option: dict[str, object]
) -> None:
    """Of tables and restart markers as another picture would not have them."""

    def pillow(planes: Planes, quality: int) -> bytes:
        data = io.BytesIO()
        image = Image.merge("YCbCr", [Image.fromarray(plane) for plane in planes])
        image.save(data, "jpeg", quality=quality, subsampling=0, **option)
        return data.getvalue()

    monkeypatch.setattr(encoding, "by_simplejpeg", pillow)
    picture = pictures((120, 100), "444")[0]
    assert encode(picture, 97) == pillow(picture, 97)
    assert has_stepped_back("444", 97)


def test_a_library_without_vectors_makes_other_bytes() -> None:
    """What overflows in the fast DCT's 16 bits does not in C: libjpeg-turbo can do without."""
    code = (
        "from tests.jpeg.test_encode import pictures; from vsv_pyramid.jpeg.encode import *;"
        "picture = pictures((60, 50), '420')[0];"
        "assert encode(picture, 80) == by_simplejpeg(picture, 80);"
        "print(has_stepped_back('420', 80), has_stepped_back('420', 97))"
    )
    for forced, told in ("0", "False False\n"), ("1", "True False\n"):
        environment = {**os.environ, "JSIMD_FORCENONE": forced}
        command = [sys.executable, "-c", code]
        ended = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        assert ended.stdout == told


def test_nothing_is_encoded_where_avx2_is_not_used() -> None:
    encoder = encoding._encoder(FACTORS["420"], 80)
    assert encoder
    _splice.use_avx2(False)
    with pytest.raises(RuntimeError, match="AVX2"):
        encoder.encode((16, 16), np.zeros((16, 16), np.uint8), *np.zeros((2, 8, 8), np.uint8))


def test_an_encoder_is_of_what_there_is() -> None:
    tables, divisors = coding_of((LUMINANCE,) * 3), (bytes(384), bytes(384))
    for head, frame, factors in (
        (b"\xff\xd8", 2, (2, 2)),
        (bytes(99), 2, (1, 2)),
        (bytes(99), -1, (2, 2)),
    ):
        with pytest.raises(ValueError, match="not a frame"):
            _splice.Encoder(head, frame, divisors, tables, factors, False)
    with pytest.raises(ValueError, match="not a frame"):
        _splice.Encoder(bytes(99), 2, (bytes(384), bytes(383)), tables, (2, 2), False)
