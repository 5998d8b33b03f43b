"""Planes as a baseline JPEG (JFIF), as simplejpeg makes it: by the kernel where the processor has
AVX2, in less time.

simplejpeg is the truth. Before the kernel's encoder makes the first JPEG of a quality and a
subsampling, both make some of the same planes; where theirs are not the same bytes, as with a
libjpeg-turbo without vectors, or perhaps with a later one, simplejpeg makes all of that quality.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from vsv_pyramid.errors import StreamError
from vsv_pyramid.jpeg.kernel import kernel
from vsv_pyramid.jpeg.planes import FACTORS, Plane, Planes, Subsampling, padded
from vsv_pyramid.jpeg.stream import CHROMINANCE, LUMINANCE, ZIGZAG, parse

if TYPE_CHECKING:
    from vsv_pyramid.jpeg._splice import Encoder

_ACCURATE = 96  # the quality from which TurboJPEG takes libjpeg's accurate DCT
# The outputs' scale in the fast DCT (Arai, Agui and Nakajima).
_AAN = (1, 1.387039845, 1.306562965, 1.175875602, 1, 0.785694958, 0.541196100, 0.275899379)
_SOF0 = b"\xff\xc0"
_different: set[tuple[tuple[int, int], int]] = set()


def encode(planes: Planes, quality: int) -> bytes:
    """The planes as a JPEG."""
    # Of a single row or column simplejpeg makes another subsampling.
    if kernel is not None and kernel.uses_avx2() and min(planes.y.shape) > 1:
        factors = _factors(planes)
        if encoder := _encoder(factors, quality):
            return _encoded(encoder, planes, factors)
    return by_simplejpeg(planes, quality)


def by_simplejpeg(planes: Planes, quality: int) -> bytes:
    """The same, by simplejpeg."""
    height, width = planes.y.shape
    if height % 2 or width % 2:
        # simplejpeg 1.9 reads up to the next even row and column, past an odd plane's end
        grown = (padded(plane, (plane.shape[0] + 1, plane.shape[1] + 1)) for plane in planes)
        planes = Planes(*(more[:-1, :-1] for more in grown))
    jpeg: bytes = simplejpeg.encode_jpeg_yuv_planes(*planes, quality=quality)
    return jpeg


def has_stepped_back(subsampling: Subsampling, quality: int) -> bool:
    """Whether the kernel's encoder was found to make other bytes than simplejpeg, of tiles like
    these, or of the smallest ones (quality 100)."""
    factors = FACTORS[subsampling]
    return not _different.isdisjoint({(factors, quality), (factors, 100)})


@cache
def _encoder(factors: tuple[int, int], quality: int) -> Encoder | None:
    """The kernel's encoder, None where it makes other bytes than simplejpeg."""
    samples = _samples(factors)
    jpegs = [by_simplejpeg(sample, quality) for sample in samples]
    try:
        encoder = _encoder_of(jpegs[0], factors, quality)
        if [_encoded(encoder, sample, factors) for sample in samples] == jpegs:
            return encoder
    except (StreamError, ValueError):  # another kind of JPEG than what is encoded here
        pass
    _different.add((factors, quality))
    return None


def _encoder_of(jpeg: bytes, factors: tuple[int, int], quality: int) -> Encoder:
    """Raises StreamError and ValueError for a JPEG whose header could be of no other picture."""
    from vsv_pyramid.jpeg.join import coding_of  # late: there is none without the kernel

    stream = parse(jpeg)
    if stream.coding != (LUMINANCE, CHROMINANCE, CHROMINANCE) or stream.restart:
        raise StreamError("tables or restart markers of its own")
    accurate = quality >= _ACCURATE
    divisors = tuple(_divisors(steps, accurate) for steps in stream.quantisation[:2])
    coding = coding_of(stream.coding)
    head = jpeg[: stream.scan]
    return kernel.Encoder(head, head.index(_SOF0), divisors, coding, factors, accurate)


def _divisors(steps: tuple[int, ...], accurate: bool) -> bytes:
    """What libjpeg-turbo's vectors divide by (jcdctmgr.c), as the kernel takes it."""
    tables = np.empty((3, 64), np.uint16)
    for step, place in zip(steps, ZIGZAG, strict=True):
        divisor = step << 3
        if not accurate:  # the fast DCT leaves its outputs scaled
            scale = round(_AAN[place // 8] * _AAN[place % 8] * (1 << 14))
            divisor = (step * scale + (1 << 10)) >> 11
        bits = 15 + divisor.bit_length()
        reciprocal, rest = divmod(1 << bits, divisor)
        correction = divisor // 2 + (0 < rest <= divisor // 2)
        if rest == 0:
            reciprocal, bits = reciprocal // 2, bits - 1
        tables[:, place] = reciprocal + (rest > divisor // 2), correction, 1 << (32 - bits) & 0xFFFF
    return tables.tobytes()


def _encoded(encoder: Encoder, planes: Planes, factors: tuple[int, int]) -> bytes:
    height, width = planes.y.shape
    columns, rows = -(-width // (8 * factors[0])), -(-height // (8 * factors[1]))
    whole = [(rows * 8 * factors[1], columns * 8 * factors[0]), *[(rows * 8, columns * 8)] * 2]
    if whole[0] != (height, width):
        planes = Planes(*map(padded, planes, whole))
    return encoder.encode((width, height), *planes)


def _factors(planes: Planes) -> tuple[int, int]:
    (height, width), (chroma_height, chroma_width) = planes.y.shape, planes.cb.shape
    return -(-width // chroma_width), -(-height // chroma_height)


def _samples(factors: tuple[int, int]) -> tuple[Planes, Planes]:
    """Planes with all that an encoder may treat in its own way: glass, edges, noise, a slope, faint
    dots; and of another size what overflows in the fast DCT, as it does not without vectors."""
    y, x = np.indices((53, 87), dtype=np.uint32)
    noise = (x * 2654435761 ^ y * 2246822519) * 3266489917 >> 24
    kinds = (np.full_like(x, 243), (x // 3 + y // 5) % 2 * 255, noise, x * 2 + y, (x + y) % 2 * 9)
    image: Plane = np.choose(x // 16 % 5, kinds).astype(np.uint8)
    chroma = image[:: factors[1], :: factors[0]]
    fine = (_fine(64, 121), *[_fine(-(-64 // factors[1]), -(-121 // factors[0]))] * 2)
    return Planes(image, chroma[::-1].copy(), chroma[:, ::-1].copy()), Planes(*fine)


def _fine(height: int, width: int) -> Plane:
    y, x = np.indices((height, width))
    return ((x // 3 + y // 2) % 2 * 255).astype(np.uint8)
