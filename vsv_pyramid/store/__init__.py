"""Where pyramids are published: one protocol, and a way from a URL to the store it names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from vsv_pyramid.errors import OptionError
from vsv_pyramid.store.base import Store
from vsv_pyramid.store.directory import DirectoryStore

__all__ = ["Store", "open_store"]


def open_store(destination: str) -> Store:
    """The store that a path or a file:// URL names; a folder that lacks is made at the first put.

    Raises OptionError for anything else.
    """
    if "://" not in destination and destination:
        return DirectoryStore(Path(destination))
    url = urlsplit(destination)
    if url.scheme == "file" and url.path and url.netloc in ("", "localhost"):
        from urllib.request import url2pathname  # late: it brings ssl and http along

        return DirectoryStore(Path(url2pathname(url.path)))
    raise OptionError(f"{destination!r} is no place to publish in; give a folder or a file:// URL")
