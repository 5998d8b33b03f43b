"""S3's own list of a bucket (S3 Inventory, as CSV), in place of thousands of requests."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import logging
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, Any
from urllib.parse import unquote_plus

from vsv_pyramid.aws import session
from vsv_pyramid.aws.retry import with_retries
from vsv_pyramid.errors import OptionError
from vsv_pyramid.store import S3Options
from vsv_pyramid.unattended.listed import Item, account

_NEEDED = ("Key", "Size", "LastModifiedDate", "ETag")
_DAMAGED = (
    *(OSError, EOFError, zlib.error, csv.Error, RecursionError),
    *(ValueError, KeyError, TypeError, AttributeError),
)


def objects_in(manifest: str, bucket: str, s3: S3Options | None) -> Iterator[Item]:
    """The objects of the bucket, as its inventory has them; `manifest` is the URL of its
    manifest.json. Raises StoreError, and OptionError where it is none of that bucket."""
    url = session.object_url(manifest)
    try:
        with _fetched(url, s3) as file:
            keys, fields = _parsed(json.load(file), bucket)
    except _DAMAGED as exc:
        raise OptionError(
            f"{url}: is no manifest.json of an S3 Inventory of s3://{bucket} as CSV with Size, "
            f"LastModifiedDate and ETag; give one ({exc})"
        ) from exc
    for key in keys:
        place = url._replace(key=key)
        try:
            with _fetched(place, s3) as file:
                yield from _rows(file, fields)
        except _DAMAGED as exc:
            raise OptionError(f"{place}: is damaged ({exc}); wait for the next inventory") from exc


def _parsed(document: Any, bucket: str) -> tuple[list[str], list[str]]:
    """The keys of the lists, and the names of their columns. Raises as _DAMAGED has it."""
    fields = [field.strip() for field in document["fileSchema"].split(",")]
    if (document["sourceBucket"], document["fileFormat"]) != (bucket, "CSV"):
        raise ValueError("it is of another bucket, or not CSV")
    if missing := set(_NEEDED).difference(fields):
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return [str(file["key"]) for file in document["files"]], fields


def _rows(file: IO[bytes], fields: list[str]) -> Iterator[Item]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        for cells in csv.reader(text):
            row = dict(zip(fields, cells, strict=True))
            if _is_present(row):
                yield {
                    "Key": unquote_plus(row["Key"]),
                    "Size": int(row["Size"]),
                    "ETag": f'"{row["ETag"]}"',
                    "LastModified": datetime.fromisoformat(
                        row["LastModifiedDate"].replace("Z", "+00:00")
                    ),
                    "StorageClass": row.get("StorageClass"),
                }


def _is_present(row: Mapping[str, str]) -> bool:
    """Whether it is no former version, and no mark of a deletion."""
    return row.get("IsLatest") != "false" and row.get("IsDeleteMarker") != "true"


@contextlib.contextmanager
def _fetched(url: session.S3Url, s3: S3Options | None) -> Iterator[IO[bytes]]:
    client = account(url, s3).client
    with tempfile.TemporaryFile() as file:

        def fetch() -> None:
            file.seek(0)
            file.truncate()
            client.download_fileobj(url.bucket, url.key, file)
            file.seek(0)

        try:
            with_retries(url, fetch, logging.WARNING)
        except session.ERRORS as exc:
            raise session.refusal(url, exc) from exc
        yield file
