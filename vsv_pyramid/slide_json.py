"""slide.json: what is published about a slide besides its pixels, and what it is compared with.

By default there is nothing in it of a person: of times only the year of the scan, and of the file
only what tells it from any other. A lab's details are added where they are asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.facts import magnification, model, rounded, year, zoned
from vsv_pyramid.layout import documents, keys, shapes
from vsv_pyramid.layout.geometry import Pyramid
from vsv_pyramid.runtime import clock
from vsv_pyramid.words import digest

# Another one only where the tiles of some slide would be others than before, whatever the release.
ALGORITHM = 2
# Those that differ from it by rounding alone: nobody has to make such a pyramid anew.
AS_GOOD = frozenset([1, ALGORITHM])

VERSION = 2
LAB = "lab"  # the details that a lab needs, among them what may be known of persons

# What may lie where nothing is ever changed, and what others have written into it may not.
_LASTING = (
    *("version", "layout", "id", "source", "width", "height", "origin", "mpp", "objective_power"),
    *("vendor", "scanner", "year", "associated_images", "left_out", "icc_profile"),
    *("icc_profile_reason", "icc_profile_way", "pyramid", "options", "software", "details"),
    *("scanned", "created"),
)
_FORMER = ("image_id", "properties", "review")  # which version 1 has published, whatever details


@dataclass(frozen=True)
class Slide:
    """What is published of the slide itself. `source` is the file's fingerprint, `facts` are its
    metadata as everybody may know them, `scanned` is when (ISO 8601); of the images it has some are
    `published` and some `withheld`; of the ICC profile it is said what became of it, why, and how
    its colours were made sRGB's."""

    source: Mapping[str, Any]
    facts: Mapping[str, Any]
    scanned: str | None
    published: Sequence[str]
    withheld: Sequence[str]
    left_out: Sequence[str]
    icc_profile: str | None
    icc_reason: str | None
    icc_way: str | None


@dataclass(frozen=True)
class Tiles:
    """What the tiles are, and how they were made. `base` is "copied" or "encoded"; `fallbacks` are
    numbers of base tiles by the reason why they could not be copied; `decoded_by` is the library
    that has decoded those that were not; `version` is the tiles' digest; `origin` is the base
    level's top left in slide px."""

    pyramid: Pyramid
    origin: tuple[int, int]
    count: int
    bytes: int
    version: str
    lane: str
    lane_reason: str
    base: str
    fallbacks: Mapping[str, int]
    decoded_by: str | None
    blank: int
    seconds: float


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


def document(
    slide_id: str,
    slide: Slide,
    tiles: Tiles,
    options: Mapping[str, Any],
    software: Mapping[str, str],
    details: str,
    packed: str | None = None,
) -> dict[str, Any]:
    """The document to publish once all tiles are made with the options, as far as the tiles depend
    on them; `packed` names the object that these are in."""
    size = tiles.pyramid.size
    return {
        "version": VERSION,
        **layout(packed),
        "id": slide_id,
        "source": source_facts(slide.source),
        "width": size.width,
        "height": size.height,
        "origin": {"x": tiles.origin[0], "y": tiles.origin[1]},
        **slide.facts,
        "associated_images": {"published": slide.published, "withheld": slide.withheld},
        "left_out": slide.left_out,
        "icc_profile": slide.icc_profile,
        "icc_profile_reason": slide.icc_reason,
        "icc_profile_way": slide.icc_way,
        "pyramid": {
            "tile_size": tiles.pyramid.tile_size,
            "levels": pyramid_levels(tiles.pyramid),
            "tile_count": tiles.count,
            "bytes": tiles.bytes,
            "quality": options["quality"],
            "chroma_subsampling": ":".join(options["subsampling"]),
            "lane": tiles.lane,
            "lane_reason": tiles.lane_reason,
            "base": tiles.base,
            "fallback_tiles": dict(sorted(tiles.fallbacks.items())),
            "decoded_by": tiles.decoded_by,
            "blank_tiles": tiles.blank,
            "version": tiles.version,
            "algorithm": ALGORITHM,
        },
        "options": options,
        "software": software,
        "seconds": round(tiles.seconds, 2),
        "details": details,
        **_details(details, slide.scanned, clock.utc().isoformat(timespec="seconds")),
        "kept": False,
    }


def layout(packed: str | None) -> dict[str, Any]:
    """What is said of where the tiles are."""
    if packed is None:
        return {"layout": keys.LAYOUT_VERSION}
    return {"layout": keys.PACKED_VERSION, "packed": packed}


def switched(document: Mapping[str, Any], packed: str | None) -> dict[str, Any]:
    """The document of the same tiles in the object of that name, or (None) as objects."""
    return {name: document[name] for name in document if name != "packed"} | layout(packed)


def lasting(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of it may be where nothing is ever changed: no details, no image with a name on it, and
    nothing that is another time another."""
    images = document.get("associated_images") or {}
    kept = [name for name in images.get("published", ()) if name == "thumbnail"]
    made = switched(renewed(document, "none"), None)
    return {name: made[name] for name in _LASTING if name in made} | {
        "associated_images": {**images, "published": kept}
    }


def packed_name(
    source: Mapping[str, Any],
    options: Mapping[str, Any],
    software: Mapping[str, str],
    algorithm: int = ALGORITHM,
    content: str = "",
) -> str:
    """The name of the object that a slide's tiles are packed in, by all that it depends on: what
    is published of its file, the options, and the software, of which `encoder` makes the same
    bytes; or a digest of what is in it, where that may be something else by now."""
    made_by = {name: software[name] for name in sorted(software) if name != "encoder"}
    known = json.dumps([source, options, made_by, algorithm, content], sort_keys=True)
    return keys.packed_name(hashlib.sha256(known.encode()).hexdigest()[:32])


@dataclass(frozen=True)
class Kept:
    """What is known of this very scan in the private place: when it was scanned and by what, when
    it was converted, and what may be published of its review."""

    scanned: str | None
    scanner: str | None
    made: str | None
    review: Mapping[str, str | None]


def renewed(
    document: Mapping[str, Any],
    details: str,
    kept: Kept | None = None,
    time_zone: str | None = None,
) -> dict[str, Any]:
    """The document in today's form and with those details; what a later release has written stays.
    What is kept is published as far as the details have it. Raises DescriptorError where the
    document is damaged."""
    scanned = kept.scanned if kept else None
    # With a time zone by what the scanner says: the one before may have been another, and wrong.
    scanned = (scanned if time_zone else None) or document.get("scanned") or scanned
    created = document.get("created") or (kept.made if kept else None)
    version = document.get("version", 1)
    try:
        made = {
            **{name: value for name, value in document.items() if name not in _FORMER},
            "version": max(VERSION, version),
            "source": source_facts(document["source"]) if version < 2 else document["source"],
            "mpp": {side: value and rounded(value) for side, value in document["mpp"].items()},
            "objective_power": magnification(document.get("objective_power")),
            "scanner": model(document.get("scanner")) or (kept.scanner if kept else None),
            "year": document.get("year") or year(scanned),
            "details": details,
            **_details(details, zoned(scanned, time_zone), created),
            "kept": is_finished(document) or kept is not None,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise DescriptorError(f"slide.json is damaged ({exc})") from exc
    return made | ({"review": kept.review} if kept and details == LAB else {})


def _details(details: str, scanned: str | None, created: str | None) -> dict[str, str | None]:
    """When the slide was scanned and published, for those who may know."""
    shown = details == LAB
    return {"scanned": scanned if shown else None, "created": created if shown else None}


def parse(document: bytes) -> dict[str, Any]:
    """The document, with all its sections. Raises DescriptorError where it is damaged."""
    try:
        return dict(documents.read(document, shapes.Slide))
    except ValueError as exc:
        raise DescriptorError(f"slide.json is damaged ({exc})") from exc


def is_finished(document: Mapping[str, Any]) -> bool:
    """Whether all was done that comes after the publication: the scan is kept in the private place.
    Version 1 has said so by a review."""
    return bool(document.get("kept", "review" in document))


def is_of(document: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> bool:
    """Whether the document was written for the file of that fingerprint."""
    return source_facts(document["source"]) == source_facts(fingerprint)
