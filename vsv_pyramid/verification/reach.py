"""What lies where it is served, or may be, and is no part of a pyramid: what is private, above
all."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from pathlib import Path

from vsv_pyramid import catalog, slide_json
from vsv_pyramid.destination import former
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.errors import DescriptorError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide.names import is_dicom_name, is_slide
from vsv_pyramid.store import S3Options, Store
from vsv_pyramid.store.base import Versioned
from vsv_pyramid.verification.findings import Report
from vsv_pyramid.words import counted

# Images that show a name, where nothing has them published.
_NAMING = frozenset(f"{name}.jpeg" for name in keys.NAMING)


def verify_root(root: str | Path, s3: S3Options | None = None) -> Report:
    """A report on what is in reach beside the pyramids in the root. Raises StoreError."""
    store = open_root(root, s3)
    report = Report(str(root), tiles=None)
    if found := former.not_empty(store):
        report.errors.append(former.sentence(store, found))
    names = store.names(keys.IMAGES)
    folders = sorted(map(keys.folder, catalog.ids_among(names)))
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
    with Pool(WAITERS) as pool:
        for astray in pool.map(
            lambda folder: _strangers(store, folder), ["", keys.IMAGES, *folders]
        ):
            report_astray(report, store, astray)
    return report


def _strangers(store: Store, folder: str) -> list[str]:
    """The keys of what is in a folder, and what the layout has no place for. Folders within are
    looked into, but for the root's."""
    is_slides = folder.startswith(f"{keys.IMAGES}/")
    within = f"{folder}/" if folder else ""
    found = []
    names = store.names(folder)
    for name in sorted(names):
        inner = name.rstrip("/")
        if inner == name:
            found.append(within + name)
        elif not folder:
            found += [inner] if keys.is_private(inner) else []
        elif not (keys.is_folder(inner) if is_slides else keys.is_id(inner)):
            found += [one.key for one in store.keys(within + name)]
    listed = _listed(store, folder) if is_slides and _NAMING.intersection(names) else ()
    own = {keys.associated_key(folder, name) for name in listed}
    return [key for key in found if key not in own]


def report_astray(report: Report, store: object, found: Iterable[str]) -> None:
    """Of these keys, of which none belongs where it is: what is private, and what is a slide."""
    private = []
    for key in found:
        name = key.rpartition("/")[2]
        if keys.is_private(key) or keys.is_private_astray(key) or name in _NAMING:
            private.append(f"{store}/{key} is private; move it to a place that nobody serves")
        elif is_slide(name) or is_dicom_name(name):
            report.warnings.append(
                f"{store}/{key} is a slide's own file, with its label; whoever may read the "
                "pyramids may read it, too"
            )
    report.add(private)


def _listed(store: Store, folder: str) -> Collection[str]:
    """The associated images that slide.json lists as published."""
    with contextlib.suppress(StoreError, DescriptorError):
        document = slide_json.parse(store.get(keys.slide_json_key(folder)))
        return [str(one) for one in (document.get("associated_images") or {}).get("published", ())]
    return ()
