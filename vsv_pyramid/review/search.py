"""Which of the slides are looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vsv_pyramid.catalog_json import Entry
from vsv_pyramid.review.history import CASE_ID, LAB_ID

_SEARCHED = ("scanned", "scanner", "file")


def found(
    slides: Iterable[Entry], *, status: str | None = None, search: str = "", since: str = ""
) -> list[Entry]:
    """The slides that are of the status, have all words of the search, and are scanned (published,
    where they do not say when; or deleted) at the date or later; by id, numbers as such."""
    words = search.lower().split()

    def fits(slide: Entry) -> bool:
        said = slide.get("review", slide)
        text = " ".join(
            str(value).lower()
            for value in (
                slide["id"],
                said[LAB_ID],
                said[CASE_ID],
                *map(slide.get, _SEARCHED),
            )
            if value
        )
        date = slide.get("scanned") or slide.get("created") or slide.get("when") or ""
        return (
            status in (None, said.get("status"))
            and all(word in text for word in words)
            and date[: len(since)] >= since
        )

    return sorted(filter(fits, slides), key=lambda slide: _natural(slide["id"]))


def _natural(text: str) -> list[tuple[str, int]]:
    """What sorts 2 before 10."""
    return [(rest, int(part or 0)) for rest, part in re.findall(r"(\D*)(\d*)", text)]
