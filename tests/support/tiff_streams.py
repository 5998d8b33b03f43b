"""Forged TIFFs of odd JPEG streams: their colours, their tables, their kinds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from tests.support.forge_tiffs import (
    GRAY,
    JFIF,
    LIBTIFF,
    PICTURE,
    TILE,
    Row,
    adobe,
    gray,
    jpeg,
    stream,
    strips,
    tables_of,
    tiles,
    with_tag,
)
from tests.support.tiles import Pixels, cut
from vsv_pyramid.jpeg.markers import DHT, DQT, DRI, segment


def colours() -> Iterator[Row]:
    """By libjpeg's order: what the samples are, and what container and stream say."""
    said = [  # (rgb, marker, ids, subsampling)
        ("jfif", False, JFIF, b"\1\2\3", "4:4:4"),
        ("jfif with adobe 0", False, JFIF + adobe(0), b"\1\2\3", "4:4:4"),
        ("jfif with ids RGB", False, JFIF, b"RGB", "4:4:4"),
        ("jfif 4:2:0", False, JFIF, b"\1\2\3", "4:2:0"),
        ("adobe 0", True, adobe(0), b"\1\2\3", "4:4:4"),
        ("adobe 0 with ids RGB", True, adobe(0), b"RGB", "4:4:4"),
        ("adobe 1", False, adobe(1), b"\1\2\3", "4:4:4"),
        ("adobe 1 with ids RGB", False, adobe(1), b"RGB", "4:4:4"),
        ("silent 4:2:0", False, b"", b"\0\1\2", "4:2:0"),
        ("silent 4:2:2 with ids RGB", False, b"", b"RGB", "4:2:2"),
        ("ids RGB", True, b"", b"RGB", "4:4:4"),
    ]
    for name, rgb, marker, ids, subsampling in said:
        for tag in "rgb", "ycbcr":
            data = tiles(rgb=rgb, marker=marker, ids=ids, subsampling=subsampling)
            yield Row(f"{name} under tag {tag}", [jpeg(data, tag)], streams=(rgb,))
    for name, rgb in ("rgb", True), ("ycbcr", False):
        for ids in b"\0\1\2", b"\1\2\3":
            data = tiles(rgb=rgb, ids=ids)
            yield Row(f"silent {ids.hex()} under tag {name}", [jpeg(data, name)], streams=(rgb,))
    for tag in "rgb", "ycbcr":
        both = [tiles(rgb=True, marker=adobe(0)), tiles(marker=JFIF)]
        mixed = [both[i % 2][i] for i in range(len(both[0]))]
        yield Row(
            f"tiles of two colours under tag {tag}", [jpeg(mixed, tag)], streams=(True, False)
        )
        row = strips(marker=JFIF)
        where: dict[str, Any] = {"tile": None, "rowsperstrip": 48}
        yield Row(f"jfif strips under tag {tag}", [jpeg(row, tag, **where)])
    tables = tables_of(stream(PICTURE[:16, :16], rgb=True), adobe(1))
    data = tiles(rgb=True, without=(DQT, DHT))
    yield Row(
        "adobe 1 in JPEGTables does not count",
        [jpeg(data, "rgb", jpegtables=tables)],
        streams=(True,),
    )


def other_streams() -> Iterator[Row]:
    kind = "of a kind that is not read"
    cmyk = np.asarray(Image.fromarray(PICTURE).convert("CMYK"))
    data = [_cmyk(part) for row in cut(PICTURE, TILE) for part in row]
    for tag in "rgb", "ycbcr":
        yield Row(f"cmyk under tag {tag}", [jpeg(data, tag)], said=kind)
    as_cmyk = jpeg(data, "separated", shape=cmyk.shape, compressionargs=None)
    yield Row("cmyk", [as_cmyk], said="CMYK or other inks")
    two = [
        bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(part[..., :2])))
        for row in cut(PICTURE, TILE)
        for part in row
    ]
    yield Row("two components", [jpeg(two, "rgb")], said=kind)
    deep = [
        bytes(imagecodecs.jpeg8_encode(part.astype(np.uint16) << 4, bitspersample=12))
        for row in cut(PICTURE, TILE)
        for part in row
    ]
    yield Row("12-bit streams", [jpeg(deep, "rgb")], said=kind)
    lossless = [
        bytes(imagecodecs.ljpeg_encode(np.ascontiguousarray(part[..., 0])))
        for row in cut(np.dstack([GRAY] * 3), TILE)
        for part in row
    ]
    stored = jpeg(lossless, "minisblack", shape=GRAY.shape)
    yield Row("lossless JPEG", [stored], said=kind)
    for tag in "rgb", "ycbcr":
        rgb = tag == "rgb"
        marker = adobe(0) if rgb else JFIF
        whole = tiles(rgb=rgb, marker=marker, subsampling="4:4:4")
        bare = tiles(rgb=rgb, marker=marker, without=(DHT,))
        yield Row(f"no Huffman tables, {tag}", [jpeg(bare, tag)], streams=(rgb,))
        shared = tables_of(whole[0])
        shared = shared[:2] + segment(DRI, b"\0\5") + shared[2:]
        abbreviated = tiles(rgb=rgb, marker=marker, without=(DQT, DHT))
        stored = jpeg(abbreviated, tag, jpegtables=shared)
        yield Row(f"restart interval in JPEGTables, {tag}", [stored], streams=(rgb,))
        stored = jpeg(abbreviated, tag, jpegtables=tables_of(whole[0])[:-2])
        yield Row(f"no EOI in JPEGTables, {tag}", [stored], streams=(rgb,))
        restart = tiles(rgb=rgb, marker=marker, restart_marker_blocks=5)
        yield Row(f"restart interval, {tag}", [jpeg(restart, tag)], streams=(rgb,))
        ids = b"RGB" if rgb else b"\1\2\3"  # as in all of its scans
        endless = [data[:-2] for data in whole]
        yield Row(f"no EOI, {tag}", [jpeg(endless, tag)], streams=(rgb,))
        again = tiles(rgb=rgb, marker=marker, ids=ids, progressive=True)
        yield Row(f"progressive, {tag}", [jpeg(again, tag)], streams=(rgb,))
    yield Row(
        "progressive jfif under tag rgb",
        [jpeg(tiles(marker=JFIF, progressive=True), "rgb")],
        streams=(False,),
    )
    for place, where in ("tiles", {}), ("strips", {"tile": None, "rowsperstrip": 48}):
        opaque = np.dstack([PICTURE, np.full_like(GRAY, 255)])
        data = [bytes(imagecodecs.jpeg8_encode(part, 95)) for part in _parts(opaque, place)]
        stored = jpeg(
            data,
            "rgb",
            shape=opaque.shape,
            extrasamples=["unassalpha"],
            compressionargs=None,
            **where,
        )
        yield Row(
            f"jpeg with alpha, {place}",
            [stored],
            patch=with_tag(262, 2),
            shown=lambda samples: samples[..., :3],
            said="" if place == "tiles" else LIBTIFF,
        )
    table = (320, "H", 768, tuple(range(768)), True)
    for name, tags in ("", [table]), (", without the table", []):
        stored = jpeg(tiles(GRAY), "minisblack", shape=GRAY.shape, extratags=tags)
        yield Row(
            f"palette in jpeg{name}",
            [stored],
            patch=with_tag(262, 3),
            said="a colour table on JPEG data",
        )
    for tag in "rgb", "ycbcr":
        stored = jpeg(tiles(marker=JFIF), tag)
        yield Row(
            f"old-style jpeg, {tag}", [stored], patch=with_tag(259, 6), said="data of the old style"
        )
    cropped = [
        stream(PICTURE[y : y + TILE, x : x + TILE], marker=JFIF)
        for y in range(0, PICTURE.shape[0], TILE)
        for x in range(0, PICTURE.shape[1], TILE)
    ]
    yield Row("jpeg tiles that end with the picture", [jpeg(cropped, "ycbcr")])
    yield Row(
        "gray streams",
        [jpeg(tiles(GRAY), "minisblack", shape=GRAY.shape)],
        truth=gray(GRAY),
        shown=gray,
    )


def _parts(pixels: Pixels, place: str) -> list[Pixels]:
    if place == "strips":
        return [np.ascontiguousarray(pixels[y : y + 48]) for y in range(0, len(pixels), 48)]
    below, right = (-length % TILE for length in pixels.shape[:2])
    full = np.pad(pixels, ((0, below), (0, right), (0, 0)), "edge")
    return [
        np.ascontiguousarray(full[y : y + TILE, x : x + TILE])
        for y in range(0, full.shape[0], TILE)
        for x in range(0, full.shape[1], TILE)
    ]


def _cmyk(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(out, "JPEG", quality=95)
    return out.getvalue()
