"""What to do about a slide whose id may be taken: one decision, by what is there, the file that is
to be converted, and the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from vsv_pyramid.errors import OptionError, StoreError, VsvPyramidError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide.source import Source
from vsv_pyramid.slide_json import AS_GOOD, is_of

_DELETED = "it was deleted as a bad scan; --overwrite converts it all the same"


class Present(NamedTuple):
    """What is in the folder `place`: a pyramid that is published, of which `document` is slide.json
    (None where it cannot be read) and `origins` are the places where its file may have been, as far
    as they are known; or parts of one that nobody is at (`is_left`). `is_set_aside` says that this
    very scan was deleted, to be scanned anew; `twin` is the id of what is there where a disk takes
    it for the same name."""

    place: str
    is_published: bool = False
    document: Mapping[str, Any] | None = None
    origins: frozenset[str] = frozenset()
    is_left: bool = False
    is_set_aside: bool = False
    twin: str | None = None


@dataclass(frozen=True)
class Skip:
    """Nothing: what is to be published is, or, with a reason why, is not to be."""

    why: str = ""


@dataclass(frozen=True)
class Replace:
    """Publish it in the place of what is there."""


@dataclass(frozen=True)
class Resume:
    """Publish it, from the beginning or from where an interrupted publication has ended."""


@dataclass(frozen=True)
class Refuse:
    """Nothing, and say why."""

    error: VsvPyramidError


Decision = Skip | Replace | Resume | Refuse


def decide(present: Present, source: Source, options: ConvertOptions) -> Decision:
    """What the options want to be done about what is there."""
    if present.twin:
        return _refused(
            present,
            f"is of the slide {present.twin!r}, from which the disk does not tell this id; give "
            "another one with --id",
        )
    if options.overwrite:
        return Replace()
    if not present.is_published:
        if present.is_left:
            return _refused(
                present,
                "holds parts of a pyramid, and no DeepZoom.dzi; replace them with --overwrite",
            )
        return Skip(_DELETED) if present.is_set_aside else Resume()
    if is_current(present.document, source, options):
        return Skip()
    if not options.update:
        if present.document is None:
            return _refused(
                present,
                "holds a pyramid whose slide.json cannot be read; replace it with --overwrite",
            )
        return _refused(
            present,
            f"holds {_other(present.document, source, options)}; replace it with --overwrite",
        )
    if present.document is not None and source.places.isdisjoint(present.origins):
        return Refuse(_of_another_place(present, source))
    return Skip(_DELETED) if present.is_set_aside else Replace()


def is_current(document: Mapping[str, Any] | None, source: Source, options: ConvertOptions) -> bool:
    """Whether converting the slide again, with these options, would change nothing: whatever
    release has made it, and options that it did not have yet are their defaults. To be up to date
    (`update`) it is enough to be of this very file."""
    return document is not None and (
        is_of(document, source.fingerprint) and (options.update or _is_made_so(document, options))
    )


def _is_made_so(document: Mapping[str, Any], options: ConvertOptions) -> bool:
    return _is_wanted_so(document, options) and _algorithm(document) in AS_GOOD


def _is_wanted_so(document: Mapping[str, Any], options: ConvertOptions) -> bool:
    return (
        document.get("layout") in (keys.LAYOUT_VERSION, keys.PACKED_VERSION)
        and ConvertOptions().recorded() | document["options"] == options.recorded()
    )


def _algorithm(document: Mapping[str, Any]) -> int:
    return int(document["pyramid"].get("algorithm", 1))


def _other(document: Mapping[str, Any], source: Source, options: ConvertOptions) -> str:
    """What the pyramid is that is not current."""
    if is_of(document, source.fingerprint) and _is_wanted_so(document, options):
        earlier = _algorithm(document) < max(AS_GOOD)
        release = "an earlier" if earlier else "a later"
        return f"this slide's pyramid as {release} release made it, with tiles of other bytes"
    return "another file's pyramid, or this one's with other options"


def _refused(present: Present, what: str) -> Refuse:
    return Refuse(StoreError(present.place, what))


def _of_another_place(present: Present, source: Source) -> OptionError:
    if present.origins:
        return OptionError(
            f"{source}: {present.place} is of a slide of this name in another place; rename one of "
            "them, or delete that pyramid"
        )
    return OptionError(
        f"{source}: {present.place} was made from another file, and the place of that file is not "
        "known here; give the private place that remembers it (--private-to), or replace the "
        "pyramid with convert --overwrite"
    )
