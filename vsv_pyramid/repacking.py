"""A published pyramid in its other layout, without the slide, and with the same tiles.

Our viewer finds it at each moment: what is new is whole before slide.json, which is the switch,
names it, and what was there is removed then. What is interrupted, the same call goes on with.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from vsv_pyramid.catalog import Catalog
from vsv_pyramid.errors import (
    CONVERT_AGAIN,
    DescriptorError,
    StoreBusy,
    StoreError,
    StoreUnavailable,
    VsvPyramidError,
)
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.packed.order import in_order
from vsv_pyramid.packed.published import is_published, packed_key
from vsv_pyramid.packed.reading import PackedStore
from vsv_pyramid.packed.writing import Packing
from vsv_pyramid.publication import TileDigest
from vsv_pyramid.publication.packed import clear, front_of, lasting_keys
from vsv_pyramid.publication.uploads import Uploads
from vsv_pyramid.removal import is_shown
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide_json import VERSION, lasting, packed_name, parse, switched
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import Reader
from vsv_pyramid.store.edits import edit

Tell = Callable[[Progress], None]


def pack(store: Store, folder: str, progress: Tell = lambda _: None) -> bool:
    """Puts the tiles into one object; False where they are in one already.

    Raises StoreError where there is no pyramid, or one whose tiles are not those that it says;
    DescriptorError; and StoreBusy while it is written.
    """
    _check_is_pyramid(store, folder)
    with store.exclusive(folder):
        store.check_way(folder)
        key = packed_key(store, folder)
        if key is None:
            key = _packed(store, folder, progress)
            _switch(store, folder, key.rpartition("/")[2])
            is_new = True
        else:
            _document(store, folder, PackedStore(store, folder, key))
            is_new = False
        clear(store, folder, lambda own: own != key and _is_of_tiles(own, folder))
    _list(store, folder)
    return is_new


def unpack(store: Store, folder: str, progress: Tell = lambda _: None) -> bool:
    """Puts each tile as an object, and the descriptor; False where they are that already. Raises as
    `pack` does."""
    _check_is_pyramid(store, folder)
    with store.exclusive(folder):
        store.check_way(folder)
        key = packed_key(store, folder)
        if key is not None:
            _unpacked(store, folder, key, progress)
            _switch(store, folder, None)
        clear(store, folder, lambda own: keys.is_packed(own.rpartition("/")[2]))
    _list(store, folder)
    return key is not None


def _packed(store: Store, folder: str, progress: Tell) -> str:
    """The key of the object that the tiles were put into."""
    document, pyramid = _document(store, folder, store)
    said, made = document["pyramid"], lasting(document)
    files = _files(store, folder, document)
    content = hashlib.sha256(to_json(made) + b"".join(files[key] for key in sorted(files)))
    name = packed_name(
        document["source"],
        document["options"],
        document["software"],
        said.get("algorithm", 1),
        content.hexdigest(),
    )
    digest = TileDigest()
    with store.assembled(f"{folder}/{name}") as file:
        packing = Packing(pyramid, folder.rpartition("/")[2], file.append)
        for address, jpeg in _read(store, folder, pyramid, progress):
            digest.add(address, jpeg)
            packing.put_tile(address, jpeg)
        _check(store, folder, digest, said.get("version"))
        file.finish(packing.complete(front_of(folder, pyramid, files, made)))
    return f"{folder}/{name}"


def _unpacked(store: Store, folder: str, key: str, progress: Tell) -> None:
    """What cannot be unpacked leaves no tiles; what is stopped, those that are there."""
    source = PackedStore(store, folder, key)
    document, pyramid = _document(store, folder, source)
    try:
        digest = _put(store, folder, pyramid, _read(source, folder, pyramid, progress))
        _check(store, folder, digest, document["pyramid"].get("version"))
    except (StoreUnavailable, StoreBusy):
        raise
    except VsvPyramidError:
        clear(store, folder, lambda own: own.startswith(keys.tiles_prefix(folder)))
        raise
    store.put(keys.descriptor_key(folder), source.get(keys.descriptor_key(folder)))


def _put(
    store: Store, folder: str, pyramid: Pyramid, tiles: Iterable[tuple[TileAddress, bytes]]
) -> TileDigest:
    """Puts the tiles that are not there yet."""
    there = {found.key: found for found in store.keys(keys.tiles_prefix(folder))}
    digest = TileDigest()
    stop = threading.Event()
    uploads = Uploads(store, stop)
    uploads.start()
    try:
        for address, jpeg in tiles:
            digest.add(address, jpeg)
            tile = keys.tile_key(folder, address)
            if tile not in there or not there[tile].holds(jpeg):
                uploads.put(tile, jpeg)
        uploads.drain()
    except BaseException:
        stop.set()
        raise
    finally:
        uploads.close()
    return digest


def _document(store: Store, folder: str, source: Reader) -> tuple[dict[str, Any], Pyramid]:
    """slide.json, and the pyramid that the source has. Raises StoreError where these two are of
    different ones, or a later release has written it, and DescriptorError."""
    place = f"{store}/{keys.slide_json_key(folder)}"
    document = parse(store.get(keys.slide_json_key(folder)))
    is_later = document.get("version", 1) > VERSION
    if is_later or document.get("layout", 1) not in (keys.LAYOUT_VERSION, keys.PACKED_VERSION):
        raise StoreError(place, "is of a later release; use that one")
    pyramid = Descriptor.parse(source.get(keys.descriptor_key(folder))).pyramid
    if (document.get("width"), document.get("height")) != tuple(pyramid.size):
        raise StoreError(place, f"has another size than the pyramid; {CONVERT_AGAIN}")
    return document, pyramid


def _files(store: Store, folder: str, document: Mapping[str, Any]) -> dict[str, bytes]:
    """What goes into the object beside the tiles. Raises StoreError where any of it is missing."""
    found = {key: store.get(key) for key in lasting_keys(folder) if store.head(key) is not None}
    images = document.get("associated_images") or {}
    wanted = set()
    if "thumbnail" in images.get("published", ()):
        wanted.add(keys.associated_key(folder, "thumbnail"))
    if document.get("icc_profile") == "published":
        wanted.add(keys.icc_key(folder))
    for key in sorted(wanted - found.keys()):
        raise StoreError(f"{store}/{key}", f"is missing, which slide.json names; {CONVERT_AGAIN}")
    return found


def _read(
    source: Reader, folder: str, pyramid: Pyramid, progress: Tell
) -> Iterator[tuple[TileAddress, bytes]]:
    """The tiles in the order of a packed file; of tiles that are far away, several at a time."""

    def tile(address: TileAddress) -> tuple[TileAddress, bytes]:
        return address, source.get(keys.tile_key(folder, address))

    addresses = in_order(pyramid)
    is_slow = source.remote and not isinstance(source, PackedStore)  # which reads large blocks
    for done, found in enumerate(_ahead(tile, addresses) if is_slow else map(tile, addresses), 1):
        yield found
        progress(Progress(done, pyramid.tile_count, 0))


def _ahead(
    read: Callable[[TileAddress], tuple[TileAddress, bytes]], addresses: Iterable[TileAddress]
) -> Iterator[tuple[TileAddress, bytes]]:
    left = iter(addresses)
    with Pool(WAITERS) as pool:
        pending: deque[Future[tuple[TileAddress, bytes]]] = deque(
            pool.submit(read, address) for address in itertools.islice(left, 2 * WAITERS)
        )
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(read, address) for address in itertools.islice(left, 1))


def _check(store: Store, folder: str, digest: TileDigest, stated: object) -> None:
    if digest.hexdigest() != stated:
        raise StoreError(
            f"{store}/{folder}",
            "its tiles are not those of its slide.json; vsv-pyramid verify --deep says which",
        )


def _switch(store: Store, folder: str, name: str | None) -> None:
    key = keys.slide_json_key(folder)

    def change(data: bytes | None) -> bytes:
        if data is None:
            raise DescriptorError("slide.json is missing")
        return to_json(switched(parse(data), name))

    edit(store, key, f"{store}/{key}", change)


def _is_of_tiles(key: str, folder: str) -> bool:
    """Whether it is of one layout only: of no use in the other."""
    return is_shown(key) or key.startswith(keys.tiles_prefix(folder))


def _list(store: Store, folder: str) -> None:
    images, _, slide_id = folder.rpartition("/")
    Catalog(store, images, create=False).update([slide_id])


def _check_is_pyramid(store: Store, folder: str) -> None:
    if store.sealed:
        raise StoreError(store, "is one file, and stays so; give a folder, or s3://bucket/prefix")
    if not is_published(store, folder):
        raise StoreError(
            f"{store}/{folder}", "there is no whole pyramid; give the folder that holds one"
        )
