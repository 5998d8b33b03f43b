"""A slide's pyramid, tile by tile into the store, and what is published beside the tiles."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from vsv_pyramid import catalog_json, slide_json
from vsv_pyramid.conversion.summary import Summary, summarized
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import STOPPED, SlideError, StoreError
from vsv_pyramid.facts import zoned
from vsv_pyramid.jpeg.encode import has_stepped_back
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.packed.published import shown_key
from vsv_pyramid.planning.lanes import NO_KERNEL, base_level, leaf_source
from vsv_pyramid.planning.options import LOSSLESS, ConvertOptions
from vsv_pyramid.planning.plan import WITHHELD, Plan, make_plan
from vsv_pyramid.publication import Publication
from vsv_pyramid.pyramid.images import encoded, opaque
from vsv_pyramid.pyramid.quadtree import GivenUp, Made, build
from vsv_pyramid.review import rescans
from vsv_pyramid.review.rescans import Scan
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.source import Source
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import Sealed
from vsv_pyramid.versions import software
from vsv_pyramid.words import counted


def make(
    source: Source,
    store: Destination,
    staged: Store,
    options: ConvertOptions,
    stop: threading.Event,
    progress: Callable[[Progress], None] | None,
) -> tuple[Summary, Scan | None]:
    """Makes the pyramid and publishes it; what became of the slide, and what is to be remembered of
    it where the store has a private place."""
    start = clock.monotonic()
    with contextlib.ExitStack() as stack:
        slide = stack.enter_context(source.opened())
        plan = make_plan(slide, options)
        base = base_level(plan.pyramid, plan.origin, options)
        leaves = stack.enter_context(leaf_source(slide, base, plan.lane, options))
        rescans.check_rights(store, plan.slide_id)
        if store.sealed:
            _check_catalog(store)
        packed = _packed_name(source, staged, options)
        publication = stack.enter_context(_publication(staged, plan, packed, stop))

        def tick() -> None:
            if progress:
                total = plan.pyramid.tile_count
                progress(Progress(publication.tiles, total, publication.base_pixels))

        try:
            made = build(
                plan.pyramid,
                leaves,
                publication.put_tile,
                quality=options.quality,
                subsampling=options.subsampling,
                workers=options.workers,
                split=publication.split,
                tick=tick,
                stop=stop,
            )
        except SlideError:
            source.check_unchanged()  # where it has changed, that is the reason to tell
            raise
        except GivenUp as exc:
            raise StoreError(f"{store}/{plan.folder}", STOPPED) from exc
        tick()
        _put_images(publication, slide, plan, options)
        source.check_unchanged()
        seconds = round(clock.monotonic() - start, 2)
        document = slide_json.document(
            plan.slide_id,
            _slide(source, slide, plan, options),
            _tiles(plan, publication, made, slide.reader, seconds),
            options.recorded(),
            software() | _encoder(options),
            options.details,
            packed,
        )
        scan = rescans.scan(source, slide) if store.private else None
        publication.complete(document)
        if store.sealed and not isinstance(staged, Sealed):
            staged.put(keys.catalog_key(), catalog_json.write([catalog_json.entry(document)]))
        summary = summarized(
            source,
            options,
            "converted",
            f"{store}/{shown_key(plan.folder, document)}",
            document,
            kept=publication.kept,
            seconds=seconds,
            waited=round(max(0.0, clock.time() - source.arrived), 1),
            notes=_notes(slide, plan, options, made.blanked),
        )
        return summary, scan


def _check_catalog(store: Destination) -> None:
    """Raises StoreError for an archive with another program's file in the catalog's place."""
    found = store.tagged(keys.catalog_key())
    try:
        if found:
            catalog_json.parse(found.data)
    except ValueError as exc:
        what = f"holds {keys.catalog_key()}, which is no catalog ({exc}); give another file"
        raise StoreError(store, what) from exc


def _packed_name(source: Source, staged: Store, options: ConvertOptions) -> str | None:
    """The name of the object that all tiles are put into, where they are put into one."""
    if staged.sealed or options.layout != keys.PACKED:
        return None
    facts = slide_json.source_facts(source.fingerprint)
    return slide_json.packed_name(facts, options.recorded(), software())


def _publication(
    staged: Store, plan: Plan, packed: str | None, stop: threading.Event
) -> Publication:
    kind: Callable[..., Publication] = Publication
    if packed or isinstance(staged, Sealed):
        from vsv_pyramid.publication import packed as forms  # late: most are not packed

        kind = partial(forms.PackedPublication, name=packed) if packed else forms.SealedPublication
    return kind(staged, plan.folder, plan.pyramid, thumbnail=plan.pyramid.thumbnail, stop=stop)


def _slide(source: Source, slide: Slide, plan: Plan, options: ConvertOptions) -> slide_json.Slide:
    return slide_json.Slide(
        source=source.fingerprint,
        facts=slide.metadata.published,
        scanned=zoned(slide.metadata.scanned, options.time_zone),
        published=plan.associated,
        withheld=plan.withheld,
        left_out=slide.left_out,
        icc_profile=plan.icc.state,
        icc_reason=plan.icc.reason,
        icc_way=plan.icc.way,
    )


def _tiles(
    plan: Plan, publication: Publication, made: Made, reader: str, seconds: float
) -> slide_json.Tiles:
    is_copied = plan.lane.name == LOSSLESS
    return slide_json.Tiles(
        plan.pyramid,
        plan.origin,
        count=publication.tiles,
        bytes=publication.bytes,
        version=publication.version,
        lane=plan.lane.name,
        lane_reason=plan.lane.reason,
        base="copied" if is_copied else "encoded",
        fallbacks=made.fallbacks,
        decoded_by=None if is_copied and not made.fallbacks else reader,
        blank=len(made.blanked),
        seconds=seconds,
    )


def _encoder(options: ConvertOptions) -> dict[str, str]:
    """Nobody has to know of the encoder, unless it is the one that was stepped back to."""
    is_other = has_stepped_back(options.subsampling, options.quality)
    return {"encoder": "simplejpeg"} if is_other else {}


def _put_images(
    publication: Publication, slide: Slide, plan: Plan, options: ConvertOptions
) -> None:
    """Puts the associated images, and the ICC profile, that the plan names."""
    for name in plan.associated:
        if name == "thumbnail":
            jpeg = publication.thumbnail_jpeg
        else:
            pixels = opaque(np.asarray(slide.associated(name)), options.background_rgb)
            jpeg = encoded(pixels, options.quality, options.subsampling)
        publication.put(keys.associated_key(plan.folder, name), jpeg)
    if plan.icc.is_published and slide.published_icc:
        publication.put(keys.icc_key(plan.folder), slide.published_icc)


def _notes(
    slide: Slide,
    plan: Plan,
    options: ConvertOptions,
    blanked: list[TileAddress],
) -> tuple[str, ...]:
    notes = [
        f"the slide has no {name} image"
        for name in sorted(set(options.associated) - set(plan.associated))
    ]
    if options.color == "srgb" and slide.icc_profile is None:
        notes.append("the slide has no ICC profile: its colours are as they were")
    if plan.icc.state == WITHHELD:
        notes.append(f"the slide's ICC profile was withheld: {plan.icc.reason}")
    if options.bounds and slide.metadata.bounds is None:
        notes.append("the slide states no scanned bounds: all of it was converted")
    if slide.left_out:
        notes.append(f"left out, since it is not the slide: {', '.join(slide.left_out)}")
    if plan.lane.reason == NO_KERNEL:
        notes.append(f"base tiles are decoded and encoded: {NO_KERNEL}")
    if blanked:
        tiles, were = counted(len(blanked), "damaged tile"), "was" if len(blanked) == 1 else "were"
        notes.append(f"{tiles} {were} left blank, the first is {min(blanked)}")
    return tuple(notes)
