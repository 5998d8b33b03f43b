"""How a destination and its private place know each other: by a random id in the root.json of both.

With another private place, or with none, a deleted scan would come back, and a review be lost.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import Any, NamedTuple

from vsv_pyramid.errors import OptionError, StoreError, StoreRefused
from vsv_pyramid.layout import keys, shapes
from vsv_pyramid.layout.documents import read, to_json
from vsv_pyramid.slide.files import normal
from vsv_pyramid.store import Store, open_store
from vsv_pyramid.store.base import Tagged
from vsv_pyramid.store.directory import DirectoryStore

VERSION = 1
HOW = "--private-to (or VSV_PYRAMID_PRIVATE)"


class _Id(NamedTuple):
    """The id in a root.json; one that `is_new` the destination may not have yet."""

    id: str
    is_new: bool
    tag: str


def is_tied(published: Store, private: Store | None, root: Tagged | None) -> bool:
    """Whether the two know each other, by what is published as root.json; False where neither has
    anything yet.

    Raises OptionError where either belongs to another one, and StoreError.
    """
    there = _read(published, keys.root_key(), root)
    if private is None:
        if there:
            raise OptionError(
                f"{published} has a private place, which was not given; give it as {HOW}"
            )
        return False
    own = _read(private, keys.ROOT, private.tagged(keys.ROOT))
    if there is None and (own is None or own.is_new):
        return False
    if there is None or own is None or there.id != own.id:
        raise OptionError(
            f"{private} is not the private place of {published} (their root.json differ); give the "
            f"right one as {HOW} or, if these two belong together, remove root.json in both"
        )
    return not own.is_new


def tie(published: Store, private: Store) -> None:
    """Makes the two know each other, unless they do. The private place gets an id first, marked as
    new, then the destination does, and then the mark is removed: what is interrupted can be gone on
    with.

    Raises OptionError where another process was faster with others, and StoreError.
    """
    root = published.tagged(keys.root_key())
    if is_tied(published, private, root):
        return
    check_publishes(published)
    private.put_if(keys.ROOT, to_json({**_said(uuid.uuid4().hex), "new": True}), None)
    if own := _read(private, keys.ROOT, private.tagged(keys.ROOT)):
        said = read(root.data, shapes.Root) if root else {}  # of something else
        if "private" not in said:
            data = to_json({**said, **_said(own.id)})
            published.put_if(keys.root_key(), data, root and root.tag)
        if not is_tied(published, private, published.tagged(keys.root_key())):
            private.put_if(keys.ROOT, to_json(_said(own.id)), own.tag)


def check_publishes(store: Store) -> None:
    """Raises OptionError where it is somebody's private place: not where its root.json is of
    another program, or may not be read."""
    with contextlib.suppress(ValueError, StoreRefused):
        if _id(store.tagged(keys.ROOT)):
            raise OptionError(
                f"{store} is the private place of another destination, and nothing is published "
                "there; give another one"
            )


def check_is_no_part(store: Store) -> None:
    """Raises OptionError for what lies within a private place, whose folders look like those of a
    destination."""
    place = str(normal(store.root)) if isinstance(store, DirectoryStore) else str(store)
    above, slash, name = place.replace(os.sep, "/").rpartition("/")
    if name in keys.PRIVATE_PARTS and slash and not above.endswith("/"):
        with contextlib.suppress(ValueError, StoreError):
            if _id(open_store(above).tagged(keys.ROOT)):
                raise OptionError(
                    f"{store} is in the private place {above}; give what is published"
                )


def _read(store: Store, key: str, found: Tagged | None) -> _Id | None:
    try:
        return _id(found)
    except ValueError as exc:
        raise StoreError(
            f"{store}/{key}", f"is damaged ({exc}); bring a former version back"
        ) from exc


def _id(found: Tagged | None) -> _Id | None:
    """None where it says only something else. Raises ValueError where it is none of ours."""
    if found is None:
        return None
    said = read(found.data, shapes.Root)
    if "private" not in said:
        if "layout" not in said:
            raise ValueError("it has no id")
        return None
    return _Id(said["private"], said.get("new", False), found.tag)


def _said(private: str) -> dict[str, Any]:
    return {"version": VERSION, "private": private}
