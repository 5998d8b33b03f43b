"""The shapes of all JSON documents: what is read of each, whichever release has written it. Those
of a class that are not in its `Optional...` must be there; whatever else is there stays."""

from __future__ import annotations

from typing import Any, TypedDict


class Source(TypedDict, total=False):
    """What tells a file from any other, and where it is."""

    location: str | None
    name: str | None
    place: str | None
    file: str | None
    size: int | None
    mtime_ns: int | None
    etag: str | None
    digest: str | None


class Review(TypedDict, total=False):
    status: str | None
    slide_id: str | None
    case_id: str | None
    confirmed: bool
    changed: str | None
    revision: int
    barcode: str | None
    label: bool


class Sides(TypedDict):
    """um per px."""

    x: float | None
    y: float | None


class Tiles(TypedDict, total=False):
    tile_size: int
    tile_count: int
    bytes: int
    version: str | None
    algorithm: int
    quality: int | None
    chroma_subsampling: str | None
    lane: str | None
    base: str | None
    fallback_tiles: dict[str, int] | None
    blank_tiles: int | None
    levels: list[dict[str, int]]


class Images(TypedDict, total=False):
    published: list[str]
    withheld: list[str]


class OptionalOfSlide(TypedDict, total=False):
    id: str
    width: int
    height: int
    mpp: Sides
    version: int
    layout: int
    packed: str
    objective_power: float | None
    vendor: str | None
    scanner: str | None
    year: int | None
    scanned: str | None
    created: str | None
    details: str
    icc_profile: str | None
    associated_images: Images
    review: Review
    kept: bool


class Slide(OptionalOfSlide):
    """slide.json"""

    source: Source
    origin: dict[str, int]
    pyramid: Tiles
    options: dict[str, Any]
    software: dict[str, str | None]


class Packed(TypedDict, total=False):
    """The same, as far as it is the switch between two layouts."""

    packed: str


class OptionalOfEntry(TypedDict, total=False):
    entry: int
    version: str | None
    year: int | None
    scanned: str | None
    scanner: str | None
    created: str | None
    file: str | None
    location: str | None
    source: Source
    review: Review


class Entry(OptionalOfEntry):
    """Of the catalog, or of the list of what is kept."""

    id: str


class Catalog(TypedDict, total=False):
    """index.json, and its shards."""

    version: int
    slides: list[Entry]
    shards: list[str]


class OptionalOfEvent(TypedDict, total=False):
    changes: dict[str, tuple[str | None, str | None]]
    note: str
    facts: dict[str, Any]
    key: str


class Event(OptionalOfEvent):
    action: str
    who: str
    when: str


class OptionalOfRecord(TypedDict, total=False):
    source: Source
    properties: dict[str, str]
    barcode: str | None


class Record(OptionalOfRecord):
    """slide.private.json"""

    version: int
    id: str
    images: list[str]
    history: list[Event]


class OptionalOfGone(TypedDict, total=False):
    confirmed: bool
    source: Source
    rescanned_as: str


class Gone(OptionalOfGone):
    id: str
    slide_id: str | None
    case_id: str | None
    who: str
    when: str


class Deleted(TypedDict):
    """deleted.json"""

    slides: list[Gone]


class Root(TypedDict, total=False):
    """root.json, of a destination or of its private place"""

    private: str
    new: bool
    layout: str


class IdsKey(TypedDict):
    """ids.json"""

    version: int
    key: str


class Look(TypedDict):
    size: int
    mtime_ns: int


class OfSlide(TypedDict):
    """Whose note it is"""

    slide: str


class OptionalOfNote(OfSlide, total=False):
    attempts: int
    reason: str
    due: float | None
    job: str
    exit_code: int | None


class Failed(TypedDict, total=False):
    """Why a slide could not be converted."""

    slide: str
    reason: str
    failed_at: str
    exit_code: int | None
    job: str
    again: str
    dismissed: str
    who: str


class Note(OptionalOfNote):
    """What `watch` remembers of a slide"""

    look: Look
