"""k x k JPEG tiles of a slide made one, without decoding them, and its half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from vsv_pyramid.errors import StreamError, Unspliceable
from vsv_pyramid.jpeg._splice import Coding, splice
from vsv_pyramid.jpeg.planes import FACTORS, Planes, Subsampling, empty
from vsv_pyramid.jpeg.stream import CHROMINANCE, LUMINANCE, HuffmanTable, Stream, header, parse

_Tables = tuple[tuple[HuffmanTable, HuffmanTable], ...]


class Joined(NamedTuple):
    """One JPEG, and its half, subsampled as asked for."""

    jpeg: bytes
    half: Planes


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
    half: Planes | None = None,
) -> Joined:
    """The tiles, in row-major order, as one JPEG of `size` (width, height) px, and its half, in the
    planes given or in new ones.

    A tile that is None or empty becomes white; at least one must not be. `tile_size` is that of a
    source tile. `rgb` is the TIFF's word on what the samples are, for streams that have none of
    their own; the half is JFIF's YCbCr either way.

    Raises Unspliceable where the tiles cannot be joined losslessly, StreamError where one is
    damaged; its `tile` is (column, row) within the join.
    """
    if len(tiles) != columns * rows:
        raise ValueError(f"{len(tiles)} tiles for {columns} x {rows}")
    sources = [tile or None for tile in tiles]
    kinds: list[_Kind | None] = [None] * len(tiles)
    first: _Kind | None = None
    for i, tile in enumerate(sources):
        if tile is None:
            continue
        if first and tile.startswith(first.head):
            kinds[i] = first
            continue
        try:
            kinds[i] = kind = _kind(tile, tables, rgb)
            if first is None:
                first = kind
                _check(kind, columns, rows, tile_size)
            elif kind is not first:
                _check_alike(kind, first)
        except StreamError as exc:
            raise type(exc)(exc.reason, (i % columns, i // columns)) from exc
    if first is None:
        raise Unspliceable("every tile is empty")
    half = half or empty((-(-size[0] // 2), -(-size[1] // 2)), subsampling)
    if len(first.sampling) == 1:  # gray has no chroma of its own
        half.cb[:] = half.cr[:] = 128
    jpeg = splice(
        sources,
        [kind.stream.scan if kind else 0 for kind in kinds],
        [kind.coding if kind else None for kind in kinds],
        [kind.stream.restart if kind else 0 for kind in kinds],
        columns,
        rows,
        (*tile_size,),
        (*size,),
        first.sampling,
        first.stream.quantisation,
        FACTORS[subsampling],
        first.rgb,
        *_headers(first, (*size,)),
        _fallback_coding(len(first.sampling), first.rgb),
        *half,
    )
    return Joined(jpeg, half)


@dataclass(frozen=True, eq=False)
class _Kind:
    """What all tiles with the same header share; the same one for all of them, so that it can be
    told and cached by its identity."""

    head: bytes
    stream: Stream
    sampling: tuple[tuple[int, int], ...]
    coding: Coding
    rgb: bool


def _kind(tile: bytes, tables: bytes, rgb: bool) -> _Kind:
    """The tile's kind; its header is read once for all tiles that share it.

    Headers cost more in Python than the scan in C.
    """
    sos = tile.find(b"\xff\xda")
    if sos >= 0 and sos + 4 <= len(tile):
        head = tile[: sos + 2 + int.from_bytes(tile[sos + 2 : sos + 4], "big")]
        try:
            return _kind_of_head(head, tables, rgb)
        except StreamError:
            # What was found may not have been the scan's header, but part of a thumbnail in a
            # marker before it.
            pass
    return _read_kind(tile, tables, rgb)


def _read_kind(head: bytes, tables: bytes, rgb: bool) -> _Kind:
    stream = parse(head, tables)
    sampling, coding = _sampling(stream), coding_of(stream.coding)
    return _Kind(head[: stream.scan], stream, sampling, coding, stream.is_rgb(rgb))


_kind_of_head = lru_cache(maxsize=64)(_read_kind)


@lru_cache(maxsize=64)
def _headers(kind: _Kind, size: tuple[int, int]) -> tuple[bytes, bytes]:
    """The joined tile's header, with its kind's own tables and with the fallback's."""
    own, fallback = kind.stream.coding, _fallback(len(kind.sampling), kind.rgb)
    return (
        header(kind.stream, kind.sampling, own, size, kind.rgb),
        header(kind.stream, kind.sampling, fallback, size, kind.rgb),
    )


@lru_cache(maxsize=64)
def coding_of(tables: _Tables) -> Coding:
    """The tables of a stream's components, as the kernel takes them."""
    pairs = tuple(dict.fromkeys(tables))
    return Coding(
        tuple(((dc.counts, dc.symbols), (ac.counts, ac.symbols)) for dc, ac in pairs),
        tuple(pairs.index(pair) for pair in tables),
    )


def _fallback(count: int, rgb: bool) -> _Tables:
    """The tables for tiles that differ in theirs, or lack a code that a seam needs."""
    return (LUMINANCE,) * count if rgb else (LUMINANCE, CHROMINANCE, CHROMINANCE)[:count]


@lru_cache
def _fallback_coding(count: int, rgb: bool) -> Coding:
    return coding_of(_fallback(count, rgb))


def _sampling(stream: Stream) -> tuple[tuple[int, int], ...]:
    """(h, v) per component.

    A scan of one component has one block an MCU whatever the frame says (A.2.2).
    """
    return tuple((c.h, c.v) for c in stream.components) if len(stream.components) > 1 else ((1, 1),)


@lru_cache(maxsize=64)
def _check(kind: _Kind, columns: int, rows: int, tile_size: tuple[int, int]) -> None:
    stream, sampling = kind.stream, kind.sampling
    if (stream.width, stream.height) != tile_size:
        raise Unspliceable(
            f"{stream.width} x {stream.height} px where the slide's tiles are "
            f"{tile_size[0]} x {tile_size[1]}"
        )
    h, v = sampling[0]
    if (
        h > 2
        or v > 2
        or (len(sampling) == 3 and (sampling[1:] not in (((1, 1), (1, 1)), (sampling[0],) * 2)))
    ):
        raise Unspliceable(f"sampling factors {sampling}")
    if sum(a * b for a, b in sampling) > 10:
        raise StreamError("a frame (SOF) with more than ten blocks an MCU")
    if kind.rgb and (h, v) != sampling[-1]:
        raise Unspliceable("RGB samples with subsampling")
    if (columns > 1 and tile_size[0] % (8 * h)) or (rows > 1 and tile_size[1] % (8 * v)):
        raise Unspliceable(f"tiles that are no multiple of their MCU of {8 * h} x {8 * v} px")
    if tile_size[0] > 4096 or tile_size[1] > 4096:
        raise Unspliceable("tiles larger than 4096 px")
    if max(columns * tile_size[0], rows * tile_size[1]) > 65535:
        raise Unspliceable("a joined tile larger than a JPEG can be")


def _check_alike(kind: _Kind, other: _Kind) -> None:
    stream, first = kind.stream, other.stream
    if (stream.width, stream.height) != (first.width, first.height):
        raise Unspliceable(
            f"{stream.width} x {stream.height} px where its neighbours are "
            f"{first.width} x {first.height}"
        )
    if kind.sampling != other.sampling:
        raise Unspliceable("other components or sampling factors than its neighbours'")
    if kind.rgb != other.rgb:
        raise Unspliceable("RGB among YCbCr, or the reverse")
    if stream.quantisation != first.quantisation:
        raise Unspliceable("other quantisation tables than its neighbours'")
