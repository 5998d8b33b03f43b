"""A store in an S3 bucket, or in any server that speaks its protocol.

obstore moves the objects, by its synchronous calls from threads: a seventeenth of the CPU that
boto3 takes. boto3 finds credentials, region and endpoint, and keeps the lease.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store as ObjectStore

from vsv_pyramid import aws, clock, dzi
from vsv_pyramid.errors import NoSuchObject, StoreError
from vsv_pyramid.store.base import Store, StoredObject, Tagged
from vsv_pyramid.store.lease import UNKNOWN, Lease
from vsv_pyramid.store.options import S3Options

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ClientConfig

Result = TypeVar("Result")

_REQUEST_SECONDS = 20  # for which one request may take
_PUTS_A_SECOND_AT_FIRST = 500.0  # S3 answers 503 to a rate that it has not grown used to
_GROWTH_A_SECOND = 50.0


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
        self.parallel_puts = options.upload_workers

    @cached_property
    def _account(self) -> aws.Account:
        """Made at the first call of a method, since it costs more than a small slide does."""
        account = aws.Account(self._url)
        account.check_bucket(self._url)
        return account

    @cached_property
    def _objects(self) -> ObjectStore:
        return ObjectStore(
            self._url.bucket,
            prefix=self._url.key or None,
            endpoint=self._account.endpoint,
            region=self._account.region,
            client_options=_client_options(self._options, self._account),
            retry_config={"max_retries": 0},  # `_tried` does, and can be stopped
            credential_provider=self._account.credentials,
            # TLS protects the bytes already, and a SHA-256 of them takes a quarter of a put's time.
            unsigned_payload=self._account.endpoint.startswith("https:"),
            **_encryption(
                self._options,
                "aws_server_side_encryption",
                "aws_sse_kms_key_id",
                "aws_sse_bucket_key_enabled",
            ),
        )

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
            except (AlreadyExistsError, PreconditionError):
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
        try:
            return self._tried(key, lambda: obstore.head(self._objects, key))["size"]
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        def listed() -> list[str]:
            found = obstore.list_with_delimiter(self._objects, folder or None)
            paths = [f"{path}/" for path in found["common_prefixes"]]
            paths += [item["path"] for item in found["objects"]]
            return [path.removeprefix(folder).lstrip("/") for path in paths]

        return self._tried(folder, listed)

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        folder = prefix.rpartition("/")[0]

        def listed() -> list[StoredObject]:
            return [
                StoredObject(found["path"], found["size"], _md5(found["e_tag"]))
                for page in obstore.list(self._objects, folder or None)
                for found in page
                if found["path"].startswith(prefix)
            ]

        yield from self._tried(prefix, listed)

    def delete(self, *keys: str) -> None:
        if keys:
            self._check_lease()
            self._tried(keys[0], lambda: obstore.delete(self._objects, list(keys)))

    @contextmanager
    def exclusive(self, folder: str) -> Iterator[None]:
        key = f"{self._url.key}/.leases/{folder}".lstrip("/")
        lease = Lease(
            self._account.client,
            self._url._replace(key=key),
            f"{self}/{folder}",
            _encryption(self._options, "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled"),
        )
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
        try:
            return aws.patiently(place, action, stopped=self._stopped)
        except FileNotFoundError as exc:
            if "NoSuchBucket" not in str(exc):
                raise
            raise StoreError(self, "there is no such bucket; check its name") from exc
        except aws.ERRORS as exc:
            raise aws.refusal(place, exc) from exc


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


def _client_options(options: S3Options, account: aws.Account) -> ClientConfig:
    client: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=10),
        "timeout": timedelta(seconds=_REQUEST_SECONDS),
        "pool_max_idle_per_host": str(options.upload_workers),
    }
    if account.certificates:
        client["root_certificate"] = account.certificates
    return client


def _encryption(options: S3Options, *names: str) -> dict[str, Any]:
    """What is not the bucket's own choice, by the names of the encryption, the key, and of whether
    the bucket's key stands in for it."""
    values = (options.sse, options.kms_key, options.sse == "aws:kms" or None)
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}
