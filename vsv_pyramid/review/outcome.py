"""What became of what a technician asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vsv_pyramid.errors import ReviewConflict, VsvPyramidError
from vsv_pyramid.review.history import Record


@dataclass(frozen=True)
class Outcome:
    """What became of one slide: the error where nothing was done, and its record as far as it
    was looked at."""

    id: str
    record: Record | None = None
    error: VsvPyramidError | None = None

    def facts(self) -> dict[str, Any]:
        """It as JSON has it."""
        facts: dict[str, Any] = {"id": self.id}
        if self.record:
            facts |= {"review": self.record.review(), "deleted": self.record.is_deleted}
        if self.error:
            facts |= {
                "error": str(self.error),
                "conflict": isinstance(self.error, ReviewConflict),
            }
        return facts
