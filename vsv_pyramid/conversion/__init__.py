"""One slide into one published pyramid: the only room that brings slide, pyramid and store
together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vsv_pyramid import places, slide_json
from vsv_pyramid.conversion.listing import enter, published_document, record
from vsv_pyramid.conversion.making import make
from vsv_pyramid.conversion.summary import Summary, id_in, summarized
from vsv_pyramid.destination import Destination, check_scratch, open_destination
from vsv_pyramid.errors import STOPPED, DescriptorError, StoreBusy, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published, shown_key
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.decision import Present, Refuse, Skip, decide, is_current
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import failures, rescans
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.runtime.threads import Ending
from vsv_pyramid.slide.source import Source, find_source
from vsv_pyramid.store import Store

_BUSY_SECONDS = 1.0

_log = logging.getLogger(__name__)


def convert(
    slide: str | Path,
    destination: str | Path,
    options: ConvertOptions | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Publishes the pyramid of the slide (a path, or an s3:// URL) at the destination (a folder, a
    .zip or .szi file, or a URL), whole or not at all, and enters it in the catalog there.

        made = convert("170782.svs", "www", ConvertOptions(quality=90))
        print(made.id, made.status, made.tiles)

    `progress` is called in this thread several times a second; once `stop` is set, nothing is
    waited for, and StoreError is raised unless all was done. Raises OptionError, SlideError,
    TileError, StoreError and DescriptorError. Whatever is raised, there is no descriptor without a
    whole pyramid; where the store is not remote, what was published before is still there, and in
    a remote one the same call goes on where it ended.
    """
    options = options or ConvertOptions()
    stop = Ending(stop)
    store = open_destination(destination, options.private_to, options.s3, stop, state=options.state)
    check_scratch(store.published, slide, options.scratch)
    source = find_source(slide, options.scratch, options.s3.request_payer, stop)
    options = ids.identified(options, source, store)
    options = replace(options, layout=store.layout(options.layout))
    is_told = False
    while True:
        present = _look(store, source, options)
        decision = decide(present, source, options)
        if isinstance(decision, Refuse):
            raise decision.error
        if isinstance(decision, Skip):
            return _skipped(store, source, options, present, decision.why)
        try:
            made = _publish(source, store, options, stop, progress)
        except StoreBusy as exc:
            if stop.is_set():
                raise  # it has begun, and lost its lease
            if options.if_busy == "skip":
                return summarized(source, options, "busy", present.place, notes=(str(exc),))
            if not is_told:
                _log.warning("%s", exc)
                is_told = True
        else:
            if made:
                return made
            continue  # another process has published it since the look
        if progress:
            progress(Progress(0, 0, 0))
        if clock.sleep(_BUSY_SECONDS, stop):
            raise StoreError(present.place, STOPPED)


def _look(
    store: Destination, source: Source, options: ConvertOptions, *, is_held: bool = False
) -> Present:
    """What there is under the id, as far as it matters to the options. Parts of a pyramid without a
    descriptor may be on their way, unless the folder `is_held` by this process; in a remote store,
    and where tiles are packed, they are an interrupted publication."""
    slide_id = id_in(options)
    folder = keys.folder(slide_id)
    place = f"{store}/{folder}"
    twin = _twin(store, folder, slide_id)
    if options.overwrite or twin:
        return Present(place, twin=twin)
    if not is_published(store, folder):
        goes_on = store.remote or options.layout == keys.PACKED
        return Present(
            place,
            is_left=is_held and not goes_on and not rescans.is_cleared(store, folder),
            is_set_aside=not is_held and rescans.is_set_aside(store, slide_id, source),
        )
    try:
        document = published_document(store, folder)
    except (DescriptorError, StoreError):
        document = None
    present = Present(place, is_published=True, document=document)
    if not options.update or is_current(document, source, options):
        return present
    return present._replace(
        origins=places.known(store, slide_id, document) if document else frozenset(),
        is_set_aside=not is_held and rescans.is_set_aside(store, slide_id, source),
    )


def _twin(store: Destination, folder: str, slide_id: str) -> str | None:
    """The id of what is in the folder where only its capitals are other ones, which many a disk
    does not tell apart."""
    if store.remote:
        return None
    try:
        found = str(published_document(store, folder).get("id"))
    except (DescriptorError, StoreError):
        return None
    return found if found != slide_id and found.lower() == slide_id.lower() else None


class _PublishedMeanwhile(Exception):
    """Raised in the store's block, so that nothing of it is kept."""


def _publish(
    source: Source,
    store: Destination,
    options: ConvertOptions,
    stop: threading.Event,
    progress: Callable[[Progress], None] | None,
) -> Summary | None:
    """Publishes the slide, and remembers what is to be remembered of it; None where another process
    has published it since it was looked at."""
    slide_id = id_in(options)
    try:
        with _opened(store, keys.folder(slide_id), options) as staged:
            decision = decide(_look(store, source, options, is_held=True), source, options)
            if isinstance(decision, Refuse):
                raise decision.error
            if isinstance(decision, Skip):
                raise _PublishedMeanwhile
            summary, scan = make(source, store, staged, options, stop, progress)
    except _PublishedMeanwhile:
        return None
    if not store.sealed:
        places.remember(store, slide_id, source.place)
        record(store, source, summary, scan, options)
        failures.forget(store, slide_id)
    return summary


@contextmanager
def _opened(store: Destination, folder: str, options: ConvertOptions) -> Iterator[Store]:
    """What the new pyramid is put into. One that is packed needs no folder of its own before it is
    whole: it is one object."""
    if options.layout == keys.PACKED and not store.sealed:
        with store.exclusive(folder):
            store.remember_layout(keys.PACKED)
            yield store
    else:
        with store.replacing(folder) as staged:
            yield staged


def _skipped(
    store: Destination, source: Source, options: ConvertOptions, present: Present, why: str
) -> Summary:
    """What there is to do where the slide is published, or is not to be, and says why."""
    document = present.document
    if why or document is None:
        return summarized(source, options, "skipped", "", notes=(why,))
    slide_id = id_in(options)
    target = f"{store}/{shown_key(keys.folder(slide_id), document)}"
    is_as_asked = document.get("details", options.details) == options.details
    told = "its details stay as they are; vsv-pyramid refresh changes them"
    notes = () if is_as_asked else (told,)
    summary = summarized(source, options, "skipped", target, document, notes=notes)
    if store.private and not slide_json.is_finished(document):
        with source.opened() as opened:
            scan = rescans.scan(source, opened)
        record(store, source, summary, scan, options)
    else:
        enter(store, summary, document)
    places.adopt(store, {slide_id: source.place})
    failures.forget(store, slide_id)
    return summary
