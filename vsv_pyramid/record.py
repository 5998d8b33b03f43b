"""slide.json: what is published about a slide besides its pixels, and what it is compared with."""

from __future__ import annotations

import json
from typing import Any

import openslide
import PIL
import simplejpeg
from PIL import features

from vsv_pyramid import __version__, clock, dzi
from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.geometry import Pyramid
from vsv_pyramid.lanes import LOSSLESS
from vsv_pyramid.plan import ConvertOptions, Plan
from vsv_pyramid.publish import Publication
from vsv_pyramid.pyramid.leaves import PixelLeaves
from vsv_pyramid.slide import Slide, Source
from vsv_pyramid.slide.source import is_of

# Another one only where the tiles of some slide would be others than before, whatever the release.
ALGORITHM = 1

_SECTIONS = ("source", "origin", "pyramid", "options", "software")


def software() -> dict[str, str]:
    """The versions that the bytes of a pyramid depend on."""
    pillow = "pillow-simd" if ".post" in PIL.__version__ else "pillow"
    return {
        "vsv-pyramid": __version__,
        "openslide": openslide.__library_version__,
        "libjpeg-turbo": features.version("libjpeg_turbo") or "none",
        pillow: PIL.__version__,
        "simplejpeg": simplejpeg.__version__,
    }


def pyramid_levels(pyramid: Pyramid) -> list[dict[str, int]]:
    """The levels as slide.json lists them."""
    return [
        {
            "level": level.number,
            "width": level.size.width,
            "height": level.size.height,
            "columns": level.columns,
            "rows": level.rows,
        }
        for level in pyramid.levels
    ]


def slide_facts(slide: Slide) -> dict[str, Any]:
    """What the slide says of itself, as far as it may be published."""
    said = slide.metadata
    return {
        "mpp": {"x": said.mpp_x, "y": said.mpp_y},
        "objective_power": said.objective_power,
        "vendor": said.vendor,
        "scanner": said.scanner,
        "scanned": said.scanned,
        "image_id": said.image_id,
        "properties": dict(said.properties),
    }


def slide_json(
    source: Source,
    slide: Slide,
    plan: Plan,
    options: ConvertOptions,
    publication: Publication,
    pixels: PixelLeaves,
    *,
    seconds: float,
) -> dict[str, Any]:
    """The document to publish once all tiles are made."""
    size = plan.pyramid.size
    copied = plan.lane.name == LOSSLESS and options.base == "copy"
    return {
        "layout": dzi.LAYOUT_VERSION,
        "id": plan.slide_id,
        "source": {"name": source.name, "place": source.place, **source.fingerprint},
        "width": size.width,
        "height": size.height,
        "origin": {"x": plan.origin[0], "y": plan.origin[1]},
        **slide_facts(slide),
        "associated_images": {"published": plan.associated, "withheld": plan.withheld},
        "left_out": list(slide.left_out),
        **_icc_facts(slide, plan, options),
        "pyramid": {
            "tile_size": plan.pyramid.tile_size,
            "levels": pyramid_levels(plan.pyramid),
            "tile_count": publication.tiles,
            "bytes": publication.bytes,
            "quality": options.quality,
            "chroma_subsampling": ":".join(options.subsampling),
            "lane": plan.lane.name,
            "lane_reason": plan.lane.reason,
            "base": "copied" if copied else "encoded",
            "fallback_tiles": dict(sorted(pixels.fallbacks.items())),
            "blank_tiles": len(pixels.blanked),
            "version": publication.version,
            "algorithm": ALGORITHM,
        },
        "options": options.recorded(),
        "software": software(),
        "created": clock.utc().isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
    }


def parse(document: bytes) -> dict[str, Any]:
    """The document, with all its sections. Raises DescriptorError where it is damaged."""
    try:
        parsed = json.loads(document)
    except ValueError as exc:
        raise DescriptorError(f"slide.json is damaged ({exc})") from exc
    for section in _SECTIONS:
        if not isinstance(parsed, dict) or not isinstance(parsed.get(section), dict):
            raise DescriptorError(f"slide.json has no {section}")
    return dict(parsed)


def is_current(document: dict[str, Any], source: Source, options: ConvertOptions) -> bool:
    """Whether converting the slide again, with these options, would change nothing: whatever
    release has made it, and options that it did not have yet are their defaults."""
    return (
        document.get("layout") == dzi.LAYOUT_VERSION
        and is_source(document, source)
        and ConvertOptions().recorded() | document["options"] == options.recorded()
        and document["pyramid"].get("algorithm", 1) == ALGORITHM
    )


def is_finished(document: dict[str, Any]) -> bool:
    """Whether all was done that comes after the publication: slide.json gets its review last."""
    return "review" in document


def is_source(document: dict[str, Any], source: Source) -> bool:
    """Whether the document was written for this very file."""
    return is_of(document["source"], source)


def options(document: dict[str, Any]) -> ConvertOptions:
    """The options that the document states. Raises OptionError, TypeError and ValueError where it
    was not written by this program."""
    stated = dict(document["options"])
    stated["tile_size"] = None if stated["tile_size"] == "auto" else int(stated["tile_size"])
    stated["associated"] = tuple(stated["associated"])
    return ConvertOptions(**stated)


def _icc_facts(slide: Slide, plan: Plan, options: ConvertOptions) -> dict[str, str | None]:
    """What became of the ICC profile, None where there is none, and why where that is nothing."""
    why = None
    if slide.icc_profile is None:
        state = None
    elif plan.icc:
        state = "published"
    elif options.color == "srgb" and not slide.icc_mismatch:
        state = "applied"
    else:
        state, why = "withheld", slide.icc_mismatch or "it is damaged, or of an unknown kind"
    return {"icc_profile": state, "icc_profile_reason": why}
