"""Holds what is read of a pyramid against what `serve` would serve of it."""

from __future__ import annotations

from vsv_pyramid.layout import keys
from vsv_pyramid.store import Store
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.store.enclosed import EnclosedStore
from vsv_pyramid.verification.findings import Check


def check_links(check: Check, published: Store) -> None:
    """Nothing of the pyramid may be there by a link that leads out of images/."""
    if not isinstance(published, DirectoryStore) or not check.folder.startswith(f"{keys.IMAGES}/"):
        return
    served = EnclosedStore(published.root)
    names = (
        found.key.removeprefix(f"{check.folder}/") for found in published.keys(f"{check.folder}/")
    )
    own = (name for name in names if keys.is_file(name) or keys.is_folder(name))
    check.report.add(
        [
            f"{key} is a link that leads out of images/, which serve does not follow; put the file "
            "itself there"
            for key in (check.folder, *(f"{check.folder}/{name}" for name in own))
            if served.path(key).is_symlink() and served.is_outside(key)
        ]
    )
