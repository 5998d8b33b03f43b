"""images/index.json, and the shards that it can name: what they say of slides. Plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import filterfalse
from typing import Any

from vsv_pyramid import slide_json
from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.layout import documents, keys, shapes

VERSION, ENTRY_VERSION = 1, 2
_IDENTITY = ("size", "etag", "file")  # of the file that a pyramid is of
# Where slide.json has them: the review, and what a later release says of where the tiles are.
_PASSED_ON = ("layout", "packed", "restorable", "review")

Entry = dict[str, Any]


def entry(document: Mapping[str, Any]) -> Entry:
    """What the catalog says of a slide, out of its slide.json: no free text, and no more details
    than that has.

    Raises DescriptorError where that lacks it.
    """
    try:
        is_former = document.get("version", 1) < slide_json.VERSION
        if is_former:
            document = slide_json.renewed(document, "none")
        pyramid, mpp = document["pyramid"], document["mpp"]
        made = {
            "entry": 1 if is_former else ENTRY_VERSION,
            "id": document["id"],
            "version": pyramid["version"],
            "width": document["width"],
            "height": document["height"],
            "tile_size": pyramid["tile_size"],
            "mpp": {"x": mpp["x"], "y": mpp["y"]},
            "objective_power": document["objective_power"],
            "year": document["year"],
            "scanned": document["scanned"],
            "scanner": document["scanner"],
            "vendor": document["vendor"],
            "created": document["created"],
            "bytes": pyramid["bytes"],
            "tile_count": pyramid["tile_count"],
            "source": identity(document["source"]),
            **{name: document[name] for name in _PASSED_ON if name in document},
        }
        json.dumps(made, allow_nan=False)
    except (KeyError, TypeError) as exc:
        raise DescriptorError(f"slide.json lacks {exc}") from exc
    except ValueError as exc:
        raise DescriptorError(f"slide.json holds what is no number ({exc})") from exc
    return made


def identity(source: Mapping[str, Any]) -> dict[str, Any]:
    """What tells the file that a pyramid is of from any other at a look, out of slide.json's
    `source`."""
    return {name: source[name] for name in _IDENTITY if name in source}


def write(slides: Iterable[Entry]) -> bytes:
    """The document that lists the slides."""
    return _to_json(slides=sorted(slides, key=lambda slide: str(slide["id"])))


def write_root(shards: Sequence[str]) -> bytes:
    """The document that names the shards."""
    return _to_json(shards=list(shards))


def parse(data: bytes) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """The slides by id, or the names of shards. Raises ValueError."""
    document = documents.read(data, shapes.Catalog)
    try:
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']} is unknown")
        if "shards" not in document:
            slides: dict[str, Entry] = {slide["id"]: dict(slide) for slide in document["slides"]}
            for wrong in filterfalse(keys.is_id, slides):
                raise ValueError(f"{wrong!r} cannot be an id")
            return slides, ()
        shards = tuple(document["shards"])
        if not shards or not all(keys.is_shard(name) for name in shards):
            raise ValueError("it names no shards")
        return {}, shards
    except KeyError as exc:
        raise ValueError(f"no such thing as {exc}") from exc


def is_foreign(data: bytes) -> bool:
    """Whether it is a JSON document that has nothing of a catalog: another program's."""
    try:
        document: object = documents.read(data, object)
    except ValueError:
        return False
    if isinstance(document, dict):
        return bool(document) and document.keys().isdisjoint(shapes.Catalog.__annotations__)
    return isinstance(document, list) and bool(document)


def _to_json(**content: Any) -> bytes:
    document = {"version": VERSION, **content}
    return (json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n").encode()
