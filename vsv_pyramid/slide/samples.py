"""A TIFF's samples by the tags of its page: who reads them right, or why nobody does.

Pure functions; tag numbers are those of TIFF 6.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsv_pyramid.containers.codecs import SIZES
from vsv_pyramid.containers.pages import (
    JPEG,
    MASK,
    REDUCED,
    RGB,
    Page,
    associated_kind,
    is_level,
)
from vsv_pyramid.words import counted

WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE, _CMYK, YCBCR = 0, 1, 3, 5, 6
_OLD_JPEG = 6  # Compression
# What openslide-bin's libtiff decodes: none, fax, LZW, deflate twice, PackBits, Zstandard; and what
# OpenSlide itself does in Aperio's slides, JPEG 2000.
_OPENSLIDE_DECODES = {1, 2, 3, 4, 5, 8, 32946, 32773, 50000}
_APERIO_DECODES = {33003, 33005}
# JPEG 2000 whose samples are YCbCr whatever the photometric tag says.
_APERIO_YCBCR = {33003: ((YCBCR, 3),)}
_PLAIN = ((RGB, 3), (_BLACK_IS_ZERO, 1), (WHITE_IS_ZERO, 1))

# Samples that the colour takes; those beyond are ExtraSamples.
_COLOURS = {WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, RGB: 3, _PALETTE: 1, _CMYK: 4, YCBCR: 3}
_ALPHA = ((1,), (2,))  # ExtraSamples: associated and unassociated
_FORMATS = {2: "signed numbers", 3: "floating-point numbers", 5: "complex", 6: "complex"}
_INTEGERS = (1, 4)  # unsigned, and "undefined", which is read alike
BARE_YCBCR = "YCbCr samples without JPEG compression; save it as RGB first"
_COLOUR_NAMES = {
    -1: "not stated (PhotometricInterpretation)",
    4: "a transparency mask",
    8: "CIE L*a*b*",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "a camera's raw data (CFA)",
    32844: "CIE LogL",
    32845: "CIE LogLuv",
    34892: "a camera's raw data (LinearRaw)",
}


def openslide_decodes(base: Page, vendor: str | None) -> bool:
    """Whether OpenSlide has a decoder for the page's tiles."""
    return base.compression in (JPEG, *_OPENSLIDE_DECODES) or (
        vendor == "aperio" and base.compression in _APERIO_DECODES
    )


def openslide_is_faster(base: Page) -> bool:
    """Whether OpenSlide's own decoder is the faster one: that for Aperio's JPEG 2000."""
    return base.compression in _APERIO_DECODES


def tiles_decode(base: Page) -> bool:
    """Whether tifffile and imagecodecs decode the page's tiles into its pixels as they are meant:
    gray, or R, G and B, of 8 bits, with nothing beside them."""
    return (
        base.tile is not None
        and base.compression in SIZES
        and set(base.bits) == {8}
        and not (base.extra or base.reversed_bits)
        and (base.photometric, base.samples) in (*_PLAIN, *_APERIO_YCBCR.get(base.compression, ()))
    )


def openslide_shows(base: Page) -> bool:
    """Whether libtiff, by which OpenSlide decodes all but JPEG, shows the page's samples as they
    are meant. It turns each tile in its place, and takes any further sample for alpha."""
    return (
        base.orientation == 1
        and (set(base.bits) == {8} or base.bits == (1,))
        and not base.may_be_opaque
        and (not base.extra or (base.photometric == RGB and base.extra in _ALPHA))
    )


def refusal(base: Page, pages: Sequence[Page]) -> str | None:
    """Why the base cannot be published as the slide, with what to do; None where it can."""
    others = [page for page in pages if page is not base]
    for is_so, sentence in _REFUSALS:
        if is_so(base, others):
            return sentence(base)
    return None


def _is_reduced(base: Page, others: Sequence[Page]) -> bool:
    if not base.subfile & REDUCED:
        return False
    return not any(not page.subfile & REDUCED and is_level(page, base) for page in others)


def _is_one_of_several(base: Page, others: Sequence[Page]) -> bool:
    """R, G and B, stains or focus planes, each a gray picture. (Those of a fax are not.)"""
    if base.photometric not in (WHITE_IS_ZERO, _BLACK_IS_ZERO) or base.bits == (1,):
        return False
    alike = [page for page in others if page.size == base.size and not page.subfile & MASK]
    return bool(alike or base.planes > 1)


def _has_undescribed_samples(base: Page, _: Sequence[Page]) -> bool:
    return not base.may_be_opaque and base.samples != _COLOURS[base.photometric] + len(base.extra)


def _is_of_odd_streams(base: Page, _: Sequence[Page]) -> bool:
    """JPEG data of more components than the three whose colours they tell by themselves, which
    libtiff reads where they are R, G, B and alpha."""
    if base.compression != JPEG or not base.extra:
        return False
    return base.photometric != RGB or base.extra not in _ALPHA


def _is_of_odd_chroma(base: Page, _: Sequence[Page]) -> bool:
    """YCbCr samples that no two readers take for the same."""
    if base.photometric != YCBCR or base.compression == JPEG:
        return False
    return base.subsampling != (1, 1) if base.tile else base.compression == 1


def _depth(base: Page) -> str:
    numbers = sorted(set(base.bits))
    return "/".join([*map(str, numbers[:-1]), counted(numbers[-1], "bit")])


def _is_of_odd_bits(base: Page, _: Sequence[Page]) -> bool:
    if base.samples == 1 and base.compression != JPEG:
        return base.bits[0] not in (1, 2, 4, 8)
    return set(base.bits) != {8} and not base.is_wide


_REFUSALS: tuple[
    tuple[Callable[[Page, Sequence[Page]], bool], Callable[[Page], str]],
    ...,
] = (
    (
        lambda base, _: associated_kind(base) is not None,
        lambda base: (
            f"holds a {associated_kind(base)} image, and no slide; give the slide's own file"
        ),
    ),
    (
        _is_reduced,
        lambda base: (
            f"its largest page, of {base.size.width} x {base.size.height} px, says that "
            "it is a reduced picture (NewSubfileType), and the one at full size is not there; give "
            "the whole slide"
        ),
    ),
    (
        _is_one_of_several,
        lambda base: (
            "several gray pages or planes of the same size: channels, R, G and B, or "
            "focus planes, none of which is the slide; merge them into one RGB page first"
        ),
    ),
    (
        lambda base, _: base.depth > 1,
        lambda base: (
            f"a volume of {counted(base.depth, 'slice')}; save one of them as a TIFF first"
        ),
    ),
    (
        lambda base, _: not set(base.formats) <= set(_INTEGERS),
        lambda base: (
            f"its samples are {_FORMATS.get(max(base.formats), 'of an unknown kind')}; "
            "save it with 8 bits a channel first"
        ),
    ),
    (
        lambda base, _: base.predictor not in (1, 2),  # 3 is for floating-point numbers
        lambda base: (
            f"its Predictor is {base.predictor}, which samples of 8 bits do not have; save it anew"
        ),
    ),
    (
        lambda base, _: base.planar_configuration not in (1, 2),
        lambda base: (
            f"its PlanarConfiguration is {base.planar_configuration}, where TIFF knows 1 and 2; "
            "save it anew"
        ),
    ),
    (
        lambda base, _: base.orientation < 0,
        lambda base: "its Orientation is no number; save it upright first",
    ),
    (
        lambda base, _: base.photometric not in _COLOURS,
        lambda base: (
            "its colours are "
            f"{_COLOUR_NAMES.get(base.photometric, f'of kind {base.photometric_name}')}; save it "
            "as RGB with 8 bits a channel first"
        ),
    ),
    (
        _is_of_odd_bits,
        lambda base: f"{_depth(base)} a channel; save it with 8 bits a channel first",
    ),
    (
        _has_undescribed_samples,
        lambda base: (
            f"{counted(base.samples, 'sample')} a pixel with colours of kind "
            f"{base.photometric_name}, and ExtraSamples does not say what they are; save it as RGB "
            "first"
        ),
    ),
    (
        lambda base, _: base.photometric == _CMYK and (base.compression == JPEG or base.inks != 1),
        lambda base: "its colours are CMYK or other inks; save it as RGB first",
    ),
    (
        _is_of_odd_streams,
        lambda base: "JPEG data with more samples than colours; save it as RGB first",
    ),
    (
        lambda base, _: (
            base.compression == JPEG
            and base.planar
            and base.samples > 1
            and base.photometric != RGB
        ),
        lambda base: (
            "JPEG data whose Y, Cb and Cr are stored apart (PlanarConfiguration 2); save "
            "it with interleaved samples first"
        ),
    ),
    (
        lambda base, _: base.photometric == _PALETTE and base.compression == JPEG,
        lambda base: (
            "a colour table on JPEG data, which readers show as gray; save it as RGB first"
        ),
    ),
    (
        lambda base, _: base.compression == _OLD_JPEG and base.tile is not None,
        lambda base: (
            "JPEG data of the old style (compression 6), which no two readers show alike; save it "
            "with JPEG (compression 7) or LZW"
        ),
    ),
    (
        lambda base, _: base.narrow_palette,
        lambda base: (
            "its colour table has 8 bits instead of 16, which no two readers show alike; "
            "save it as RGB first"
        ),
    ),
    (
        _is_of_odd_chroma,
        lambda base: BARE_YCBCR,
    ),
)
