"""Whether a bucket keeps former versions for ever, by what its owner has said."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from vsv_pyramid.aws.session import S3Url
from vsv_pyramid.store.versions import never_end

ENDS = {"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}


class Bucket:
    def __init__(self, status: str, rules: list[dict[str, Any]] | str) -> None:
        self._status = status
        self._rules = rules

    def get_bucket_versioning(self, **_: object) -> dict[str, str]:
        return {"Status": self._status}

    def get_bucket_lifecycle_configuration(self, **_: object) -> dict[str, Any]:
        if isinstance(self._rules, str):
            raise ClientError({"Error": {"Code": self._rules}}, "GetBucketLifecycleConfiguration")
        return {"Rules": self._rules}


@pytest.mark.parametrize(
    ("status", "rules", "told"),
    [
        ("Suspended", "NoSuchLifecycleConfiguration", False),
        ("Enabled", "NoSuchLifecycleConfiguration", True),
        ("Enabled", [{**ENDS, "Prefix": "a/"}], False),
        ("Enabled", [{**ENDS, "Prefix": "b/"}], True),
        ("Enabled", [{**ENDS, "Filter": {}}], False),
        ("Enabled", [{**ENDS, "Filter": {"Tag": {"Key": "a", "Value": "b"}}}], True),
        ("Enabled", [{**ENDS, "Status": "Disabled", "Filter": {}}], True),
    ],
)
def test_it_is_told(status: str, rules: Any, told: bool) -> None:
    assert never_end(Bucket(status, rules), S3Url("bucket", "a"), "images/") is told


def test_what_may_not_be_asked_is_raised() -> None:
    with pytest.raises(ClientError):
        never_end(Bucket("Enabled", "AccessDenied"), S3Url("bucket", "a"), "images/")
