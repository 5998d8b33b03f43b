"""A published pyramid in its other layout, without the slide, and with the same tiles.

Our viewer finds it at each moment: what is new is whole before slide.json, which is the switch,
names it, and what was there is removed then. What is interrupted, the same call goes on with.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future

from vsv_pyramid.catalog import Catalog
from vsv_pyramid.errors import DescriptorError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.packed.order import in_order
from vsv_pyramid.packed.published import packed_key
from vsv_pyramid.packed.reading import PackedStore
from vsv_pyramid.packed.writing import Packing
from vsv_pyramid.publication import TileDigest
from vsv_pyramid.publication.packed import front_of, lasting_keys
from vsv_pyramid.publication.uploads import Uploads
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.slide_json import lasting, packed_name, parse, switched
from vsv_pyramid.store import Store
from vsv_pyramid.store.base import Reader
from vsv_pyramid.store.edits import edit

Tell = Callable[[Progress], None]


def pack(store: Store, folder: str, progress: Tell = lambda _: None) -> bool:
    """Puts the tiles into one object; False where they are in one already.

    Raises StoreError where there is no pyramid, or one whose tiles are not those that it says;
    DescriptorError; and StoreBusy while it is written.
    """
    with store.exclusive(folder):
        store.check_way(folder)
        key = packed_key(store, folder)
        if key is None:
            key = _packed(store, folder, progress)
            _switch(store, folder, key.rpartition("/")[2])
            is_new = True
        else:
            is_new = False
        _remove(store, folder, lambda own: own != key and not _stays(own, folder))
    _list(store, folder)
    return is_new


def unpack(store: Store, folder: str, progress: Tell = lambda _: None) -> bool:
    """Puts each tile as an object, and the descriptor; False where they are that already. Raises as
    `pack` does."""
    with store.exclusive(folder):
        store.check_way(folder)
        key = packed_key(store, folder)
        if key is not None:
            _unpacked(store, folder, key, progress)
            _switch(store, folder, None)
        elif store.head(keys.descriptor_key(folder)) is None:
            raise _no_pyramid(store, folder)
        _remove(store, folder, lambda own: keys.is_packed(own.rpartition("/")[2]))
    _list(store, folder)
    return key is not None


def _packed(store: Store, folder: str, progress: Tell) -> str:
    """The key of the object that the tiles were put into."""
    if store.head(keys.descriptor_key(folder)) is None:
        raise _no_pyramid(store, folder)
    pyramid = Descriptor.parse(store.get(keys.descriptor_key(folder))).pyramid
    document = parse(store.get(keys.slide_json_key(folder)))
    said = document["pyramid"]
    name = packed_name(
        document["source"], document["options"], document["software"], said.get("algorithm", 1)
    )
    files = {key: store.get(key) for key in lasting_keys(folder) if store.head(key) is not None}
    digest = TileDigest()
    with store.assembled(f"{folder}/{name}") as file:
        packing = Packing(pyramid, folder.rpartition("/")[2], file.append)
        for address, jpeg in _read(store, folder, pyramid, progress):
            digest.add(address, jpeg)
            packing.put_tile(address, jpeg)
        _check(store, folder, digest, said.get("version"))
        file.finish(packing.complete(front_of(folder, pyramid, files, lasting(document))))
    return f"{folder}/{name}"


def _unpacked(store: Store, folder: str, key: str, progress: Tell) -> None:
    source = PackedStore(store, folder, key)
    xml = source.get(keys.descriptor_key(folder))
    pyramid = Descriptor.parse(xml).pyramid
    there = {found.key: found for found in store.keys(keys.tiles_prefix(folder))}
    digest = TileDigest()
    stop = threading.Event()
    uploads = Uploads(store, stop)
    uploads.start()
    try:
        for address, jpeg in _read(source, folder, pyramid, progress):
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
    _check(
        store, folder, digest, parse(store.get(keys.slide_json_key(folder)))["pyramid"]["version"]
    )
    store.put(keys.descriptor_key(folder), xml)


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


def _stays(key: str, folder: str) -> bool:
    """Whether it is beside the tiles in either layout."""
    name = key.rpartition("/")[2]
    is_tile = key.startswith(keys.tiles_prefix(folder))
    return not (is_tile or name == keys.DESCRIPTOR or keys.is_packed(name))


def _remove(store: Store, folder: str, is_gone: Callable[[str], bool]) -> None:
    """Removes what of the layout is not shown any more, the descriptor first."""
    own = [found.key for found in store.keys(f"{folder}/") if keys.is_own(folder, found.key)]
    gone = [key for key in own if is_gone(key)]
    store.delete(*(key for key in gone if key == keys.descriptor_key(folder)))
    store.delete(*gone)


def _list(store: Store, folder: str) -> None:
    images, _, slide_id = folder.rpartition("/")
    Catalog(store, images, create=False).update([slide_id])


def _no_pyramid(store: Store, folder: str) -> StoreError:
    return StoreError(f"{store}/{folder}", "there is no whole pyramid; convert the slide")
