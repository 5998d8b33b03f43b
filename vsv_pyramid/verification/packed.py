"""Holds the places in a packed pyramid against each other, and its index against them: viewers find
the tiles by it alone."""

from __future__ import annotations

from itertools import pairwise

from vsv_pyramid.errors import CONVERT_AGAIN, DescriptorError
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.index import Index
from vsv_pyramid.store.zipped import Szi
from vsv_pyramid.verification.findings import Check


def check_places(check: Check, szi: Szi) -> None:
    """No two members may share bytes; and the index, where the file has one, must be of this
    pyramid, and lead to each tile."""
    members = sorted(szi.places.items(), key=lambda member: member[1].start)
    check.report.add(
        [
            f"{other} lies in the bytes of {key}; {CONVERT_AGAIN}"
            for (key, place), (other, next_place) in pairwise(members)
            if next_place.start < place.stop
        ]
    )
    if szi.index_data is None:
        return
    try:
        index = Index.parse(szi.root, szi.index_data)
    except DescriptorError as exc:
        check.report.errors.append(str(exc))
        return
    if index.pyramid != check.pyramid:
        check.report.wrong("its index is of another pyramid than its descriptor")
        return
    astray = []
    for address in check.pyramid.tiles():
        place = szi.places.get(keys.tile_key(check.folder, address))
        if place is not None and index.span(address) != (place.start, place.stop):
            astray.append(f"the index has tile {address} in another place; {CONVERT_AGAIN}")
    check.report.add(astray)
