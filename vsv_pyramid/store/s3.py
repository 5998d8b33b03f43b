"""A store in an S3 bucket, or in any server that speaks its protocol.

obstore moves the objects, by its synchronous calls from threads: a seventeenth of the CPU that
boto3 takes. boto3 finds credentials, region and endpoint, and keeps the lease.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store as ObjectStore

from vsv_pyramid import aws, clock, dzi
from vsv_pyramid.errors import NoSuchObject
from vsv_pyramid.s3_codes import CODES
from vsv_pyramid.store.base import Store, StoredObject, Tagged
from vsv_pyramid.store.lease import UNKNOWN, Lease
from vsv_pyramid.store.objects import objects
from vsv_pyramid.store.options import S3Options

if TYPE_CHECKING:
    from obstore import PutMode

Result = TypeVar("Result")

_NEVER_THERE = ".is-this-allowed"
_PUTS_A_SECOND_AT_FIRST = 500.0  # S3 answers 503 to a rate that it has not grown used to
_GROWTH_A_SECOND = 50.0
_NO_BUCKET = "NoSuchBucket"

_WITHOUT_BULK_DELETE: set[str] = set()  # addresses, for as long as this process runs


class S3Store:
    """Objects in a bucket, below a prefix. Implements Store.

    What a passing trouble stops is tried again, unless `stopped` is set.
    """

    remote = True
    sealed = False

    def __init__(
        self, url: aws.S3Url, options: S3Options, stopped: threading.Event | None = None
    ) -> None:
        self._url = url
        self._options = options
        self._stopped = stopped or threading.Event()
        self._pace = _Pace(options.max_put_rate)
        self._lease: Lease | None = None
        self._answered = False  # before it has, somebody may wait and wonder
        self.parallel_puts = options.upload_workers

    @cached_property
    def _account(self) -> aws.Account:
        """Made at the first call of a method, since it costs more than a small slide does."""
        return aws.Account(self._url, **_parameters(self._options))

    @cached_property
    def _objects(self) -> ObjectStore:
        return objects(self._url, self._account, self._options)

    @cached_property
    def _one_by_one(self) -> ObjectStore:
        """The same, for servers that know no deletion of many objects by one request."""
        return objects(self._url, self._account, self._options, disable_bulk_delete=True)

    @cached_property
    def _lists(self) -> ObjectStore:
        """The same without the owner's header, which obstore leaves out where it signs a list."""
        if not self._options.expected_bucket_owner:
            return self._objects
        options = replace(self._options, expected_bucket_owner=None)
        return objects(self._url, self._account, options)

    def __str__(self) -> str:
        return str(self._url)

    def put(self, key: str, data: bytes) -> None:
        attributes = dzi.http_headers(key)
        if self._options.storage_class:
            attributes = {**attributes, "Storage-Class": self._options.storage_class}

        def put() -> None:
            self._check_lease()
            self._pace.wait()
            obstore.put(self._objects, key, data, attributes=attributes, use_multipart=False)

        self._tried(key, put)

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        """In the bucket's own storage class: others charge for what is soon replaced. A server that
        knows no conditional writes puts it in any case."""
        return self._put_if(key, data, tag)

    def _put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        def put(mode: PutMode) -> None:
            self._check_lease()
            self._pace.wait()
            attributes = dzi.http_headers(key)
            obstore.put(
                self._objects, key, data, attributes=attributes, mode=mode, use_multipart=False
            )

        def attempt() -> bool:
            try:
                put("create" if tag is None else {"e_tag": tag})
            except (AlreadyExistsError, PreconditionError) as exc:
                if aws.code(exc) == _NO_BUCKET:
                    raise
                return False
            except BaseError as exc:
                if aws.status(exc) not in UNKNOWN:
                    raise
                put("overwrite")
            return True

        try:
            return self._tried(key, attempt)
        except FileNotFoundError:  # what some servers say of what was to be replaced, and is gone
            return False

    def get(self, key: str, *, first: int | None = None) -> bytes:
        def get() -> bytes:
            if first is None:
                return bytes(obstore.get(self._objects, key).bytes())
            return bytes(obstore.get_range(self._objects, key, start=0, length=first))

        try:
            return self._tried(key, get)
        except FileNotFoundError as exc:
            raise NoSuchObject(f"{self}/{key}") from exc

    def tagged(self, key: str) -> Tagged | None:
        def get() -> Tagged:
            found = obstore.get(self._objects, key)
            return Tagged(bytes(found.bytes()), found.meta["e_tag"] or "")

        try:
            return self._tried(key, get)
        except FileNotFoundError:
            return None

    def head(self, key: str) -> int | None:
        def head() -> int:
            try:
                return obstore.head(self._objects, key)["size"]
            except BaseError as exc:
                if aws.status(exc):  # an answer to HEAD has no body that could say why
                    obstore.get_range(self._objects, key, start=0, length=1)
                raise

        try:
            return self._tried(key, head)
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        def listed() -> list[str]:
            found = obstore.list_with_delimiter(self._lists, folder or None)
            paths = [f"{path}/" for path in found["common_prefixes"]]
            paths += [item["path"] for item in found["objects"]]
            return [path.removeprefix(folder).lstrip("/") for path in paths]

        return self._tried(folder, listed)

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        folder = prefix.rpartition("/")[0]

        def listed() -> list[StoredObject]:
            return [
                StoredObject(found["path"], found["size"], _md5(found["e_tag"]))
                for page in obstore.list(self._lists, folder or None)
                for found in page
                if found["path"].startswith(prefix)
            ]

        yield from self._tried(prefix, listed)

    def delete(self, *keys: str) -> None:
        def delete() -> None:
            self._check_lease()
            address = self._account.address
            if address not in _WITHOUT_BULK_DELETE:
                try:
                    obstore.delete(self._objects, list(keys))
                    return
                except BaseError as exc:
                    if not _knows_no_bulk_delete(exc):
                        raise
            obstore.delete(self._one_by_one, list(keys))
            _WITHOUT_BULK_DELETE.add(address)

        if keys:
            self._tried(keys[0], delete)

    def check_rights(self, *, put: Iterable[str] = (), delete: Iterable[str] = ()) -> None:
        """Puts what is there as it is, if it still is, and deletes what never is."""
        for key in put:
            if found := self.tagged(key):
                self._put_if(key, found.data, found.tag)
        self.delete(*{f"{key.rpartition('/')[0]}/{_NEVER_THERE}" for key in delete})

    @contextmanager
    def exclusive(self, folder: str) -> Iterator[None]:
        key = f"{self._url.key}/.leases/{folder}".lstrip("/")
        lease = Lease(self._account.client, self._url._replace(key=key), f"{self}/{folder}")
        with lease.held():
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    @contextmanager
    def replacing(self, folder: str) -> Iterator[Store]:
        with self.exclusive(folder):
            yield self

    def _check_lease(self) -> None:
        if self._lease:
            self._lease.check()

    def _tried(self, key: str, action: Callable[[], Result]) -> Result:
        """The action's result; FileNotFoundError as it comes, all else as StoreError."""
        place = f"{self}/{key}"
        level = logging.INFO if self._answered else logging.WARNING
        try:
            result = aws.patiently(place, action, level, self._stopped)
            self._answered = True
            return result
        except FileNotFoundError as exc:
            if aws.code(exc) != _NO_BUCKET:
                raise
            raise aws.refusal(self, exc) from exc
        except aws.ERRORS as exc:
            raise aws.refusal(self if aws.code(exc) == _NO_BUCKET else place, exc) from exc


class _Pace:
    """Lets so many puts a second go that the server can grow used to them, and no more than the
    maximum."""

    def __init__(self, maximum: float) -> None:
        self._maximum = maximum
        self._start = self._next = clock.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = clock.monotonic()
            rate = min(
                self._maximum, _PUTS_A_SECOND_AT_FIRST + _GROWTH_A_SECOND * (now - self._start)
            )
            slot = max(self._next, now)
            self._next = slot + 1 / rate
        if slot > now:
            clock.sleep(slot - now)


def _md5(etag: str | None) -> str | None:
    """The MD5 that an ETag is, unless it is of parts, or of what was encrypted otherwise."""
    found = re.fullmatch(r'"?([0-9a-f]{32})"?', etag or "")
    return found[1] if found else None


def _parameters(options: S3Options) -> dict[str, object]:
    """The options by boto3's names."""
    return {
        "ServerSideEncryption": options.sse,
        "SSEKMSKeyId": options.kms_key,
        "BucketKeyEnabled": options.sse == "aws:kms" or None,
        # What boto3 puts is small, and the other checksum takes a library that it may not have.
        "ChecksumAlgorithm": "SHA256" if options.checksum else None,
        "RequestPayer": options.request_payer,
        "ExpectedBucketOwner": options.expected_bucket_owner,
    }


def _knows_no_bulk_delete(exc: BaseError) -> bool:
    """Whether it may be the way of deleting that the server refuses, and not the deletion: some say
    so by NotImplemented, some by MethodNotAllowed, some take the request for a malformed one."""
    if aws.status(exc) in (405, 501):
        return True
    return aws.status(exc) == 400 and aws.code(exc) not in CODES
