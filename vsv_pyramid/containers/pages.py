"""A TIFF's pages by their tags: which of them is the slide, and what is left out beside it. Pure
functions; tag numbers are those of TIFF 6.0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.words import counted

JPEG, RGB = 7, 2  # Compression, PhotometricInterpretation
_GRAYS = (0, 1, 4)  # either of black and white is zero; a mask
REDUCED, MASK, _MACRO = 1, 4, 9  # NewSubfileType; 9 is Aperio's own
# Pictures of the glass and of what is on it at a glance, by the words of scanners and programs.
_KINDS = {
    "label": "label",
    "barcode": "label",
    "macro": "macro",
    "overview": "macro",
    "thumbnail": "thumbnail",
    "preview": "thumbnail",
}
# "label", "Macro", "ThumbnailImage", "label 387x463" and "slide overview" say it. In a page's name
# anything may be before these words ("a.svs [label image]"), but not where it is larger than any
# such picture is, nor in a text ("GFP label").
_NAMED = re.compile(
    rf"(?P<before>(?:.*?[\W_])??)(?:slide[\s_-]*)?(?P<kind>{'|'.join(_KINDS)})"
    r"(?:[\s_-]*(?:image|picture))?(?:\s*\d+\s*x\s*\d+)?\W*(?:\.[a-z]{3,4})?",
    re.IGNORECASE,
)
_LONGEST_NAME = 80
_LARGEST_NAMED = 1 << 25  # px
# How many times larger than the slide a label may be, and how many times what could be the slide.
_LARGER, _FAR_LARGER = 4, 64
_LINES = 2  # of a description: Aperio's second one says what is on the page
_IMAGE_TYPE = re.compile(r"<ImageType>\s*(\w+)\s*</ImageType>")  # PerkinElmer's and Akoya's
_OME_PARTS = re.compile(r'<(?:\w+:)?(OME|Image|TiffData|UUID)\b((?:[^<>"]|"[^<"]*")*)>\s*([^<\s]*)')
_OME_PAGES = re.compile(r'\b(IFD|PlaneCount)="(\d{1,9})"')
_IMAGEJ_PLANES = re.compile(r"^images=(\d+)", re.MULTILINE)
_LEICA_PLANES = re.compile(r'<dimension\b[^<>]*\bz="([1-9][0-9]*)"')
_OME_IMAGE = re.compile(r"<(?:\w+:)?Image\b")
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^<>]*>")


class OmeImage(NamedTuple):
    """One of the pictures, each with levels of its own, that OME-XML says there are."""

    number: int
    name: str


@dataclass(frozen=True, eq=False)
class Page:
    """One page. `tile` is None where it is in strips; `number` counts from 0 along the chain of
    directories, and is None in a SubIFD; `samples`, `bits` and `formats` are what the tags of
    these names say, `planes` how many pictures its own metadata says there are, `image` of which
    one of OME's it is.
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
    planar_configuration: int
    subsampling: tuple[int, ...]
    reversed_bits: bool
    predictor: int
    orientation: int
    depth: int
    inks: int
    narrow_palette: bool
    subfile: int
    description: str
    name: str
    planes: int
    image: OmeImage | None

    @property
    def may_be_opaque(self) -> bool:
        """Whether there is a fourth sample without a word on it, as libtiff's tools write alpha:
        where it is full all over, it does not matter what it is."""
        return self.photometric == RGB and self.samples == 4 and not self.extra

    @property
    def planar(self) -> bool:
        """Whether each sample has tiles or strips of its own."""
        return self.planar_configuration == 2

    @property
    def kind(self) -> tuple[bool, bool]:
        """Whether it is in colour, and whether it is in black and white alone."""
        return self.photometric not in _GRAYS, self.bits == (1,)

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


def ome_images(description: str, pages: int) -> dict[int, OmeImage]:
    """Of which picture each page along the chain is, as far as OME-XML tells."""
    own, image = "", OmeImage(-1, "")
    found: dict[int, OmeImage] = {}
    added: list[int] = []
    for part, said, text in _OME_PARTS.findall(description):
        if part == "OME":
            own = _attribute(said, "UUID")
        elif part == "Image":
            image = OmeImage(image.number + 1, _attribute(said, "Name"))
        elif part == "TiffData":
            places = {name: int(value) for name, value in _OME_PAGES.findall(said)}
            first = places.get("IFD", pages)
            last = min(first + places.get("PlaneCount", 1), pages)
            added = [page for page in range(first, last) if page not in found]
            found |= dict.fromkeys(added, image)
        elif own and text != own:  # these pages are of another file
            for page in added:
                del found[page]
            added = []
    return found


def _attribute(said: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', said)
    return found[1] if found else ""


def associated_kind(page: Page) -> str | None:
    """What a page shows by what it says of itself, where that is not the slide: first by its
    maker's own facts, then by its subfile type, and by its name."""
    is_xml = page.description.startswith("<")
    if is_xml and (stated := _IMAGE_TYPE.search(page.description)):
        return _KINDS.get(stated[1].lower())
    alone = page.size.pixels > _LARGEST_NAMED
    if page.image and (kind := kind_named(page.image.name, alone)):
        return kind
    if page.subfile == _MACRO:
        return "macro"
    if page.subfile & MASK:
        return "mask"
    lines = "" if is_xml else page.description.partition("|")[0]
    kinds = (kind_named(line, alone=True) for line in lines.splitlines()[:_LINES])
    return kind_named(page.name, alone) or next(filter(None, kinds), None)


def kind_named(text: str, alone: bool = False) -> str | None:
    """Which picture of the glass a page, or a file, of that name is; None where it is none."""
    found = _NAMED.fullmatch(text.strip()) if len(text) <= _LONGEST_NAME else None
    return _KINDS[found["kind"].lower()] if found and not (alone and found["before"]) else None


def is_level(page: Page, base: Page) -> bool:
    """Whether it may be the base at a smaller size: its sides are in the same ratio, rounded, both
    are in colour or neither, and OME does not say that they are two pictures. Nobody has the slide
    in strips, and its levels in tiles."""
    if page.image and base.image and page.image != base.image:
        return False
    if page.kind != base.kind or (page.tile and not base.tile):
        return False
    return is_reduced(page.size, base.size)


def is_reduced(size: Size, base: Size) -> bool:
    """Whether it may be the size of the base made smaller: the sides are in the same ratio,
    rounded."""
    (width, height), (w, h) = base, size
    return size.pixels < base.pixels and abs(w * height - h * width) <= width + height


def base_page(pages: Sequence[Page]) -> Page:
    """The slide at its full size: the largest page that is not something else by what it says of
    itself or by its shape. `samples.refusal` tells where none is, or which one is in doubt."""
    shown = [page for page in pages if not associated_kind(page)] or list(pages)
    if any(page.tile for page in shown):  # a GT450's label says no more than that it is reduced
        shown = [page for page in shown if page.tile or not page.subfile & REDUCED]
    largest = max(shown, key=_rank)
    tiled = max((page for page in shown if page.tile), key=_rank, default=largest)
    # Scanners tile the slide, and keep pictures of the glass in strips.
    found = largest if _is_one_picture(largest, tiled) else tiled
    other = rival(found, pages)
    return other if other and _is_likelier(other, found, pages) else found


def rival(base: Page, pages: Sequence[Page]) -> Page | None:
    """The other page that could be the slide: one of which the base is a smaller level, though its
    name says that it is something else; one in colour, of a gray base, which may be a mask; or,
    where the base stands alone, one that has smaller levels."""
    others = [page for page in pages if page is not base]
    named = [page for page in others if associated_kind(page) and is_level(base, page)]
    others = [page for page in others if not associated_kind(page)]
    coloured = [
        page
        for page in others
        if page.kind > base.kind
        and not page.subfile & REDUCED
        and base.size.pixels <= _FAR_LARGER * page.size.pixels
    ]
    if doubtful := [*named, *(coloured if not base.kind[0] else [])]:
        return max(doubtful, key=_area)
    if any(_is_one_picture(base, page) or _is_filled_level(page, base) for page in others):
        return None
    able = (
        page
        for page in others
        if (page.tile or not base.tile)
        and not page.subfile & REDUCED
        and base.size.pixels <= _FAR_LARGER * page.size.pixels
        and any(is_level(level, page) for level in others)
    )
    return max(able, key=_area, default=None)


def _is_likelier(page: Page, alone: Page, pages: Sequence[Page]) -> bool:
    """Whether a page with smaller levels is the slide rather than the larger one that has none: a
    label may be larger, but not by much. In strips, as plain images are, a single level may be
    chance."""
    levels = sum(is_level(level, page) for level in pages)
    if associated_kind(page) or page.kind != alone.kind:
        return False
    return alone.size.pixels <= _LARGER * page.size.pixels and bool(page.tile or levels > 1)


def _is_filled_level(page: Page, base: Page) -> bool:
    """Whether it may be a level whose last tiles count as whole, as Philips' do."""
    if (
        page.tile is None
        or page.size.width % page.tile.width
        or page.size.height % page.tile.height
    ):
        return False
    (width, height), (w, h) = base.size, page.size
    return abs(w * height - h * width) <= max(page.tile.width * height, page.tile.height * width)


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
    here = {page.image for page in pages if page.image}
    elsewhere = len(_OME_IMAGE.findall(pages[0].description)) - len(here)
    if here and elsewhere > 0:
        found.append(f"{counted(elsewhere, 'further picture')} in other files")
    if spare := [kind for kind in base.extra if kind == 0]:
        found.append(f"{len(spare)} of {base.samples} samples a pixel, neither colour nor alpha")
    return tuple(found)


def focal_planes(vendor: str, base: Page, pages: Sequence[Page]) -> tuple[str, ...]:
    """What Hamamatsu's and Leica's slides have besides the plane that OpenSlide shows, in words."""
    further = 0
    if vendor == "hamamatsu":
        further = sum(page.size == base.size for page in pages) - 1
    elif vendor == "leica":
        further = len(set(_LEICA_PLANES.findall(pages[0].description)))
    return (counted(further, "further focal plane"),) if further > 0 else ()


def _area(page: Page) -> int:
    return page.size.pixels


def _rank(page: Page) -> tuple[int, bool]:
    """The larger one, and of two alike the one in colour: the other may be a mask of it."""
    return page.size.pixels, page.kind[0]


def _is_one_picture(page: Page, other: Page) -> bool:
    return page.size == other.size or is_level(other, page) or is_level(page, other)
