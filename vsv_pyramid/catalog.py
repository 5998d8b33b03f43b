"""The catalog, images/index.json: the slides that are published, as far as a list shows them.

One document, or, once that would hold more than MOST_SLIDES, one that names others (shards), among
which a hash of the id decides. From then on it is only the shards that change.

Nobody is told what to write. Whoever has put or removed a descriptor calls `update` afterwards: it
reads the document, looks at what is published, and writes unless somebody else has written since,
until there is nothing to change. So the last one to come leaves it right, whatever came between,
even what was done and undone and left no trace in the document.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import xxhash

from vsv_pyramid import slide_json
from vsv_pyramid.catalog_json import (
    ENTRY_VERSION,
    Entry,
    entry,
    is_foreign,
    parse,
    write,
    write_root,
)
from vsv_pyramid.destination import tie
from vsv_pyramid.errors import DescriptorError, StoreError, StoreUnavailable, TooLarge
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published
from vsv_pyramid.runtime.threads import WAITERS, Pool
from vsv_pyramid.store import Store
from vsv_pyramid.store.edits import Conflict, until_settled

MOST_SLIDES = 5000  # in one document, which is read and written whole: 1.7 MB
SHARDS = 64
_SLIDES_AT_ONCE = 256  # few enough that others seldom write while they are looked at

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rebuilt:
    """What `rebuild_catalog` has made: slides and documents are counted, and what is left out is
    said, or what could not be looked at."""

    target: str
    slides: int
    documents: int
    left_out: int
    warnings: tuple[str, ...]


class Part(NamedTuple):
    """A document as it was read. One that lacks or is damaged is not `sound`: it holds nothing, and
    is to be written."""

    tag: str | None
    slides: dict[str, Entry]
    shards: tuple[str, ...]
    sound: bool


def listed(store: Store) -> list[Entry]:
    """The entries of all that is published there now, whatever the catalog says."""
    found = Catalog(store, mend=True).published(ids_among(store.names(keys.IMAGES)))
    return [slide for slide in found if slide]


def of_former_versions(store: Store) -> list[str]:
    """The ids of those whose slide.json is as earlier releases made it, with private facts."""
    slides = Catalog(store, create=False).slides()
    return sorted(key for key, slide in slides.items() if slide.get("entry", 1) < ENTRY_VERSION)


def rebuild_catalog(store: Store) -> Rebuilt:
    """Makes the catalog what is published in the store, which holds images/, beside whatever other
    processes publish and delete.

        print(rebuild_catalog(open_store("www")).slides)

    Raises StoreError where there is nothing, and OptionError for a part of a private place.
    """
    tie.check_is_no_part(store)
    names = store.names(keys.IMAGES)
    if not names:
        raise StoreError(
            f"{store}/{keys.IMAGES}",
            "there are no slides; give the folder, or s3://bucket/prefix, that images/ is in",
        )
    if store.sealed and store.head(keys.catalog_key()) is None:
        raise StoreError(store, "is one slide, and needs no list; give the root of several")
    catalog = Catalog(store, mend=True)
    catalog.update([])
    ids = sorted(
        ids_among(names) | catalog.slides().keys(),
        key=lambda slide_id: (_number(slide_id), slide_id),
    )
    for start in range(0, len(ids), _SLIDES_AT_ONCE):
        catalog.update(ids[start : start + _SLIDES_AT_ONCE])
    documents = 1 + catalog.sweep()
    slides = catalog.slides()
    left_out = len(catalog.warnings.keys() - slides)
    warnings = tuple(catalog.warnings[slide_id] for slide_id in sorted(catalog.warnings))
    return Rebuilt(str(store), len(slides), documents, left_out, warnings)


class Catalog:
    """The catalog of the slides in the folder `images` of a store.

    One that is not there is made with `create` only; one that is damaged raises StoreError, unless
    `mend` makes it anew. So does a slide that cannot be looked at, which with `mend` stays as it is
    listed, unless it is the store that does not answer. `warnings` says of each id why.
    """

    def __init__(
        self, store: Store, images: str = keys.IMAGES, *, create: bool = True, mend: bool = False
    ) -> None:
        self._store = store
        self._images = images
        self._create = create
        self._mend = mend
        self._unseen: set[str] = set()  # ids that cannot be looked at
        self._unnamed: set[str] = set()  # shards of ours that the root may not name
        self.warnings: dict[str, str] = {}

    def has(self, entry: Entry) -> bool:
        """Whether it holds this very entry."""
        document = self._read(keys.CATALOG)
        if document.shards:
            document = self._read(shard_of(entry["id"], document.shards))
        return document.slides.get(entry["id"]) == entry

    def slides(self) -> dict[str, Entry]:
        """All entries by id."""
        root = self._read(keys.CATALOG)
        documents = self._each(self._read, root.shards) if root.shards else [root]
        return {key: slide for document in documents for key, slide in document.slides.items()}

    def parts(self) -> Iterator[dict[str, Entry]]:
        """The same, a document's at a time."""
        root = self._read(keys.CATALOG)
        yield from (
            (self._read(name).slides for name in root.shards) if root.shards else [root.slides]
        )

    def published(self, ids: Collection[str]) -> list[Entry | None]:
        """Each slide's entry as it is to be, None of what is not published."""
        return self._each(self._published, ids)

    def update(self, ids: Collection[str]) -> None:
        """Makes the entries of these slides what is published of them; without ids, it only mends.

        Raises StoreError, and StoreUnavailable where others write all the time.
        """
        wanted = frozenset(ids)
        until_settled(self._place(keys.CATALOG), lambda: not self._written(wanted))

    def sweep(self) -> int:
        """Removes the shards that the root does not name, and counts those that it does.

        Not before it names some: until then, they may be those of a split that is under way.
        """
        named = self._read(keys.CATALOG).shards
        if named:
            found = filter(keys.is_shard, self._store.names(self._images))
            self._store.delete(*(self._key(name) for name in found if name not in named))
        return len(named)

    def _written(self, ids: frozenset[str]) -> bool:
        """Whether anything had to be written. Raises Conflict."""
        root = self._read(keys.CATALOG)
        if not root.shards:
            if root.tag is None and not self._create:
                return False
            return self._updated(keys.CATALOG, root, ids)
        # This root is for good: no shard of ours that it does not name will ever be named.
        self._store.delete(*(self._key(name) for name in self._unnamed.difference(root.shards)))
        self._unnamed.clear()
        wanted: dict[str, set[str]] = defaultdict(set)
        for slide_id in ids:
            wanted[shard_of(slide_id, root.shards)].add(slide_id)
        names = list(wanted) if ids else root.shards
        return any(
            self._each(lambda name: self._updated(name, self._read(name), wanted[name]), names)
        )

    def _updated(self, name: str, document: Part, ids: Collection[str]) -> bool:
        published = self.published(ids)
        slides = {
            key: slide
            for key, slide in document.slides.items()
            if key not in ids or key in self._unseen
        }
        slides |= {slide["id"]: slide for slide in published if slide}
        if document.sound and slides == document.slides:
            return False
        if name == keys.CATALOG and len(slides) > MOST_SLIDES:
            data = self._split(slides)
        else:
            data = write(slides.values())
        if not self._store.put_if(self._key(name), data, document.tag):
            raise Conflict
        return True

    def _split(self, slides: dict[str, Entry]) -> bytes:
        """The root that is to name the shards, which are put."""
        generation = uuid.uuid4().hex
        shards: dict[str, list[Entry]] = {
            keys.shard_name(generation, number): [] for number in range(SHARDS)
        }
        names = list(shards)
        for slide_id, slide in slides.items():
            shards[shard_of(slide_id, names)].append(slide)
        self._unnamed.update(names)
        put = self._each(
            lambda name: self._store.put_if(self._key(name), write(shards[name]), None), names
        )
        if not all(put):
            raise Conflict
        return write_root(names)

    def _published(self, slide_id: str) -> Entry | None:
        folder = self._key(slide_id)
        self.warnings.pop(slide_id, None)
        self._unseen.discard(slide_id)
        try:
            if not is_published(self._store, folder):
                return None
            found = self._store.tagged(keys.slide_json_key(folder))
            if found is None:
                raise DescriptorError("slide.json is missing")
            return {**entry(slide_json.parse(found.data)), "id": slide_id}
        except (DescriptorError, TooLarge) as exc:
            self.warnings[slide_id] = f"{slide_id} is left out: {exc}"
        except StoreError as exc:
            if not self._mend or self._store.remote or isinstance(exc, StoreUnavailable):
                raise
            self._unseen.add(slide_id)
            self.warnings[slide_id] = (
                f"{slide_id} cannot be looked at, and its entry stays as it was: {exc}"
            )
        return None

    def _read(self, name: str) -> Part:
        """Raises StoreError where the document is damaged or another program's, or a shard is
        lacking."""
        found = self._store.tagged(self._key(name))
        try:
            if found is None and name != keys.CATALOG:
                raise ValueError("it is missing")
            if found is None:
                return Part(None, {}, (), False)
            return Part(found.tag, *parse(found.data), True)
        except ValueError as exc:
            root = self._place(keys.CATALOG).removesuffix(f"/{keys.catalog_key()}")
            again = f"vsv-pyramid index {root}"
            if found and is_foreign(found.data):
                raise StoreError(
                    self._place(name),
                    f"is another program's, where the catalog is to be; move it, and then: {again}",
                ) from exc
            if not self._mend:
                raise StoreError(
                    self._place(name), f"the catalog is damaged ({exc}); make it anew: {again}"
                ) from exc
            return Part(found and found.tag, {}, (), False)

    def _key(self, name: str) -> str:
        return f"{self._images}/{name}".lstrip("/")

    def _place(self, name: str) -> str:
        return f"{self._store}/{self._key(name)}"

    def _each(self, action: Callable[[Item], Result], items: Collection[Item]) -> list[Result]:
        """The action's results, made in threads where there is more than one."""
        if len(items) < 2:
            return [action(item) for item in items]
        with Pool(max(WAITERS, self._store.parallel_puts)) as pool:
            return list(pool.map(action, items))


def ids_among(names: Iterable[str]) -> set[str]:
    """The ids among the names in images/."""
    return {name[:-1] for name in names if name.endswith("/") and keys.is_id(name[:-1])}


def _number(slide_id: str, shards: int = SHARDS) -> int:
    return xxhash.xxh3_64_intdigest(slide_id.encode()) % shards


def shard_of(slide_id: str, names: Sequence[str]) -> str:
    """Which of the shards a slide belongs to."""
    return names[_number(slide_id, len(names))]
