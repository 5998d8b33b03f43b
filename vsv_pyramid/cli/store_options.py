"""The options of how S3 is spoken to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import click

from vsv_pyramid.store import S3Options

Command = Callable[..., None]


def _of_store(option: str, **about: Any) -> Callable[[Command], Command]:
    variable = "VSV_PYRAMID_" + option.removeprefix("--").replace("-", "_").upper()
    return click.option(option, envvar=variable, **about)


_STORE = (
    _of_store(
        "--storage-class", metavar="CLASS", help="S3 storage class; default: the bucket's own."
    ),
    _of_store(
        "--sse",
        type=click.Choice(["AES256", "aws:kms"]),
        help="S3's server-side encryption; default: the bucket's own.",
    ),
    _of_store("--kms-key", metavar="KEY", help="Id or ARN of the key for --sse aws:kms."),
    _of_store(
        "--checksum",
        type=click.Choice(["sha256", "crc64nvme"]),
        help="Send a checksum with each put into S3, as buckets with Object Lock want it.",
    ),
    _of_store(
        "--request-payer",
        type=click.Choice(["requester"]),
        help="Pay for the requests to a bucket in S3 whose owner does not.",
    ),
    _of_store(
        "--expected-bucket-owner",
        metavar="ACCOUNT",
        help="Use the bucket in S3 only if it is this account's: 12 digits.",
    ),
    _of_store(
        "--max-put-rate",
        type=int,
        default=3000,
        show_default=True,
        metavar="N",
        help="Most puts into S3 a second.",
    ),
    _of_store(
        "--upload-workers",
        type=int,
        default=32,
        show_default=True,
        metavar="N",
        help="Puts into S3 at the same time.",
    ),
)


def store_options(command: Command) -> Command:
    """How S3 is spoken to: the command gets it as `s3`. Each can be given as a variable, too:
    VSV_PYRAMID_ and its name."""

    @functools.wraps(command)
    def with_s3(*args: Any, **values: Any) -> None:
        command(*args, s3=s3_options(values), **values)

    decorated: Command = with_s3
    for option in reversed(_STORE):
        decorated = option(decorated)
    return decorated


def s3_options(values: dict[str, Any]) -> S3Options:
    """Takes out of the values those that are S3Options'."""
    names = [field.name for field in dataclasses.fields(S3Options) if field.name in values]
    return S3Options(**{name: values.pop(name) for name in names})
