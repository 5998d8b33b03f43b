"""Forged TIFFs of several pages: which of them is the slide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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


# What a page says of itself that is no slide, and what of the slide only seems to say so.
NAMES = {
    "label": "label",
    "Label_Image": "label",
    "barcode": "label",
    "170782 label": "label",
    "a.svs [macro image]": "macro",
    "macro.tif": "macro",
    "slide overview": "macro",
    "Overview": "macro",
    "SlidePreview": "thumbnail",
}
TEXTS = (
    "Label-free imaging of liver, 20x",
    "GFP label",
    "Stitched with Fiji macro 2.1",
    "slide 4, see thumbnail",
    "Overview of the liver",
    "ImageJ=1.53t\nloop=false\n# label study\n",
)
AKOYA = (
    '<?xml version="1.0"?><PerkinElmer-QPI-ImageDescription><ImageType>{}</ImageType>'
    "</PerkinElmer-QPI-ImageDescription>"
)


def ome(*images: tuple[str, str], own: str = "") -> str:
    """OME-XML of Images, each a name and what is in it."""
    inner = "".join(
        f'<Image ID="Image:{i}" Name="{name}"><Pixels SizeC="3" SizeT="1" SizeZ="1" Type="uint8">'
        f"{data}</Pixels></Image>"
        for i, (name, data) in enumerate(images)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><OME UUID="{own}">{inner}</OME>'


def named(name: str) -> dict[str, Any]:
    return {"extratags": [(285, "s", 0, name, True)]}


def associated() -> Iterator[Row]:
    """Larger pages that are not the slide, and the slide that is told from them."""
    tiled, striped = PLACES["tiles"], PLACES["strips"]
    big = np.full((220, 200, 3), (30, 30, 200), np.uint8)
    told = "200 x 220 px)"
    for place, where in PLACES.items():
        slide = Stored(PICTURE, where)
        for name, kind in NAMES.items():
            page = Stored(big, {**where, **named(name)})
            left = f"page 1 ({kind}, {told}"
            yield Row(f"a larger page named {name!r}, {place}", [page, slide], index=1, left=left)
            yield Row(f"a page named {name!r}, {place}", [page], said=f"holds a {kind} image")
        for text in TEXTS:
            page = Stored(PICTURE, {**where, "description": text})
            yield Row(f"a text {text[:20]!r}, {place}", [page])
        study = Stored(PICTURE, {**where, **named("H&E label study 7")})
        yield Row(f"a name with a word in it, {place}", [study])
        for kind, said in ("Label", "label"), ("Overview", "macro"), ("Thumbnail", "thumbnail"):
            page = Stored(big, {**where, "description": AKOYA.format(kind)})
            full = Stored(PICTURE, {**where, "description": AKOYA.format("FullResolution")})
            left = f"page 1 ({said}, {told}"
            yield Row(f"Akoya's {kind} and slide, {place}", [page, full], index=1, left=left)
            yield Row(f"Akoya's {kind}, {place}", [page], said=f"holds a {said} image")
        levels = [Stored(reduced(times), where) for times in (2, 4)]
        yield Row(
            f"a larger page beside a pyramid, {place}",
            [Stored(big, where), slide, *levels],
            index=1,
            left=f"page 1 ({told}",
        )
        large = Stored(np.full((500, 400, 3), 99, np.uint8), where)
        words = "page 1 (400 x 500 px) or page 2 (200 x 150 px) could be the slide"
        yield Row(
            f"a far larger page beside a pyramid, {place}", [large, slide, *levels], said=words
        )
    slide, level = Stored(PICTURE, tiled), Stored(reduced(2), tiled)
    yield Row(
        "a larger page beside two levels, tiles",
        [Stored(big, tiled), slide, level],
        index=1,
        left=f"page 1 ({told}",
    )
    yield Row(
        "a larger page beside two levels, strips",
        [Stored(big, striped), Stored(PICTURE, striped), Stored(reduced(2), striped)],
        said="could be the slide",
    )
    whole = np.pad(PICTURE, ((0, 42), (0, 56), (0, 0)), "edge")  # whole tiles
    filled = [np.pad(whole[::n, ::n], ((0, 32 // (n // 2)), (0, 0), (0, 0))) for n in (2, 4)]
    assert [level.shape[:2] for level in filled] == [(128, 128), (64, 64)]
    yield Row(
        "levels of whole tiles",
        [Stored(np.ascontiguousarray(data), tiled) for data in (whole, *filled)],
        truth=whole,
        left="page 2 (128 x 128 px), page 3 (64 x 64 px)",
    )
    tiny = [Stored(np.full((side, side, 3), 9, np.uint8), tiled) for side in (20, 10)]
    yield Row("the slide beside two far smaller pages", [slide, *tiny], left="page 2 (20 x 20 px)")
    yield Row(
        "the slide beside a label of two sizes in strips",
        [slide, Stored(LABEL, striped), Stored(LABEL[::2, ::2], striped)],
        left="page 2 (120 x 80 px), page 3 (60 x 40 px)",
    )


def masks() -> Iterator[Row]:
    """Pages that are of the slide, and are none of its levels."""
    tiled = PLACES["tiles"]
    slide, level = Stored(PICTURE, tiled), Stored(reduced(2), tiled)
    for place, where in PLACES.items():
        stored = Stored(PICTURE, where)
        gray = {**where, "photometric": "minisblack"}
        mask = np.where(GRAY > 150, 255, 0).astype(np.uint8)
        for times in 2, 3:
            large = Stored(np.kron(mask, np.ones((times, times), np.uint8)), gray)
            size = f"({200 * times} x {150 * times} px)"
            words = f"page 2 {size} or page 1 (200 x 150 px) could be the slide"
            yield Row(f"a mask {times} times as large, {place}", [stored, large], said=words)
        alike, bits = Stored(mask, gray), Stored(mask > 0, {**gray, "bitspersample": 1})
        for name, page in ("gray", alike), ("bilevel", bits):
            left = "page 1 (200 x 150 px)"
            yield Row(f"a {name} mask first, {place}", [page, stored], index=1, left=left)
    half = Stored(np.ascontiguousarray(mask[::2, ::2]), {**tiled, "photometric": "minisblack"})
    yield Row("a mask of half the size", [slide, half], left="page 2 (100 x 75 px)")
    photo = np.full((300, 400, 3), 99, np.uint8)
    yield Row(
        "a larger photo of the slide's shape in strips",
        [Stored(photo, PLACES["strips"]), slide, level],
        index=1,
        left="page 1 (400 x 300 px)",
    )
    for name in "No label", "Nikon macro", "label":
        page = Stored(PICTURE, {**tiled, **named(name)})
        yield Row(f"a slide named {name!r} with a level", [page, level], said="could be the slide")


def series() -> Iterator[Row]:
    """OME's Images, each with levels of its own."""
    tiled = PLACES["tiles"]
    first, second = '<TiffData IFD="0" PlaneCount="1"/>', '<TiffData IFD="1" PlaneCount="1"/>'
    half = Stored(np.ascontiguousarray(reduced(2)[::-1]), tiled)

    def described(pixels: Any, description: str, **more: Any) -> Stored:
        return Stored(pixels, {**tiled, "description": description, **more})

    scans = ome(("scan 1", first), ("scan 2", second))
    left = "page 2 (100 x 75 px)"
    yield Row("OME's second scan of half the size", [described(PICTURE, scans), half], left=left)
    yield Row(
        "OME's two scans with levels",
        [
            described(PICTURE, scans, subifds=1),
            Stored(reduced(2), {**tiled, "subfiletype": 1}),
            Stored(half.data, {**tiled, "subifds": 1}),
            Stored(reduced(4), {**tiled, "subfiletype": 1}),
        ],
        left="page 2 (100 x 75 px), a page in a SubIFD (50 x 38 px)",
    )
    one = ome(("scan 1", first + second))
    yield Row("OME's level as a plane", [described(PICTURE, one), half])
    big = np.full((220, 200, 3), (30, 30, 200), np.uint8)
    for name, kind in ("label image", "label"), ("a.svs - macro", "macro"):
        text = ome((name, first), ("scan", second))
        yield Row(
            f"OME's {name} and scan",
            [described(big, text), Stored(PICTURE, tiled)],
            index=1,
            left=f"page 1 ({kind}, 200 x 220 px)",
        )
    elsewhere = first.replace("/>", '><UUID FileName="b.ome.tif">urn:uuid:b</UUID></TiffData>')
    text = ome(("label", elsewhere), ("scan", first), own="urn:uuid:a")
    yield Row(
        "OME's label in another file",
        [described(PICTURE, text)],
        left="1 further picture in other files",
    )
    text = ome(("region 1", first), ("scan", elsewhere), ("more", elsewhere), own="urn:uuid:a")
    yield Row(
        "OME's scan in another file",
        [described(PICTURE, text)],
        left="2 further pictures in other files",
    )


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
