"""How far a piece of work is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a conversion, or a verification, is: tiles made and planned, and base pixels done.

    convert("170782.svs", "www", progress=lambda now: print(now.tiles, "of", now.total))
    """

    tiles: int
    total: int
    base_pixels: int


def unless(
    ended: Callable[[], None], show: Callable[[Progress], None]
) -> Callable[[Progress], None]:
    """Shows the progress, unless `ended` raises first: so the work is ended from within."""

    def tick(progress: Progress) -> None:
        ended()
        show(progress)

    return tick
