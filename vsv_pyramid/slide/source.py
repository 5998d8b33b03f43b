"""Where slides come from: files, and objects in S3 that are fetched first."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from vsv_pyramid.slide.files import FileSource
from vsv_pyramid.slide.pixels import Slide
from vsv_pyramid.slide.remote import ObjectSource


class Source(Protocol):
    """One slide's place. `location` is its path or URL in full, `name` the file's, or its folder's
    where it is several, and `stem` what its id is made of; `fingerprint` tells this slide from any
    other, and `place` where it is from any other place: `places` has what releases before this one
    called it, too; `arrived` is when the last of it came there (Unix time).

    Raises SlideAccessError where there is no slide.
    """

    location: str
    name: str
    stem: str
    place: str
    places: frozenset[str]
    fingerprint: Mapping[str, object]
    arrived: float

    def opened(self) -> AbstractContextManager[Slide]:
        """The slide, open until the block ends."""

    def check_unchanged(self) -> None:
        """Raises SlideChanged where the slide is no longer the one that the source was made of."""

    def check_removable(self) -> None:
        """Raises SlideAccessError where the slide's file cannot be removed, as far as that is to be
        known beforehand."""

    def remove(self) -> None:
        """Removes the slide's file for good. Raises SlideAccessError, also where another one is
        there by now."""


def find_source(
    slide: str | Path,
    scratch: Path | None = None,
    request_payer: str | None = None,
    stop: threading.Event | None = None,
) -> Source:
    """The source that a path or an s3:// URL names; what is fetched goes into a new folder within
    `scratch`, the system's own by default, and is removed after use; `request_payer` is as in
    S3Options. Once `stop` is set, S3 is not asked again."""
    if str(slide).startswith("s3://"):
        return ObjectSource(str(slide), scratch, request_payer, stop)
    return FileSource(Path(slide))


def is_of(stated: Mapping[str, object], source: Source) -> bool:
    """Whether what is stated of a file, its fingerprint among it, is of this very one."""
    return all(stated.get(key) == value for key, value in source.fingerprint.items())
