"""Holds slide.json against the descriptor, against itself, against what lies beside it, and against
the slide."""

from __future__ import annotations

from typing import Any

from vsv_pyramid import slide_json
from vsv_pyramid.errors import NoSuchObject, StoreError
from vsv_pyramid.facts import magnification
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.reading import PackedStore
from vsv_pyramid.planning.options import LOSSLESS
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.verification import comparison
from vsv_pyramid.verification.findings import Check

_MEASURED = ("mpp", "objective_power")
_AS_MEASURED = 1e-4  # earlier releases rounded otherwise


def check_document(check: Check) -> None:
    """slide.json must tell the same pyramid as the descriptor, and contradict itself nowhere."""
    if check.document is None:
        return
    size, stated = check.pyramid.size, check.document["pyramid"]
    pairs = {
        "layout": (
            check.document.get("layout"),
            keys.PACKED_VERSION if isinstance(check.store, PackedStore) else keys.LAYOUT_VERSION,
        ),
        "size": ((check.document.get("width"), check.document.get("height")), tuple(size)),
        "tile size": (stated.get("tile_size"), check.pyramid.tile_size),
        "levels": (stated.get("levels"), slide_json.pyramid_levels(check.pyramid)),
        "tile count": (stated.get("tile_count"), check.pyramid.tile_count),
    }
    for name, (one, other) in pairs.items():
        if one != other:
            check.report.wrong(f"slide.json and the descriptor do not agree on the {name}")
    for name, holds in _statements(check, check.document, stated).items():
        if not holds:
            check.report.wrong(f"{name} in slide.json cannot be, or contradicts the rest of it")
    parent, _, name = check.folder.rpartition("/")
    if check.document.get("id") != name:
        other = f"slide.json is of the id {check.document.get('id')!r}, the folder is {name!r}"
        if parent == keys.IMAGES:  # elsewhere it is a copy
            check.report.errors.append(f"{other}; give the folder its name, or convert the slide")
        else:
            check.report.warnings.append(other)


def _statements(check: Check, document: dict[str, Any], tiles: dict[str, Any]) -> dict[str, bool]:
    """Whether what is said can be; what earlier releases did not say, can."""
    options = document["options"]
    power = document.get("objective_power")
    sides = [side and side > 0 for side in (document.get("mpp") or {}).values()]
    base = check.pyramid.base.columns * check.pyramid.base.rows
    is_copied = tiles.get("lane") == LOSSLESS
    blank, fallbacks = tiles.get("blank_tiles") or 0, tiles.get("fallback_tiles") or {}
    sampled = ":".join(str(options.get("subsampling", "")))
    return {
        "mpp": all(sides) or not any(side is not None for side in sides),
        "objective_power": power is None or magnification(power) is not None,
        "quality": tiles.get("quality") in (None, options.get("quality")),
        "chroma_subsampling": tiles.get("chroma_subsampling") in (None, sampled),
        "lane": options.get("lane") in (None, "auto", tiles.get("lane")),
        "base": tiles.get("base") in (None, "copied" if is_copied else "encoded"),
        "blank_tiles": 0 <= blank <= (base if options.get("on_error") == "blank" else 0),
        "fallback_tiles": 0 <= sum(fallbacks.values()) <= (base if is_copied else 0),
        "icc_profile": document.get("icc_profile") != "applied" or options.get("color") == "srgb",
    }


def check_images(check: Check) -> None:
    """Of associated images and of the ICC profile, what slide.json lists must be there, and nothing
    else; the thumbnail must be the tile that it is made of."""
    if check.document is None:
        return
    stated = check.document.get("associated_images")
    listed = stated.get("published", ()) if isinstance(stated, dict) else ()
    for name in dict.fromkeys((*map(str, listed), *keys.ASSOCIATED_IMAGES)):
        key = keys.associated_key(check.folder, name)
        try:
            jpeg = check.store.get(key)
        except NoSuchObject:
            if name in listed:
                check.report.errors.append(f"the {name} image is missing")
            continue
        except StoreError as exc:
            check.report.errors.append(str(exc))
            continue
        if name not in listed:
            check.report.errors.append(
                f"{key} is there, and slide.json does not list it as published; remove it, or move "
                "it to a place that nobody serves"
            )
        elif comparison.picture(jpeg) is None:
            check.report.errors.append(f"the {name} image is damaged")
        elif name == "thumbnail" and jpeg != _tile(check):
            check.report.wrong(f"the thumbnail is not tile {check.pyramid.thumbnail}")
    there = check.store.head(keys.icc_key(check.folder)) is not None
    if there != (check.document.get("icc_profile") == "published"):
        check.report.errors.append(
            "the ICC profile is there, and was not to be published"
            if there
            else "the ICC profile is missing"
        )


def _tile(check: Check) -> bytes | None:
    try:
        return check.tile(check.pyramid.thumbnail)
    except StoreError:
        return None


def check_facts(check: Check, slide: Slide) -> None:
    """Where slide.json says something of how the slide was scanned, the slide must say the same;
    of models and years earlier releases took some for known that are not."""
    if check.document is None:
        return
    for name, said in slide.metadata.published.items():
        stated = check.document.get(name)
        sides = stated if isinstance(stated, dict) else {"": stated}
        of_slide = said if isinstance(said, dict) else {"": said}
        for side, value in sides.items():
            other = of_slide.get(side)
            is_open = value is None or (other is None and name not in _MEASURED)
            if not (is_open or _is_same(value, other)):
                check.report.wrong(f"slide.json says {name} {stated}, the slide {said}")
                break


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return abs(one - other) <= _AS_MEASURED * abs(other)
    return one == other
