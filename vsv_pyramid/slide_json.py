"""slide.json: what is published about a slide besides its pixels, and what it is compared with.

By default there is nothing in it of a person: of times only the year of the scan, and of the file
only what tells it from any other. A lab's details are added where they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.jpeg.encode import has_stepped_back
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import Pyramid
from vsv_pyramid.planning.lanes import LOSSLESS
from vsv_pyramid.planning.plan import LAB, ConvertOptions, Plan
from vsv_pyramid.publication import Publication
from vsv_pyramid.pyramid.decoded import PixelLeaves
from vsv_pyramid.review.history import Document
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.metadata import magnification, metadata, model, rounded, zoned
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.source import Source
from vsv_pyramid.versions import software
from vsv_pyramid.words import digest

# Another one only where the tiles of some slide would be others than before, whatever the release.
ALGORITHM = 1

VERSION = 2

_FIRST_YEAR = 1990
_SECTIONS = ("source", "origin", "pyramid", "options", "software")
_FORMER = ("image_id", "properties", "review")  # which version 1 has published, whatever details


def _encoder(options: ConvertOptions) -> dict[str, str]:
    """Nobody has to know of the encoder, unless it is the one that was stepped back to."""
    is_other = has_stepped_back(options.subsampling, options.quality)
    return {"encoder": "simplejpeg"} if is_other else {}


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
    """What the slide says of itself, as far as everybody may know it."""
    said = slide.metadata
    return {
        "mpp": {"x": said.mpp_x, "y": said.mpp_y},
        "objective_power": said.objective_power,
        "vendor": said.vendor,
        "scanner": said.scanner,
        "year": _year(said.scanned),
    }


def source_facts(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """What tells the file from any other, and not when it was written: of an object in S3 its size
    in bytes and its ETag, else the mark of size and time, and the digest of the data."""
    if "mtime_ns" in fingerprint:
        mark = _mark(fingerprint.get("size"), fingerprint["mtime_ns"])
        return {"file": mark, "digest": fingerprint.get("digest")}
    known = ("size", "etag") if "etag" in fingerprint else ("file", "digest")
    return {name: fingerprint[name] for name in known if name in fingerprint}


def is_look(published: Mapping[str, Any], size: int, mtime_ns: int) -> bool:
    """Whether what is published of a file is of one of that size in bytes and that mtime, as far as
    it says: of an object in S3 there is no mtime."""
    if "file" in published:
        return bool(published["file"] == _mark(size, mtime_ns))
    return (published.get("size"), published.get("mtime_ns", mtime_ns)) == (size, mtime_ns)


def _mark(size: object, mtime_ns: object) -> str:
    """Too short to tell which size and time it is of."""
    return digest(f"{size} {mtime_ns}")


def _year(scanned: str | None) -> int | None:
    """None where no slide can be scanned: a date of birth, perhaps."""
    year = int(scanned[:4]) if scanned else 0
    return year if _FIRST_YEAR <= year <= clock.utc().year + 1 else None


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
        "version": VERSION,
        "layout": keys.LAYOUT_VERSION,
        "id": plan.slide_id,
        "source": source_facts(source.fingerprint),
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
        "software": software() | _encoder(options),
        "seconds": round(seconds, 2),
        "details": options.details,
        **_details(
            options.details,
            zoned(slide.metadata.scanned, options.time_zone),
            clock.utc().isoformat(timespec="seconds"),
        ),
        "kept": False,
    }


def renewed(
    document: Mapping[str, Any],
    details: str,
    kept: Document | None = None,
    time_zone: str | None = None,
) -> dict[str, Any]:
    """The document in today's form and with those details; what a later release has written stays.
    `kept` is what is known of this very scan in the private place: its review and its times are
    published from there, as far as the details have them. Raises DescriptorError where the document
    is damaged."""
    said = metadata(kept.properties if kept else {})
    # With a time zone by what the scanner says: the one before may have been another, and wrong.
    scanned = (said.scanned if time_zone else None) or document.get("scanned") or said.scanned
    created = document.get("created") or (kept.made if kept else None)
    version = document.get("version", 1)
    try:
        made = {
            **{name: value for name, value in document.items() if name not in _FORMER},
            "version": max(VERSION, version),
            "source": source_facts(document["source"]) if version < 2 else document["source"],
            "mpp": {side: value and rounded(value) for side, value in document["mpp"].items()},
            "objective_power": magnification(document.get("objective_power")),
            "scanner": model(document.get("scanner")) or said.scanner,
            "year": document.get("year") or _year(scanned),
            "details": details,
            **_details(details, zoned(scanned, time_zone), created),
            "kept": is_finished(document) or kept is not None,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise DescriptorError(f"slide.json is damaged ({exc})") from exc
    return made | ({"review": kept.published()} if kept and details == LAB else {})


def _details(details: str, scanned: str | None, created: str | None) -> dict[str, str | None]:
    """When the slide was scanned and published, for those who may know."""
    shown = details == LAB
    return {"scanned": scanned if shown else None, "created": created if shown else None}


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
        document.get("layout") == keys.LAYOUT_VERSION
        and is_source(document, source)
        and ConvertOptions().recorded() | document["options"] == options.recorded()
        and document["pyramid"].get("algorithm", 1) == ALGORITHM
    )


def is_finished(document: Mapping[str, Any]) -> bool:
    """Whether all was done that comes after the publication: the scan is kept in the private place.
    Version 1 has said so by a review."""
    return bool(document.get("kept", "review" in document))


def is_source(document: Mapping[str, Any], source: Source) -> bool:
    """Whether the document was written for this very file."""
    return is_of(document, source.fingerprint)


def is_of(document: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> bool:
    """Whether the document was written for the file of that fingerprint."""
    return source_facts(document["source"]) == source_facts(fingerprint)


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
