"""How objects are put into S3, as far as that is the user's choice."""

from __future__ import annotations

from dataclasses import dataclass

from vsv_pyramid.errors import OptionError


@dataclass(frozen=True)
class S3Options:
    """Raises OptionError for a value that cannot be.

    `sse` is the server-side encryption, "AES256" or "aws:kms", with `kms_key` (an id or ARN) where
    it is not the account's own; `max_put_rate` is in puts a second.
    """

    storage_class: str | None = None
    sse: str | None = None
    kms_key: str | None = None
    max_put_rate: int = 3000
    upload_workers: int = 32

    def __post_init__(self) -> None:
        if self.kms_key and self.sse != "aws:kms":
            raise OptionError("--kms-key needs --sse aws:kms")
        for name, value, most in (
            ("max-put-rate", self.max_put_rate, 100_000),
            ("upload-workers", self.upload_workers, 512),
        ):
            if not 1 <= value <= most:
                raise OptionError(f"--{name} {value} is refused; give one from 1 to {most}")
