"""What a slide is, and what its pyramid would be and cost, before it is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from vsv_pyramid.aws import costs
from vsv_pyramid.aws.prices import STANDARD
from vsv_pyramid.jpeg.planes import Planes, empty
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.packed.reading import with_tiles
from vsv_pyramid.planning.lanes import base_level, decoded_leaves, leaf_source
from vsv_pyramid.planning.options import PIXELS, ConvertOptions
from vsv_pyramid.planning.plan import Plan, make_plan
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.leaves import LeafSource
from vsv_pyramid.removal import pyramid_keys
from vsv_pyramid.slide.names import DICOM_SUFFIX, SLIDE_SUFFIXES, is_dicom_name
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.slide_json import parse, pyramid_levels
from vsv_pyramid.store import S3Options, open_pyramid
from vsv_pyramid.store.zipped import Zipped

_SAMPLED_PARENTS = 9


def is_pyramid(place: str | Path) -> bool:
    """Whether the path or URL is rather of a pyramid than of a slide."""
    name = PurePosixPath(place).name
    if str(place).startswith("s3://"):
        return PurePosixPath(name).suffix.lower() not in (*SLIDE_SUFFIXES, DICOM_SUFFIX)
    if Path(place).is_dir():
        try:
            return not any(is_dicom_name(path.name) for path in Path(place).iterdir())
        except OSError:
            return True  # who looks into it says why it cannot be read
    return Path(place).suffix.lower() in (".dzi", ".zip", ".szi")


def published(target: str | Path, s3: S3Options | None = None) -> dict[str, Any]:
    """What is published as `target` (as `open_pyramid` takes it): what is listed there, in objects
    and bytes, and what its slide.json says, in px.

    Raises StoreError where nothing is, or it cannot be read.
    """
    place, folder = open_pyramid(target, s3)
    present = pyramid_keys(place, folder)
    store = with_tiles(place, folder)
    stored = list(store.keys(keys.tiles_prefix(folder)))
    is_whole = store.head(keys.descriptor_key(folder)) is not None
    facts: dict[str, Any] = {
        "target": str(target),
        "state": "complete" if is_whole else "not complete",
        "layout": keys.PACKED if isinstance(store, Zipped) else keys.TILES,
        "objects": len(present),
        "tiles": len(stored),
        "bytes": sum(found.size for found in stored),
        "slide": None,
    }
    stated = None
    if keys.slide_json_key(folder) in present:
        document = parse(store.get(keys.slide_json_key(folder)))
        pyramid = document["pyramid"]
        stated = pyramid.get("tile_count"), pyramid.get("bytes")
        facts |= {
            "slide": document.get("id"),
            "width": document.get("width"),
            "height": document.get("height"),
            "tile_size": pyramid.get("tile_size"),
            "lane": pyramid.get("lane"),
            "version": pyramid.get("version"),
            "created": document.get("created"),
        }
    elif facts["state"] == "complete":  # as in an SZI that another program has made
        pyramid = Descriptor.parse(store.get(keys.descriptor_key(folder))).pyramid
        stated = pyramid.tile_count, facts["bytes"]
        facts |= {
            "slide": folder.rpartition("/")[2],
            "width": pyramid.size.width,
            "height": pyramid.size.height,
            "tile_size": pyramid.tile_size,
            **dict.fromkeys(("lane", "version", "created")),
        }
    if facts["state"] == "complete" and stated != (facts["tiles"], facts["bytes"]):
        facts["state"] = "damaged; vsv-pyramid verify says where"
    return facts


def info(place: str | Path, options: ConvertOptions | None = None) -> dict[str, Any]:
    """The facts of the slide (a path, or an s3:// URL) and its plan; sizes are in px, bytes are
    estimated from sampled tiles.

        plan = info("170782.svs")["plan"]
        print(plan["tiles"], plan["lane"], plan["lane_reason"])

    Raises SlideError where the slide cannot be read, or none of those tiles can be decoded.
    """
    # A damaged tile is no reason to say nothing.
    options = replace(options or ConvertOptions(), on_error="blank")
    with find_source(place, options.scratch, options.s3.request_payer).opened() as slide:
        plan = make_plan(slide, options)
        return {
            "slide": str(place),
            "width": slide.size.width,
            "height": slide.size.height,
            "levels": [{"width": w, "height": h} for w, h in slide.level_sizes],
            "native_tile": slide.native_tile and slide.native_tile._asdict(),
            "container": slide.container,
            "compression": slide.stored and slide.stored.compression,
            "photometric": slide.stored and slide.stored.photometric,
            "read_by": slide.reader,
            **slide.metadata.published,
            "scanned": slide.metadata.scanned,
            "associated_images": list(slide.associated_names),
            "left_out": list(slide.left_out),
            "icc_profile_bytes": len(slide.icc_profile) if slide.icc_profile else None,
            "plan": _plan_facts(slide, plan, options),
        }


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The plan as far as it is known without looking at pixels."""
    return {
        "id": plan.slide_id,
        "lane": plan.lane.name,
        "lane_reason": plan.lane.reason,
        "tile_size": plan.pyramid.tile_size,
        "levels": pyramid_levels(plan.pyramid),
        "tiles": plan.pyramid.tile_count,
        "objects": plan.object_count,
        "s3_put_dollars": round(plan.object_count * STANDARD.put, 6),
    }


def _plan_facts(slide: Slide, plan: Plan, options: ConvertOptions) -> dict[str, Any]:
    base = base_level(plan.pyramid, plan.origin, options)
    parents = _sampled_parents(plan.pyramid)
    with leaf_source(slide, base, plan.lane, options) as leaves:
        estimate, blank = _estimated_bytes(plan.pyramid, parents, leaves, options)
    tiles = [tile for parent in parents for row in plan.pyramid.children(parent) for tile in row]
    if plan.lane.name == PIXELS and len(blank) == max(1, len(tiles)):
        decoded_leaves(slide, base, options).pixels(blank[0])  # raises
    return {
        **plan_facts(plan),
        "estimated_bytes": estimate,
        "s3_month_dollars": round(estimate / 1e9 * STANDARD.gb_month, 6),
        "s3_ten_years": [_kept(form, plan.object_count, estimate) for form in costs.FORMS],
    }


def _kept(form: costs.Form, objects: int, size: int) -> dict[str, Any]:
    """What it takes to keep the pyramid in such a form, and by the times it is looked at."""
    kept = costs.keeping(form, objects, size)
    return {
        "form": "szi" if form.is_packed else "tiles",
        "storage_class": form.storage.name,
        **{f"{name}_dollars": round(value, 6) for name, value in kept._asdict().items()},
        "looks": [
            {"looks": looks, "dollars": round(kept.dollars(looks), 6)} for looks in costs.LOOKS
        ],
    }


def _sampled_parents(pyramid: Pyramid) -> list[TileAddress]:
    """A few tiles of the level above the base, spread evenly; none where there is no such level."""
    if len(pyramid.levels) == 1:
        return []
    parents = list(pyramid.levels[-2].tiles())
    return parents[:: max(1, len(parents) // _SAMPLED_PARENTS)][:_SAMPLED_PARENTS]


def _estimated_bytes(
    pyramid: Pyramid, parents: list[TileAddress], leaves: LeafSource, options: ConvertOptions
) -> tuple[int, list[TileAddress]]:
    """Bytes of all tiles, from those of the parents and of the base tiles that these are made of;
    and which of the base tiles are blank.

    A level counts by its pixels: the base as its tiles do, all levels above it as the parents do.
    """

    blank = []

    def leaf(address: TileAddress) -> tuple[int, Planes]:
        half = empty(pyramid.dimensions(address).halved(), options.subsampling)
        made = leaves.leaf(address, half)
        if made.blank:
            blank.append(address)
        return len(made.jpeg), half

    if not parents:
        return leaf(TileAddress(0, 0, 0))[0], blank
    base_bytes = base_pixels = parent_bytes = parent_pixels = 0
    for parent in parents:
        halves = []
        for row in pyramid.children(parent):
            tiles = [leaf(child) for child in row]
            base_bytes += sum(size for size, _ in tiles)
            base_pixels += sum(pyramid.dimensions(child).pixels for child in row)
            halves.append([half for _, half in tiles])
        parent_bytes += len(planes.encoded(planes.joined(halves), options.quality))
        parent_pixels += pyramid.dimensions(parent).pixels
    above = sum(level.size.pixels for level in pyramid.levels[:-1])
    base = base_bytes / base_pixels * pyramid.base.size.pixels
    return round(base + parent_bytes / parent_pixels * above), blank
