"""What a conversion will make, before it makes it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vsv_pyramid.containers.pages import kind_named
from vsv_pyramid.errors import SlideError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import Pyramid, Size
from vsv_pyramid.planning.lanes import Lane, choose_lane
from vsv_pyramid.planning.options import TILE_SIZES, ConvertOptions
from vsv_pyramid.pyramid.srgb import NO_WAY, WAY, to_srgb
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.series import stem_of

_DEFAULT_TILE_SIZE = 768
_NATIVE_TILES_JOINED = 3


PUBLISHED, APPLIED, WITHHELD = "published", "applied", "withheld"


class IccProfile(NamedTuple):
    """What becomes of the slide's ICC profile, None where there is none; why it is withheld, and
    the way in which it is applied."""

    state: str | None
    reason: str | None = None
    way: str | None = None

    @property
    def is_published(self) -> bool:
        return self.state == PUBLISHED


@dataclass(frozen=True)
class Plan:
    """What will be published of a slide. `origin` is the base level's top left in slide px."""

    slide_id: str
    pyramid: Pyramid
    origin: tuple[int, int]
    lane: Lane
    associated: tuple[str, ...]
    withheld: tuple[str, ...]
    icc: IccProfile

    @property
    def folder(self) -> str:
        return keys.folder(self.slide_id)

    def keys(self) -> Iterator[str]:
        """The keys of all objects, the descriptor's last."""
        for address in self.pyramid.tiles():
            yield keys.tile_key(self.folder, address)
        for name in self.associated:
            yield keys.associated_key(self.folder, name)
        if self.icc.is_published:
            yield keys.icc_key(self.folder)
        yield keys.slide_json_key(self.folder)
        yield keys.descriptor_key(self.folder)

    @property
    def object_count(self) -> int:
        return sum(1 for _ in self.keys())


def make_plan(slide: Slide, options: ConvertOptions) -> Plan:
    """The plan for a slide, under the id given or its file's stem, be that an id or not.

    Raises SlideError for what is named as a label or another picture of the glass, unless it is
    said to be a slide.
    """
    kind = kind_named(slide.path.stem) or kind_named(stem_of(slide.path))
    if kind and not options.is_slide:
        raise SlideError(
            slide.path,
            f"is named as a {kind} picture, which can show a patient's name; rename it, or give it "
            "alone with --yes-this-is-a-slide",
        )
    bounds = slide.metadata.bounds if options.bounds else None
    origin, size = ((bounds[0], bounds[1]), Size(*bounds[2:])) if bounds else ((0, 0), slide.size)
    if (stated := size.width * size.height / 1e9) > options.max_gigapixels:
        raise SlideError(
            slide.path,
            f"states {stated:,.3g} gigapixels, more than {options.max_gigapixels:g}: its header "
            f"may be damaged; look at the file, or give --max-gigapixels {math.ceil(stated)}",
        )
    sides = zip(origin, size, slide.size, strict=True)
    if not all(start >= 0 < side <= whole - start for start, side, whole in sides):
        raise SlideError(
            slide.path, "its stated bounds lie outside of it; convert without --bounds"
        )
    own = set(slide.associated_names) & set(keys.ASSOCIATED_IMAGES)
    available = own | {"thumbnail"}  # ours is a level of the pyramid
    published = available & set(options.associated)
    pyramid = Pyramid(size, options.tile_size or auto_tile_size(slide.native_tile))
    return Plan(
        slide_id=options.slide_id or stem_of(slide.path),
        pyramid=pyramid,
        origin=origin,
        lane=choose_lane(slide, pyramid, origin, options),
        associated=tuple(sorted(published)),
        withheld=tuple(sorted(set(slide.associated_names) - published)),
        icc=_icc_profile(slide, options),
    )


def auto_tile_size(native: Size | None) -> int:
    """The tile size in px for a base level tiled like that: three native tiles where they are
    small (192..400 px), one where it is 512 px or more, else 768."""
    if native and native.width == native.height:
        joined = native.width * (_NATIVE_TILES_JOINED if 192 <= native.width <= 400 else 1)
        if joined >= 512 and joined in TILE_SIZES:
            return joined
    return _DEFAULT_TILE_SIZE


def _icc_profile(slide: Slide, options: ConvertOptions) -> IccProfile:
    if slide.icc_profile is None:
        return IccProfile(None)
    if options.color == "none" and slide.published_icc is not None:
        return IccProfile(PUBLISHED)
    if options.color == "srgb" and not slide.icc_mismatch:
        return IccProfile(APPLIED, way=WAY if to_srgb(slide) else NO_WAY)
    return IccProfile(WITHHELD, slide.icc_mismatch or "it is damaged, or of an unknown kind")
