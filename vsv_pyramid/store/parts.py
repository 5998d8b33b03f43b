"""One object that goes to S3 in parts, of which the first, with the front, is sent last.

By boto3, since obstore has no way to send parts. What an interrupted upload of the same object has
left there is not sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from botocore.exceptions import ClientError

from vsv_pyramid.aws import session
from vsv_pyramid.errors import StoreError
from vsv_pyramid.runtime.threads import Pool

# What S3 says of a part, and wants to hear again: number, ETag, and checksums where it has them.
Part = dict[str, Any]

PART_BYTES = 8 << 20
_LEAST_BYTES = 5 << 20  # of any part but the last: S3 takes no smaller ones
_GROWS_EVERY = 2500  # parts, of which S3 takes 10,000
_AT_ONCE = 3


class Parts:
    """An object on its way, by a client of boto3's. Implements FrontLast.

    `where` names bucket and key, `how` is what the object is to have besides its bytes; `tried`
    calls what asks S3, again where that is worth it, and tells what it raises as StoreError.
    """

    def __init__(
        self,
        client: Any,
        where: Mapping[str, str],
        how: Mapping[str, str],
        tried: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._client = client
        self._where = where
        self._how = how
        self._tried = tried
        self._first: list[bytes] = []  # goes behind the front
        self._next = self._first
        self._lacking = _LEAST_BYTES
        self._sent: dict[int, Future[Part]] = {}
        self._under_way: deque[Future[Part]] = deque()
        self._bytes = 0
        self._pool = Pool(_AT_ONCE, "part")
        self.kept = 0  # parts that were there

    def __enter__(self) -> Parts:
        found = self._tried(self._found)
        self._there: dict[int, Part] = found[1] if found else {}
        upload = found[0] if found else self._tried(self._begun)
        self._about = {**self._where, "UploadId": upload}
        self._pool.__enter__()
        return self

    def __exit__(self, kind: Any, raised: BaseException | None, trace: Any) -> None:
        """What ends by a slide's own fault is of no use; all else is gone on with another time."""
        self._pool.__exit__(kind, raised, trace)
        if isinstance(raised, Exception) and not isinstance(raised, StoreError):
            with contextlib.suppress(StoreError):
                self._tried(lambda: self._client.abort_multipart_upload(**self._about))

    def append(self, data: bytes) -> None:
        self._next.append(data)
        self._lacking -= len(data)
        if self._lacking <= 0:
            if self._next is not self._first:
                self._send(b"".join(self._next))
            self._next = []
            self._lacking = PART_BYTES << len(self._sent) // _GROWS_EVERY

    def finish(self, front: bytes) -> None:
        if self._next and self._next is not self._first:
            self._send(b"".join(self._next))
        self._send(b"".join([front, *self._first]), number=1)
        parts = [sent.result() for _, sent in sorted(self._sent.items())]
        self._tried(lambda: self._complete(parts))

    def _send(self, data: bytes, number: int | None = None) -> None:
        """Begins with it once there is room; raises what has stopped one before it."""
        if len(self._under_way) == _AT_ONCE:
            self._under_way.popleft().result()
        number = number or len(self._sent) + 2
        self._bytes += len(data)
        sent = self._sent[number] = self._pool.submit(self._put, number, data)
        self._under_way.append(sent)

    def _put(self, number: int, data: bytes) -> Part:
        there = self._there.get(number)
        if there and there["Size"] == len(data) and there["ETag"].strip('"') == _md5(data):
            self.kept += 1
            return _part(number, there)
        about = {**self._about, "PartNumber": number, "Body": data}
        return _part(number, self._tried(lambda: self._client.upload_part(**about)))

    def _complete(self, parts: list[Part]) -> None:
        try:
            self._client.complete_multipart_upload(**self._about, MultipartUpload={"Parts": parts})
        except ClientError as exc:  # it was done, and the answer got lost
            if session.code(exc) != "NoSuchUpload":
                raise
            if self._client.head_object(**self._where)["ContentLength"] != self._bytes:
                raise exc from None

    def _begun(self) -> str:
        return str(self._client.create_multipart_upload(**self._where, **self._how)["UploadId"])

    def _found(self) -> tuple[str, dict[int, Part]] | None:
        """The upload of this object that was interrupted, with its parts. Others in its folder are
        ended: nobody else is at it."""
        pages = self._client.get_paginator("list_multipart_uploads")
        bucket, key = self._where["Bucket"], self._where["Key"]
        about = {"Bucket": bucket, "Prefix": key[: key.rfind("/") + 1]}
        uploads = [
            (found["Key"], found["UploadId"])
            for page in pages.paginate(**about)
            for found in page.get("Uploads", ())
        ]
        own = [upload for of, upload in uploads if of == key][-1:]
        for of, upload in uploads:
            if upload not in own:
                self._client.abort_multipart_upload(Bucket=bucket, Key=of, UploadId=upload)
        if not own:
            return None
        (upload,) = own
        pages = self._client.get_paginator("list_parts")
        return upload, {
            part["PartNumber"]: part
            for page in pages.paginate(**self._where, UploadId=upload)
            for part in page.get("Parts", ())
        }


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _part(number: int, said: Mapping[str, Any]) -> Part:
    checksums = {
        name: value
        for name, value in said.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    }
    return {"PartNumber": number, "ETag": said["ETag"], **checksums}
