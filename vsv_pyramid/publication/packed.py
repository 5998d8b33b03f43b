"""Drains a pyramid into one object: the tiles as they are made, and in the end what lies in front
of them. The object is there when it is whole."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from vsv_pyramid.layout import keys, szi
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.packed.order import subtree_level
from vsv_pyramid.packed.published import packed_key
from vsv_pyramid.packed.writing import Packing, scan_properties
from vsv_pyramid.publication import Publication
from vsv_pyramid.slide_json import lasting
from vsv_pyramid.store.base import FrontLast, Sealed, Store


class _Packed(Publication):
    """As Publication, with the tiles in one object."""

    def __enter__(self) -> _Packed:
        self._ending = contextlib.ExitStack()
        self._root = self._folder.rpartition("/")[2]
        self._object = self._ending.enter_context(self._assembled())
        self.split = subtree_level(self._pyramid)
        self._packing = Packing(self._pyramid, self._root, self._object.append)
        self._files: dict[str, bytes] = {}
        return self

    def __exit__(self, *raised: Any) -> None:
        self._ending.__exit__(*raised)

    @abstractmethod
    def _assembled(self) -> AbstractContextManager[FrontLast]:
        """The object on its way."""

    def _put_tile(self, address: TileAddress, jpeg: bytes) -> None:
        self._packing.put_tile(address, jpeg)

    def put(self, key: str, data: bytes) -> None:
        self._files[key] = data

    def _finish(
        self, files: Mapping[str, bytes], document: dict[str, Any], others: Mapping[str, bytes]
    ) -> None:
        front = front_of(self._folder, self._pyramid, files, document)
        front |= {f"{self._root}/{name}": data for name, data in others.items()}
        self._object.finish(self._packing.complete(front))


class SealedPublication(_Packed):
    """Into a store that is one file."""

    _store: Sealed

    def _assembled(self) -> AbstractContextManager[FrontLast]:
        return self._store.front_last()

    def complete(self, slide_json: dict[str, Any]) -> None:
        self._finish(self._files, slide_json, dict(self._store.others(self._folder)))


class PackedPublication(_Packed):
    """Into an object of the slide's folder, which is never changed; slide.json, which names it, is
    put when it is whole, and what then is not shown any more is removed, but for the object that
    was named before: somebody may be looking at it."""

    def __init__(self, store: Store, folder: str, pyramid: Pyramid, name: str, **more: Any) -> None:
        super().__init__(store, folder, pyramid, **more)
        self._key = f"{folder}/{name}"

    def __enter__(self) -> PackedPublication:
        self._store.check_way(self._folder)
        self._former = packed_key(self._store, self._folder)
        super().__enter__()
        return self

    def _assembled(self) -> AbstractContextManager[FrontLast]:
        return self._store.assembled(self._key)

    def complete(self, slide_json: dict[str, Any]) -> None:
        files = {key: self._files[key] for key in lasting_keys(self._folder) if key in self._files}
        self._finish(files, lasting(slide_json), {})
        self._ending.close()
        for key, data in self._files.items():
            self._store.put(key, data)
        self._store.put(keys.slide_json_key(self._folder), to_json(slide_json))
        shown = {keys.slide_json_key(self._folder), self._key, self._former, *self._files}
        clear(self._store, self._folder, lambda key: key not in shown)


def lasting_keys(folder: str) -> tuple[str, ...]:
    """Of the files beside the tiles, those that may be where nothing is ever changed: no label."""
    return keys.icc_key(folder), keys.associated_key(folder, "thumbnail")


def front_of(
    folder: str, pyramid: Pyramid, files: Mapping[str, bytes], document: dict[str, Any]
) -> dict[str, bytes]:
    """What stands in the object before the tiles, by its names there: the descriptor, slide.json
    and these files, which are by their keys."""
    root = folder.rpartition("/")[2]
    stated = {
        keys.descriptor_key(folder): Descriptor(pyramid.size, pyramid.tile_size).xml,
        keys.slide_json_key(folder): to_json(document),
        **files,
    }
    names = {
        key.replace(keys.folder(root), folder, 1): name for key, name in szi.names(root).items()
    }
    mpp = document["mpp"]
    return {
        **{name: stated[key] for key, name in names.items() if key in stated},
        f"{root}/{szi.PROPERTIES}": scan_properties(pyramid.size, (mpp["x"], mpp["y"])),
    }


def clear(store: Store, folder: str, is_gone: Callable[[str], bool]) -> None:
    """Removes what the layout has in the folder, and is gone, by its key; the descriptor first."""
    own = [found.key for found in store.keys(f"{folder}/") if keys.is_own(folder, found.key)]
    gone = [key for key in own if is_gone(key)]
    store.delete(*(key for key in gone if key == keys.descriptor_key(folder)))
    store.delete(*gone)
