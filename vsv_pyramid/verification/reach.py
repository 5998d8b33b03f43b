"""What lies where it is served, or may be, and is no part of a pyramid: what is private, above
all."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vsv_pyramid import catalog, slide_json
from vsv_pyramid.destination import former
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.errors import DescriptorError, StoreError, StoreRefused
from vsv_pyramid.layout import keys
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide.names import is_dicom_name, is_slide
from vsv_pyramid.store import S3Options, Store, moves
from vsv_pyramid.store.base import Versioned
from vsv_pyramid.verification.findings import Report
from vsv_pyramid.words import counted

if TYPE_CHECKING:
    from vsv_pyramid.store.versions import Version

# Images that show a name, where nothing has them published.
_NAMING = re.compile(rf"({'|'.join(keys.NAMING)})\.(jpe?g|png|tiff?|bmp|webp)", re.IGNORECASE)

_ARCHIVES = (".zip", ".szi")


def verify_root(
    root: str | Path,
    s3: S3Options | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """A report on what is in reach beside the pyramids in the root, for which all that is in
    images/ is listed; `progress` is called with the slides that are done. Raises StoreError."""
    store = open_root(root, s3)
    report = Report(str(root), tiles=None)
    if found := former.not_empty(store):
        report.errors.append(former.sentence(store, found))
    elif kept := _former_versions(store):
        report.errors.append(
            f"{store}/{kept[0].key}: its bucket keeps this, and former versions like it, of what "
            f"was private; vsv-pyramid private move {store} --private-to PLACE removes them"
        )
    names = store.names(keys.IMAGES)
    ids = sorted(catalog.ids_among(names))
    folders = list(map(keys.folder, ids))
    report.errors += [
        f"{store}/{key} is what a command that was ended has left, and may show what is private; "
        f"vsv-pyramid refresh {store} removes it"
        for folder in (keys.IMAGES, *folders)
        for key in store.leftovers(folder)
    ]
    former_entries = catalog.of_former_versions(store)
    if former_entries:
        report.errors.append(
            f"{store}/{keys.IMAGES}: earlier releases published names of files and times of "
            f"{counted(len(former_entries), 'slide')}, such as {former_entries[0]}; vsv-pyramid "
            f"refresh {store} removes them"
        )
    if isinstance(store, Versioned) and store.versions_never_end(f"{keys.IMAGES}/"):
        report.warnings.append(
            f"{store}: its bucket keeps versions for ever, so that each new pyramid keeps the one "
            "before; give it a lifecycle rule that ends noncurrent versions after a day"
        )
    for part in former.parts(set(store.names(""))):
        report_astray(report, store, former.strangers(store, part))
    report_astray(report, store, _at_top(store, set(ids)))
    with Pool(WAITERS) as pool:
        for done, found in enumerate(pool.map(partial(_in_slide, store), folders), 1):
            report_astray(report, store, found)
            if progress:
                progress(Progress(done, len(folders), 0))
    return report


def _at_top(store: Store, ids: Collection[str]) -> Iterator[str]:
    """What lies in the root and in images/, and is no slide's; of the root's folders, those that
    have the names of private ones."""
    for name in sorted(store.names("")):
        if not name.endswith("/") or keys.is_private(name):
            yield name.rstrip("/")
    for name in sorted(store.names(keys.IMAGES)):
        inner = name.rstrip("/")
        if inner == name:
            yield f"{keys.IMAGES}/{name}"
        elif inner not in ids and not moves.is_beside(inner):
            yield from (one.key for one in store.every(f"{keys.IMAGES}/{name}"))


def _in_slide(store: Store, folder: str) -> list[str]:
    """What lies in a slide's folder, and is not its own."""
    found = [one.key for one in store.every(f"{folder}/")]
    named = [key for key in found if _NAMING.fullmatch(key.rpartition("/")[2])]
    listed = _listed(store, folder) if named else ()
    own = {keys.associated_key(folder, name) for name in listed}
    return [key for key in found if key in named or not keys.is_own(folder, key) if key not in own]


def report_astray(report: Report, store: object, found: Iterable[str]) -> None:
    """Of these keys, of which none belongs where it is: what is private, and what is a slide, which
    is nothing that anybody in reach of images/ may read."""
    private = []
    for key in found:
        name = key.rpartition("/")[2]
        if keys.is_private(key) or keys.is_private_astray(key) or _NAMING.fullmatch(name):
            private.append(f"{store}/{key} is private; move it to a place that nobody serves")
        elif is_slide(name) or is_dicom_name(name):
            what = f"{store}/{key} is a slide's own file, with its label"
            if key.startswith(f"{keys.IMAGES}/"):
                private.append(f"{what}; move it to a place that nobody serves")
            else:
                report.warnings.append(f"{what}; whoever may read the pyramids may read it, too")
        elif name.endswith(_ARCHIVES):
            report.warnings.append(
                f"{store}/{key} may hold what is private; vsv-pyramid verify looks into that file"
            )
    report.add(private)


def _former_versions(store: Store) -> list[Version]:
    """Those that are kept of what was private here, as far as one is allowed to know."""
    with contextlib.suppress(StoreRefused):
        return former.versions(store)
    return []


def _listed(store: Store, folder: str) -> Collection[str]:
    """The associated images that slide.json lists as published."""
    with contextlib.suppress(StoreError, DescriptorError):
        document = slide_json.parse(store.get(keys.slide_json_key(folder)))
        return [str(one) for one in (document.get("associated_images") or {}).get("published", ())]
    return ()
