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

# A job's: from Fargate's own start of the container, before any work, its vCPUs, GB, GB of disk,
# and bytes of log.
START_SECONDS = 60.0
JOB_VCPUS = 2
JOB_GB = 4
SCRATCH_GB = 50
LOG_BYTES = 5e3

MAX_VCPUS = 64  # of the templates, on Spot, and as many again on demand
PUTS = 3500.0  # a second that S3 takes in a prefix, until it has made room for more


class Estimate(NamedTuple):
    """Of slides in Batch: vCPU hours, how much of them is on demand, and dollars: for computing,
    for jobs' addresses, disks and logs, for fetching slides, for puts."""

    slides: int
    gigapixels: float
    objects: int
    vcpu_hours: float
    on_demand: float
    compute_dollars: float
    job_dollars: float
    get_dollars: float
    put_dollars: float

    @property
    def dollars(self) -> float:
        return self.compute_dollars + self.job_dollars + self.get_dollars + self.put_dollars


def estimate(
    slides: int, gigapixels: float, *, is_packed: bool = False, on_demand: float = 0.0
) -> Estimate:
    """What so many slides with so many gigapixels in all take, a job each, if that part of them
    runs on demand."""
    hours = (slides * START_SECONDS + gigapixels * CPU_SECONDS / JOB_VCPUS) / 3600
    hourly = JOB_VCPUS * prices.FARGATE_VCPU + JOB_GB * prices.FARGATE_GB
    beside = prices.PUBLIC_ADDRESS + prices.SCRATCH_GB_HOUR * (SCRATCH_GB - prices.SCRATCH_FREE_GB)
    parts = slides * 2 + gigapixels * PYRAMID_BYTES / PART_BYTES
    objects = round(parts if is_packed else gigapixels * OBJECTS)
    return Estimate(
        slides,
        gigapixels,
        objects,
        hours * JOB_VCPUS,
        on_demand,
        hours * hourly * (prices.SPOT_PART * (1 - on_demand) + on_demand),
        hours * beside + slides * LOG_BYTES / 1e9 * prices.LOG_GB,
        gigapixels * SLIDE_BYTES / PART_BYTES * STANDARD.get,
        objects * STANDARD.put,
    )


class Schedule(NamedTuple):
    """Of a backlog: how many jobs run at the same time, for how many hours, and what limits them:
    "slides", as there are no more, "vCPUs", or "puts"."""

    jobs: int
    hours: float
    limit: str


def jobs_at_once(slides: int, max_vcpus: int) -> tuple[int, int]:
    """How many jobs run on Spot, and how many on demand, which gets what Spot has no place for."""
    most = max_vcpus // JOB_VCPUS
    return min(slides, most), min(max(slides - most, 0), most)


def on_demand_part(slides: int, max_vcpus: int) -> float:
    spot, on_demand = jobs_at_once(slides, max_vcpus)
    return on_demand / max(1, spot + on_demand)


def schedule(taken: Estimate, max_vcpus: int) -> Schedule:
    """When so many slides at once are done. S3 makes room for more puts after a while, which is not
    counted on."""
    jobs = max(1, sum(jobs_at_once(taken.slides, max_vcpus)))
    by_vcpus = taken.vcpu_hours / JOB_VCPUS / jobs
    by_puts = taken.objects / PUTS / 3600
    if by_puts > by_vcpus:
        return Schedule(jobs, by_puts, "puts")
    return Schedule(jobs, by_vcpus, "vCPUs" if taken.slides > jobs else "slides")


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
