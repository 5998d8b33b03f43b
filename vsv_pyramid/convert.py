"""One slide into one published pyramid: the only place that sees slide, pyramid and store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vsv_pyramid import dzi, record
from vsv_pyramid.errors import DescriptorError, OptionError, SlideError, StoreError
from vsv_pyramid.geometry import Pyramid, TileAddress
from vsv_pyramid.lanes import NO_KERNEL, leaf_source, pixel_leaves
from vsv_pyramid.plan import ConvertOptions, Plan, make_plan
from vsv_pyramid.publish import Publication
from vsv_pyramid.pyramid.leaves import encoded, opaque
from vsv_pyramid.pyramid.quadtree import build
from vsv_pyramid.slide import Slide, open_slide
from vsv_pyramid.store import Store, open_store

_THUMBNAIL_SIDE = 1024


class Progress(NamedTuple):
    """How far a conversion is: tiles made and planned, and base pixels done."""

    tiles: int
    total: int
    base_pixels: int


@dataclass(frozen=True)
class Summary:
    """What became of one slide. `status` is "converted" or "skipped"; `bytes` are the tiles'."""

    slide: str
    id: str
    status: str
    target: str
    width: int
    height: int
    tile_size: int
    tiles: int
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()


def convert(
    slide: Path,
    destination: str,
    options: ConvertOptions,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Publishes the slide's pyramid at the destination (a folder, or its URL), whole or not at all.

    `progress` is called in this thread several times a second. Raises OptionError, SlideError,
    TileError and StoreError; whatever is raised, what was published before is still there.
    """
    start = time.monotonic()
    store = open_store(destination)
    with open_slide(slide) as opened:
        plan = checked_plan(opened, options)
        published = None if options.overwrite else _published(store, plan, opened, options)
        if published:
            return published
        with contextlib.ExitStack() as stack:
            staged = stack.enter_context(store.replacing(plan.folder))
            if not options.overwrite and _exists(store, plan):
                raise _other_is_there(store, plan)  # since the first look, by another process
            publication = Publication(staged, plan.folder, plan.pyramid)
            pixels = pixel_leaves(opened, plan.pyramid, plan.origin, options)
            leaves = stack.enter_context(leaf_source(pixels, plan.lane, options))

            def tick() -> None:
                if progress:
                    total = plan.pyramid.tile_count
                    progress(Progress(publication.tiles, total, publication.base_pixels))

            try:
                build(
                    plan.pyramid,
                    leaves,
                    publication.put_tile,
                    quality=options.quality,
                    workers=options.workers,
                    tick=tick,
                )
            except SlideError:
                opened.check_unchanged()  # where it has changed, that is the reason to tell
                raise
            tick()
            _put_images(staged, opened, plan, options)
            opened.check_unchanged()
            seconds = time.monotonic() - start
            publication.complete(
                record.slide_json(
                    opened,
                    plan,
                    options,
                    publication,
                    pixels,
                    seconds=seconds,
                )
            )
        notes = _notes(opened, plan, options, pixels.blanked)
        return _summary(
            opened, store, plan, "converted", publication.tiles, publication.bytes, seconds, notes
        )


def checked_plan(slide: Slide, options: ConvertOptions) -> Plan:
    """The plan, under an id that the layout allows; raises SlideError where the name is none."""
    plan = make_plan(slide, options)
    try:
        dzi.check_id(plan.slide_id)
    except OptionError as exc:
        raise SlideError(slide.path, str(exc)) from exc
    return plan


def _published(store: Store, plan: Plan, slide: Slide, options: ConvertOptions) -> Summary | None:
    """What is published under the id where that is this very slide, None where nothing is.

    Raises StoreError where it is anything else.
    """
    if not _exists(store, plan):
        return None
    if store.head(dzi.descriptor_key(plan.folder)) is not None:
        try:
            document = record.parse(store.get(dzi.slide_json_key(plan.folder)))
        except (DescriptorError, StoreError):
            document = None
        if document and record.is_current(document, slide, options):
            tiles, size = (document["pyramid"].get(key, 0) for key in ("tile_count", "bytes"))
            return _summary(slide, store, plan, "skipped", tiles, size, 0.0, ())
    raise _other_is_there(store, plan)


def _exists(store: Store, plan: Plan) -> bool:
    return any(True for _ in store.keys(plan.folder + "/"))


def _other_is_there(store: Store, plan: Plan) -> StoreError:
    return StoreError(
        f"{store}/{plan.folder}",
        "holds another file's pyramid, or this one's with other options; replace it with "
        "--overwrite",
    )


def _put_images(store: Store, slide: Slide, plan: Plan, options: ConvertOptions) -> None:
    """Puts the associated images, and the ICC profile, that the plan names."""
    for name in plan.associated:
        if name == "thumbnail":
            jpeg = store.get(dzi.tile_key(plan.folder, _thumbnail_tile(plan.pyramid)))
        else:
            image = opaque(slide.associated(name), options.background_rgb)
            jpeg = encoded(np.asarray(image), options.quality, options.subsampling)
        store.put(dzi.associated_key(plan.folder, name), jpeg)
    if plan.icc and slide.icc_profile:
        store.put(dzi.icc_key(plan.folder), slide.icc_profile)


def _thumbnail_tile(pyramid: Pyramid) -> TileAddress:
    """The largest level that is one tile, and small: the whole slide at a glance."""
    return max(
        TileAddress(level.number, 0, 0)
        for level in pyramid.levels
        if level.columns * level.rows == 1 and max(level.size) <= _THUMBNAIL_SIDE
    )


def _notes(
    slide: Slide, plan: Plan, options: ConvertOptions, blanked: list[TileAddress]
) -> tuple[str, ...]:
    notes = [
        f"the slide has no {name} image"
        for name in sorted(set(options.associated) - set(plan.associated))
    ]
    if options.color == "srgb" and slide.icc_profile is None:
        notes.append("the slide has no ICC profile: its colours are as they were")
    if options.bounds and slide.metadata.bounds is None:
        notes.append("the slide states no scanned bounds: all of it was converted")
    if plan.lane.reason == NO_KERNEL:
        notes.append(f"base tiles are decoded and encoded: {NO_KERNEL}")
    if blanked:
        notes.append(f"{len(blanked)} damaged tiles were left blank, the first is {min(blanked)}")
    return tuple(notes)


def _summary(
    slide: Slide,
    store: Store,
    plan: Plan,
    status: str,
    tiles: int,
    size: int,
    seconds: float,
    notes: tuple[str, ...],
) -> Summary:
    return Summary(
        slide=str(slide.path),
        id=plan.slide_id,
        status=status,
        target=f"{store}/{dzi.descriptor_key(plan.folder)}",
        width=plan.pyramid.size.width,
        height=plan.pyramid.size.height,
        tile_size=plan.pyramid.tile_size,
        tiles=tiles,
        bytes=size,
        seconds=round(seconds, 2),
        notes=notes,
    )
