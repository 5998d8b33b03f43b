"""Where pyramids are published: one protocol, and a way from a URL to the store it names."""

from __future__ import annotations

import threading
from pathlib import Path

from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.store.base import Store
from vsv_pyramid.store.directory import DirectoryStore, PrivateStore
from vsv_pyramid.store.options import S3Options
from vsv_pyramid.words import split_url

__all__ = [
    "S3Options",
    "Store",
    "is_archive",
    "open_private_store",
    "open_pyramid",
    "open_store",
]

_ARCHIVES = (".zip", ".szi")


def open_store(
    destination: str | Path,
    options: S3Options | None = None,
    stop: threading.Event | None = None,
) -> Store:
    """The store that a path or a URL (file:// or s3://) names; nothing is made, nor
    connected to, before the first call of a method. Once `stop` is set, no put is tried again.

        catalog = open_store("www").get("images/index.json")

    Raises OptionError for anything else.
    """
    destination = str(destination)
    if destination.startswith("s3://"):
        from vsv_pyramid.aws import session  # late: boto3 and obstore take half a second
        from vsv_pyramid.store.s3 import S3Store

        return S3Store(session.parse_url(destination), options or S3Options(), stop)
    if destination.startswith("s3:"):
        raise OptionError(f"{destination!r} names no bucket; give s3://bucket/prefix")
    path = _path(destination)
    if is_archive(str(path)):
        from vsv_pyramid.store.archive import ArchiveStore

        return ArchiveStore(path)
    return DirectoryStore(path)


def open_private_store(
    place: str | Path,
    options: S3Options | None = None,
    stop: threading.Event | None = None,
) -> Store:
    """The store for what nobody serves that a path or a URL names; as open_store, but no archive,
    and in a folder for this account only."""
    if is_archive(place):
        raise OptionError(f"{place} is no private place; give a folder, or s3://bucket/prefix")
    store = open_store(place, options, stop)
    return PrivateStore(store.root) if isinstance(store, DirectoryStore) else store


def is_archive(destination: str | Path) -> bool:
    """Whether the path is of a zip file, there or yet to be made."""
    path = Path(destination)
    return path.suffix.lower() in _ARCHIVES and not path.is_dir()


def open_pyramid(target: str | Path, options: S3Options | None = None) -> tuple[Store, str]:
    """The store that holds a pyramid, and its folder there. `target` is the pyramid's folder, its
    descriptor or the object it is packed in, by path or URL, or the .zip or .szi file it is in.

    Raises OptionError, and StoreError for an archive that is not there, cannot be read or holds
    none.
    """
    target = str(target)
    if target.startswith("s3://"):
        place = target.rstrip("/")
        above, _, name = place.rpartition("/")
        if name == keys.DESCRIPTOR or keys.is_packed(name):
            place = above
        root, _, slide_id = place.rpartition("/images/")
        if root == "s3:/" or not root or not slide_id or "/" in slide_id:
            raise OptionError(f"{target!r} is no pyramid; give s3://bucket/prefix/images/ID")
        return open_store(root, options), f"images/{slide_id}"
    path = _path(target)
    if keys.is_packed(path.name) and path.with_name(keys.SLIDE_JSON).exists():
        path = path.parent
    store = open_store(str(path))
    if isinstance(store, DirectoryStore):
        own = (path.parent if path.name == keys.DESCRIPTOR else path).absolute()
        if not own.name:
            raise OptionError(f"{target!r} is no pyramid; give the folder that is named by the id")
        if own.parent.name == "images":
            return DirectoryStore(own.parent.parent), f"images/{own.name}"
        return DirectoryStore(own.parent), own.name
    if not path.exists():
        raise StoreError(path, "there is no such file; check the path")
    for found in store.keys(""):
        if found.key.endswith("/DeepZoom.dzi"):
            return store, found.key.rpartition("/")[0]
    raise StoreError(
        path, "holds no pyramid (no .dzi in it); give the right file, or convert again"
    )


def _path(destination: str) -> Path:
    if "://" not in destination and destination:
        return Path(destination)
    url = split_url(destination)
    if url.scheme == "file" and url.path and url.netloc in ("", "localhost"):
        from urllib.request import url2pathname  # late: it brings ssl and http along

        return Path(url2pathname(url.path))
    raise OptionError(
        f"{destination!r} is no place to publish in; give a folder, a .zip or .szi file, or "
        "s3://bucket/prefix"
    )
