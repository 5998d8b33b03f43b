"""What Amazon asks for: list prices of us-east-1 in US dollars, without any discount, as known on
2026-11-27. What is asked today is on https://aws.amazon.com/s3/pricing/, and on the same pages of
cloudfront and fargate."""

from __future__ import annotations

from typing import NamedTuple


class StorageClass(NamedTuple):
    """Of S3: a GB stored for a month; a put (of an object, or a part of one, or its move into this
    class) and a get; a GB read."""

    name: str
    gb_month: float
    put: float
    get: float
    gb_read: float = 0.0


STANDARD = StorageClass("Standard", 0.023, 0.005 / 1000, 0.0004 / 1000)
INSTANT_RETRIEVAL = StorageClass("Glacier Instant Retrieval", 0.004, 0.02 / 1000, 0.01 / 1000, 0.03)
DEEP_ARCHIVE = StorageClass("Glacier Deep Archive", 0.00099, 0.05 / 1000, 0.0004 / 1000, 0.02)

CLOUDFRONT_GB, CLOUDFRONT_REQUEST = 0.085, 0.01 / 10_000  # to North America and Europe, by HTTPS

FARGATE_VCPU, FARGATE_GB = 0.04048, 0.004445  # x86, an hour
SPOT_PART = 0.3  # of Fargate's price that Spot asks for; it varies by the day

ALARM, IMAGE_GB = 0.10, 0.10  # an alarm, and a GB in ECR, a month
ENDPOINT = 0.01 * 24 * 365 / 12  # an interface endpoint, a month
LAMBDA_GB_SECOND = 0.0000166667
