"""Drains a pyramid into one object: the tiles as they are made, and in the end what lies in front
of them. The object is there when it is whole."""

from __future__ import annotations

import contextlib
from typing import Any

from vsv_pyramid.layout import keys, szi
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.packed.order import subtree_level
from vsv_pyramid.packed.writing import Packing, scan_properties
from vsv_pyramid.publication import Publication
from vsv_pyramid.store.base import Sealed


class PackedPublication(Publication):
    """As Publication, into a store that is one file."""

    _store: Sealed

    def __enter__(self) -> PackedPublication:
        self._ending = contextlib.ExitStack()
        self._root = self._folder.rpartition("/")[2]
        self._object = self._ending.enter_context(self._store.front_last())
        self.split = subtree_level(self._pyramid)
        self._packing = Packing(self._pyramid, self._root, self._object.append)
        self._files: dict[str, bytes] = {}
        return self

    def __exit__(self, *raised: Any) -> None:
        self._ending.__exit__(*raised)

    def _put_tile(self, address: TileAddress, jpeg: bytes) -> None:
        self._packing.put_tile(address, jpeg)

    def put(self, key: str, data: bytes) -> None:
        self._files[key] = data

    def complete(self, slide_json: dict[str, Any]) -> None:
        self.put(keys.slide_json_key(self._folder), to_json(slide_json))
        descriptor = Descriptor(self._pyramid.size, self._pyramid.tile_size)
        self.put(keys.descriptor_key(self._folder), descriptor.xml)
        mpp = slide_json["mpp"]
        properties = scan_properties(self._pyramid.size, (mpp["x"], mpp["y"]))
        names = szi.names(self._root)
        files = {name: self._files[key] for key, name in names.items() if key in self._files}
        others = {f"{self._root}/{name}": data for name, data in self._store.others(self._folder)}
        front = {**files, f"{self._root}/{szi.PROPERTIES}": properties, **others}
        self._object.finish(self._packing.complete(front))
