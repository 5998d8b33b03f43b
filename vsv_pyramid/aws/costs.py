"""What a conversion takes, as measured (docs/performance.md), and what Amazon asks for it."""

from __future__ import annotations

from typing import NamedTuple

# US dollars in us-east-1, without any discount: S3 Standard, a put, and a GB stored for a month;
# Fargate on x86 by the hour, and what part of that Spot asks for (it varies by the day).
PUT_DOLLARS = 0.005 / 1000
GB_MONTH_DOLLARS = 0.023
FARGATE_VCPU_DOLLARS = 0.04048
FARGATE_GB_DOLLARS = 0.004445
SPOT_PART = 0.3

# CPU seconds to convert and put a gigapixel (RGB, the dearest of the lossless lane; the pixel lane
# takes seven times that), objects and bytes it becomes, bytes of slide it comes from.
CPU_SECONDS = 7.4
OBJECTS = 2620
PYRAMID_BYTES = 340e6
SLIDE_BYTES = 245e6

# Bytes of a slide a CPU second: 4:2:0, of which a gigapixel takes 4.7 seconds and 85 MB.
SLOWEST_BYTES = 18e6

# A job's: from Fargate's own start of the container, before any work, and its vCPUs and GB.
START_SECONDS = 60.0
JOB_VCPUS = 2
JOB_GB = 4


class Estimate(NamedTuple):
    """Of slides in Batch: vCPU hours, and dollars for computing (on Spot) and for puts."""

    slides: int
    gigapixels: float
    objects: int
    vcpu_hours: float
    compute_dollars: float
    put_dollars: float

    @property
    def dollars(self) -> float:
        return self.compute_dollars + self.put_dollars


def estimate(slides: int, gigapixels: float) -> Estimate:
    """What so many slides with so many gigapixels in all take, a job each."""
    seconds = slides * START_SECONDS + gigapixels * CPU_SECONDS / JOB_VCPUS
    hours = seconds / 3600
    hourly = JOB_VCPUS * FARGATE_VCPU_DOLLARS + JOB_GB * FARGATE_GB_DOLLARS
    objects = round(gigapixels * OBJECTS)
    return Estimate(
        slides,
        gigapixels,
        objects,
        hours * JOB_VCPUS,
        hours * hourly * SPOT_PART,
        objects * PUT_DOLLARS,
    )
