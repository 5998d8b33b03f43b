"""A TIFF of any tags at all, and what tifffile makes of it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import TiffFile

from tests.support.forge_tiffs import blended, gray, turned

SHORT, LONG = 3, 4
_FORMATS = {SHORT: "H", LONG: "I"}
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}

Tags = Mapping[int, tuple[int, Sequence[int]]]


def write(path: Path, pages: Sequence[tuple[Tags, Sequence[bytes]]], order: str) -> Path:
    """Pages of these tags, as (type, values), with these tiles or strips."""
    out = bytearray({"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 0))
    link = 4
    for tags, chunks in pages:
        places = []
        for chunk in chunks:
            places.append(len(out))
            out += chunk + bytes(len(chunk) % 2)
        where, lengths = (324, 325) if 322 in tags else (273, 279)
        entries = {
            **tags,
            where: (LONG, places),
            lengths: (LONG, [len(chunk) for chunk in chunks]),
        }
        directory = struct.pack(order + "H", len(entries))
        after = len(out) + 2 + 12 * len(entries) + 4
        values = bytearray()
        for code, (kind, numbers) in sorted(entries.items()):
            packed = struct.pack(f"{order}{len(numbers)}{_FORMATS[kind]}", *numbers)
            directory += struct.pack(order + "HHI", code, kind, len(numbers))
            if len(packed) > 4:
                directory += struct.pack(order + "I", after + len(values))
                values += packed + bytes(len(packed) % 2)
            else:
                directory += packed.ljust(4, b"\0")
        struct.pack_into(order + "I", out, link, len(out))
        link = len(out) + len(directory)
        out += directory + bytes(4) + values
    path.write_bytes(out)
    return path


def independent(path: Path, index: int) -> NDArray[Any]:
    """The page as tifffile and imagecodecs decode it, RGB over white.

    Raises ValueError for what has no meaning in 8 bits a channel.
    """
    with TiffFile(path) as tiff:
        page = tiff.pages[index].aspage()
        samples = page.asarray()
        photometric, bits = int(page.photometric), page.bitspersample
        orientation = page.tags.valueof(274, 1)
        extra = page.extrasamples
        palette = page.colormap
        if page.planarconfig == 2 and samples.ndim == 3:
            samples = np.moveaxis(samples, 0, 2)
    if samples.ndim == 2:
        samples = samples[..., None]
    count = _COLOURS[photometric]
    if bits in (1, 2, 4):
        samples = samples.astype(np.uint8) * (1 if photometric == 3 else 255 // (2**bits - 1))
    if samples.dtype == np.uint16 and samples.max() > 1 << 15:
        samples = (samples >> 8).astype(np.uint8)
    if samples.dtype != np.uint8:
        raise ValueError(f"{samples.dtype} samples")
    colours, further = samples[..., :count], samples[..., count:]
    if photometric == 0:
        colours = 255 - colours
    elif photometric == 3:
        colours = np.moveaxis(palette[:, colours[..., 0]] >> 8, 0, 2)
    elif photometric == 5:
        ink = 255.0 - colours
        colours = (ink[..., :3] * ink[..., 3:] / 255).round().astype(np.uint8)
    elif photometric == 6:
        colours = np.asarray(Image.fromarray(colours, "YCbCr").convert("RGB"))
    if colours.shape[2] == 1:
        colours = gray(colours[..., 0])
    if further.size and extra and int(extra[0]) == 2:
        colours = blended(colours, further[..., :1])
    elif further.size and extra and int(extra[0]) == 1:
        whole = colours.astype(int) + 255 - further[..., :1]
        colours = whole.clip(0, 255).astype(np.uint8)
    return turned(colours, orientation)
