"""Forged TIFFs of several pages: which of them is the slide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.support.forge_tiffs import (
    GRAY,
    JFIF,
    LABEL,
    PICTURE,
    PLACES,
    Row,
    Stored,
    beyond_the_end,
    jpeg,
    reduced,
    tiles,
)


def pages() -> Iterator[Row]:
    """Which page is the slide."""
    tiled, striped = PLACES["tiles"], PLACES["strips"]
    slide = Stored(PICTURE, tiled)
    level = Stored(reduced(2), {**tiled, "subfiletype": 1})
    plain_level = Stored(reduced(2), tiled)
    label = Stored(LABEL, striped)
    told = "(120 x 80 px)"

    def larger(kind: str) -> Stored:
        big = np.full((400, 300, 3), (30, 30, 200), np.uint8)
        return Stored(big, {**striped, "description": kind, "subfiletype": 1})

    yield Row("levels", [slide, level])
    yield Row("levels without a subfile type", [slide, plain_level])
    yield Row("smallest level first", [plain_level, slide], index=1)
    yield Row(
        "smallest level first, strips",
        [Stored(reduced(4), striped), Stored(PICTURE, striped)],
        index=1,
    )
    yield Row(
        "smallest level first, jpeg",
        [
            jpeg(tiles(reduced(2), marker=JFIF), "ycbcr", shape=reduced(2).shape),
            jpeg(tiles(marker=JFIF), "ycbcr"),
        ],
        index=1,
        streams=(False,),
    )
    yield Row("label first", [label, slide], index=1, left=told)
    yield Row("label first, strips", [label, Stored(PICTURE, striped)], index=1, left=told)
    yield Row("label last", [slide, level, label], left=told)
    for kind in "label 300x400", "Macro", "slide label", "ThumbnailImage", "macro image":
        yield Row(
            f"a larger page described as {kind!r}",
            [larger(kind), slide],
            index=1,
            left="(" + ("label" if "label" in kind else kind[:5].lower()),
        )
    macro = Stored(np.full((300, 320, 3), 99, np.uint8), {**striped, "subfiletype": 9})
    yield Row("a larger macro by its subfile type", [macro, slide], index=1, left="(macro, ")
    alike = Stored(np.full((300, 400, 3), 99, np.uint8), {**striped, "subfiletype": 1})
    yield Row("a larger label of the slide's shape", [slide, alike], left="(400 x 300 px)")
    untold = Stored(np.full((300, 320, 3), 99, np.uint8), striped)
    yield Row("a larger page in strips", [slide, untold], left="(320 x 300 px)")
    yield Row(
        "nothing but a label", [larger("label 300x400")], said="holds a label image, and no slide"
    )
    alone = Stored(PICTURE, {**tiled, "subfiletype": 1})
    yield Row("nothing but a reduced picture", [alone], said="says that it is a reduced picture")
    for name, place in PLACES.items():
        channel = Stored(GRAY, {**place, "photometric": "minisblack"})
        yield Row(f"R, G and B as pages, {name}", [channel] * 3, said="none of which is the slide")
        focus = Stored(PICTURE, place)
        yield Row(f"focus planes, {name}", [focus] * 3, left="page 2 (200 x 150 px), page 3")
    stack = "ImageJ=1.53t\nimages=5\nslices=5\n"
    channel = Stored(GRAY, {**striped, "photometric": "minisblack", "description": stack})
    yield Row("ImageJ stack of one directory", [channel], said="none of which is the slide")
    ome = (
        '<?xml version="1.0"?><OME><Image><Pixels SizeC="{}" SizeT="1" SizeX="200" SizeY="150" '
        'SizeZ="{}" Type="uint8"></Pixels></Image></OME>'
    )
    channel = Stored(GRAY, {**tiled, "photometric": "minisblack", "description": ome.format(4, 1)})
    yield Row("OME channels in other files", [channel], said="none of which is the slide")
    yield Row("OME of one picture", [Stored(PICTURE, {**tiled, "description": ome.format(3, 1)})])
    planes = Stored(PICTURE, {**tiled, "description": ome.format(3, 7)})
    yield Row("OME focus planes in other files", [planes], left="6 further planes")
    user = Stored(PICTURE, {**tiled, "description": "scan of 2026|Title = label 3|Macro = none"})
    yield Row("a title that speaks of a label", [user])


def cut_off() -> Iterator[Row]:
    tiled, striped = PLACES["tiles"], PLACES["strips"]
    slide, label = Stored(PICTURE, tiled), Stored(LABEL, {**striped, "subfiletype": 1})
    yield Row(
        "a label whose bytes lie beyond the end",
        [slide, label],
        patch=beyond_the_end(1),
        left="(120 x 80 px)",
    )
    yield Row(
        "tiles that lie beyond the end", [slide, label], patch=beyond_the_end(0), said="cut off at"
    )
    level = Stored(reduced(2), {**tiled, "subfiletype": 1})
    yield Row(
        "a level that lies beyond the end",
        [slide, level],
        patch=beyond_the_end(1),
        said="cut off at",
    )
