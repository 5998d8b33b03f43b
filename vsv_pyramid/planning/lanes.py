"""How a slide's base tiles are made, copied out of it or from decoded pixels; and why."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import NamedTuple

from vsv_pyramid.containers.raw import JPEG, RawTiles, StoredLevel, probes
from vsv_pyramid.errors import SlideError
from vsv_pyramid.layout.geometry import Pyramid
from vsv_pyramid.planning.options import LOSSLESS, PIXELS, ConvertOptions
from vsv_pyramid.pyramid.decoded import DecodedLeaves
from vsv_pyramid.pyramid.leaves import BaseLevel, LeafSource
from vsv_pyramid.pyramid.srgb import to_srgb
from vsv_pyramid.slide.pixels import Slide

NO_KERNEL = "the kernel was not compiled; install a C compiler and this program again"

# These vendors' tiles lie where their container has them; others overlap, or lie elsewhere.
_VENDORS = ("aperio", "generic-tiff", "dicom", "philips", "leica")


class Lane(NamedTuple):
    """The way taken, and the reason in words."""

    name: str
    reason: str


def choose_lane(
    slide: Slide, pyramid: Pyramid, origin: tuple[int, int], options: ConvertOptions
) -> Lane:
    """The lossless lane wherever it can be taken, unless the pixel lane is asked for.

    Raises SlideError where the lossless lane is asked for and cannot be taken.
    """
    if options.lane == PIXELS:
        return Lane(PIXELS, "asked for")
    obstacle = _obstacle(slide, pyramid, origin, options)
    if obstacle is None:
        return Lane(LOSSLESS, "the slide's own JPEG tiles are joined as they are")
    if options.lane == LOSSLESS:
        raise SlideError(slide.path, f"cannot be copied: {obstacle}; convert it with --lane auto")
    return Lane(PIXELS, obstacle)


def base_level(pyramid: Pyramid, origin: tuple[int, int], options: ConvertOptions) -> BaseLevel:
    """What the base tiles of a pyramid are to be, by the options."""
    return BaseLevel(
        pyramid,
        origin,
        quality=options.quality,
        subsampling=options.subsampling,
        background=options.background_rgb,
        blank_damaged=options.on_error == "blank",
    )


def decoded_leaves(slide: Slide, base: BaseLevel, options: ConvertOptions) -> DecodedLeaves:
    """The leaf source that reads the slide's pixels, in the colours that the options demand."""
    return DecodedLeaves(slide, base, to_srgb(slide) if options.color == "srgb" else None)


@contextlib.contextmanager
def leaf_source(
    slide: Slide, base: BaseLevel, lane: Lane, options: ConvertOptions
) -> Iterator[LeafSource]:
    """The base tiles of the lane, until the block ends."""
    if lane.name == PIXELS or slide.stored is None:
        yield decoded_leaves(slide, base, options)
        return
    from vsv_pyramid.pyramid.copied import CopiedLeaves  # late: not there without a compiler

    with contextlib.closing(RawTiles(slide.stored)) as raw:
        yield CopiedLeaves(raw, slide, base)


def _obstacle(
    slide: Slide, pyramid: Pyramid, origin: tuple[int, int], options: ConvertOptions
) -> str | None:
    """What stands against copying the slide's tiles, in words; None where nothing does."""
    base = slide.stored
    if base is None or not base.tiled:
        return "it has no tiles of its own"
    vendor, native = slide.metadata.vendor, base.tile_size
    left, top = origin[0] - base.at[0], origin[1] - base.at[1]
    if vendor not in _VENDORS:
        return f"tiles of {vendor} slides may overlap"
    obstacles = (
        (base.compression != JPEG, f"its compression is {base.compression}, not JPEG"),
        (
            base.photometric not in ("RGB", "YCBCR"),
            f"its pixels are {base.photometric}, neither RGB nor YCbCr",
        ),
        (base.obstacle is not None, base.obstacle),
        (not slide.is_on_one_grid, "its picture is of several areas, or another one of the file"),
        (
            left < 0
            or top < 0
            or left + pyramid.size.width > base.size.width
            or top + pyramid.size.height > base.size.height,
            "the slide is larger than its picture; --bounds converts the picture alone",
        ),
        (
            options.color == "srgb" and to_srgb(slide) is not None,
            "its colours are to be changed to sRGB",
        ),
        (options.base == "reencode", "its tiles are to be encoded anew"),
        (
            bool(pyramid.tile_size % native.width or pyramid.tile_size % native.height),
            f"{pyramid.tile_size} px is no multiple of its {native.width}x{native.height} px tiles",
        ),
        (
            bool(left % native.width or top % native.height),
            "the scanned bounds cut through its tiles",
        ),
        (
            importlib.util.find_spec("vsv_pyramid.jpeg._splice") is None,
            NO_KERNEL,
        ),
    )
    return next((sentence for holds, sentence in obstacles if holds), None) or _refused(base)


def _refused(base: StoredLevel) -> str | None:
    """Why the kernel refuses the slide's tiles, None where there is one that it does not refuse.

    Looked at are three tiles: a single odd one is for its own join to do without.
    """
    from vsv_pyramid.errors import StreamError, Unspliceable
    from vsv_pyramid.jpeg.join import join  # late: it is not there without a compiler

    size, rgb = base.tile_size, base.is_rgb
    refusal = None
    for tile in probes(base):
        try:
            join([tile], 1, 1, tile_size=size, size=size, tables=base.tables, rgb=rgb)
        except Unspliceable as exc:
            refusal = refusal or f"its tiles are of another kind ({exc.reason})"
        except StreamError:
            return None  # damaged: what to do about that is not for the lane to say
        else:
            return None
    return refusal
