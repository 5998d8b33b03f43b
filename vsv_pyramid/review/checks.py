"""Whether a slide may be changed, and sent, as it is by now."""

from __future__ import annotations

from vsv_pyramid.errors import ReviewConflict, ReviewError
from vsv_pyramid.review.history import BAD, IDS, Record

GONE = "is deleted, and awaits its rescan; convert that first"


def check_revision(record: Record, revision: int | None) -> None:
    """Raises ReviewConflict where it is not at the revision, if there is one, any more."""
    if revision not in (None, record.revision):
        raise ReviewConflict(
            record.id,
            f"was changed since you looked ({since(record, revision)}); look at it again",
        )


def since(record: Record, revision: int) -> str:
    """What was done to it since the revision, in words."""
    return "; ".join(str(event) for event in record.history[revision:]) or "it was made anew"


def check_not_deleted(record: Record) -> None:
    """Raises ReviewError."""
    if record.is_deleted:
        raise ReviewError(record.id, GONE)


def check_ready(record: Record) -> None:
    """Raises ReviewError for a slide that is not to be sent."""
    lacking = [name for field, name in IDS.items() if not record.value(field)]
    if lacking:
        raise ReviewError(
            record.id, f"has no {' and no '.join(lacking)}; set what is missing, then send it"
        )
    if record.value("status") == BAD:
        raise ReviewError(record.id, "is BAD; delete it for a rescan, or set it good")
