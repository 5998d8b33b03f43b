"""What is found of one published pyramid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vsv_pyramid.errors import CONVERT_AGAIN
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.store.base import Reader

_ERRORS_A_KIND = 20


@dataclass
class Report:
    """What verify found: sentences, each naming its tile. Of a root, `tiles` is None: its pyramids
    were not looked into.

    `compared` tiles were held against the slide, `compared_by` says how many as each reader reads
    it, and `unread` ones were not, since no reader can decode the slide there. `reader` is the one
    whose word counts most: first those that have no part in the pyramid. `lowest_psnr` is in dB of
    luma, `lowest_chroma_psnr` of Cb or Cr at half size.
    """

    target: str
    tiles: int | None = 0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reader: str | None = None
    compared: int = 0
    compared_by: dict[str, int] = field(default_factory=dict)
    unread: int = 0
    lowest_psnr: float | None = None
    lowest_chroma_psnr: float | None = None

    def wrong(self, what: str) -> None:
        """Adds what only another conversion puts right."""
        self.errors.append(f"{what}; {CONVERT_AGAIN}")

    def add(self, found: list[str]) -> None:
        """Adds errors of one kind, and counts those past the first few."""
        self.errors += found[:_ERRORS_A_KIND]
        if len(found) > _ERRORS_A_KIND:
            self.errors.append(f"... and {len(found) - _ERRORS_A_KIND:,} more like the last one")


@dataclass(frozen=True)
class Check:
    """One pyramid under examination. `document` is its slide.json, None where that is no use."""

    store: Reader
    folder: str
    report: Report
    pyramid: Pyramid
    document: dict[str, Any] | None

    def tile(self, address: TileAddress, *, first: int | None = None) -> bytes:
        return self.store.read(keys.tile_key(self.folder, address), 0, first).data
