"""obstore's client of a bucket: told all that boto3 found, and nothing by the environment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from obstore.store import S3Store as ObjectStore

from vsv_pyramid.aws import proxies, session
from vsv_pyramid.store.options import S3Options

if TYPE_CHECKING:
    from obstore.store import ClientConfig

Result = TypeVar("Result")

_REQUEST_SECONDS = 20  # for which one request may take

# What obstore would take from the environment, and boto3 does not: one of them had it write into
# another bucket. All of what both know is told explicitly.
_VARIABLES_OF_OBSTORE = frozenset(
    f"AWS_{name}"
    for name in (
        "ALLOW_HTTP",
        "BUCKET",
        "BUCKET_NAME",
        "CHECKSUM_ALGORITHM",
        "CONDITIONAL_PUT",
        "COPY_IF_NOT_EXISTS",
        "DISABLE_BULK_DELETE",
        "DISABLE_TAGGING",
        "ENDPOINT",
        "IMDSV1_FALLBACK",
        "METADATA_ENDPOINT",
        "REQUEST_PAYER",
        "S3_EXPRESS",
        "SERVER_SIDE_ENCRYPTION",
        "SKIP_SIGNATURE",
        "SSE_BUCKET_KEY_ENABLED",
        "SSE_CUSTOMER_KEY_BASE64",
        "SSE_KMS_KEY_ID",
        "STS_ENDPOINT",
        "TOKEN",
        "UNSIGNED_PAYLOAD",
        "VIRTUAL_HOSTED_STYLE_REQUEST",
    )
)
_environment = threading.Lock()


def objects(
    url: session.S3Url, account: session.Account, options: S3Options, **settings: Any
) -> ObjectStore:
    """The objects below the URL; the settings are obstore's."""
    settings |= {
        "server_side_encryption": options.sse,
        "sse_kms_key_id": options.kms_key,
        "sse_bucket_key_enabled": options.sse == "aws:kms" or None,
        "checksum_algorithm": options.checksum,
        "request_payer": options.request_payer,
    }
    with _unseen(_VARIABLES_OF_OBSTORE):
        return ObjectStore(
            url.bucket,
            prefix=url.key or None,
            endpoint=account.address,
            aws_endpoint_url_s3=account.address,  # or a variable of boto3's would win
            virtual_hosted_style_request=account.is_virtual,
            region=account.region,
            client_options=_client_options(options, account),
            retry_config={"max_retries": 0},  # with_retries does, and can be stopped
            credential_provider=account.credentials,
            # TLS protects the bytes already, and a SHA-256 takes a quarter of a put's time.
            unsigned_payload=account.address.startswith("https:"),
            **{name: value for name, value in settings.items() if value is not None},
        )


def unpanicked(action: Callable[[], Result]) -> Result:
    """The action's result; where obstore's own code gives up on what it was answered, NotS3."""
    try:
        return action()
    except BaseException as exc:
        if type(exc).__name__ != "PanicException":  # which is no Exception, and nowhere to import
            raise
        raise session.NotS3(f"an answer that obstore cannot read ({exc})") from exc


def _client_options(options: S3Options, account: session.Account) -> ClientConfig:
    client: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=10),
        "timeout": timedelta(seconds=_REQUEST_SECONDS),
        "pool_max_idle_per_host": str(options.upload_workers),
    }
    if account.certificates:
        client["root_certificate"] = account.certificates
    if options.expected_bucket_owner:
        client["default_headers"] = {"x-amz-expected-bucket-owner": options.expected_bucket_owner}
    proxy = proxies.proxy_of(account.address)
    client["proxy_url"] = proxy or "http://127.0.0.1"  # or it would look for one by itself
    if not proxy:
        client["proxy_excludes"] = urlsplit(account.address).hostname or ""
    return client


@contextmanager
def _unseen(names: Collection[str]) -> Iterator[None]:
    """Variables of the environment that are not there until the block ends."""
    with _environment:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.upper() in names}
        try:
            yield
        finally:
            os.environ.update(hidden)
