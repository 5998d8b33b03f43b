"""A store in an S3 bucket, or in any server that speaks its protocol.

obstore moves the objects, by its synchronous calls from threads: a seventeenth of the CPU that
boto3 takes. boto3 finds credentials, region and endpoint, and keeps the lease.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from botocore.exceptions import ClientError
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store as ObjectStore

from vsv_pyramid.aws import login, session
from vsv_pyramid.aws.retry import with_retries
from vsv_pyramid.aws.s3_codes import CODES
from vsv_pyramid.errors import NoSuchObject, StoreError, StoreUnavailable
from vsv_pyramid.layout import bounds, keys
from vsv_pyramid.store import s3_lists
from vsv_pyramid.store.base import Part, Store, StoredObject, Tagged
from vsv_pyramid.store.lease import Lease
from vsv_pyramid.store.listing import plain
from vsv_pyramid.store.objects import objects, unpanicked
from vsv_pyramid.store.options import S3Options
from vsv_pyramid.store.pace import Pace
from vsv_pyramid.store.parts import Parts
from vsv_pyramid.store.s3_lists import md5_of
from vsv_pyramid.store.versions import Version, all_versions, never_end, without
from vsv_pyramid.words import is_plain

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, PutMode

Result = TypeVar("Result")

_NO_BUCKET = "NoSuchBucket"
_NO_KEY = "NoSuchKey"
_NO_SUCH_RANGE = 416
_TOO_MANY = 503
_WRONG_CHECKSUM = ("BadDigest", "InvalidDigest")

_WITHOUT_BULK_DELETE: set[str] = set()  # addresses, for as long as this process runs


class S3Store:
    """Objects in a bucket, below a prefix. Implements Store.

    What a passing trouble stops is tried again, unless `stopped` is set.
    """

    remote = True
    sealed = False

    def __init__(
        self, url: session.S3Url, options: S3Options, stopped: threading.Event | None = None
    ) -> None:
        self._url = url
        self._options = options
        self._stopped = stopped or threading.Event()
        self._pace = Pace(options.max_put_rate)
        self._lease: Lease | None = None
        self._answered = False  # before it has, somebody may wait and wonder
        self._is_s3 = self._puts_arrive = False  # as far as an answer has shown
        self.parallel_puts = options.upload_workers

    @cached_property
    def _account(self) -> session.Account:
        """Made at the first call of a method, since it costs more than a small slide does."""
        return session.Account(self._url, **_parameters(self._options))

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
        attributes = keys.http_headers(key)
        if self._options.storage_class:
            attributes = {**attributes, "Storage-Class": self._options.storage_class}

        self._tried(key, lambda: self._put(key, data, attributes=attributes))

    @contextmanager
    def assembled(self, key: str) -> Iterator[Parts]:
        headers = keys.http_headers(key)
        how = {name.replace("-", ""): value for name, value in headers.items()}
        if self._options.storage_class:
            how["StorageClass"] = self._options.storage_class

        def tried(action: Callable[[], Result]) -> Result:
            def checked() -> Result:
                self._check_lease()
                return action()

            return self._tried(key, checked)

        where = {"Bucket": self._url.bucket, "Key": self._url.full(key)}
        with Parts(self._account.client, where, how, tried) as parts:
            yield parts

    def put_if(self, key: str, data: bytes, tag: str | None) -> bool:
        """In the bucket's own storage class: others charge for what is soon replaced. A server that
        knows no conditional writes puts it in any case."""
        mode: PutMode = "create" if tag is None else {"e_tag": tag}

        def put() -> bool:
            try:
                self._put(key, data, attributes=keys.http_headers(key), mode=mode)
            except (AlreadyExistsError, PreconditionError) as exc:
                if not session.is_taken(exc):
                    raise
                return False
            except FileNotFoundError as exc:  # some servers say so of what is gone in between
                if tag is None or session.code(exc) != _NO_KEY or self.head(key) is not None:
                    raise
                return False
            except BaseError as exc:
                if not session.knows_no_conditions(exc):
                    raise
                self._put(key, data, attributes=keys.http_headers(key))
            return True

        return self._tried(key, put)

    def get(self, key: str) -> bytes:
        return self.read(key, 0).data

    def read(self, key: str, start: int, end: int | None = None) -> Part:
        wanted: GetOptions = {"range": {"offset": start} if end is None else (start, end)}

        def got() -> Part:
            try:
                found = self._got(key, wanted if start or end else {})
                if end is None:
                    bounds.check(f"{self}/{key}", key, found.meta["size"])
                data = bytes(found.bytes())
            except BaseError as exc:
                if session.status(exc) != _NO_SUCH_RANGE:
                    raise
                found, data = self._got(key, {"head": True}), b""
            return Part(data, found.meta["size"], str(found.meta["e_tag"]).strip('"'))

        part = self._sought(key, got)
        if part is None:
            raise NoSuchObject(f"{self}/{key}")
        return part

    def tagged(self, key: str) -> Tagged | None:
        def get() -> Tagged:
            found = self._got(key)
            bounds.check(f"{self}/{key}", key, found.meta["size"])
            return Tagged(bytes(found.bytes()), str(found.meta["e_tag"]))

        return self._sought(key, get)

    def head(self, key: str) -> int | None:
        def head() -> int | None:
            try:
                return self._got(key, {"head": True}).meta["size"]
            except (BaseError, FileNotFoundError) as exc:
                if isinstance(exc, FileNotFoundError) and self._is_s3:
                    return None
                if session.status(exc):  # an answer to HEAD has no body that could say why
                    return self._got(key, {"range": (0, 1)}).meta["size"]
                raise

        return self._sought(key, head)

    def names(self, folder: str) -> list[str]:
        found = self._tried(folder, lambda: s3_lists.names(self._account.client, self._url, folder))
        return list(plain(f"{self}/{folder}", found))

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        return plain(f"{self}/{prefix}", self.every(prefix), attrgetter("key"))

    def every(self, prefix: str) -> Iterator[StoredObject]:
        def listed() -> list[StoredObject]:
            return s3_lists.every(self._account.client, self._lists, self._url, prefix)

        yield from self._tried(prefix, listed)

    def delete(self, *keys: str) -> None:
        plain_ones = [key for key in keys if _is_obstores(key)]

        def delete() -> None:
            self._check_lease()
            address = self._account.address
            if address not in _WITHOUT_BULK_DELETE:
                try:
                    obstore.delete(self._objects, plain_ones)
                    return
                except (BaseError, FileNotFoundError) as exc:
                    if not _knows_no_bulk_delete(exc):
                        raise
            try:
                obstore.delete(self._one_by_one, plain_ones)
            except FileNotFoundError:  # what some servers say of one that is not there
                for key in plain_ones:
                    self._delete_one(key)
            _WITHOUT_BULK_DELETE.add(address)

        if plain_ones:
            self._tried(plain_ones[0], delete)
        for key in keys:
            if not _is_obstores(key):
                self._tried(key, partial(self._delete_odd, key))

    def _delete_odd(self, key: str) -> None:
        self._check_lease()
        self._account.client.delete_object(Bucket=self._url.bucket, Key=self._url.full(key))

    def versions(self, prefix: str) -> list[Version]:
        def listed() -> list[Version]:
            return list(all_versions(self._account.client, self._url, prefix))

        return self._tried(prefix, listed)

    def remove_versions(self, found: Iterable[Version]) -> list[str]:
        gone = list(found)
        return self._tried("", lambda: without(self._account.client, self._url, gone))

    def versions_never_end(self, prefix: str) -> bool:
        try:
            return self._tried("", lambda: never_end(self._account.client, self._url, prefix))
        except StoreUnavailable:
            raise
        except StoreError:
            return False

    def check_rights(self, *, put: Iterable[str] = (), delete: Iterable[str] = ()) -> None:
        """Asks by puts that no server takes, and deletes what never is there."""
        for key in put:
            if found := self.tagged(key):
                self._tried(key, partial(self._ask_to_put, key, found.data))
        self.delete(*{f"{key.rpartition('/')[0]}/{keys.NEVER_THERE}" for key in delete})

    def check_way(self, folder: str) -> None:
        """An object leads to no other one."""

    check_removable = check_way

    def leftovers(self, folder: str) -> list[str]:
        return []  # an object is there when it is whole

    @contextmanager
    def exclusive(self, folder: str) -> Iterator[None]:
        url = self._url._replace(key=self._url.full(keys.lease_key(folder)))
        lease = Lease(self._account.client, url, f"{self}/{folder}", self._stopped)
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

    def _put(self, key: str, data: bytes, **how: Any) -> None:
        self._check_lease()
        self._pace.wait()
        try:
            put = obstore.put(self._objects, key, data, use_multipart=False, **how)
        except BaseError as exc:
            if session.status(exc) == _TOO_MANY:
                self._pace.refused()
            raise
        md5 = md5_of(put["e_tag"])
        if not (md5 and self._puts_arrive):
            if md5 != hashlib.md5(data, usedforsecurity=False).hexdigest():
                self._check_arrived(key)
            self._puts_arrive = True

    def _check_arrived(self, key: str) -> None:
        """That it is there, by boto3: obstore follows a redirect, which may have led the put to a
        page, and says no word of it."""
        try:
            self._account.client.head_object(Bucket=self._url.bucket, Key=self._url.full(key))
        except ClientError as exc:
            if session.status(exc) != 403:  # to put may be all that is allowed
                raise session.NotS3("a put that did not arrive") from exc

    def _ask_to_put(self, key: str, data: bytes) -> None:
        """Raises where that may not be put. It is what is there, on condition that nothing is, and
        with the checksum of something else: who knows but one of these does not take it."""
        wrong = hashlib.md5(data + b"?", usedforsecurity=False).digest()
        try:
            self._account.client.put_object(
                Bucket=self._url.bucket,
                Key=self._url.full(key),
                Body=data,
                IfNoneMatch="*",
                ContentMD5=base64.b64encode(wrong).decode(),
            )
        except ClientError as exc:
            is_asked = session.is_taken(exc) or session.code(exc) in _WRONG_CHECKSUM
            if not (is_asked or session.knows_no_conditions(exc)):
                raise

    def _delete_one(self, key: str) -> None:
        try:
            obstore.delete(self._one_by_one, key)
        except FileNotFoundError as exc:
            if session.code(exc) != _NO_KEY:
                raise

    def _got(self, key: str, options: GetOptions | None = None) -> GetResult:
        """What S3 answers. Raises NotS3 for a page that stands in its place."""
        if not is_plain(key):
            raise NoSuchObject(f"{self}/{key}")
        found = obstore.get(self._objects, key, options=options)
        is_page = found.attributes.get("Content-Type", "").startswith("text/html")
        if not found.meta["e_tag"] or (is_page and not key.endswith(".html")):
            raise session.NotS3("a page in the place of an object")
        return found

    def _sought(self, key: str, action: Callable[[], Result | None]) -> Result | None:
        """The action's result, None where S3 says that there is no such object."""

        def sought() -> Result | None:
            try:
                return action()
            except FileNotFoundError as exc:
                if session.code(exc) != _NO_KEY:
                    raise
                self._is_s3 = True
                return None

        return self._tried(key, sought)

    def _check_lease(self) -> None:
        if self._lease:
            self._lease.check()

    def _tried(self, key: str, action: Callable[[], Result]) -> Result:
        """The action's result, or StoreError."""
        place = f"{self}/{key}"
        level = logging.INFO if self._answered else logging.WARNING
        used = self._known_account()
        try:
            result = with_retries(place, lambda: unpanicked(action), level, self._stopped)
            self._answered = True
            return result
        except (FileNotFoundError, *session.ERRORS) as exc:
            about = self if session.code(exc) == _NO_BUCKET else place
            account = self._known_account()
            if account and used in (None, account) and session.is_login(exc):
                self._forget()
            raise session.refusal(about, exc, account.address if account else "") from exc

    def _known_account(self) -> session.Account | None:
        """None before the first call, and where another thread has just forgotten it."""
        return self.__dict__.get("_account")

    def _forget(self) -> None:
        """Has the next call log in anew: a watch outlives the login that it began with."""
        login.forget()
        for name in ("_account", "_objects", "_one_by_one", "_lists"):
            self.__dict__.pop(name, None)


def _is_obstores(key: str) -> bool:
    """Whether obstore means the same object by the key: it drops a slash at the end."""
    return is_plain(key) and not key.endswith("/")


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


def _knows_no_bulk_delete(exc: Exception) -> bool:
    """Whether it may be the way of deleting that the server refuses, and not the deletion: some say
    so by NotImplemented, some by MethodNotAllowed, some take the request for a malformed one."""
    if session.status(exc) in (404, 405, 501):
        return session.code(exc) != _NO_BUCKET
    return session.status(exc) == 400 and session.code(exc) not in CODES
