"""S3's events about new objects, by EventBridge or by S3's own notifications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from vsv_pyramid.aws.session import S3Url
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.files import is_in_s3
from vsv_pyramid.slide.search import NOTHING_MORE, is_slide_key

Event = Mapping[str, Any]


class Arrived(NamedTuple):
    """A slide in S3, as an event tells of it; its size in bytes."""

    url: str
    size: int


def arrived(event: Event, excluded: Excluded = NOTHING_MORE) -> Iterator[Arrived]:
    """The slides that the event says are new: none of another event, or of another object. An
    empty object is none yet: some programs put one first, and there is an event of the next, too.
    """
    return (found for found in told_of(event, excluded) if found.size)


def told_of(event: Event, excluded: Excluded = NOTHING_MORE) -> Iterator[Arrived]:
    """The same, and the empty ones, too."""
    detail = event.get("detail", {})
    if event.get("source") == "aws.s3" and event.get("detail-type") == "Object Created":
        found = [(detail["bucket"]["name"], detail["object"]["key"], detail["object"]["size"])]
    else:
        found = [
            (s3["bucket"]["name"], unquote_plus(s3["object"]["key"]), s3["object"]["size"])
            for record in event.get("Records", ())
            if record.get("eventName", "").startswith("ObjectCreated:") and (s3 := record["s3"])
        ]
    for bucket, key, size in found:
        if is_slide_key(key, excluded) and is_in_s3(key):
            yield Arrived(str(S3Url(bucket, key)), size)
