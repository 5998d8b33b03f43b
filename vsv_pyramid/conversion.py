"""One slide into one published pyramid: the only place that sees slide, pyramid and store."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from vsv_pyramid import catalog, places, slide_json
from vsv_pyramid.destination import Destination, check_scratch, open_destination
from vsv_pyramid.errors import DescriptorError, OptionError, SlideError, StoreBusy, StoreError
from vsv_pyramid.facts import zoned
from vsv_pyramid.jpeg.encode import has_stepped_back
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.decision import Present, Refuse, Skip, decide, is_current
from vsv_pyramid.planning.lanes import NO_KERNEL, base_level, leaf_source
from vsv_pyramid.planning.options import LOSSLESS, ConvertOptions
from vsv_pyramid.planning.plan import Plan, make_plan
from vsv_pyramid.publication import Publication
from vsv_pyramid.pyramid.images import encoded, opaque
from vsv_pyramid.pyramid.quadtree import Made, build
from vsv_pyramid.review import records, rescans
from vsv_pyramid.review.rescans import Scan
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.source import Source, find_source
from vsv_pyramid.store import Store
from vsv_pyramid.versions import software
from vsv_pyramid.words import counted

_THUMBNAIL_SIDE = 1024
_BUSY_SECONDS = 1.0

_log = logging.getLogger(__name__)


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
    options = dataclasses.replace(options, slide_id=id_of(source, options))
    is_told = False
    while True:
        present = _look(store, source, options)
        decision = decide(present, source, options)
        if isinstance(decision, Refuse):
            raise decision.error
        if isinstance(decision, Skip):
            return _skipped(store, source, options, present, decision.why)
        try:
            made = _published(source, store, options, stop, progress)
        except StoreBusy as exc:
            if stop.is_set():
                raise  # it has begun, and lost its lease
            if options.if_busy == "skip":
                return _summary(source, options, "busy", present.place, notes=(str(exc),))
            if not is_told:
                _log.warning("%s", exc)
                is_told = True
        else:
            if made:
                return made
            continue  # another process has published it since the look
        if progress:
            progress(Progress(0, 0, 0))
        clock.sleep(_BUSY_SECONDS)


def _look(
    store: Destination, source: Source, options: ConvertOptions, *, is_held: bool = False
) -> Present:
    """What there is under the id, as far as it matters to the options. Parts of a pyramid without a
    descriptor may be on their way, unless the folder `is_held` by this process; in a remote store,
    they are an interrupted publication."""
    slide_id = _id(options)
    folder = keys.folder(slide_id)
    place = f"{store}/{folder}"
    if options.overwrite:
        return Present(place)
    if store.head(keys.descriptor_key(folder)) is None:
        return Present(
            place,
            is_left=is_held and not store.remote and not rescans.is_cleared(store, folder),
            is_set_aside=not is_held and rescans.is_set_aside(store, slide_id, source),
        )
    try:
        document = _document(store, folder)
    except (DescriptorError, StoreError):
        document = None
    present = Present(place, is_published=True, document=document)
    if not options.update or is_current(document, source, options):
        return present
    return present._replace(
        origins=places.known(store, slide_id, document) if document else frozenset(),
        is_set_aside=not is_held and rescans.is_set_aside(store, slide_id, source),
    )


class _PublishedMeanwhile(Exception):
    """Raised in the store's block, so that nothing of it is kept."""


def _published(
    source: Source,
    store: Destination,
    options: ConvertOptions,
    stop: threading.Event,
    progress: Callable[[Progress], None] | None,
) -> Summary | None:
    """Publishes the slide, and remembers what is to be remembered of it; None where another process
    has published it since it was looked at."""
    slide_id = _id(options)
    try:
        with store.replacing(keys.folder(slide_id)) as staged:
            decision = decide(_look(store, source, options, is_held=True), source, options)
            if isinstance(decision, Refuse):
                raise decision.error
            if isinstance(decision, Skip):
                raise _PublishedMeanwhile
            summary, scan = _converted(source, store, staged, options, stop, progress)
    except _PublishedMeanwhile:
        return None
    if not store.sealed:
        places.remember(store, slide_id, source.place)
        _record(store, source, summary, scan, options)
    return summary


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
        base = base_level(plan.pyramid, plan.origin, options)
        leaves = stack.enter_context(leaf_source(slide, base, plan.lane, options))
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
            made = build(
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
        document = slide_json.document(
            plan.slide_id,
            _slide(source, slide, plan, options),
            _tiles(plan, publication, made, options, seconds),
            options.recorded(),
            software() | _encoder(options),
            options.details,
        )
        scan = rescans.scan(source, slide) if store.private else None
        publication.complete(document)
        if store.sealed:
            staged.put(keys.catalog_key(), catalog.write([catalog.entry(document)]))
        summary = _summary(
            source,
            options,
            "converted",
            f"{store}/{keys.descriptor_key(plan.folder)}",
            document,
            kept=publication.kept,
            seconds=seconds,
            notes=_notes(slide, plan, options, made.blanked),
        )
        return summary, scan


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
    )


def _tiles(
    plan: Plan, publication: Publication, made: Made, options: ConvertOptions, seconds: float
) -> slide_json.Tiles:
    is_copied = plan.lane.name == LOSSLESS and options.base == "copy"
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
        blank=len(made.blanked),
        seconds=seconds,
    )


def _encoder(options: ConvertOptions) -> dict[str, str]:
    """Nobody has to know of the encoder, unless it is the one that was stepped back to."""
    is_other = has_stepped_back(options.subsampling, options.quality)
    return {"encoder": "simplejpeg"} if is_other else {}


def _id(options: ConvertOptions) -> str:
    assert options.slide_id, "made by id_of"
    return options.slide_id


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
            if slide_json.is_of(_document(store, folder), source.fingerprint):
                rescans.remember(store, summary.id, source, scan, options.slide_id_pattern)
    with _after_publishing(summary, "not in the catalog"):
        records.publish(store, [summary.id], create=True)


def _document(store: Destination, folder: str) -> dict[str, Any]:
    return slide_json.parse(store.get(keys.slide_json_key(folder)))


def _enter(store: Destination, summary: Summary, document: Mapping[str, Any]) -> None:
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


def _skipped(
    store: Destination, source: Source, options: ConvertOptions, present: Present, why: str
) -> Summary:
    """What there is to do where the slide is published, or is not to be, and says why."""
    document = present.document
    if why or document is None:
        return _summary(source, options, "skipped", "", notes=(why,))
    slide_id = _id(options)
    target = f"{store}/{keys.descriptor_key(keys.folder(slide_id))}"
    is_as_asked = document.get("details", options.details) == options.details
    told = "its details stay as they are; vsv-pyramid refresh changes them"
    notes = () if is_as_asked else (told,)
    summary = _summary(source, options, "skipped", target, document, notes=notes)
    if store.private and not slide_json.is_finished(document):
        with source.opened() as opened:
            scan = rescans.scan(source, opened)
        _record(store, source, summary, scan, options)
    else:
        _enter(store, summary, document)
    places.adopt(store, {slide_id: source.place})
    return summary


def _summary(
    source: Source,
    options: ConvertOptions,
    status: str,
    target: str,
    document: Mapping[str, Any] | None = None,
    **known: Any,
) -> Summary:
    """Of a slide, by its slide.json where that is published."""
    said = document or {}
    pyramid = said.get("pyramid", {})
    return Summary(
        slide=str(source),
        id=_id(options),
        status=status,
        target=target,
        width=said.get("width", 0),
        height=said.get("height", 0),
        tile_size=pyramid.get("tile_size", 0),
        tiles=pyramid.get("tile_count", 0),
        bytes=pyramid.get("bytes", 0),
        **known,
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
    if plan.icc.is_published and slide.published_icc:
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
    blanked: list[TileAddress],
) -> tuple[str, ...]:
    notes = [
        f"the slide has no {name} image"
        for name in sorted(set(options.associated) - set(plan.associated))
    ]
    if options.color == "srgb" and slide.icc_profile is None:
        notes.append("the slide has no ICC profile: its colours are as they were")
    if plan.icc.reason:
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
