"""Amazon as boto3's chain finds it: credentials, region, endpoint; and S3's errors in words."""

from __future__ import annotations

import logging
import os
import random
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import boto3
import boto3.exceptions
import botocore.config
import botocore.exceptions
import botocore.session
from obstore.exceptions import BaseError as ObstoreError

from vsv_pyramid import clock
from vsv_pyramid.errors import OptionError, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from obstore.store import S3Credential

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

GIVE_UP_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0

# botocore renews credentials ten minutes before they expire at the latest, so what it gives is good
# for longer than this. obstore asks again in time before what it was given expires.
_CREDENTIALS_TTL = timedelta(minutes=8)

_REFUSED = (
    "access is refused (403); check the credentials (AWS_PROFILE or the role) and their "
    "permissions for this bucket"
)
_REMEDIES = {
    301: "the bucket is in another region; set AWS_REGION to the bucket's",
    307: "the bucket is in another region; set AWS_REGION to the bucket's",
    400: "the request is refused (400); check the region, the storage class and the encryption key",
    401: _REFUSED,
    403: _REFUSED,
}
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
_NETWORK = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
)
ERRORS = (
    botocore.exceptions.ClientError,
    botocore.exceptions.BotoCoreError,
    boto3.exceptions.Boto3Error,
    ObstoreError,
)


class S3Url(NamedTuple):
    """s3://bucket/key; the key has no slash at either end, and may be empty."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}" + (f"/{self.key}" if self.key else "")


def parse_url(text: str) -> S3Url:
    """The parts of an s3:// URL. Raises OptionError where it names no bucket, or no tidy key."""
    url = urlsplit(text)
    if url.scheme != "s3" or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", url.netloc):
        raise OptionError(f"{text!r} names no bucket; give s3://bucket or s3://bucket/prefix")
    key = text.split(url.netloc, 1)[1].strip("/")
    if key and not {"", ".", ".."}.isdisjoint(key.split("/")):
        raise OptionError(f"{text!r} has an empty part, '.' or '..'; give the key without it")
    return S3Url(url.netloc, key)


def client(service: Literal["batch", "sqs"], place: object, *, attempts: int = 2) -> Any:
    """boto3's client of a service, for what is not about objects. Raises StoreError as Account."""
    config = botocore.config.Config(
        retries={"mode": "standard", "max_attempts": attempts}, connect_timeout=10, read_timeout=20
    )
    try:
        return boto3.client(service, region_name=_region(), config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as exc:
        raise StoreError(place, f"{said(exc)}; check the AWS configuration") from exc


def _region() -> str | None:
    """That of AWS_REGION, which all of Amazon's tools take but boto3; None leaves it to boto3."""
    return os.environ.get("AWS_REGION") or None


@cache
def _descriptions() -> Loader:
    """boto3's descriptions of services, which each session would read anew: 60 ms."""
    loader: Loader = botocore.session.get_session().get_component("data_loader")
    return loader


class Account:
    """Whom and where: boto3's client for control; credentials, endpoint, region and certificates
    (PEM, None for the system's) for others.

    Raises StoreError, which names the place, where boto3 finds no credentials or no such profile.
    """

    def __init__(self, place: object) -> None:
        config = botocore.config.Config(
            retries={"mode": "standard", "max_attempts": 2},
            connect_timeout=10,
            read_timeout=20,
            request_checksum_calculation="when_required",  # clones know no other
            response_checksum_validation="when_required",
        )
        try:
            core = botocore.session.get_session()
            core.register_component("data_loader", _descriptions())
            session = boto3.Session(botocore_session=core)
            credentials = session.get_credentials()
            self.client: Any = session.client("s3", region_name=_region(), config=config)
            bundle = core.get_config_variable("ca_bundle")
            self.certificates = Path(bundle).read_bytes() if bundle else None
        except (botocore.exceptions.BotoCoreError, OSError, ValueError) as exc:
            raise StoreError(place, f"{said(exc)}; check the AWS configuration") from exc
        if credentials is None:
            raise StoreError(
                place, "no AWS credentials are found; set AWS_PROFILE, or give this machine a role"
            )
        self._credentials = credentials
        self.endpoint: str = self.client.meta.endpoint_url
        self.region: str = self.client.meta.region_name or "us-east-1"

    def check_bucket(self, url: S3Url) -> None:
        """Raises StoreError where the bucket is not there, or not for these credentials."""
        try:
            patiently(url, lambda: self.client.head_bucket(Bucket=url.bucket), logging.WARNING)
        except ERRORS as exc:
            raise refusal(url, exc) from exc

    def credentials(self) -> S3Credential:
        """The credentials of the moment, as obstore asks for them."""
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": str(frozen.access_key),
            "secret_access_key": str(frozen.secret_key),
            "token": frozen.token,
            "expires_at": datetime.now(timezone.utc) + _CREDENTIALS_TTL,
        }


def said(exc: Exception) -> str:
    """The error in its own words, as the first part of a sentence."""
    return str(exc).rstrip(".")


def status(exc: Exception) -> int | None:
    """The HTTP status that the error of boto3 or obstore is about, None where there was none."""
    if isinstance(exc, botocore.exceptions.ClientError):
        return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
    found = re.search(r"status code: (\d{3})", str(exc))
    return int(found[1]) if found else None


def is_passing(exc: Exception) -> bool:
    """Whether the same may go well a little later: the server's own trouble, or the network's."""
    if isinstance(exc, botocore.exceptions.SSLError):
        return False
    if isinstance(exc, botocore.exceptions.BotoCoreError):
        return isinstance(exc, _NETWORK)
    code = status(exc)
    return code is None or code in _PASSING


def patiently(
    place: object,
    action: Callable[[], Result],
    level: int = logging.INFO,
    stopped: threading.Event | None = None,
) -> Result:
    """The action's result; what passes is tried again, with growing pauses, for GIVE_UP_SECONDS or
    until `stopped` is set, and is logged at that level.

    Raises StoreUnavailable and StoreError then, and any other of ERRORS as it comes.
    """
    end = clock.monotonic() + GIVE_UP_SECONDS
    pause = _FIRST_PAUSE
    while True:
        try:
            return action()
        except ERRORS as exc:
            if not is_passing(exc):
                raise
            wait = random.uniform(0, pause)
            if clock.monotonic() + wait > end:
                raise refusal(place, exc) from exc
            about = {"event": "retry", "status": status(exc)}
            _log.log(level, "%s: %s; trying again", place, _trouble(exc), extra=about)
            if clock.sleep(wait, stopped):
                raise StoreError(place, "left, since the conversion was stopped") from exc
            pause = min(2 * pause, _LONGEST_PAUSE)


def _trouble(exc: Exception) -> str:
    code = status(exc)
    return f"answers with error {code}" if code else "does not answer"


def refusal(place: object, exc: Exception) -> StoreError:
    """The error in a sentence."""
    code = status(exc)
    if code == 404:
        return StoreError(place, "there is no such bucket or object; check the name and the region")
    if code in _REMEDIES:
        return StoreError(place, _REMEDIES[code])
    if isinstance(exc, botocore.exceptions.SSLError):
        return StoreError(
            place, "its certificate is not trusted; set AWS_CA_BUNDLE to the authority's file"
        )
    if is_passing(exc):
        return StoreUnavailable(place, f"{_trouble(exc)}; check the network and try again")
    if code is None:
        return StoreError(place, f"{said(exc)}; check the AWS configuration")
    return StoreError(place, f"the request is refused ({code}); check the options")
