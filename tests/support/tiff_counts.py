"""Forged TIFFs whose tiles or strips have other byte counts than their pixels, or are not there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from tests.support.forge_tiffs import (
    CANNOT,
    JFIF,
    ORDERS,
    PICTURE,
    PLACES,
    TILE,
    Row,
    Stored,
    jpeg,
    tiles,
    with_places,
)


def longer(_: list[int], counts: list[int]) -> None:
    counts[:-1] = [count + 1 for count in counts[:-1]]  # the last one ends with the file


def longer_by_more(_: list[int], counts: list[int]) -> None:
    counts[1] += counts[1]


def shorter(_: list[int], counts: list[int]) -> None:
    counts[1] -= 1


def halved(_: list[int], counts: list[int]) -> None:
    counts[:] = [count // 2 for count in counts]


def left_out(offsets: list[int], counts: list[int]) -> None:
    offsets[1] = counts[1] = 0


def without_one(pixels: NDArray[Any]) -> NDArray[Any]:
    shown: NDArray[Any] = pixels.copy()
    shown[:TILE, TILE : 2 * TILE] = 255
    return shown


def byte_counts() -> Iterator[Row]:
    for height, width in (16, 16), (48, 48), (80, 112), (240, 240):  # none is whole KiB
        yield Row(
            f"bare tiles of {width} x {height} px", [Stored(PICTURE, {"tile": (height, width)})]
        )
    for (place, cutting), (order, file) in itertools.product(PLACES.items(), ORDERS.items()):
        name, bare = f"{place} {order}", [Stored(PICTURE, cutting)]
        said = CANNOT if order == "MM big" and place == "strips" else ""
        for change in longer, longer_by_more:
            patch = with_places(change)
            yield Row(f"bare {name}, {change.__name__}", bare, patch=patch, said=said, file=file)
        said = "fewer bytes than its pixels"
        yield Row(f"bare {name}, shorter", bare, patch=with_places(shorter), said=said, file=file)
        is_shown = place == "tiles"
        for compression in None, "lzw":
            yield Row(
                f"{compression} {name}, one left out",
                [Stored(PICTURE, {**cutting, "compression": compression})],
                truth=without_one(PICTURE),
                shown=without_one,
                patch=with_places(left_out),
                said="" if is_shown else "leaves out some of its tiles",
                file=file,
            )
    for compression in "lzw", "deflate", "packbits":
        settings = {**PLACES["tiles"], "compression": compression}
        yield Row(
            f"{compression} tiles, cut",
            [Stored(PICTURE, settings)],
            patch=with_places(halved),
            said="cannot be decoded",
        )
    yield Row(
        "jpeg tiles, one left out",
        [jpeg(tiles(marker=JFIF), "ycbcr")],
        truth=without_one(PICTURE),
        shown=without_one,
        patch=with_places(left_out),
    )
