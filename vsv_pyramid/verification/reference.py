"""Holds a pyramid's tiles against its slide, read another way than it was made if there is one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vsv_pyramid import slide_json
from vsv_pyramid.containers.raw import RawTiles
from vsv_pyramid.errors import NoSuchObject, OptionError, SlideError, StoreError, TileError
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.planning.lanes import base_level, decoded_leaves
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.decoded import DecodedLeaves
from vsv_pyramid.pyramid.images import opaque
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.reference import ByOpenSlide, Reference, by_openslide, reference
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.verification import coding, comparison
from vsv_pyramid.verification.coding import Tables
from vsv_pyramid.verification.comparison import Picture
from vsv_pyramid.verification.document import check_facts
from vsv_pyramid.verification.findings import Check
from vsv_pyramid.words import counted


class _Way(NamedTuple):
    """A reader's name, and how it comes to a base tile's pixels; that raises TileError."""

    name: str
    pixels: Callable[[TileAddress], Pixels]


def hold_against(
    check: Check, present: set[TileAddress], path: str | Path, request_payer: str | None = None
) -> None:
    """Compares a sample of tiles with the slide's pixels at their places; see find_source."""
    if check.document is None:
        return  # reported already; without it the options are not known
    try:
        options = ConvertOptions.of(check.document)
        origin = int(check.document["origin"]["x"]), int(check.document["origin"]["y"])
    except (KeyError, TypeError, ValueError, OptionError) as exc:
        check.report.wrong(f"slide.json states no usable options ({exc})")
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
        if not slide_json.is_of(check.document, source.fingerprint):
            check.report.warnings.append("the slide's file is not the one that was converted")
        check_facts(check, slide)
        _check_associated(check, slide, options)
        base = base_level(check.pyramid, origin, options)
        with (
            _ways(slide, decoded_leaves(slide, base, options)) as ways,
            closing(RawTiles(slide.stored)) if slide.stored else nullcontext() as raw,
        ):
            for address in comparison.sample(check.pyramid, present):
                copies: Collection[Tables] = ()
                if raw and coding.may_be_copied(check, address):
                    copies = coding.tables_of_copy(raw, base, address)
                _compare(check, address, ways, copies)
    report = check.report
    report.reader = next((way.name for way in ways if way.name in report.compared_by), None)
    if report.unread:
        why = f"since the slide is damaged there, or {ways[-1].name} cannot decode it"
        if report.compared:
            report.warnings.append(f"{counted(report.unread, 'tile')} not compared, {why}")
        else:
            report.errors.append(f"no tile could be compared with the slide, {why}")


@contextmanager
def _ways(slide: Slide, leaves: DecodedLeaves) -> Iterator[list[_Way]]:
    """The ways to the slide's pixels, the one to judge by first, and last the one by which they are
    published, which reads most."""

    def by(second: Reference | ByOpenSlide) -> _Way:
        def pixels(address: TileAddress) -> Pixels:
            x, y = leaves.base.pyramid.location(address)
            size = leaves.base.pyramid.dimensions(address)
            return leaves.shown(
                second.read(leaves.base.origin[0] + x, leaves.base.origin[1] + y, size)
            )

        return _Way(second.name, pixels)

    with ExitStack() as stack:
        others = [second for second in (reference(slide), by_openslide(slide)) if second]
        yield [
            *(by(stack.enter_context(closing(second))) for second in others),
            _Way(slide.reader, leaves.pixels),
        ]


def _expected(
    check: Check, address: TileAddress, ways: Sequence[_Way]
) -> tuple[str, Picture] | None:
    """The first reader that reads the slide at the tile's place, and what the tile should be; None
    where there is none."""
    for way in ways:
        with suppress(TileError):
            return way.name, comparison.expected(check.pyramid, way.pixels, address)
    return None


def _compare(
    check: Check, address: TileAddress, ways: Sequence[_Way], copies: Collection[Tables]
) -> None:
    report = check.report
    jpeg = check.tile(address)
    read = _expected(check, address, ways)
    if read is None:
        report.unread += 1
        return
    name, expected = read
    found = comparison.picture(jpeg)
    psnr = comparison.psnr(found.planes.y, expected.planes.y) if found else 0.0
    chroma = comparison.chroma_psnr(found, expected) if found else 0.0
    fault = _fault(found, expected)
    if fault and (shown := comparison.picture(jpeg, as_rgb=True)):
        fault = _fault(shown, expected) and fault
    if fault and _is_blank(check, address, ways):
        report.unread += 1
        return
    report.compared += 1
    report.compared_by[name] = report.compared_by.get(name, 0) + 1
    report.lowest_psnr = min(psnr, report.lowest_psnr or psnr)
    report.lowest_chroma_psnr = min(chroma, report.lowest_chroma_psnr or chroma)
    if fault:
        report.errors.append(f"tile {address} {fault}")
    elif odd := coding.fault(check, address, jpeg, copies=copies):
        report.errors.append(odd)


def _check_associated(check: Check, slide: Slide, options: ConvertOptions) -> None:
    """Published label and macro images must be the slide's, and so must the ICC profile."""
    for name in set(keys.NAMING) & set(options.associated) & set(slide.associated_names):
        key = keys.associated_key(check.folder, name)
        with suppress(StoreError, SlideError):  # reported already, or as the slide's
            pixels = opaque(np.asarray(slide.associated(name)), options.background_rgb)
            expected = Picture(planes.from_rgb(pixels, "420"))
            shown = comparison.picture(check.store.get(key), as_rgb=True)
            if shown and (fault := _fault(shown, expected)):
                check.report.errors.append(f"the {name} image {fault}")
    with suppress(NoSuchObject):
        profile = check.store.get(keys.icc_key(check.folder))
        if profile != slide.published_icc:
            check.report.wrong("the ICC profile is not the slide's")


def _fault(found: Picture | None, expected: Picture) -> str | None:
    """How the tile differs from what it should be, None where it does not."""
    psnr = comparison.psnr(found.planes.y, expected.planes.y) if found else 0.0
    if found is None:
        return f"does not show the slide at its place ({psnr:.1f} dB)"
    is_alike = comparison.same_detail(found, expected)
    if not (is_alike or comparison.same_place(found.planes.y, expected.planes.y)):
        return f"does not show the slide at its place ({psnr:.1f} dB)"
    chroma = comparison.chroma_psnr(found, expected)
    if tint := comparison.other_tint(found, expected, "than the slide", f" ({chroma:.1f} dB)"):
        return tint
    if not is_alike:
        return f"does not have the slide's detail at its place ({psnr:.1f} dB)"
    spot = comparison.other_spot(found, expected)
    return f"is {spot} than the slide is at its place" if spot else None


def _is_blank(check: Check, address: TileAddress, ways: Sequence[_Way]) -> bool:
    """Whether the tile can have been left blank: a damaged one, which another way decodes."""
    if not (check.document and check.document["pyramid"].get("blank_tiles")):
        return False
    return _expected(check, address, ways[-1:]) is None
