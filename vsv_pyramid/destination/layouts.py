"""The layout of a destination's pyramids, chosen once: it is remembered in its root.json."""

from __future__ import annotations

from typing import Any

from vsv_pyramid.destination.tie import VERSION
from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.layout import keys, shapes
from vsv_pyramid.layout.documents import read, to_json
from vsv_pyramid.layout.keys import LAYOUTS, PACKED, TILES
from vsv_pyramid.store import Store, is_archive
from vsv_pyramid.store.base import Tagged
from vsv_pyramid.store.edits import edit


def check(place: object, asked: str, there: str) -> None:
    """Raises OptionError for another layout than the destination's."""
    if asked != there:
        if is_archive(str(place)):
            raise OptionError(f"{place} has the layout {there}; leave --layout out")
        other = "pack" if asked == PACKED else "unpack"
        raise OptionError(
            f"{place} has the layout {there}, and a destination has one; give another destination, "
            f"or make this one's {asked}: vsv-pyramid {other} {place}"
        )


def of_archive(store: Store) -> str:
    return PACKED if str(store).lower().endswith(".szi") else TILES


def stated(store: Store, root: Tagged | None) -> str | None:
    """What the destination's root.json says, None where it says nothing. Raises StoreError."""
    said = _parsed(root and root.data).get("layout")
    if said is not None and said not in LAYOUTS:
        what = f"has a layout {said!r}, of a later release; use that one"
        raise StoreError(f"{store}/{keys.root_key()}", what)
    return said


def remember(store: Store, layout: str, *, instead: bool = False) -> None:
    """Has root.json say so, `instead` of another one, too. Raises OptionError otherwise, and
    StoreError."""

    def change(data: bytes | None) -> bytes | None:
        said = _parsed(data)
        there = said.get("layout", layout)
        if not instead:
            check(store, layout, there)
        is_said = said.get("layout") == layout
        return None if is_said else to_json({"version": VERSION, **said, "layout": layout})

    edit(store, keys.root_key(), f"{store}/{keys.root_key()}", change)


def _parsed(data: bytes | None) -> dict[str, Any]:
    """What a root.json says; nothing where it is damaged, which tie.py tells."""
    try:
        return dict(read(data, shapes.Root)) if data else {}
    except ValueError:
        return {}
