"""k x k JPEG tiles of a slide made one, without decoding them, and its half."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsv_pyramid.jpeg._splice import Coding, splice
from vsv_pyramid.jpeg.stream import (
    CHROMINANCE,
    LUMINANCE,
    HuffmanTable,
    Stream,
    StreamError,
    Unspliceable,
    header,
    parse,
)

Plane = NDArray[np.uint8]
Subsampling = Literal["420", "422", "444"]
_Tables = tuple[tuple[HuffmanTable, HuffmanTable], ...]
_FACTORS = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}


class Joined(NamedTuple):
    """One JPEG, and its half as planes Y, Cb, Cr (rows, columns), subsampled as asked for."""

    jpeg: bytes
    half: tuple[Plane, Plane, Plane]


def join(
    tiles: Sequence[bytes | None],
    columns: int,
    rows: int,
    *,
    tile_size: tuple[int, int],
    size: tuple[int, int],
    tables: bytes = b"",
    rgb: bool,
    subsampling: Subsampling = "420",
) -> Joined:
    """The tiles, in row-major order, as one JPEG of `size` (width, height) px, and its half.

    A tile that is None or empty becomes white; at least one must not be. `tile_size` is that of a
    source tile. `rgb` says what the samples are, as the TIFF does; the half is JFIF's YCbCr either
    way.

    Raises Unspliceable where the tiles cannot be joined losslessly, StreamError where one is
    damaged; its `tile` is (column, row) within the join.
    """
    if len(tiles) != columns * rows:
        raise ValueError(f"{len(tiles)} tiles for {columns} x {rows}")
    sources = [tile or None for tile in tiles]
    streams: list[Stream | None] = [None] * len(tiles)
    first: Stream | None = None
    for i, tile in enumerate(sources):
        if tile is None:
            continue
        try:
            streams[i] = stream = _stream(tile, tables)
            if first is None:
                first = stream
                _check(stream, columns, rows, tile_size, rgb)
            elif stream is not first:
                _check_alike(stream, first)
        except StreamError as exc:
            raise type(exc)(exc.reason, (i % columns, i // columns)) from exc
    if first is None:
        raise Unspliceable("every tile is empty")
    sampling = _sampling(first)
    half_width, half_height = -(-size[0] // 2), -(-size[1] // 2)
    fx, fy = _FACTORS[subsampling]
    luma = np.empty((half_height, half_width), np.uint8)
    # Gray has no chroma of its own to overwrite this.
    cb, cr = (
        np.full((-(-half_height // fy), -(-half_width // fx)), 128, np.uint8) for _ in range(2)
    )
    fallback = _fallback(len(sampling), rgb)
    jpeg = splice(
        sources,
        [stream.scan if stream else 0 for stream in streams],
        [_coding(stream.coding) if stream else None for stream in streams],
        [stream.restart if stream else 0 for stream in streams],
        columns,
        rows,
        (*tile_size,),
        (*size,),
        sampling,
        first.quantisation,
        (fx, fy),
        rgb,
        _header(first, first.coding, size, rgb),
        _header(first, fallback, size, rgb),
        _coding(fallback),
        luma,
        cb,
        cr,
    )
    return Joined(jpeg, (luma, cb, cr))


def _stream(tile: bytes, tables: bytes) -> Stream:
    """The tile's header, read once for all tiles that share it.

    Headers cost more in Python than the scan in C.
    """
    sos = tile.find(b"\xff\xda")
    if sos >= 0 and sos + 4 <= len(tile):
        head = tile[: sos + 2 + int.from_bytes(tile[sos + 2 : sos + 4], "big")]
        try:
            return _parsed(head, tables)
        except StreamError:
            # What was found may not have been the scan's header, but part of a thumbnail in a
            # marker before it.
            pass
    return parse(tile, tables)


@lru_cache(maxsize=64)
def _parsed(head: bytes, tables: bytes) -> Stream:
    return parse(head, tables)


@lru_cache(maxsize=64)
def _header(stream: Stream, coding: _Tables, size: tuple[int, int], rgb: bool) -> bytes:
    return header(stream, _sampling(stream), coding, size, rgb)


@lru_cache(maxsize=64)
def _coding(tables: _Tables) -> Coding:
    pairs = tuple(dict.fromkeys(tables))
    return Coding(
        tuple(((dc.counts, dc.symbols), (ac.counts, ac.symbols)) for dc, ac in pairs),
        tuple(pairs.index(pair) for pair in tables),
    )


def _fallback(count: int, rgb: bool) -> _Tables:
    """The tables for tiles that differ in theirs, or lack a code that a seam needs."""
    return (LUMINANCE,) * count if rgb else (LUMINANCE, CHROMINANCE, CHROMINANCE)[:count]


def _sampling(stream: Stream) -> tuple[tuple[int, int], ...]:
    """(h, v) per component.

    A scan of one component has one block an MCU whatever the frame says (A.2.2).
    """
    return tuple((c.h, c.v) for c in stream.components) if len(stream.components) > 1 else ((1, 1),)


def _check(stream: Stream, columns: int, rows: int, tile_size: tuple[int, int], rgb: bool) -> None:
    if (stream.width, stream.height) != tile_size:
        raise Unspliceable(
            f"{stream.width} x {stream.height} px where the slide's tiles are "
            f"{tile_size[0]} x {tile_size[1]}"
        )
    sampling = _sampling(stream)
    h, v = sampling[0]
    if (
        h > 2
        or v > 2
        or (len(sampling) == 3 and (sampling[1:] not in (((1, 1), (1, 1)), (sampling[0],) * 2)))
    ):
        raise Unspliceable(f"sampling factors {sampling}")
    if sum(a * b for a, b in sampling) > 10:
        raise StreamError("a frame (SOF) with more than ten blocks an MCU")
    if rgb and (h, v) != sampling[-1]:
        raise Unspliceable("RGB samples with subsampling")
    if rgb and len(sampling) != 3:
        raise Unspliceable("RGB samples of one component")
    if (columns > 1 and tile_size[0] % (8 * h)) or (rows > 1 and tile_size[1] % (8 * v)):
        raise Unspliceable(f"tiles that are no multiple of their MCU of {8 * h} x {8 * v} px")
    if tile_size[0] > 4096 or tile_size[1] > 4096:
        raise Unspliceable("tiles larger than 4096 px")
    if max(columns * tile_size[0], rows * tile_size[1]) > 65535:
        raise Unspliceable("a joined tile larger than a JPEG can be")


def _check_alike(stream: Stream, first: Stream) -> None:
    if (stream.width, stream.height) != (first.width, first.height):
        raise Unspliceable(
            f"{stream.width} x {stream.height} px where its neighbours are "
            f"{first.width} x {first.height}"
        )
    if _sampling(stream) != _sampling(first):
        raise Unspliceable("other components or sampling factors than its neighbours'")
    if stream.quantisation != first.quantisation:
        raise Unspliceable("other quantisation tables than its neighbours'")
