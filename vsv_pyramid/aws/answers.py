"""Answers that no S3 server gives, although boto3 takes them for good ones, or trips on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import IncompleteReadError

from vsv_pyramid.aws.s3_errors import SERVER, NotS3, said

# What each good answer of S3 has.
_ALWAYS_THERE = {
    "CompleteMultipartUpload": "ETag",
    "CreateMultipartUpload": "UploadId",
    "GetObject": "ETag",
    "ListObjectsV2": "IsTruncated",
    "PutObject": "ETag",
    "UploadPart": "ETag",
}
# What each item of a list has.
_ITEMS_HAVE = {
    "Contents": {"Key", "LastModified", "Size"},
    "CommonPrefixes": {"Prefix"},
    "Versions": {"Key", "VersionId", "IsLatest"},
    "DeleteMarkers": {"Key", "VersionId", "IsLatest"},
}
_OF_S3 = "rest-xml"
_TRIPPED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Parsers:
    """boto3's own (botocore's component `response_parser_factory`), whose reader of S3's answers
    trips on what is no number, or no date, where there should be one."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def create_parser(self, protocol: str) -> Any:
        parser = self._factory.create_parser(protocol)
        if protocol == _OF_S3:
            parser.parse = partial(_parsed, parser.parse)
        return parser


def watch(events: Any, address: str) -> None:
    """Has a client of S3 by its events judge what comes from that address, from then on."""
    events.register("before-call.s3.HeadBucket", _not_redirected)
    events.register("after-call.s3", partial(_judged, address))


def _parsed(parse: Callable[..., Any], *given: Any) -> Any:
    """What it makes of the answer. Raises NotS3, also where a list lacks what each of its items
    has."""
    try:
        found = parse(*given)
    except _TRIPPED as exc:
        raise NotS3(f"an answer that boto3 cannot read ({said(exc)})") from exc
    for name, has in _ITEMS_HAVE.items():
        if any(has - item.keys() for item in found.get(name, ())):
            raise NotS3(f"a list without {' or '.join(sorted(has))}")
    return found


def _judged(address: str, *, http_response: Any, parsed: Any, model: Any, **_: object) -> None:
    """Refuses the good answers that are not S3's; of the others, notes who gave them."""
    parsed.setdefault("ResponseMetadata", {})[SERVER] = address
    if http_response.status_code >= 300 and model.http["method"] != "HEAD":
        told = len(http_response.content)
        if told < (length := int(http_response.headers.get("content-length", 0))):
            raise IncompleteReadError(actual_bytes=told, expected_bytes=length)
    wanted = _ALWAYS_THERE.get(model.name)
    if http_response.raw.status >= 300 or not wanted or wanted in parsed:
        return
    # boto3 makes an error 500 of a good answer that is no XML, and of what S3 says too late.
    if parsed.get("Error", {}).get("Code", "500") == "500":
        raise NotS3(f"no {wanted} from {address}")


def _not_redirected(*, context: Any, **_: object) -> None:
    """Ends what boto3 would ask for ever: in which region the bucket is, where a server sends it to
    another one without a word about that."""
    context["s3_redirect"]["redirected"] = True
