"""Drains a pyramid into a store, in the order that never shows a half-made one.

The old descriptor is removed first. Then come the tiles, the images and slide.json; what the plan
does not know is removed; what is really there is counted; and the descriptor goes last: a pyramid
is complete if and only if its descriptor exists. What is there already with the same bytes is not
put again.
"""

from __future__ import annotations

import threading
from typing import Any

import xxhash

from vsv_pyramid.errors import StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.packed.published import packed_key
from vsv_pyramid.publication.uploads import Uploads
from vsv_pyramid.store.base import Store, StoredObject
from vsv_pyramid.words import counted


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
    """One pyramid on its way into a store; counts what goes through. Tiles come from threads.

    `thumbnail` is the address of the tile whose bytes are kept as `thumbnail_jpeg`; once `stop` is
    set, nothing more is put. `kept` counts the objects that were there already.
    """

    def __init__(
        self,
        store: Store,
        folder: str,
        pyramid: Pyramid,
        *,
        thumbnail: TileAddress | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._pyramid = pyramid
        self._thumbnail = thumbnail
        self._lock = threading.Lock()
        self._digest = TileDigest()
        self._present: dict[str, StoredObject] = {}
        self._stop = stop or threading.Event()
        self._uploads = Uploads(store, self._stop)
        self.split = 0  # the level at which the walk is to be split, or a higher one
        self.thumbnail_jpeg = b""
        self.tiles = 0
        self.bytes = 0
        self.base_pixels = 0
        self.kept = 0

    def __enter__(self) -> Publication:
        self._present = {found.key: found for found in self._store.keys(self._folder + "/")}
        if self._present.pop(keys.descriptor_key(self._folder), None):
            self._store.delete(keys.descriptor_key(self._folder))
        if any(map(keys.is_packed, (key.rpartition("/")[2] for key in self._present))):
            self._present.pop(packed_key(self._store, self._folder) or "", None)  # is looked at yet
        self._uploads.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            self._stop.set()
        self._uploads.close()

    def put_tile(self, address: TileAddress, jpeg: bytes) -> None:
        self._put_tile(address, jpeg)
        self._digest.add(address, jpeg)
        with self._lock:
            self.tiles += 1
            self.bytes += len(jpeg)
            if address.level == self._pyramid.base.number:
                self.base_pixels += self._pyramid.dimensions(address).pixels
            if address == self._thumbnail:
                self.thumbnail_jpeg = jpeg

    def _put_tile(self, address: TileAddress, jpeg: bytes) -> None:
        self.put(keys.tile_key(self._folder, address), jpeg)

    def put(self, key: str, data: bytes) -> None:
        """Puts the object, now or soon; raises StoreError for this one or for one before it."""
        present = self._present.pop(key, None)
        if present and present.holds(data):
            with self._lock:
                self.kept += 1
        else:
            self._uploads.put(key, data)

    @property
    def version(self) -> str:
        """A digest that changes when any tile changes."""
        return self._digest.hexdigest()

    def complete(self, slide_json: dict[str, Any]) -> None:
        """Puts slide.json, removes what of the layout the plan does not know, counts the tiles in
        the store, and only then puts the descriptor.

        Raises StoreError where the store does not hold exactly the planned tiles, and once `stop`
        is set.
        """
        self.put(keys.slide_json_key(self._folder), to_json(slide_json))
        self._uploads.drain()
        self._store.delete(*(key for key in self._present if keys.is_own(self._folder, key)))
        prefix = keys.tiles_prefix(self._folder)
        sizes = [
            found.size for found in self._store.keys(prefix) if keys.is_own(self._folder, found.key)
        ]
        if not len(sizes) == self.tiles == self._pyramid.tile_count or sum(sizes) != self.bytes:
            raise StoreError(
                f"{self._store}/{prefix}",
                f"holds {len(sizes)} of {counted(self._pyramid.tile_count, 'tile')}, {sum(sizes)} "
                f"of {counted(self.bytes, 'byte')}; convert again",
            )
        self._uploads.check_stop()
        descriptor = Descriptor(self._pyramid.size, self._pyramid.tile_size)
        self._store.put(keys.descriptor_key(self._folder), descriptor.xml)
