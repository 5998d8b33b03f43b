"""The pages of the viewer and the desk: their files, and how the viewer gets beside the images."""

from __future__ import annotations

from pathlib import Path

from vsv_pyramid.errors import StoreError
from vsv_pyramid.store import Store

VIEWER = Path(__file__).with_name("viewer")
DESK = Path(__file__).with_name("desk")
_PREFIX = "viewer/"
_MARK = b"icons.svg"  # each of our pages has it


def files(folder: Path = VIEWER) -> list[str]:
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


def publish(store: Store, folder: Path = VIEWER, *, overwrite: bool = False) -> int:
    """Puts the page into the store, and returns how many files it has.

    Raises StoreError where another page is in its place, or a link, unless `overwrite`.
    """
    names = files(folder)
    if not overwrite:
        _check_place(store, names)
    for name in names:
        store.put(_PREFIX + name, (folder / name).read_bytes())
    return len(names)


def _check_place(store: Store, names: list[str]) -> None:
    what = "is {}; publish elsewhere, or replace what is there with --overwrite"
    paths = [Path(str(store), _PREFIX, name) for name in names] if not store.remote else []
    for path in sorted({*paths, *(path.parent for path in paths)}):
        if path.is_symlink():
            raise StoreError(path, what.format(f"a link, to {path.readlink()}"))
    for name in names:
        found = store.tagged(_PREFIX + name) if name.endswith(".html") else None
        if found and _MARK not in found.data:
            raise StoreError(
                f"{store}/{_PREFIX}{name}", what.format("another page than this program's")
            )
