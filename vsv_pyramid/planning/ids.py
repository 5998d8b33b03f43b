"""The ids under which slides are published: by their names, or by a key that lies in the private
place and is made on first use."""

from __future__ import annotations

import dataclasses
import secrets

from vsv_pyramid.destination import Destination, open_destination, tie
from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.layout import keys, shapes
from vsv_pyramid.layout.documents import read, to_json
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide.source import Source

VERSION = 1
_KEY_BYTES = 32


def keyed(options: ConvertOptions, store: Destination, *, create: bool = True) -> ConvertOptions:
    """The options with the destination's key, where ids are made by it; one that lacks is made, if
    it is to be. Raises OptionError, also where ids would be names although there is a key: the
    program may be set up otherwise on another machine. Raises StoreError."""
    if options.slide_id or options.ids_key is not None:
        return options
    if options.ids != "opaque":
        if store.private and store.head(keys.IDS_KEY) is not None:
            raise OptionError(
                f"the ids at {store} do not tell names; give --ids opaque, or an id by --id"
            )
        return dataclasses.replace(options, ids_key=b"")
    if store.sealed:
        raise OptionError(f"{store} is an archive, which has no opaque ids; give an id by --id")
    if store.private is None:
        raise OptionError(
            f"--ids opaque needs the private place of {store}, in which the key of the ids lies; "
            f"give it as {tie.HOW}"
        )
    key = key_at(store)
    if key is None and create:
        if any(keys.is_opaque(name.rstrip("/")) for name in store.names(keys.KEPT)):
            raise StoreError(
                store.place(keys.IDS_KEY),
                "is lost, and all slides would get other ids; bring a former version back",
            )
        made = {"version": VERSION, "key": secrets.token_hex(_KEY_BYTES)}
        store.put_if(keys.IDS_KEY, to_json(made), None)  # unless another process was faster
        key = key_at(store)
    if key is None:
        raise OptionError(
            "the ids are not known before the first conversion, which makes their key; plan "
            "without --ids opaque"
        )
    return dataclasses.replace(options, ids_key=key)


def keyed_at(destination: str, options: ConvertOptions, *, create: bool = True) -> ConvertOptions:
    """The same, of the destination at a path or URL."""
    if options.ids != "opaque" and not options.private_to:
        return options
    store = open_destination(destination, options.private_to, options.s3)
    return keyed(options, store, create=create)


def identified(options: ConvertOptions, source: Source, store: Destination) -> ConvertOptions:
    """The options with the id under which the file is published. Raises OptionError and
    StoreError."""
    options = keyed(options, store)
    return dataclasses.replace(options, slide_id=id_of(source, options))


def id_of(source: Source, options: ConvertOptions) -> str:
    """The id given, or one by the file's stem; raises OptionError where the layout allows none."""
    try:
        return options.slide_id or options.id_of(source.stem)
    except OptionError as exc:
        raise OptionError(f"{source}: {exc}") from exc


def key_at(store: Destination) -> bytes | None:
    """The key of the destination's opaque ids, None where it has none. Raises StoreError."""
    found = store.tagged(keys.IDS_KEY)
    if found is None:
        return None
    try:
        said = read(found.data, shapes.IdsKey)
        key = bytes.fromhex(said["key"])
        if said["version"] != VERSION or len(key) != _KEY_BYTES:
            raise ValueError("no key of ours")
        return key
    except ValueError as exc:
        raise StoreError(
            store.place(keys.IDS_KEY),
            "is damaged; bring a former version back, or all slides get other ids",
        ) from exc
