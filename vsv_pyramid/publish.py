"""Drains a pyramid into a store, in the order that never shows a half-made one.

Tiles first, then the images and slide.json, then a count of what is really there, and the
descriptor last: a pyramid is complete if and only if its descriptor exists.
"""

from __future__ import annotations

import json
import threading
from typing import Any

import xxhash

from vsv_pyramid import dzi
from vsv_pyramid.errors import StoreError
from vsv_pyramid.geometry import Pyramid, TileAddress
from vsv_pyramid.store.base import Store


class TileDigest:
    """A digest over tiles that come in any order, from several threads: the sum of one hash (XXH3,
    128 bits) for each tile's address and bytes."""

    def __init__(self) -> None:
        self._sum = 0
        self._lock = threading.Lock()

    def add(self, address: TileAddress, jpeg: bytes) -> None:
        tile = xxhash.xxh3_128(f"{address} ".encode())
        tile.update(jpeg)
        with self._lock:
            self._sum += tile.intdigest()

    def hexdigest(self) -> str:
        return f"{self._sum % (1 << 128):032x}"


class Publication:
    """One pyramid on its way into a store; counts what goes through. Tiles come from threads."""

    def __init__(self, store: Store, folder: str, pyramid: Pyramid) -> None:
        self._store = store
        self._folder = folder
        self._pyramid = pyramid
        self._lock = threading.Lock()
        self._digest = TileDigest()
        self.tiles = 0
        self.bytes = 0
        self.base_pixels = 0

    def put_tile(self, address: TileAddress, jpeg: bytes) -> None:
        self._store.put(dzi.tile_key(self._folder, address), jpeg)
        self._digest.add(address, jpeg)
        with self._lock:
            self.tiles += 1
            self.bytes += len(jpeg)
            if address.level == self._pyramid.base.number:
                self.base_pixels += self._pyramid.dimensions(address).pixels

    @property
    def version(self) -> str:
        """A digest that changes when any tile changes."""
        return self._digest.hexdigest()

    def complete(self, slide_json: dict[str, Any]) -> None:
        """Puts slide.json, counts the tiles in the store, and only then puts the descriptor.

        Raises StoreError where the store does not hold exactly the planned tiles.
        """
        self._store.put(dzi.slide_json_key(self._folder), to_json(slide_json))
        prefix = dzi.tiles_prefix(self._folder)
        stored = sum(1 for _ in self._store.keys(prefix))
        if not stored == self.tiles == self._pyramid.tile_count:
            raise StoreError(
                prefix, f"holds {stored} of {self._pyramid.tile_count} tiles; convert again"
            )
        descriptor = dzi.Descriptor(self._pyramid.size, self._pyramid.tile_size)
        self._store.put(dzi.descriptor_key(self._folder), dzi.write(descriptor))


def to_json(document: dict[str, Any]) -> bytes:
    """The document as the ASCII bytes of an indented JSON file."""
    return (json.dumps(document, indent=2) + "\n").encode()
