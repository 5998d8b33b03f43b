"""Slides that lie in a place or a few: offsets, lengths, counts and values of their containers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from tifffile import TiffFile

# What numbers are most likely to be wrong: nothing, one, one less, a sign, all there is.
_NUMBERS = (0, 1, 2, 3, 7, 255, 256, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


class Place(NamedTuple):
    """A number of the container: where it is, and how many bytes it has."""

    offset: int
    length: int


def tiff_places(path: Path) -> Iterator[Place]:
    """The header, and of every tag its code, type, count, value and first numbers."""
    yield from (Place(0, 2), Place(2, 2), Place(4, 4))
    with TiffFile(path) as tiff:
        wide = 8 if tiff.is_bigtiff else 4
        for page in tiff.pages:
            whole = page.aspage()
            yield Place(whole.offset, wide // 2 if wide == 4 else 8)
            for tag in whole.tags:
                yield from (Place(tag.offset, 2), Place(tag.offset + 2, 2))
                yield from (Place(tag.offset + 4, wide), Place(tag.offset + 4 + wide, wide))
                size = {3: 2, 16: 8}.get(tag.dtype, 4)
                yield from (
                    Place(tag.valueoffset + n * size, size) for n in range(min(tag.count, 4))
                )


def dicom_places(path: Path) -> Iterator[Place]:
    """Of every element its tag, kind, length and value; and the first items of the pixels."""
    data = path.read_bytes()
    said = dcmread(path, stop_before_pixels=True)
    for element in [*said.file_meta.values(), *said.values()]:
        at = getattr(element, "value_tell", None) or getattr(element, "file_tell", None)
        if at and isinstance(element, RawDataElement):
            yield from (Place(at - 8, 2), Place(at - 6, 2), Place(at - 4, 2), Place(at - 2, 2))
            yield from (Place(at - 4, 4), Place(at, 2), Place(at, 4))
    pixels = data.rindex(b"\xe0\x7f\x10\x00O")
    yield from (Place(pixels + n, 4) for n in range(0, 64, 4))


def mutated(data: bytes, places: Sequence[Place], draw: random.Random) -> bytes:
    """With one to three of the places changed, and now and then a bit elsewhere, or cut off."""
    made = bytearray(data)
    for place in draw.choices(places, k=draw.randint(1, 3)):
        before = int.from_bytes(made[place.offset : place.offset + place.length], "little")
        number = draw.choice((*_NUMBERS, before + 1, before - 1, before * 2, draw.getrandbits(32)))
        number %= 1 << 8 * place.length
        made[place.offset : place.offset + place.length] = number.to_bytes(place.length, "little")
    if draw.random() < 0.2:
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    if draw.random() < 0.1:
        del made[draw.randrange(len(made)) :]
    return bytes(made)
