"""What S3 has of slides: an object after the other, of a million as of one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from vsv_pyramid.aws import session
from vsv_pyramid.aws.retry import with_retries
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.names import is_dicom_name, is_slide
from vsv_pyramid.slide.search import is_slide_key
from vsv_pyramid.store import S3Options

Item = Mapping[str, Any]  # as S3 lists it
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # Glacier Instant Retrieval is read like any other class


class Listed(NamedTuple):
    """An object of the slide at a key, that of a folder for DICOM; its ETag as S3 states it, when
    it changed (Unix time), and whether it cannot be read as yet."""

    slide: str
    key: str
    size: int
    etag: str
    modified: float
    is_archived: bool


def account(url: session.S3Url, s3: S3Options | None) -> session.Account:
    return session.Account(url, RequestPayer=s3.request_payer if s3 else None)


def slides_among(
    items: Iterable[Item], url: session.S3Url, options: ConvertOptions
) -> Iterator[Listed]:
    """Those of the objects that are of slides, and are at the URL or below."""
    excluded = Excluded(options.exclude)
    prefix = _prefix(url)
    above = len(prefix.rpartition("/")[0])
    for item in items:
        key: str = item["Key"]
        if key.startswith(prefix) and is_slide_key(key[above:].removeprefix("/"), excluded):
            folder, _, name = key.rpartition("/")
            yield Listed(
                f"{folder}/" if is_dicom_name(name) else key,
                key,
                item["Size"],
                item["ETag"],
                item["LastModified"].timestamp(),
                _is_archived(item),
            )


def objects_at(url: session.S3Url, s3: S3Options | None) -> Iterator[Item]:
    """The objects at the URL and below, a thousand a request. Raises StoreError."""
    client = account(url, s3).client
    where = {
        "Bucket": url.bucket,
        "Prefix": _prefix(url),
        "OptionalObjectAttributes": ["RestoreStatus"],
    }
    while True:
        try:
            page = with_retries(url, partial(client.list_objects_v2, **where), logging.WARNING)
        except session.ERRORS as exc:
            raise session.refusal(url, exc) from exc
        yield from page.get("Contents", ())
        if not page["IsTruncated"]:
            return
        where["ContinuationToken"] = page["NextContinuationToken"]


def _prefix(url: session.S3Url) -> str:
    itself = not url.key or url.key.endswith("/") or is_slide(url.key.rpartition("/")[2])
    return url.key if itself else f"{url.key}/"


def _is_archived(item: Item) -> bool:
    is_restored = "RestoreExpiryDate" in item.get("RestoreStatus", {})
    return item.get("StorageClass") in _ARCHIVES and not is_restored
