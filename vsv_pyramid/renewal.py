"""What is said of published slides, in today's form and with today's details; never a tile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from vsv_pyramid import catalog
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import DescriptorError, StoreBusy, StoreError, is_environment
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import records
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide_json import LAB

_SLIDES_AT_ONCE = 1024


@dataclass(frozen=True)
class Refreshed:
    """What `refresh` has found, or in a dry run would do: slides, those whose slide.json was not
    what it is to be, and those left out, of which the warnings say why."""

    target: str
    dry_run: bool
    slides: int
    changed: int
    left_out: int
    warnings: tuple[str, ...]


def refresh(
    store: Destination,
    details: str = "none",
    time_zone: str | None = None,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Refreshed:
    """Makes each slide.json, what is listed of the slides in the private place, and the catalog
    what they are to be with those details (see ConvertOptions), beside whatever others publish.

    `progress` is called in this thread with the slides that are done, and all. Done again, it goes
    on where it was interrupted. Raises StoreError and OptionError.
    """
    ConvertOptions(details=details, time_zone=time_zone)  # refuses what cannot be
    if not dry_run:
        store.check_rights(put=[keys.catalog_key()])
        store.delete(*store.leftovers(keys.IMAGES))
    ids = sorted(catalog.ids_among(store.names(keys.IMAGES)))
    warnings: list[str] = []
    changed = 0

    def renewed(slide_id: str) -> bool | str:
        """Whether it had to be written, or why it cannot be."""
        folder = keys.folder(slide_id)
        try:
            if not dry_run and store.leftovers(folder):
                with suppress(StoreBusy), store.exclusive(folder):  # which removes them
                    pass
            return records.renew(store, slide_id, details, time_zone, dry_run=dry_run)
        except (DescriptorError, StoreError) as exc:
            if is_environment(exc):
                raise
            return f"{slide_id} is left as it is: {exc}"

    with Pool(max(WAITERS, store.parallel_puts)) as pool:
        for start in range(0, len(ids), _SLIDES_AT_ONCE):
            if progress:
                progress(start, len(ids))
            for outcome in pool.map(renewed, ids[start : start + _SLIDES_AT_ONCE]):
                if isinstance(outcome, str):
                    warnings.append(outcome)
                else:
                    changed += outcome
    left_out = len(warnings)
    if details == LAB and store.private is None:
        warnings.append("IDs, status and dates are not known, since no private place is given")
    if not dry_run and ids:
        if store.private:
            kept = records.Kept(store)
            kept.rebuild()
            warnings += kept.warnings.values()
        warnings += catalog.rebuild_catalog(store.published).warnings
    if progress:
        progress(len(ids), len(ids))
    return Refreshed(str(store), dry_run, len(ids), changed, left_out, tuple(warnings))
