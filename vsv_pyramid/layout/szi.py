"""SZI's names: what lies in the one root folder of a .szi file, and the layout's keys for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import FORMAT
from vsv_pyramid.layout.geometry import TileAddress

INDEX = "tiles.index"
PROPERTIES = "scan-properties.xml"

_TILE = re.compile(r"[0-9]+/[0-9]+_[0-9]+\.[a-z]+")
_DESCRIPTOR = re.compile(r"([^/]+)/\1\.dzi")


def roots(names: Iterable[str]) -> list[str]:
    """The root folders of pyramids among members of these names: one, where it is an SZI."""
    return [match[1] for match in map(_DESCRIPTOR.fullmatch, names) if match]


def tile_name(root: str, address: TileAddress) -> str:
    return f"{root}/{root}_files/{address}.{FORMAT}"


def names(root: str) -> dict[str, str]:
    """The members beside the tiles that the layout has keys for: their names by the keys."""
    folder = keys.folder(root)
    return {
        keys.descriptor_key(folder): f"{root}/{root}.dzi",
        keys.slide_json_key(folder): f"{root}/{keys.SLIDE_JSON}",
        keys.icc_key(folder): f"{root}/{keys.ICC}",
        **{
            keys.associated_key(folder, name): f"{root}/associated_images/{name}.jpg"
            for name in keys.ASSOCIATED_IMAGES
        },
    }


def keys_in(root: str) -> Callable[[str], str | None]:
    """What gives the layout's key for a member's name, None where it has none."""
    tiles, prefix = f"{root}/{root}_files/", keys.tiles_prefix(keys.folder(root))
    known = {name: key for key, name in names(root).items()}

    def key_of(name: str) -> str | None:
        if not name.startswith(tiles):
            return known.get(name)
        place = name[len(tiles) :]
        return prefix + place if _TILE.fullmatch(place) else None

    return key_of
