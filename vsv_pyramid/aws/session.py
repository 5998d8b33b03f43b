"""Amazon as boto3's chain finds it: credentials, region, endpoint."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import boto3
import botocore.config
import botocore.exceptions

from vsv_pyramid.aws import answers, login, proxies
from vsv_pyramid.aws.retry import with_retries
from vsv_pyramid.aws.s3_errors import (
    ERRORS,
    LoginFailed,
    NotS3,
    code,
    is_login,
    is_passing,
    is_taken,
    knows_no_conditions,
    refusal,
    said,
    status,
)
from vsv_pyramid.errors import OptionError, StoreError, StoreRefused, StoreUnavailable
from vsv_pyramid.words import IS_ODD, is_plain

if TYPE_CHECKING:
    from obstore.store import S3Credential

__all__ = [  # the errors' own module is for what needs nothing else of this one
    "ERRORS",
    "Account",
    "NotS3",
    "S3Url",
    "client",
    "code",
    "is_login",
    "is_passing",
    "is_taken",
    "knows_no_conditions",
    "object_url",
    "parse_url",
    "refusal",
    "said",
    "status",
]


# botocore renews credentials ten minutes before they expire at the latest, so what it gives is good
# for longer than this. obstore asks again in time before what it was given expires.
_CREDENTIALS_TTL = timedelta(minutes=8)
_BUCKETS = 8  # at a time
_turn = threading.Lock()


class S3Url(NamedTuple):
    """s3://bucket/key; the key may be empty."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}" + (f"/{self.key}" if self.key else "")

    def full(self, key: str) -> str:
        """The bucket's key of what has that key, or that beginning of one, below the URL."""
        return f"{self.key}/{key}" if self.key else key


def object_url(text: str) -> S3Url:
    """The bucket and the key of an s3:// URL; a key may be any text, and is taken as it is. Raises
    OptionError where it names no bucket."""
    found = re.fullmatch(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/(.*))?", text, re.DOTALL)
    if not found:
        raise OptionError(f"{text!r} names no bucket; give s3://bucket or s3://bucket/prefix")
    return S3Url(found[1], found[2] or "")


def parse_url(text: str) -> S3Url:
    """The bucket and the prefix that an s3:// URL names to publish in, without a slash at its end.
    Raises OptionError where it names no bucket, or no tidy prefix."""
    url = object_url(text)
    prefix = url.key.rstrip("/")
    if prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/")):
        raise OptionError(f"{text!r} has an empty part, '.' or '..'; give the key without it")
    if prefix and not is_plain(prefix):
        raise OptionError(f"{text!r}: {IS_ODD}")
    return S3Url(url.bucket, prefix)


def client(
    service: Literal["batch", "logs", "sns", "sqs"], place: object, *, attempts: int = 2
) -> Any:
    """boto3's client of a service, for what is not about objects. Raises StoreError as Account."""
    try:
        proxies.check()
        return _client(login.session(), service, attempts)
    except proxies.NoUrlError as exc:
        raise StoreRefused(place, str(exc)) from exc
    except LoginFailed as exc:
        raise refusal(place, exc) from exc
    except (botocore.exceptions.BotoCoreError, ValueError) as exc:
        raise StoreRefused(place, f"{said(exc)}; check the AWS configuration") from exc


def _client(session: boto3.Session, service: Any, attempts: int = 2) -> Any:
    """boto3's client, which goes through the same proxy as all others."""
    region = os.environ.get("AWS_REGION") or None  # all of Amazon's tools take it but boto3
    config = botocore.config.Config(
        retries={"mode": "standard", "max_attempts": attempts},
        connect_timeout=10,
        read_timeout=20,
        request_checksum_calculation="when_required",  # clones know no other
        response_checksum_validation="when_required",
    )
    with _turn:  # a session is not made for several threads
        found: Any = session.client(service, region_name=region, config=config)
    url = found.meta.endpoint_url
    proxy = proxies.proxy_of(url)
    if proxy == proxies.proxy_of_boto3(url):
        return found
    settled = config.merge(
        botocore.config.Config(proxies={urlsplit(url).scheme: proxy} if proxy else {})
    )
    with _turn:
        return session.client(service, region_name=region, config=settled)


class _Bucket:
    """boto3's client for all that this process asks of a bucket: to make one takes 10 ms."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self._name = name
        self._address: tuple[str, bool] | None = None
        self._turn = threading.Lock()

    def address(self) -> tuple[str, bool]:
        """Where boto3 sends a request about the bucket to, by its own rules and settings, and
        whether the bucket's name is its first part. From then on the client judges what comes from
        there. Raises as boto3 does."""
        with self._turn:
            if self._address is None:
                self._address = self._found()
            return self._address

    def _found(self) -> tuple[str, bool]:
        sent: list[str] = []

        def stop(request: Any, **_: object) -> None:
            sent.append(request.url)
            raise _NotSent

        events = self.client.meta.events
        events.register("before-send.s3", stop)
        try:
            with contextlib.suppress(_NotSent):
                self.client.get_object(Bucket=self._name, Key="k")
        finally:
            events.unregister("before-send.s3", stop)
        whole = sent[0].removesuffix("/k")
        address = whole.removesuffix(f"/{self._name}")
        if address.startswith("https:"):  # TLS protects the bytes already
            own = self.client.meta.config
            own.s3 = {**(own.s3 or {}), "payload_signing_enabled": False}
        answers.watch(events, address)
        return address, address == whole


@lru_cache(maxsize=_BUCKETS)
def _bucket(
    session: boto3.Session, name: str, parameters: tuple[tuple[str, object], ...]
) -> _Bucket:
    """The parameters, by boto3's names, are added to each request that knows them."""
    made = _client(session, "s3")
    given = {name: value for name, value in parameters if value is not None}
    made.meta.events.register("provide-client-params.s3", partial(_added, given))
    return _Bucket(made, name)


class Account:
    """Whom and where: boto3's client for control; for other clients credentials, the bucket's
    address, whether its name is the address' first part, region and certificates (PEM, None for the
    system's).

    Raises StoreError, which names the URL, where boto3 finds no credentials or no such profile, and
    where the way there is seen to be closed.
    """

    def __init__(self, url: S3Url, **parameters: object) -> None:
        """The parameters, by boto3's names, are added to each request that knows them, unless they
        are None."""
        self._url = url
        try:
            proxies.check()
            session = login.session()
            credentials = session.get_credentials()
            shared = _bucket(session, url.bucket, tuple(sorted(parameters.items())))
            self.client: Any = shared.client
            bundle = session._session.get_config_variable("ca_bundle")
        except proxies.NoUrlError as exc:
            raise StoreRefused(url, str(exc)) from exc
        except StoreError:
            raise
        except ERRORS as exc:
            raise refusal(url, exc) from exc
        except Exception as exc:  # what boto3 trips on, where a configuration is not as it expects
            why = re.sub(r"^\[\w+ \d+\] ", "", said(exc))
            what = f"{why}; check {_variable(exc) or 'the AWS configuration'}"
            raise StoreRefused(url, what) from exc
        if credentials is None:
            raise StoreRefused(
                url, "no AWS credentials are found; set AWS_PROFILE, or give this machine a role"
            )
        bundle = bundle or os.environ.get("REQUESTS_CA_BUNDLE")
        self.certificates = self._certificates(bundle) if bundle else None
        self._credentials = credentials
        self.region: str = self.client.meta.region_name or "us-east-1"
        if not re.fullmatch(r"[\w.-]+", self.region, re.ASCII):
            what = f"there is no such region as {self.region!r}; check AWS_REGION"
            raise StoreRefused(url, what)
        self._frozen()
        try:
            self.address, self.is_virtual = shared.address()
        except botocore.exceptions.BotoCoreError as exc:
            raise refusal(url, exc) from exc
        self._check_way()

    def credentials(self) -> S3Credential:
        """The credentials of the moment, as obstore asks for them."""
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": str(frozen.access_key),
            "secret_access_key": str(frozen.secret_key),
            "token": frozen.token,
            "expires_at": datetime.now(timezone.utc) + _CREDENTIALS_TTL,
        }

    def head(self) -> dict[str, Any]:
        """What HeadObject answers about the URL's object. Raises as boto3 does, with S3's code."""
        where = {"Bucket": self._url.bucket, "Key": self._url.key}
        try:
            found: dict[str, Any] = self.client.head_object(**where)
        except botocore.exceptions.ClientError:
            # An answer to HEAD has no body that could say why.
            self.client.get_object(**where, Range="bytes=0-0")["Body"].close()
            raise
        is_page = found.get("ContentType", "").startswith("text/html")
        if is_page or not {"ETag", "ContentLength", "LastModified"} <= found.keys():
            raise NotS3(f"a page from {self.address}")
        return found

    def _frozen(self) -> None:
        """Has the credentials made, where that is yet to be done."""
        try:
            with_retries(self._url, self._credentials.get_frozen_credentials, logging.WARNING)
        except ERRORS as exc:
            login.forget()
            raise refusal(self._url, exc) from exc

    def _certificates(self, bundle: str) -> bytes:
        try:
            ssl.create_default_context(cafile=bundle)
            return Path(bundle).read_bytes()
        except OSError as exc:
            raise StoreRefused(
                self._url,
                f"the certificates in {bundle} cannot be used ({exc.strerror or said(exc)}); set "
                "AWS_CA_BUNDLE (or REQUESTS_CA_BUNDLE) to a PEM file",
            ) from exc

    def _check_way(self) -> None:
        """Tells at once what otherwise would be tried again and again."""
        proxy = proxies.proxy_of(self.address)
        server = urlsplit(proxy or self.address)
        host, port = server.hostname or "", server.port or (80 if proxy else 443)
        try:
            if proxy:
                socket.create_connection((host, port), timeout=10).close()
            else:
                socket.getaddrinfo(host, port)
        except (socket.gaierror, UnicodeError) as exc:
            kind = StoreUnavailable if exc.args[0] == socket.EAI_AGAIN else StoreRefused
            about = "the proxy" if proxy else "the endpoint (AWS_ENDPOINT_URL, AWS_REGION)"
            raise kind(
                self._url, f"the name {host} is not known; check {about} and the network's DNS"
            ) from exc
        except OSError as exc:
            assert proxy
            raise StoreUnavailable(
                self._url,
                f"the proxy {proxies.shown(proxy)} does not answer ({exc.strerror or exc}); check "
                "HTTPS_PROXY (or HTTP_PROXY) and NO_PROXY",
            ) from exc


class _NotSent(Exception):
    """Ends a request whose address is all that was wanted."""


def _variable(exc: Exception) -> str:
    """The environment's variable that names the file which the error is about, if it is one."""
    file = getattr(exc, "filename", None)
    return next((name for name, value in os.environ.items() if file and value == file), "")


def _added(parameters: dict[str, object], *, params: Any, model: Any, **_: object) -> Any:
    known = parameters.keys() & model.input_shape.members
    return {**{name: parameters[name] for name in known}, **params}
