"""The place that holds images/, found, or told where it is likely to be."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from vsv_pyramid.destination import Destination, open_destination, tie
from vsv_pyramid.errors import StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.store import S3Options, Store, is_archive, open_store
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.store.disk import naming

_PYRAMID = re.compile(r"(?<!s3:/)/images/[^/]+/?$|/DeepZoom\.dzi$")  # a bucket may be images
_WHAT_IT_IS = "give the folder, bucket or archive that holds images/ID"


def open_root(
    root: str | Path, options: S3Options | None = None, stopped: threading.Event | None = None
) -> Store:
    """The store that a path or URL names. Raises StoreError where it holds no images/, with the
    right one where that is to be guessed, and OptionError as open_store does."""
    store = open_store(root, options, stopped)
    tie.check_is_no_part(store)
    if isinstance(store, DirectoryStore):
        with naming(store.root):
            _check_folder(store.root)
    elif not store.names(keys.IMAGES):
        found = re.fullmatch(r"(s3://[^/]+(?:/.+)?)/images(?:/[^/]+)?", str(store))
        if found:
            raise StoreError(store, f"is within images/; give {found[1]}")
        if is_archive(str(store)) and not Path(str(store)).exists():
            raise StoreError(store, "there is no such file; check the path")
        raise StoreError(store, f"holds no images/; {_WHAT_IT_IS}")
    return store


def is_root(place: str | Path, options: S3Options | None = None) -> bool:
    """Whether the path or URL is of what holds images/, and no pyramid itself."""
    if is_archive(place) or _PYRAMID.search(str(place)):
        return False
    store = open_store(place, options)
    return store.head(keys.DESCRIPTOR) is None and bool(store.names(keys.IMAGES))


def open_edited(
    root: str | Path,
    private_to: str | None,
    options: S3Options | None = None,
    stopped: threading.Event | None = None,
) -> Destination:
    """The same, with its private place. Raises OptionError where that is not its own, too."""
    open_root(root, options, stopped)
    return open_destination(root, private_to, options, stopped)


def _check_folder(root: Path) -> None:
    if (root / "images").is_dir():
        return
    if not root.exists():
        raise StoreError(root, "there is no such folder; check the path")
    own = root.resolve()
    if own.name == "DeepZoom.dzi":
        own = own.parent
    if (own / "DeepZoom.dzi").exists():
        right = f"give {own.parent.parent}" if own.parent.name == "images" else _WHAT_IT_IS
        raise StoreError(root, f"is one pyramid; {right}")
    if own.name == "images" and own.is_dir():
        raise StoreError(root, f"is the images folder itself; give {own.parent}")
    raise StoreError(root, f"holds no images folder; {_WHAT_IT_IS}")
