"""Holds a pyramid's tiles against its slide, read another way than it was made if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from vsv_pyramid import compare, record
from vsv_pyramid.errors import DescriptorError, OptionError, TileError
from vsv_pyramid.findings import Check
from vsv_pyramid.geometry import TileAddress
from vsv_pyramid.lanes import pixel_leaves
from vsv_pyramid.pyramid.leaves import PixelLeaves
from vsv_pyramid.slide import Slide, find_source
from vsv_pyramid.slide.reference import by_openslide, reference
from vsv_pyramid.words import counted

_Way: TypeAlias = Callable[[TileAddress], Image.Image]


def hold_against(
    check: Check, present: set[TileAddress], path: str | Path, request_payer: str | None = None
) -> None:
    """Compares a sample of tiles with the slide's pixels at their places; see find_source."""
    if check.document is None:
        return  # reported already; without it the options are not known
    try:
        options = record.options(check.document)
        origin = int(check.document["origin"]["x"]), int(check.document["origin"]["y"])
    except (KeyError, TypeError, ValueError, OptionError) as exc:
        check.report.errors.append(
            str(DescriptorError(f"slide.json states no usable options ({exc})"))
        )
        return
    source = find_source(path, request_payer=request_payer)
    with source.opened() as slide:
        size, whole = check.pyramid.size, slide.size
        if size.width + origin[0] > whole.width or size.height + origin[1] > whole.height:
            check.report.errors.append(
                f"the pyramid of {size.width}x{size.height} px is not of this slide, "
                f"which has {whole.width}x{whole.height} px; give the slide it was made from"
            )
            return
        if not record.is_source(check.document, source):
            check.report.warnings.append("the slide's file is not the one that was converted")
        leaves = replace(pixel_leaves(slide, check.pyramid, origin, options), blank_damaged=True)
        with _ways(slide, leaves) as (reader, ways):
            check.report.reader = reader
            for address in compare.sample(check.pyramid, present):
                _compare(check, address, ways)
    report = check.report
    if report.unread:
        tiles = counted(report.unread, "tile")
        report.warnings.append(
            f"{tiles} not compared, since the slide is damaged there, or {reader} does not read it"
        )


@contextmanager
def _ways(slide: Slide, leaves: PixelLeaves) -> Iterator[tuple[str, list[_Way]]]:
    """The name of the slide's second reader, or of its first one where there is no second; and the
    ways to a base tile's pixels, the one to judge by first. They raise TileError."""

    def first(address: TileAddress) -> Image.Image:
        image = leaves.image(address)
        if leaves.blanked:
            leaves.blanked.clear()
            raise TileError(slide.path, f"tile {address} cannot be decoded")
        return image

    second = reference(slide) or by_openslide(slide)
    if second is None:
        yield slide.reader, [first]
        return

    def other(address: TileAddress) -> Image.Image:
        x, y = leaves.pyramid.location(address)
        size = leaves.pyramid.dimensions(address)
        return leaves.shown(second.read(leaves.origin[0] + x, leaves.origin[1] + y, size))

    with closing(second):
        yield second.name, [other, first]


def _compare(check: Check, address: TileAddress, ways: Sequence[_Way]) -> None:
    report = check.report
    found = compare.picture(check.tile(address))
    try:
        expected = compare.expected(check.pyramid, ways[0], address)
    except TileError:
        report.unread += 1
        return
    psnr = compare.psnr(found.planes.y, expected.planes.y) if found else 0.0
    chroma = compare.chroma_psnr(found, expected) if found else 0.0
    fault = None
    if found is None or not compare.same_place(found.planes.y, expected.planes.y):
        fault = f"does not show the slide at its place ({psnr:.1f} dB)"
    elif not compare.same_colours(found, expected):
        fault = f"has other colours than the slide has at its place ({chroma:.1f} dB)"
    if fault and _is_blank(check, address, ways):
        report.unread += 1
        return
    report.compared += 1
    report.lowest_psnr = min(psnr, report.lowest_psnr or psnr)
    report.lowest_chroma_psnr = min(chroma, report.lowest_chroma_psnr or chroma)
    if fault:
        report.errors.append(f"tile {address} {fault}")


def _is_blank(check: Check, address: TileAddress, ways: Sequence[_Way]) -> bool:
    """Whether the tile can have been left blank: a damaged one, which the second way decodes."""
    if not (check.document and check.document["pyramid"].get("blank_tiles")):
        return False
    try:
        compare.expected(check.pyramid, ways[-1], address)
    except TileError:
        return True
    return False
