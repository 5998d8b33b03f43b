"""Places in buckets that keep versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.support.s3_server import Place


@contextmanager
def keeping_versions(place: Place) -> Iterator[Place]:
    """A place in a bucket of its own that keeps versions, as the one of what is private does."""
    client = place.server.client()
    made = replace(place, bucket=f"{place.prefix}-images")
    for one in made, kept_by(made):
        client.create_bucket(Bucket=one.bucket, ObjectLockEnabledForBucket=True)
        client.put_bucket_versioning(
            Bucket=one.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    yield made
    for one in made, kept_by(made):
        for key, version in versions(one):
            client.delete_object(Bucket=one.bucket, Key=key, VersionId=version)
        client.delete_bucket(Bucket=one.bucket)


def kept_by(place: Place) -> Place:
    """The private place."""
    return replace(place, bucket=place.bucket.replace("-images", "-private"))


def versions(place: Place) -> list[tuple[str, str]]:
    """All of the bucket's: keys and ids."""
    pages = place.server.client().get_paginator("list_object_versions")
    return [
        (one["Key"], one["VersionId"])
        for page in pages.paginate(Bucket=place.bucket)
        for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    ]
