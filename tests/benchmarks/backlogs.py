"""100,000 slides at once: a simulation of jobs, of which each has its time, and which share the
puts that S3 takes; and what `submit --dry-run` says of the same slides beforehand.

python -m tests.benchmarks.backlogs prints the table of cloudformation/README.md.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from typing import NamedTuple

from tests.benchmarks.report import table
from vsv_pyramid.aws import costs

SLIDES, GIGAPIXELS, SPREAD = 100_000, 4.0, 0.5
HANDED_ON = 10.0  # slides a second by the function: ten at a time, a second each
TAKEN = 0.96  # of S3's limit, as tests.benchmarks.throttling has it


@dataclass(frozen=True)
class Load:
    """So many slides at once, for jobs that may have so many vCPUs on Spot, and again on demand;
    submitted, or by events."""

    max_vcpus: int
    is_packed: bool = False
    by_events: bool = False
    slides: int = SLIDES

    def sizes(self) -> list[float]:
        """In gigapixels: most are smaller than the mean, some are much larger."""
        chance = random.Random(1)
        mean = math.log(GIGAPIXELS) - SPREAD**2 / 2
        return [chance.lognormvariate(mean, SPREAD) for _ in range(self.slides)]

    def taken(self) -> costs.Estimate:
        part = costs.on_demand_part(self.slides, self.max_vcpus)
        whole = sum(self.sizes())
        return costs.estimate(self.slides, whole, is_packed=self.is_packed, on_demand=part)


class Outcome(NamedTuple):
    """Hours until the last slide is published, and the hours of jobs: those that wait for S3 are
    paid, too."""

    hours: float
    job_hours: float


def simulated(load: Load) -> Outcome:
    sizes = load.sizes()
    slots = sum(costs.jobs_at_once(load.slides, load.max_vcpus))
    puts = load.taken().objects / (sum(sizes) * costs.CPU_SECONDS / costs.JOB_VCPUS)
    most = TAKEN * costs.PUTS / puts  # jobs that put at full speed
    starting: list[tuple[float, float]] = []  # when it begins to convert, and for how long
    converting: list[tuple[float, float]] = []  # when it ends, in time at full speed; its start
    now = full = busy = 0.0
    number = 0
    while number < load.slides or starting or converting:
        while number < load.slides and len(starting) + len(converting) < slots:
            comes = number / HANDED_ON if load.by_events else 0.0
            seconds = sizes[number] * costs.CPU_SECONDS / costs.JOB_VCPUS
            heapq.heappush(starting, (max(now, comes) + costs.START_SECONDS, seconds))
            number += 1
        speed = min(1.0, most / len(converting)) if converting else 1.0
        end = now + (converting[0][0] - full) / speed if converting else math.inf
        begin = starting[0][0] if starting else math.inf
        full += (min(begin, end) - now) * speed
        now = min(begin, end)
        if begin <= end:
            seconds = heapq.heappop(starting)[1]
            heapq.heappush(converting, (full + seconds, now - costs.START_SECONDS))
        else:
            busy += now - heapq.heappop(converting)[1]
    return Outcome(now / 3600, busy / 3600)


HEADS = (
    "vCPUs",
    "layout",
    "slides come by",
    "jobs",
    "hours",
    "hours, as told",
    "limit, as told",
    "dollars",
)


def row(load: Load) -> tuple[str, ...]:
    """The table's. A job that waits for S3 costs as one that works."""
    found, taken = simulated(load), load.taken()
    told = costs.schedule(taken, load.max_vcpus)
    longer = found.job_hours / (taken.vcpu_hours / costs.JOB_VCPUS)
    beside = taken.get_dollars + taken.put_dollars
    dollars = (taken.compute_dollars + taken.job_dollars) * longer + beside
    return (
        f"{load.max_vcpus:,}",
        "packed" if load.is_packed else "tiles",
        "events" if load.by_events else "`submit`",
        f"{told.jobs:,}",
        f"{found.hours:.1f}",
        f"{told.hours:.1f}",
        told.limit,
        f"${dollars:,.0f}",
    )


LOADS = [
    *(Load(vcpus) for vcpus in (16, 64, 256)),
    *(Load(vcpus, is_packed=True) for vcpus in (16, 64, 256, 1024)),
    Load(64, by_events=True),
    Load(1024, is_packed=True, by_events=True),
]


def main() -> None:
    print(table([HEADS, *map(row, LOADS)], left=[1, 2, 6]))


if __name__ == "__main__":
    main()
