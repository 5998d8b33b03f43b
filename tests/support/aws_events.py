"""What AWS tells of an object that was put."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING: Mapping[str, str] = {}


def object_created(
    key: str, size: int = 1_938_955, changed: Mapping[str, str] = NOTHING
) -> dict[str, Any]:
    """As EventBridge has it: the key is not encoded."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2026-11-12T00:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::images"],
        "detail": {
            "version": "0",
            "bucket": {"name": "images"},
            "object": {"key": key, "size": size, "etag": "b1946ac92492d2347c6235b4d2611184"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "reason": "PutObject",
        },
        **changed,
    }


def notification(key: str, size: int = 5, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """As S3 itself tells SQS: the key is encoded as in a form."""
    about = {"bucket": {"name": "images"}, "object": {"key": key, "size": size}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": about}]}
