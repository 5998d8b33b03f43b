"""Destinations as a laboratory has them: with a private place beside the folder, or in a bucket of
its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.s3_server import BUCKET, PRIVATE_BUCKET
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions


def private_of(destination: object) -> str:
    """The place of what is private, for the tests' destinations."""
    place = str(destination)
    if place.startswith("s3://"):
        return place.replace(f"s3://{BUCKET}", f"s3://{PRIVATE_BUCKET}", 1)
    path = Path(place)
    return str(path.with_name(f"{path.name}-private"))


def opened(destination: object) -> Destination:
    return open_destination(str(destination), private_of(destination))


def keeping(options: ConvertOptions, destination: object) -> ConvertOptions:
    """The options with which a conversion into the destination keeps what is private, and publishes
    a lab's details."""
    return replace(options, private_to=private_of(destination), details="lab")


def as_formerly(destination: object) -> None:
    """Has all that is in the private place lie beside the pyramids, as releases before there were
    such places left it."""
    place = opened(destination)
    assert place.private
    for found in list(place.private.keys("")):
        if found.key != keys.ROOT:
            place.published.put(f".{found.key}", place.private.get(found.key))
        place.private.delete(found.key)
    place.published.delete(keys.root_key())
