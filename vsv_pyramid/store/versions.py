"""What a bucket with versions keeps of objects that were replaced or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from vsv_pyramid.aws.session import S3Url, code, is_passing
from vsv_pyramid.words import is_plain

_AT_ONCE = 1000  # versions by one request


class Version(NamedTuple):
    """One of an object's versions, or a mark (of no bytes) that it was deleted."""

    key: str
    version: str
    size: int
    is_latest: bool


def all_versions(client: Any, url: S3Url, prefix: str) -> Iterator[Version]:
    """All versions of the objects whose keys, below the URL, start so; of a bucket that never kept
    any the present ones. Raises as boto3 does."""
    above = len(url.full(""))
    pages = client.get_paginator("list_object_versions").paginate(
        Bucket=url.bucket, Prefix=url.full(prefix)
    )
    for page in pages:
        for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            yield Version(
                found["Key"][above:], found["VersionId"], found.get("Size", 0), found["IsLatest"]
            )


def without(client: Any, url: S3Url, versions: Iterable[Version]) -> list[str]:
    """Removes them for good; S3's code for each that stays. Raises as boto3 does."""
    left: list[Version] = []
    codes = []
    for one in versions:
        if is_plain(one.key):
            left.append(one)
            continue
        try:  # by itself: not every name can be in a list of them
            client.delete_object(Bucket=url.bucket, Key=url.full(one.key), VersionId=one.version)
        except ClientError as exc:
            if is_passing(exc):
                raise
            codes.append(code(exc))
    while left:
        these, left = left[:_AT_ONCE], left[_AT_ONCE:]
        told = client.delete_objects(
            Bucket=url.bucket,
            Delete={
                "Objects": [{"Key": url.full(one.key), "VersionId": one.version} for one in these],
                "Quiet": True,
            },
        )
        codes += [error["Code"] for error in told.get("Errors", ())]
    return codes


def never_end(client: Any, url: S3Url, prefix: str) -> bool:
    """Whether the bucket keeps for ever what is replaced under keys that start so. Raises as boto3
    does."""
    if client.get_bucket_versioning(Bucket=url.bucket).get("Status") != "Enabled":
        return False
    try:
        rules = client.get_bucket_lifecycle_configuration(Bucket=url.bucket)["Rules"]
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        return True
    return not any(
        rule["Status"] == "Enabled"
        and "NoncurrentVersionExpiration" in rule
        and url.full(prefix).startswith(_prefix(rule))
        for rule in rules
    )


def _prefix(rule: Mapping[str, Any]) -> str:
    """That of the keys that a lifecycle rule is for; one that no key has, where there is more to it
    than a prefix."""
    if "Prefix" in rule:
        return str(rule["Prefix"])
    filtered = rule.get("Filter", {})
    return str(filtered.get("Prefix", "")) if filtered.keys() <= {"Prefix"} else "\0"
