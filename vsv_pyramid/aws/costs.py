"""What a conversion takes, as measured (docs/performance.md), and what Amazon asks for it."""

from __future__ import annotations

from typing import NamedTuple

from vsv_pyramid.aws import prices
from vsv_pyramid.aws.prices import DEEP_ARCHIVE, INSTANT_RETRIEVAL, STANDARD, StorageClass

# CPU seconds to convert and put a gigapixel (RGB, the dearest of the lossless lane; the pixel lane
# takes seven times that), objects and bytes it becomes, bytes of slide it comes from.
CPU_SECONDS = 7.4
OBJECTS = 2620
PYRAMID_BYTES = 340e6
SLIDE_BYTES = 245e6

# Bytes of a slide a CPU second: 4:2:0, of which a gigapixel takes 4.7 seconds and 85 MB.
SLOWEST_BYTES = 18e6

# Of one look at a slide in a browser: requests for tiles or, of one object, for ranges, and bytes.
LOOK_TILES, LOOK_RANGES = 87, 56
LOOK_BYTES = 9.3e6

YEARS, LOOKS = 10, (0, 40, 1000)  # for which a slide is kept, and how often it is looked at

PART_BYTES = 8e6  # of one object that is put, or read as a whole
MONTHS_IN_STANDARD = 1  # before one object is moved into another class

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
    hourly = JOB_VCPUS * prices.FARGATE_VCPU + JOB_GB * prices.FARGATE_GB
    objects = round(gigapixels * OBJECTS)
    return Estimate(
        slides,
        gigapixels,
        objects,
        hours * JOB_VCPUS,
        hours * hourly * prices.SPOT_PART,
        objects * STANDARD.put,
    )


class Form(NamedTuple):
    """A pyramid in S3: as tiles or as one object, and in which class."""

    is_packed: bool
    storage: StorageClass

    def __str__(self) -> str:
        return f"{'one .szi file' if self.is_packed else 'tiles'}, {self.storage.name}"


TILES = Form(False, STANDARD)
FORMS = (TILES, Form(True, STANDARD), Form(True, INSTANT_RETRIEVAL))
SLIDE_CLASSES = (STANDARD, DEEP_ARCHIVE)


class Keeping(NamedTuple):
    """What it takes to have something in S3 for YEARS, in dollars: to put it, to store it, and
    each time that somebody looks at it, or verifies it as a whole."""

    put: float
    stored: float
    look: float
    verification: float

    def dollars(self, looks: int = 0, verifications: int = 0) -> float:
        return self.put + self.stored + looks * self.look + verifications * self.verification


def keeping(form: Form, objects: int, size: float) -> Keeping:
    """Of a pyramid that is so many objects as tiles, and so many bytes. A look goes through
    CloudFront, and none of it is cached there."""
    storage, parts = form.storage, size / PART_BYTES
    requests = min(objects, LOOK_RANGES if form.is_packed else LOOK_TILES)
    reads = parts if form.is_packed else objects
    looked_at = min(size, LOOK_BYTES) / 1e9
    delivered = looked_at * prices.CLOUDFRONT_GB + requests * prices.CLOUDFRONT_REQUEST
    put, stored = _moved(storage, size)
    return Keeping(
        put + STANDARD.put * (parts + 2 if form.is_packed else objects),
        stored,
        delivered + requests * storage.get + looked_at * storage.gb_read,
        reads * storage.get + size / 1e9 * storage.gb_read,
    )


def slide_dollars(storage: StorageClass, size: float) -> float:
    """Of the slide's own file of so many bytes, which is put, stored, and never read."""
    return STANDARD.put * size / PART_BYTES + sum(_moved(storage, size))


def _moved(storage: StorageClass, size: float) -> tuple[float, float]:
    """What it takes to move an object into its class after its time in Standard, and what to store
    it."""
    first = MONTHS_IN_STANDARD if storage is not STANDARD else 0
    monthly = first * STANDARD.gb_month + (YEARS * 12 - first) * storage.gb_month
    return (storage.put if first else 0.0), size / 1e9 * monthly
