"""A TIFF's pages by their tags: which of them is the slide, what is left out beside it, and why its
samples may be none that can be read right. Pure functions; tag numbers are those of TIFF 6.0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from vsv_pyramid.geometry import Size

JPEG = 7
_REDUCED, _MASK, _MACRO = 1, 4, 9  # NewSubfileType; 9 is Aperio's own
WHITE_IS_ZERO, _BLACK_IS_ZERO, RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
# What openslide-bin's libtiff decodes: none, LZW, deflate twice, PackBits, Zstandard; and what
# OpenSlide itself does in Aperio's slides, JPEG 2000.
_OPENSLIDE_DECODES = {1, 5, 8, 32946, 32773, 50000}
_APERIO_DECODES = {33003, 33005}

# Samples that the colour takes; those beyond are ExtraSamples.
_COLOURS = {WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_ALPHA = ((1,), (2,))  # ExtraSamples: associated and unassociated
_FORMATS = {2: "signed numbers", 3: "floating-point numbers", 5: "complex", 6: "complex"}
_INTEGERS = (1, 4)  # unsigned, and "undefined", which is read alike
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

# A page of that name is a picture of the glass, not of what is on it.
_ASSOCIATED = re.compile(
    r"(?<![a-z])(?:slide[ _]?)?(label|macro|thumbnail|overview)(?:[ _]?image)?(?![a-z]|\s*[=:])",
    re.IGNORECASE,
)
_LONGEST_NAME = 80
_IMAGEJ_PLANES = re.compile(r"^images=(\d+)", re.MULTILINE)
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")


@dataclass(frozen=True, eq=False)
class Page:
    """One page. `tile` is None where it is in strips; `number` counts from 0 along the chain of
    directories, and is None in a SubIFD; `samples`, `bits` and `formats` are what the tags of
    these names say, `planes` how many pictures its own metadata says there are.
    """

    number: int | None
    size: Size
    tile: Size | None
    compression: int
    compression_name: str
    photometric: int
    photometric_name: str
    samples: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    extra: tuple[int, ...]
    planar: bool
    subsampling: tuple[int, ...]
    orientation: int
    depth: int
    inks: int
    narrow_palette: bool
    subfile: int
    description: str
    name: str
    planes: int

    @property
    def may_be_opaque(self) -> bool:
        """Whether there is a fourth sample without a word on it, as libtiff's tools write alpha:
        where it is full all over, it does not matter what it is."""
        return self.photometric == RGB and self.samples == 4 and not self.extra

    def __str__(self) -> str:
        where = "a page in a SubIFD" if self.number is None else f"page {self.number + 1}"
        kind = associated_kind(self)
        return f"{where} ({kind + ', ' if kind else ''}{self.size.width} x {self.size.height} px)"


def stated_planes(description: str, samples: int) -> int:
    """How many pictures the description of ImageJ, OME or tifffile says there are."""
    if description.startswith("ImageJ="):
        found = _IMAGEJ_PLANES.search(description)
        return int(found[1]) if found else 1
    if pixels := _OME_PIXELS.search(description):
        sizes = [re.search(rf'\bSize{axis}="(\d+)"', pixels[0]) for axis in "CZT"]
        count = math.prod(int(size[1]) for size in sizes if size)
        return max(1, count // samples)
    return 1


def stated_shape(description: str) -> int:
    """The samples that tifffile's own description says there are in all, 0 where it does not."""
    try:
        shape = json.loads(description)["shape"]
        return math.prod(int(length) for length in shape)
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0


def associated_kind(page: Page) -> str | None:
    """What a page shows by what it says of itself, where that is not the slide."""
    if page.subfile == _MACRO:
        return "macro"
    if page.subfile & _MASK:
        return "mask"
    for line in (page.name, *page.description.partition("|")[0].splitlines()):
        if len(line) <= _LONGEST_NAME and (found := _ASSOCIATED.search(line)):
            return found[1].lower()
    return None


def is_level(page: Page, base: Page) -> bool:
    """Whether it may be the base at a smaller size: its sides are in the same ratio, rounded."""
    (width, height), (w, h) = base.size, page.size
    return page.size != base.size and abs(w * height - h * width) <= width + height


def base_page(pages: Sequence[Page]) -> Page:
    """The slide at its full size: the largest page that is not something else by its subfile type,
    its description or its shape. `refusal` tells where none is."""
    shown = [page for page in pages if not associated_kind(page)] or list(pages)
    largest = max(shown, key=_area)
    tiled = max((page for page in shown if page.tile), key=_area, default=largest)
    # Scanners tile the slide, and keep pictures of the glass in strips.
    return largest if _is_one_picture(largest, tiled) else tiled


def openslide_decodes(base: Page, vendor: str | None) -> bool:
    """Whether OpenSlide has a decoder for the page's tiles."""
    return base.compression in (JPEG, *_OPENSLIDE_DECODES) or (
        vendor == "aperio" and base.compression in _APERIO_DECODES
    )


def openslide_shows(base: Page) -> bool:
    """Whether libtiff, by which OpenSlide decodes all but JPEG, shows the page's samples as they
    are meant. It turns each tile in its place, and takes any further sample for alpha."""
    return (
        base.orientation == 1
        and set(base.bits) == {8}
        and not base.may_be_opaque
        and (not base.extra or (base.photometric == RGB and base.extra in _ALPHA))
    )


def left_out(base: Page, pages: Sequence[Page], told: Collection[Size]) -> tuple[str, ...]:
    """What the file shows besides the base, its smaller levels, and pages of the sizes that are
    told of otherwise, in words."""
    others = [page for page in pages if page is not base]
    found = [
        str(page)
        for page in others
        if page.size not in told and (not is_level(page, base) or associated_kind(page))
    ]
    planes = base.planes - 1 - sum(page.size == base.size for page in others)
    if planes > 0:
        found.append(f"{planes} further plane{'s' if planes > 1 else ''}")
    if spare := [kind for kind in base.extra if kind == 0]:
        found.append(f"{len(spare)} of {base.samples} samples that are neither colour nor alpha")
    return tuple(found)


def refusal(base: Page, pages: Sequence[Page]) -> str | None:
    """Why the base cannot be published as the slide, with what to do; None where it can."""
    others = [page for page in pages if page is not base]
    for is_so, sentence in _REFUSALS:
        if is_so(base, others):
            return sentence(base)
    return None


def _area(page: Page) -> int:
    return page.size.pixels


def _is_one_picture(page: Page, other: Page) -> bool:
    return page.size == other.size or is_level(other, page) or is_level(page, other)


def _is_reduced(base: Page, others: Sequence[Page]) -> bool:
    if not base.subfile & _REDUCED:
        return False
    return not any(not page.subfile & _REDUCED and is_level(page, base) for page in others)


def _is_one_of_several(base: Page, others: Sequence[Page]) -> bool:
    """R, G and B, stains or focus planes, each a gray picture."""
    alike = [page for page in others if page.size == base.size and not page.subfile & _MASK]
    return _COLOURS.get(base.photometric) == 1 and bool(alike or base.planes > 1)


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
    if base.photometric != _YCBCR or base.compression == JPEG:
        return False
    return base.subsampling != (1, 1) if base.tile else base.compression == 1


def _is_of_odd_bits(base: Page, _: Sequence[Page]) -> bool:
    if base.samples == 1 and base.compression != JPEG:
        return base.bits[0] not in (1, 2, 4, 8)
    return set(base.bits) != {8}


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
        lambda base: f"a volume of {base.depth} slices; save one of them as a TIFF first",
    ),
    (
        lambda base, _: not set(base.formats) <= set(_INTEGERS),
        lambda base: (
            f"its samples are {_FORMATS.get(max(base.formats), 'of an unknown kind')}; "
            "save it with 8 bits a channel first"
        ),
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
        lambda base: (
            f"{'/'.join(map(str, sorted(set(base.bits))))} bits a channel; save it with "
            "8 bits a channel first"
        ),
    ),
    (
        _has_undescribed_samples,
        lambda base: (
            f"{base.samples} samples a pixel with colours of kind "
            f"{base.photometric_name}, and no word (ExtraSamples) on what they are; save it as RGB "
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
        lambda base, _: base.narrow_palette,
        lambda base: (
            "its colour table has 8 bits instead of 16, which no two readers show alike; "
            "save it as RGB first"
        ),
    ),
    (
        _is_of_odd_chroma,
        lambda base: "YCbCr samples without JPEG compression; save it as RGB first",
    ),
)
