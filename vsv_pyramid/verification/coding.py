"""Holds how a tile is coded against how tiles are, and against the quality that is stated."""

from __future__ import annotations

import io
from collections.abc import Collection
from contextlib import suppress
from functools import cache

from PIL import Image

from vsv_pyramid.containers.raw import RawTiles
from vsv_pyramid.errors import StreamError
from vsv_pyramid.jpeg.markers import APP0, APP14, DHT, DQT, DRI, EOI, SOF0, SOS, segments
from vsv_pyramid.jpeg.planes import FACTORS
from vsv_pyramid.jpeg.stream import Stream, parse, table_numbers
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.planning.options import LOSSLESS
from vsv_pyramid.pyramid.leaves import BaseLevel
from vsv_pyramid.verification.findings import Check

Tables = tuple[tuple[int, ...], ...]  # for each component, in zigzag order

_EXTENDED = 0xC1  # sequential, as some scanners say where baseline is meant
_NEEDED = frozenset((APP0, APP14, DQT, DHT, DRI, SOF0, _EXTENDED, SOS))
_LONGEST = {APP0: 14, APP14: 12}  # bytes: JFIF without a thumbnail, and Adobe's
_SMALL, _BEST = 16, 100  # tiles of fewer px are coded as well as can be


def fault(
    check: Check,
    address: TileAddress,
    jpeg: bytes,
    *,
    whole: bool = True,
    copies: Collection[Tables] = (),
) -> str | None:
    """What is odd about the coding of a tile that slide.json tells of, None where nothing is. Of a
    JPEG that is not `whole`, its end is not looked at; tiles that are copied out of the slide have
    one of the `copies`' tables, where there are any."""
    if check.document is None:
        return None
    try:
        stream = parse(jpeg)
    except StreamError as exc:
        return f"tile {address} is coded in another way than tiles are ({exc})"
    odd = _superfluous(jpeg, stream, whole) or _other_quality(check, address, stream, copies)
    return f"tile {address} {odd}" if odd else None


def _superfluous(jpeg: bytes, stream: Stream, whole: bool) -> str | None:
    """What is no part of the picture, or has viewers show it otherwise than it is meant."""
    tables = []
    for code, body, _ in segments(jpeg):
        if code not in _NEEDED or len(body) > _LONGEST.get(code, len(body)):
            return f"holds more than its picture (marker FF{code:02X})"
        if code == DQT:
            tables += list(table_numbers(body))
    if sorted(tables) != sorted({component.tq for component in stream.components}):
        return f"holds more than its picture (marker FF{DQT:02X})"
    if whole and jpeg.find(bytes((0xFF, EOI)), stream.scan) != len(jpeg) - 2:
        return "goes on behind the end of its picture"
    return None


def _other_quality(
    check: Check, address: TileAddress, stream: Stream, copies: Collection[Tables]
) -> str | None:
    tables, quality = stream.quantisation, _quality(check)
    if may_be_copied(check, address):
        made = {_tables(quality)} if quality else set()  # where it could not be copied
        is_other = bool(copies) and tables not in {*copies, *made}
        return "is not coded as the slide's own tiles are" if is_other else None
    size = check.pyramid.dimensions(address)
    if max(size) < _SMALL:
        quality = _BEST
    if quality is not None and tables != _tables(quality):
        return f"is not coded at the quality that slide.json states ({quality})"
    stated = str(check.document["options"].get("subsampling")) if check.document else ""
    sampled = stream.components[0].h, stream.components[0].v
    if min(size) > 1 and stated in FACTORS and sampled != FACTORS[stated]:
        return f"is not subsampled as slide.json states ({stated})"
    return None


def may_be_copied(check: Check, address: TileAddress) -> bool:
    """Whether the tile is one of those that slide.json says are copied, where they can be."""
    is_lossless = check.document and check.document["pyramid"].get("lane") == LOSSLESS
    return bool(is_lossless) and address.level == check.pyramid.base.number


def tables_of_copy(raw: RawTiles, base: BaseLevel, address: TileAddress) -> set[Tables]:
    """Those that the base tile can have where it is copied: the slide's own there; none where these
    cannot be read."""
    x, y = base.pyramid.location(address)
    left, top = (base.origin[side] - raw.base.at[side] for side in (0, 1))
    found = set()
    for tile in raw.read(*raw.base.around(left + x, top + y, base.pyramid.dimensions(address))):
        with suppress(StreamError):
            if tile:
                found.add(parse(tile, raw.base.tables).quantisation)
    return found


def _quality(check: Check) -> int | None:
    stated = check.document["options"].get("quality") if check.document else None
    return stated if isinstance(stated, int) and 1 <= stated <= 100 else None


@cache
def _tables(quality: int) -> Tables:
    """Those of libjpeg's scale, as Pillow has it."""
    made = io.BytesIO()
    Image.new("RGB", (8, 8)).save(made, "JPEG", quality=quality)
    return parse(made.getvalue()).quantisation
