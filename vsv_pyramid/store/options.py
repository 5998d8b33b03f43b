"""How S3 is spoken to, as far as that is the user's choice."""

from __future__ import annotations

from dataclasses import dataclass

from vsv_pyramid.errors import OptionError


@dataclass(frozen=True)
class S3Options:
    """Raises OptionError for a value that cannot be.

        options = ConvertOptions(s3=S3Options(sse="aws:kms", storage_class="STANDARD_IA"))

    `sse` is the server-side encryption, "AES256" or "aws:kms", with `kms_key` (an id or ARN) where
    it is not the account's own; `checksum` is "sha256" or "crc64nvme"; `request_payer` is
    "requester"; `expected_bucket_owner` is an account's number; `max_put_rate` is in puts a second.
    """

    storage_class: str | None = None
    sse: str | None = None
    kms_key: str | None = None
    checksum: str | None = None
    request_payer: str | None = None
    expected_bucket_owner: str | None = None
    max_put_rate: int = 3000
    upload_workers: int = 32

    def __post_init__(self) -> None:
        if self.kms_key and self.sse != "aws:kms":
            raise OptionError("--kms-key needs --sse aws:kms")
        owner = self.expected_bucket_owner
        if owner is not None and not (len(owner) == 12 and owner.isdecimal()):
            raise OptionError(
                f"--expected-bucket-owner {owner!r} is refused; give an account's number of 12 "
                "digits"
            )
        for option, given, allowed in (
            ("sse", self.sse, ("AES256", "aws:kms")),
            ("checksum", self.checksum, ("sha256", "crc64nvme")),
            ("request-payer", self.request_payer, ("requester",)),
        ):
            if given not in (None, *allowed):
                raise OptionError(f"--{option} {given} is refused; give {' or '.join(allowed)}")
        for name, value, most in (
            ("max-put-rate", self.max_put_rate, 100_000),
            ("upload-workers", self.upload_workers, 512),
        ):
            if not 1 <= value <= most:
                raise OptionError(f"--{name} {value} is refused; give one from 1 to {most}")
