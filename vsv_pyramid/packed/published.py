"""Which of its two forms a published pyramid has: slide.json is the switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsv_pyramid.layout import documents, keys, shapes
from vsv_pyramid.store.base import Store


def is_published(store: Store, folder: str) -> bool:
    """Whether a whole pyramid is in the folder. Raises StoreError."""
    return store.head(keys.descriptor_key(folder)) is not None or bool(packed_key(store, folder))


def packed_key(store: Store, folder: str) -> str | None:
    """The key of the object that the folder's pyramid is in; None where its tiles are objects, and
    where there is none. Raises StoreError."""
    found = store.tagged(keys.slide_json_key(folder))
    try:
        document = documents.read(found.data, shapes.Packed) if found else {}
    except ValueError:
        return None
    key = key_in(document, folder)
    return key if key and store.head(key) is not None else None


def key_in(document: Mapping[str, Any], folder: str) -> str | None:
    """The key of the object that slide.json names, None where it names none."""
    name = document.get("packed")
    return f"{folder}/{name}" if isinstance(name, str) and keys.is_packed(name) else None


def shown_key(folder: str, document: Mapping[str, Any]) -> str:
    """What a viewer opens of the pyramid: the descriptor, or the object that it is packed in."""
    return key_in(document, folder) or keys.descriptor_key(folder)
