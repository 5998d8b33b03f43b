"""A TIFF's pages by their tags: which of them is the slide, and what is left out beside it. Pure
functions; tag numbers are those of TIFF 6.0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vsv_pyramid.geometry import Size
from vsv_pyramid.words import counted

JPEG, RGB = 7, 2  # Compression, PhotometricInterpretation
REDUCED, MASK, _MACRO = 1, 4, 9  # NewSubfileType; 9 is Aperio's own
# A page of that name is a picture of the glass, not of what is on it.
_ASSOCIATED = re.compile(
    r"(?<![a-z])(?:slide[ _]?)?(label|macro|thumbnail)(?:[ _]?image)?(?![a-z]|\s*[=:])",
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

    @property
    def is_wide(self) -> bool:
        """Whether it has 16 bits a colour, of which Pillow shows the upper 8."""
        is_wide = set(self.bits) == {16} and set(self.formats) == {1}
        return is_wide and self.photometric == RGB and not self.planar and self.compression != JPEG

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
    if page.subfile & MASK:
        return "mask"
    header = "" if page.description.startswith("<") else page.description.partition("|")[0]
    for line in (page.name, *header.splitlines()):
        if len(line) <= _LONGEST_NAME and (found := _ASSOCIATED.search(line)):
            return found[1].lower()
    return None


def is_level(page: Page, base: Page) -> bool:
    """Whether it may be the base at a smaller size: its sides are in the same ratio, rounded."""
    (width, height), (w, h) = base.size, page.size
    return page.size.pixels < base.size.pixels and abs(w * height - h * width) <= width + height


def base_page(pages: Sequence[Page]) -> Page:
    """The slide at its full size: the largest page that is not something else by its subfile type,
    its description or its shape. `samples.refusal` tells where none is."""
    shown = [page for page in pages if not associated_kind(page)] or list(pages)
    if any(page.tile for page in shown):  # a GT450's label says no more than that it is reduced
        shown = [page for page in shown if page.tile or not page.subfile & REDUCED]
    largest = max(shown, key=_area)
    tiled = max((page for page in shown if page.tile), key=_area, default=largest)
    # Scanners tile the slide, and keep pictures of the glass in strips.
    return largest if _is_one_picture(largest, tiled) else tiled


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
        found.append(counted(planes, "further plane"))
    if spare := [kind for kind in base.extra if kind == 0]:
        found.append(f"{len(spare)} of {base.samples} samples a pixel, neither colour nor alpha")
    return tuple(found)


def _area(page: Page) -> int:
    return page.size.pixels


def _is_one_picture(page: Page, other: Page) -> bool:
    return page.size == other.size or is_level(other, page) or is_level(page, other)
