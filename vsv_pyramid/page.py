"""The viewer's page: its files, and their publication beside the images."""

from __future__ import annotations

from pathlib import Path

from vsv_pyramid.errors import StoreError
from vsv_pyramid.store import Store

FOLDER = Path(__file__).with_name("viewer")
_PREFIX = "viewer/"


def files(folder: Path = FOLDER) -> list[str]:
    """The page's files, relative to the folder; pages come after what they are made with.

    Raises StoreError where OpenSeadragon is not among them.
    """
    paths = [path.relative_to(folder) for path in folder.rglob("*.*") if path.is_file()]
    if Path("vendor/openseadragon.min.js") not in paths:
        raise StoreError(
            folder,
            "OpenSeadragon is not there: npm did not answer when this program was installed; "
            "install it again",
        )
    names = [path.as_posix() for path in paths]
    return sorted(names, key=lambda name: (name.endswith(".html"), name))


def publish(store: Store, folder: Path = FOLDER) -> int:
    """Puts the page into the store, and returns how many files it has."""
    names = files(folder)
    for name in names:
        store.put(_PREFIX + name, (folder / name).read_bytes())
    return len(names)
