"""What follows a publication: the scan is remembered, its review published, the catalog told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from vsv_pyramid import catalog, catalog_json, slide_json
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import DescriptorError, StoreBusy, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import records, rescans
from vsv_pyramid.review.rescans import Scan
from vsv_pyramid.slide.source import Source


def record(
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
            if slide_json.is_of(published_document(store, folder), source.fingerprint):
                rescans.remember(store, summary.id, source, scan, options.lab_id_pattern)
    with _after_publishing(summary, "not in the catalog"):
        records.publish_reviews(store, [summary.id], create=True)


def published_document(store: Destination, folder: str) -> dict[str, Any]:
    return slide_json.parse(store.get(keys.slide_json_key(folder)))


def enter(store: Destination, summary: Summary, document: Mapping[str, Any]) -> None:
    """Enters in the catalog what is published, unless it has an entry out of this slide.json."""
    if store.sealed:
        return
    with _after_publishing(summary, "not in the catalog"):
        if not catalog.Catalog(store).has(catalog_json.entry(document)):
            catalog.Catalog(store).update([summary.id])


@contextlib.contextmanager
def _after_publishing(summary: Summary, but: str) -> Iterator[None]:
    try:
        yield
    except (StoreError, DescriptorError) as exc:
        kind = type(exc) if isinstance(exc, StoreError) else StoreError
        raise kind(summary.target, f"is published, but {but}: {exc}") from exc
