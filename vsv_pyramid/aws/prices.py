"""What Amazon asks for: list prices of us-east-1 in US dollars, without any discount, as known on
2026-11-27. What is asked today is on https://aws.amazon.com/s3/pricing/, and on the same pages of
what each line names."""

from __future__ import annotations

import math
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

Tiers = tuple[tuple[float, float], ...]  # so many of a month's GB at that price, and so on

STANDARD_TIERS: Tiers = ((51_200, 0.023), (460_800, 0.022), (math.inf, 0.021))  # s3

# cloudfront, to North America and Europe, by HTTPS; without the 1,000 GB a month that are free
CLOUDFRONT_GB, CLOUDFRONT_REQUEST = 0.085, 0.01 / 10_000
CLOUDFRONT_TIERS: Tiers = (
    (10_240, CLOUDFRONT_GB),
    (40_960, 0.080),
    (102_400, 0.060),
    (358_400, 0.040),
    (math.inf, 0.030),
)

FARGATE_VCPU, FARGATE_GB = 0.04048, 0.004445  # fargate: x86, an hour
SPOT_PART = 0.3  # fargate: of its price that Spot asks for; it varies by the day
SCRATCH_GB_HOUR, SCRATCH_FREE_GB = 0.000111, 20  # fargate: ephemeral storage beyond what is free
PUBLIC_ADDRESS = 0.005  # vpc: an IPv4 address, an hour
LOG_GB = 0.50  # cloudwatch: logs that are taken in

ALARM, IMAGE_GB = 0.10, 0.10  # cloudwatch: an alarm; ecr: a GB of an image; a month
ENDPOINT = 0.01 * 24 * 365 / 12  # privatelink: an interface endpoint, a month
LAMBDA_GB_SECOND = 0.0000166667  # lambda


def tiered(gigabytes: float, tiers: Tiers) -> float:
    """What so many GB in a month cost."""
    dollars = 0.0
    for room, price in tiers:
        some = min(gigabytes, room)
        dollars += some * price
        gigabytes -= some
    return dollars
