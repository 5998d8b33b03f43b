"""What a bucket lists: by obstore, and where that does not know the keys, by boto3."""

from __future__ import annotations

import re
from typing import Any

import obstore
from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import S3Store as ObjectStore

from vsv_pyramid.aws.session import NotS3, S3Url
from vsv_pyramid.store.base import StoredObject

_NO_TEXT = "\ufffd"  # in the place of what cannot be in XML
_UNREADABLE = "Got invalid list response"


def names(client: Any, url: S3Url, folder: str) -> list[str]:
    """What is directly below the folder; of folders with a slash at the end. By boto3, which
    notices lists without an end. Raises as boto3 does."""
    above = url.full(f"{folder}/" if folder else "")
    found = []
    pages = client.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=url.bucket, Prefix=above, Delimiter="/"):
        found += [item["Prefix"] for item in page.get("CommonPrefixes", ())]
        found += [item["Key"] for item in page.get("Contents", ())]
    return [path.removeprefix(above) for path in found if path != above]


def every(client: Any, objects: ObjectStore, url: S3Url, prefix: str) -> list[StoredObject]:
    """The objects whose keys, below the URL, start so. Raises as boto3 and obstore do."""
    where = {"Bucket": url.bucket, "Prefix": url.full(prefix)}
    # By boto3, which tells a page from an empty list, and notices lists without an end.
    first = client.list_objects_v2(**where, MaxKeys=1)
    found = _quickly(objects, prefix.rpartition("/")[0]) if first.get("Contents") else None
    if found is None and (first.get("Contents") or first["IsTruncated"]):
        found = _slowly(client, where, url.full(""))
    return [item for item in found or () if item.key.startswith(prefix)]


def md5_of(etag: str | None) -> str | None:
    """The MD5 that an ETag is, unless it is of parts, or of what was encrypted otherwise."""
    found = re.fullmatch(r'"?([0-9a-f]{32})"?', etag or "")
    return found[1] if found else None


def _quickly(objects: ObjectStore, folder: str) -> list[StoredObject] | None:
    """None where it has keys that obstore does not know, or takes for others."""
    found: dict[str, StoredObject] = {}
    try:
        for page in obstore.list(objects, folder or None):
            for item in page:
                key = item["path"]
                if key in found or _NO_TEXT in key:
                    return None
                found[key] = StoredObject(
                    key, item["size"], md5_of(item["e_tag"]), item["last_modified"].timestamp()
                )
    except BaseError as exc:
        if isinstance(exc, InvalidPathError) or _UNREADABLE in str(exc):
            return None
        raise
    return list(found.values())


def _slowly(client: Any, where: dict[str, str], above: str) -> list[StoredObject]:
    """By boto3, at ten times the CPU time."""
    found: dict[str, StoredObject] = {}
    for page in client.get_paginator("list_objects_v2").paginate(**where):
        for item in page.get("Contents", ()):
            key = item["Key"].removeprefix(above)
            if key in found:
                raise NotS3("a list that begins anew")
            found[key] = StoredObject(
                key, item["Size"], md5_of(item.get("ETag")), item["LastModified"].timestamp()
            )
    return list(found.values())
