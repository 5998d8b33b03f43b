"""The table of forged TIFFs: tags, compressions, layouts, streams and pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import OPEN_INFO

from tests.support.forge_tiffs import (
    ALPHA,
    CANNOT,
    GRAY,
    JFIF,
    LIBTIFF,
    NOISE,
    ORDERS,
    PICTURE,
    PLACES,
    SIZE,
    TILE,
    Row,
    Stored,
    adobe,
    blended,
    gray,
    jpeg,
    strips,
    tiles,
    turned,
    with_tag,
    without_tag,
)
from tests.support.tiff_counts import byte_counts
from tests.support.tiff_pages import associated, cut_off, masks, pages, series
from tests.support.tiff_streams import colours, other_streams

# Gray that is multiplied by its alpha, as Pillow knows it from 13 on.
GRAY_ALPHA = (b"II", 1, (1,), 1, (8, 8), (1,))
OTHER = "which OpenSlide cannot read here; save it"


def layouts() -> Iterator[Row]:
    for (order, file), (place, cutting) in itertools.product(ORDERS.items(), PLACES.items()):
        for compression in (None, "lzw", "deflate", "packbits"):
            said = LIBTIFF if compression else ""
            if place == "tiles":
                said = ""
            elif place == "strips" and order == "MM big":
                said = CANNOT
            stored = Stored(PICTURE, {**cutting, "compression": compression})
            yield Row(f"{compression} {place} {order}", [stored], said=said, file=file)
        for tag, subsampling in ("rgb", "4:4:4"), ("ycbcr", "4:4:4"), ("ycbcr", "4:2:0"):
            make = tiles if place == "tiles" else strips
            rgb = tag == "rgb"
            data = make(rgb=rgb, marker=adobe(0) if rgb else JFIF, subsampling=subsampling)
            where: dict[str, Any] = {"tile": None, "rowsperstrip": 48} if place == "strips" else {}
            yield Row(
                f"jpeg {tag} {subsampling} {place} {order}",
                [jpeg(data, tag, **where)],
                streams=None if place == "strips" else (rgb,),
                file=file,
            )


def orientations() -> Iterator[Row]:
    for orientation in range(2, 9):
        tag: dict[str, Any] = {"extratags": [(274, "H", 1, orientation, True)]}
        truth, name = turned(PICTURE, orientation), f"orientation {orientation}, "

        def shown(samples: NDArray[Any], orientation: int = orientation) -> NDArray[Any]:
            return turned(samples, orientation)

        for place, cutting in PLACES.items():
            for compression in None, "lzw":
                settings = {**cutting, **tag, "compression": compression}
                said = LIBTIFF if compression and place == "strips" else ""
                stored = Stored(PICTURE, settings)
                yield Row(f"{name}{compression} {place}", [stored], truth, said, shown=shown)
        stored = Stored(GRAY, {**tag, "photometric": "minisblack", "rowsperstrip": SIZE[1]})
        yield Row(
            f"{name}gray in one strip",
            [stored],
            truth=gray(turned(GRAY, orientation)),
            shown=lambda samples, by=orientation: gray(turned(samples, by)),  # type: ignore[misc]
        )
        stored = jpeg(tiles(marker=JFIF), "ycbcr", **tag)
        yield Row(f"{name}jpeg tiles", [stored], truth, shown=shown, streams=(False,))
        data = jpeg(strips(marker=JFIF), "ycbcr", tile=None, rowsperstrip=48, **tag)
        yield Row(f"{name}jpeg strips", [data], truth, shown=shown)


def turned_by_xmp() -> Iterator[Row]:
    """A turn of which only XMP speaks is nobody's."""
    said = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    tag: dict[str, Any] = {"extratags": [(700, "B", len(said), said, True)]}
    for (place, cutting), order in itertools.product(PLACES.items(), ("II", "MM")):
        stored = Stored(PICTURE, {**cutting, **tag})
        yield Row(f"orientation in XMP, {place} {order}", [stored], file=ORDERS[order])


def samples() -> Iterator[Row]:
    """Planes apart, and samples that are neither colour nor alpha, or are."""
    apart = np.ascontiguousarray(np.moveaxis(PICTURE, 2, 0))
    pressed = np.round(PICTURE * (ALPHA / 255.0)).astype(np.uint8)

    def interleaved(planes: NDArray[Any]) -> NDArray[Any]:
        return np.moveaxis(planes, 0, 2)

    for place, cutting in PLACES.items():
        for compression in None, "lzw":
            settings = {**cutting, "compression": compression}
            said = LIBTIFF if compression else ""
            name = f"{compression} {place}"

            def row(
                what: str,
                data: NDArray[Any],
                name: str = name,
                settings: dict[str, Any] = settings,
                **more: Any,
            ) -> Row:
                keys = {key: more.pop(key) for key in list(more) if key not in Row.__annotations__}
                return Row(f"{what}, {name}", [Stored(data, {**settings, **keys})], **more)

            yield row(
                "planes",
                apart,
                planarconfig="separate",
                shown=interleaved,
                said="" if place == "tiles" else said,
            )
            yield row(
                "fourth sample of no meaning",
                np.dstack([PICTURE, NOISE]),
                extrasamples=["unspecified"],
                shown=lambda samples: samples[..., :3],
                said=said,
                left="neither colour nor alpha",
            )
            yield row(
                "two further samples",
                np.dstack([PICTURE, NOISE, NOISE]),
                extrasamples=["unspecified"] * 2,
                shown=lambda samples: samples[..., :3],
                said=said,
                left="2 of 5 samples",
            )
            yield row(
                "alpha",
                np.dstack([PICTURE, ALPHA]),
                extrasamples=["unassalpha"],
                truth=blended(PICTURE, ALPHA),
                said="" if place == "tiles" else said,
                shown=lambda samples: blended(samples[..., :3], samples[..., 3:]),
            )
            yield row(
                "associated alpha",
                np.dstack([pressed, ALPHA]),
                extrasamples=["assocalpha"],
                truth=blended(PICTURE, ALPHA),
                said="" if place == "tiles" else said,
                shown=lambda samples: (samples[..., :3] + (255 - samples[..., 3:])).astype(
                    np.uint8
                ),
            )
            yield row(
                "alpha of gray",
                np.dstack([GRAY[..., None], ALPHA]),
                photometric="minisblack",
                extrasamples=["unassalpha"],
                truth=blended(gray(GRAY), ALPHA),
                said=said,
                shown=lambda samples: blended(gray(samples[..., 0]), samples[..., 1:]),
            )
            yield row(
                "associated alpha of gray",
                np.dstack([np.round(GRAY[..., None] * (ALPHA / 255.0)).astype(np.uint8), ALPHA]),
                photometric="minisblack",
                extrasamples=["assocalpha"],
                truth=blended(gray(GRAY), ALPHA),
                said=said if GRAY_ALPHA in OPEN_INFO else "lie in a way that Pillow cannot read",
                shown=lambda samples: gray(
                    (samples[..., 0] + (255 - samples[..., 1])).astype(np.uint8)
                ),
            )
            odd = "samples a pixel, stored together"
            yield row(
                "alpha behind another sample",
                np.dstack([PICTURE, NOISE, ALPHA]),
                extrasamples=["unspecified", "unassalpha"],
                said=odd,
            )
            yield row(
                "alpha where white is zero",
                np.dstack([GRAY[..., None], ALPHA]),
                photometric="miniswhite",
                extrasamples=["unassalpha"],
                said=odd,
            )
            if not compression:
                for what, fourth, words in (
                    ("noise", NOISE, "ExtraSamples does not say"),
                    ("255", np.full_like(NOISE, 255), ""),
                ):
                    yield row(
                        f"fourth sample of no word, {what}",
                        np.dstack([PICTURE, fourth]),
                        extrasamples=["unspecified"],
                        patch=without_tag(338),
                        said=words,
                        shown=lambda samples: samples[..., :3],
                    )
    planes = [data for plane in range(3) for data in tiles(PICTURE[..., plane])]
    stored = jpeg(planes, "rgb", shape=apart.shape, planarconfig="separate")
    yield Row("planes, jpeg tiles", [stored], shown=interleaved, streams=(), planes=3)
    ycbcr = np.asarray(Image.fromarray(PICTURE).convert("YCbCr"))
    planes = [data for plane in range(3) for data in tiles(ycbcr[..., plane])]
    stored = jpeg(planes, "rgb", shape=apart.shape, planarconfig="separate")
    yield Row(
        "planes of YCbCr, jpeg tiles",
        [stored],
        patch=with_tag(262, 6),
        said="Y, Cb and Cr are stored apart",
    )


def numbers() -> Iterator[Row]:
    """Samples that are not of 8 bits, or no integers."""
    wide = PICTURE.astype(np.uint16)
    kinds: list[tuple[str, NDArray[Any], str]] = [
        ("12 bits in 16", wide << 4, "16 bits a channel"),
        ("8 bits in 16", wide, "16 bits a channel"),
        ("32 bits", PICTURE.astype(np.uint32) << 24, "32 bits a channel"),
        ("float", (PICTURE / 255.0).astype(np.float32), "floating-point"),
        ("half", (PICTURE / 255.0).astype(np.float16), "floating-point"),
        ("double", PICTURE / 255.0, "floating-point"),
        ("signed", (wide - 128).astype(np.int8), "signed"),
        ("signed 16", wide.astype(np.int16), "signed"),
    ]
    for place, cutting in PLACES.items():
        yield Row(
            f"16 bits, all used, {place}",
            [Stored(wide * 257, cutting)],
            shown=lambda samples: (samples >> 8).astype(np.uint8),
        )
        apart = np.ascontiguousarray(np.moveaxis(wide * 257, 2, 0))
        settings = {**cutting, "planarconfig": "separate"}
        yield Row(
            f"16 bits in planes, {place}", [Stored(apart, settings)], said="16 bits a channel"
        )
        settings = {**cutting, "photometric": "minisblack"}
        stored = Stored(GRAY.astype(np.uint16) * 257, settings)
        yield Row(f"16 bits gray, {place}", [stored], said="16 bits a channel")
    for (name, data, said), (place, cutting) in itertools.product(kinds, PLACES.items()):
        yield Row(f"{name} {place}", [Stored(data, cutting)], said=said)
        apart = np.ascontiguousarray(np.moveaxis(data, 2, 0))
        settings = {**cutting, "planarconfig": "separate", "compression": "deflate"}
        yield Row(f"{name} in planes, {place}", [Stored(apart, settings)], said=said)
        settings = {**cutting, "photometric": "minisblack"}
        yield Row(f"{name} gray, {place}", [Stored(data[..., 1].copy(), settings)], said=said)
    for place, cutting in PLACES.items():
        bilevel = GRAY > 200
        settings = {**cutting, "photometric": "minisblack", "bitspersample": 1}
        yield Row(
            f"1 bit {place}",
            [Stored(bilevel, settings)],
            truth=gray((bilevel * 255).astype(np.uint8)),
            shown=lambda samples: gray((samples * 255).astype(np.uint8)),
        )


def of_ycbcr(samples: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(Image.fromarray(samples, "YCbCr").convert("RGB"))


def photometrics() -> Iterator[Row]:
    ramp = np.arange(256, dtype=np.uint16) * 257
    palette = np.stack([ramp, ramp[::-1], ramp // 2 // 257 * 257])
    painted = np.stack([plane[GRAY] >> 8 for plane in palette], axis=2).astype(np.uint8)
    cmyk = np.asarray(Image.fromarray(PICTURE).convert("CMYK"))
    ycbcr = np.asarray(Image.fromarray(PICTURE).convert("YCbCr"))
    for (place, cutting), compression in itertools.product(PLACES.items(), (None, "lzw")):
        said = LIBTIFF if compression and place == "strips" else ""
        common = {**cutting, "compression": compression}
        name = f"{compression} {place}"
        yield Row(
            f"gray, {name}",
            [Stored(GRAY, {**common, "photometric": "minisblack"})],
            truth=gray(GRAY),
            shown=gray,
            said=said,
        )
        yield Row(
            f"white is zero, {name}",
            [Stored(255 - GRAY, {**common, "photometric": "miniswhite"})],
            truth=gray(GRAY),
            shown=lambda samples: gray(255 - samples),
            said=said,
        )
        yield Row(
            f"palette, {name}",
            [Stored(GRAY, {**common, "photometric": "palette", "colormap": palette})],
            truth=painted,
            shown=lambda samples: np.stack([p[samples] >> 8 for p in palette], axis=2),
            said=said,
        )
        yield Row(
            f"palette of 8 bits, {name}",
            [Stored(GRAY, {**common, "photometric": "palette", "colormap": palette >> 8})],
            said="its colour table has 8 bits",
        )
        yield Row(
            f"cmyk, {name}",
            [Stored(cmyk, {**common, "photometric": "separated"})],
            shown=lambda samples: (255 - samples[..., :3]).astype(np.uint8),
            said=said,
        )
        for number, words in (8, "CIE L*a*b*"), (34892, "a camera's raw data"), (4, "mask"):
            yield Row(
                f"photometric {number}, {name}",
                [Stored(PICTURE, common)],
                patch=with_tag(262, number),
                said=words,
            )
        if not compression:
            settings = {**common, "photometric": "ycbcr", "subsampling": (1, 1)}
            upside_down = {**settings, "extratags": [(274, "H", 1, 3, True)]}
            for what, kept, order in (
                ("", settings, "II"),
                (" MM", settings, "MM"),
                (", upside down", upside_down, "II"),
            ):
                is_shown = place == "tiles" and not what
                yield Row(
                    f"ycbcr without compression, {place}{what}",
                    [Stored(ycbcr, kept)],
                    truth=of_ycbcr(ycbcr),
                    shown=of_ycbcr,
                    said="" if is_shown else "YCbCr samples without JPEG compression",
                    file=ORDERS[order],
                )


def compressions() -> Iterator[Row]:
    for compression in "lerc", "jpegxr", "lzma":
        stored = Stored(PICTURE, {"tile": (TILE, TILE), "compression": compression})
        yield Row(f"{compression} tiles", [stored], said=OTHER)
    for compression in "webp", "jpegxl", "jpeg2000":
        settings: dict[str, Any] = {"tile": (TILE, TILE), "compression": compression}
        yield Row(f"{compression} tiles", [Stored(PICTURE, settings)])
        if compression != "webp":  # which has no gray
            settings = settings | {"photometric": "minisblack"}
            yield Row(
                f"{compression} gray tiles", [Stored(GRAY, settings)], truth=gray(GRAY), shown=gray
            )
    for compression in "jpegxl", "lerc", "jpeg2000", "jpegxr":
        stored = Stored(PICTURE, {"rowsperstrip": 40, "compression": compression})
        yield Row(f"{compression} strips", [stored], said="which Pillow cannot read here")
    for kind, order in (
        ("YCBC", ">"),
        ("YCBC", "<"),
        ("RGB", "<"),
    ):  # with colours transformed for coding
        stored = Stored(PICTURE, {"tile": (TILE, TILE), "compression": f"APERIO_JP2000_{kind}"})
        file: dict[str, Any] = {"byteorder": order}
        yield Row(f"Aperio's JPEG 2000 {kind} {order}", [stored], file=file)
    zstd = Stored(PICTURE, {"tile": (TILE, TILE), "compression": "zstd"})
    yield Row("zstd tiles", [zstd])
    stored = Stored(PICTURE, {"tile": (TILE, TILE), "compression": "lzw", "predictor": True})
    yield Row("lzw tiles with a predictor", [stored])
    for number in 3, 9:
        yield Row(
            f"predictor {number}", [stored], said="its Predictor is", patch=with_tag(317, number)
        )


ROWS = [
    row
    for rows in (
        layouts,
        colours,
        other_streams,
        orientations,
        turned_by_xmp,
        samples,
        numbers,
        photometrics,
        compressions,
        pages,
        associated,
        masks,
        series,
        cut_off,
        byte_counts,
    )
    for row in rows()
]
