"""One slide into one published pyramid: the only place that sees slide, pyramid and store."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from vsv_pyramid import catalog, places, slide_json
from vsv_pyramid.destination import Destination, check_scratch, open_destination
from vsv_pyramid.errors import DescriptorError, OptionError, SlideError, StoreBusy, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.lanes import NO_KERNEL, leaf_source, pixel_leaves
from vsv_pyramid.planning.plan import ConvertOptions, Plan, make_plan
from vsv_pyramid.publication import Publication
from vsv_pyramid.pyramid.decoded import encoded, opaque
from vsv_pyramid.pyramid.quadtree import build
from vsv_pyramid.review import records, rescans
from vsv_pyramid.review.rescans import Scan
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.source import Source, find_source
from vsv_pyramid.store import Store
from vsv_pyramid.words import counted

_THUMBNAIL_SIDE = 1024
_BUSY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far a conversion is: tiles made and planned, and base pixels done."""

    tiles: int
    total: int
    base_pixels: int


@dataclass(frozen=True)
class Summary:
    """What became of one slide. `status` is "converted", "skipped" (it is published; or, without a
    `target`, deleted and to be scanned anew) or "busy" (another process converts it); `bytes`
    are the tiles'; `kept` is how many objects an earlier attempt had put already."""

    slide: str
    id: str
    status: str
    target: str
    width: int = 0
    height: int = 0
    tile_size: int = 0
    tiles: int = 0
    bytes: int = 0
    kept: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


def convert(
    slide: str | Path,
    destination: str | Path,
    options: ConvertOptions,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Publishes the pyramid of the slide (a path, or an s3:// URL) at the destination (a folder, a
    .zip or .szi file, or a URL), whole or not at all, and enters it in the catalog there.

    `progress` is called in this thread several times a second; once `stop` is set, by others or by
    a failure, nothing is waited for. Raises OptionError, SlideError,
    TileError and StoreError. Whatever is raised, there is no descriptor without a whole pyramid;
    where the store is not remote, what was published before is still there, and in a remote one
    the same call goes on where it ended.
    """
    stop = stop or threading.Event()
    store = open_destination(destination, options.private_to, options.s3, stop, state=options.state)
    check_scratch(store.published, slide, options.scratch)
    source = find_source(slide, options.scratch, options.s3.request_payer)
    options = ids.keyed(options, store)
    slide_id = id_of(source, options)
    options = dataclasses.replace(options, slide_id=slide_id)
    folder = keys.folder(slide_id)
    waiting = False
    scan: Scan | None = None
    while True:
        document = _published(store, folder, source, options)
        if document:
            summary = _skipped(store, folder, source, options, document)
            if store.private and not slide_json.is_finished(document):
                with source.opened() as opened:
                    scan = rescans.scan(source, opened)
                _record(store, source, summary, scan, options)
            else:
                _enter(store, summary, document)
            places.adopt(store, {slide_id: source.place})
            return summary
        if not options.overwrite and rescans.is_set_aside(store, slide_id, source):
            why = "it was deleted as a bad scan; --overwrite converts it all the same"
            return Summary(str(source), slide_id, "skipped", "", notes=(why,))
        try:
            with store.replacing(folder) as staged:
                if _published(store, folder, source, options, is_settled=True):
                    raise _PublishedMeanwhile
                summary, scan = _converted(source, store, staged, options, stop, progress)
        except _PublishedMeanwhile:
            continue
        except StoreBusy as exc:
            if stop.is_set():
                raise  # it has begun, and lost its lease
            if options.if_busy == "skip":
                target = f"{store}/{folder}"
                return Summary(str(source), slide_id, "busy", target, notes=(str(exc),))
            if not waiting:
                _log.warning("%s", exc)
                waiting = True
        else:
            if not store.sealed:
                places.remember(store, slide_id, source.place)
                _record(store, source, summary, scan, options)
            return summary
        if progress:
            progress(Progress(0, 0, 0))
        clock.sleep(_BUSY_SECONDS)


class _PublishedMeanwhile(Exception):
    """Another process published the slide between our first look and our turn to write."""


def _converted(
    source: Source,
    store: Destination,
    staged: Store,
    options: ConvertOptions,
    stop: threading.Event,
    progress: Callable[[Progress], None] | None,
) -> tuple[Summary, Scan | None]:
    start = clock.monotonic()
    with contextlib.ExitStack() as stack:
        slide = stack.enter_context(source.opened())
        plan = make_plan(slide, options)
        pixels = pixel_leaves(slide, plan.pyramid, plan.origin, options)
        leaves = stack.enter_context(leaf_source(pixels, plan.lane, options))
        rescans.check_rights(store, plan.slide_id)
        publication = stack.enter_context(
            Publication(
                staged,
                plan.folder,
                plan.pyramid,
                thumbnail=_thumbnail_tile(plan.pyramid),
                stop=stop,
            )
        )

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
                subsampling=options.subsampling,
                workers=options.workers,
                tick=tick,
                stop=stop,
            )
        except SlideError:
            source.check_unchanged()  # where it has changed, that is the reason to tell
            raise
        tick()
        _put_images(publication, slide, plan, options)
        source.check_unchanged()
        seconds = round(clock.monotonic() - start, 2)
        document = slide_json.slide_json(
            source, slide, plan, options, publication, pixels, seconds=seconds
        )
        scan = rescans.scan(source, slide) if store.private else None
        publication.complete(document)
        if store.sealed:
            staged.put(keys.catalog_key(), catalog.write([catalog.entry(document)]))
        summary = Summary(
            slide=str(source),
            id=plan.slide_id,
            status="converted",
            target=f"{store}/{keys.descriptor_key(plan.folder)}",
            width=plan.pyramid.size.width,
            height=plan.pyramid.size.height,
            tile_size=plan.pyramid.tile_size,
            tiles=publication.tiles,
            bytes=publication.bytes,
            kept=publication.kept,
            seconds=seconds,
            notes=_notes(slide, plan, options, document, pixels.blanked),
        )
        return summary, scan


def id_of(source: Source, options: ConvertOptions) -> str:
    """The id given, or one by the file's stem; raises OptionError where the layout allows none."""
    try:
        return options.slide_id or options.id_of(PurePath(source.name).stem)
    except OptionError as exc:
        raise OptionError(f"{source}: {exc}") from exc


def _record(
    store: Destination,
    source: Source,
    summary: Summary,
    scan: Scan | None,
    options: ConvertOptions,
) -> None:
    """Remembers the scan that is published, if it is to be, then publishes its review, and enters
    it in the catalog. Whatever ends this, the pyramid is there without a review, and the same
    conversion once more goes on with it."""
    folder = keys.folder(summary.id)
    if scan:
        with (
            _after_publishing(summary, "not recorded, which converting it once more does"),
            # Another process that is at it has published its own scan, or goes on with this one.
            contextlib.suppress(StoreBusy),
            store.exclusive(folder),
        ):
            if slide_json.is_source(_document(store, folder), source):
                rescans.remember(store, summary.id, source, scan, options.slide_id_pattern)
    with _after_publishing(summary, "not in the catalog"):
        records.publish(store, [summary.id], create=True)


def _document(store: Destination, folder: str) -> dict[str, Any]:
    return slide_json.parse(store.get(keys.slide_json_key(folder)))


def _enter(store: Destination, summary: Summary, document: dict[str, Any]) -> None:
    """Enters in the catalog what is published, unless it has an entry out of this slide.json."""
    if store.sealed:
        return
    with _after_publishing(summary, "not in the catalog"):
        if not catalog.Catalog(store).has(catalog.entry(document)):
            catalog.Catalog(store).update([summary.id])


@contextlib.contextmanager
def _after_publishing(summary: Summary, but: str) -> Iterator[None]:
    try:
        yield
    except StoreError as exc:
        raise type(exc)(summary.target, f"is published, but {but}: {exc}") from exc


def _published(
    store: Destination,
    folder: str,
    source: Source,
    options: ConvertOptions,
    *,
    is_settled: bool = False,
) -> dict[str, Any] | None:
    """The slide.json in the folder where that is of this very slide, None where nothing is, or what
    is there is to be replaced.

    Raises StoreError where it is anything else; of parts of a pyramid without a descriptor, which
    may be on their way, only where the folder `is_settled`.
    """
    if options.overwrite:
        return None
    if store.head(keys.descriptor_key(folder)) is None:
        if store.remote or not is_settled or rescans.is_cleared(store, folder):
            return None  # in a remote store, what lies there is an interrupted publication
        what = "holds parts of a pyramid, and no DeepZoom.dzi; replace them with --overwrite"
    else:
        try:
            document = _document(store, folder)
        except (DescriptorError, StoreError):
            document = None
        if document and (
            slide_json.is_source(document, source)
            if options.update
            else slide_json.is_current(document, source, options)
        ):
            return document
        if options.update:
            places.check(store, folder, document, source)
            return None
        what = (
            "holds another file's pyramid, or this one's with other options; replace it with "
            "--overwrite"
        )
    raise StoreError(f"{store}/{folder}", what)


def _skipped(
    store: Destination,
    folder: str,
    source: Source,
    options: ConvertOptions,
    document: dict[str, Any],
) -> Summary:
    pyramid = document["pyramid"]
    is_as_asked = document.get("details", options.details) == options.details
    return Summary(
        slide=str(source),
        id=id_of(source, options),
        status="skipped",
        target=f"{store}/{keys.descriptor_key(folder)}",
        width=document.get("width", 0),
        height=document.get("height", 0),
        tile_size=pyramid.get("tile_size", 0),
        tiles=pyramid.get("tile_count", 0),
        bytes=pyramid.get("bytes", 0),
        notes=()
        if is_as_asked
        else ("its details stay as they are; vsv-pyramid refresh changes them",),
    )


def _put_images(
    publication: Publication, slide: Slide, plan: Plan, options: ConvertOptions
) -> None:
    """Puts the associated images, and the ICC profile, that the plan names."""
    for name in plan.associated:
        if name == "thumbnail":
            jpeg = publication.thumbnail_jpeg
        else:
            image = opaque(slide.associated(name), options.background_rgb)
            jpeg = encoded(np.asarray(image), options.quality, options.subsampling)
        publication.put(keys.associated_key(plan.folder, name), jpeg)
    if plan.icc and slide.published_icc:
        publication.put(keys.icc_key(plan.folder), slide.published_icc)


def _thumbnail_tile(pyramid: Pyramid) -> TileAddress:
    """The largest level that is one tile, and small: the whole slide at a glance."""
    return max(
        TileAddress(level.number, 0, 0)
        for level in pyramid.levels
        if level.columns * level.rows == 1 and max(level.size) <= _THUMBNAIL_SIDE
    )


def _notes(
    slide: Slide,
    plan: Plan,
    options: ConvertOptions,
    document: dict[str, Any],
    blanked: list[TileAddress],
) -> tuple[str, ...]:
    notes = [
        f"the slide has no {name} image"
        for name in sorted(set(options.associated) - set(plan.associated))
    ]
    if options.color == "srgb" and slide.icc_profile is None:
        notes.append("the slide has no ICC profile: its colours are as they were")
    if why := document["icc_profile_reason"]:
        notes.append(f"the slide's ICC profile was withheld: {why}")
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
