"""Many jobs that put into one prefix, whose server takes so many puts a second: a simulation of
events, by the program's own pace and pauses, of which each job knows only its own.

python -m tests.benchmarks.throttling prints the table of cloudformation/README.md.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from unittest import mock

from tests.benchmarks.report import table
from vsv_pyramid.aws import retry
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime import clock
from vsv_pyramid.store.pace import Pace

BURST = 0.1  # s of the limit, which the server takes at once
LATENCY = (0.02, 0.06)  # s


@dataclass(frozen=True)
class Load:
    """So many jobs, each of which makes so many tiles a second; the server's limit for all."""

    jobs: int
    tiles: float = 140.0
    limit: float = 3500.0
    seconds: float = 30.0
    heeds: bool = True


class Outcome(NamedTuple):
    """Puts that were taken, as a part of what the limit and the jobs let; the part of requests that
    was refused; the longest a tile waited, in s; tiles that were given up."""

    goodput: float
    refused: float
    longest: float
    gave_up: int


@dataclass
class _Tile:
    pace: Pace
    made: float
    pause: float = retry._FIRST_PAUSE


@dataclass
class _Simulation:
    load: Load
    now: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    number: itertools.count[int] = field(default_factory=itertools.count)
    room: float = 0.0
    filled: float = 0.0
    taken: int = 0
    refused: int = 0
    longest: float = 0.0
    gave_up: int = 0

    def run(self) -> Outcome:
        workers = ConvertOptions().s3.upload_workers
        with mock.patch.object(clock, "monotonic", lambda: self.now):
            for _ in range(self.load.jobs):
                pace, made = Pace(ConvertOptions().s3.max_put_rate), itertools.count()
                for _ in range(workers):
                    self._make(pace, made)
            while self.events[0][0] < self.load.seconds:
                self.now, _, happens = heapq.heappop(self.events)
                happens()
        wanted = min(self.load.limit, self.load.jobs * self.load.tiles)
        return Outcome(
            self.taken / self.load.seconds / wanted,
            self.refused / (self.refused + self.taken),
            self.longest,
            self.gave_up,
        )

    def _at(self, time: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self.events, (time, next(self.number), happens))

    def _make(self, pace: Pace, made: itertools.count[int]) -> None:
        """The job's next tile, which one of its threads puts, and then takes another."""
        tile = _Tile(pace, max(self.now, next(made) / self.load.tiles))
        self._at(tile.made, lambda: self._turn(tile, made))

    def _turn(self, tile: _Tile, made: itertools.count[int]) -> None:
        delay = tile.pace.turn() if self.load.heeds else 0.0
        self._at(self.now + delay, lambda: self._ask(tile, made))

    def _ask(self, tile: _Tile, made: itertools.count[int]) -> None:
        most = BURST * self.load.limit
        self.room = min(most, self.room + (self.now - self.filled) * self.load.limit)
        self.filled = self.now
        is_taken = self.room >= 1
        self.room -= is_taken
        back = self.now + self.chance.uniform(*LATENCY)
        self._at(back, lambda: self._told(tile, made, is_taken))

    def _told(self, tile: _Tile, made: itertools.count[int], is_taken: bool) -> None:
        if is_taken:
            self.taken += 1
            self.longest = max(self.longest, self.now - tile.made)
            self._make(tile.pace, made)
            return
        self.refused += 1
        if self.load.heeds:
            tile.pace.refused()
        wait = self.chance.uniform(0, tile.pause)
        if self.now + wait - tile.made > retry.GIVE_UP_SECONDS:
            self.gave_up += 1
            self._make(tile.pace, made)
            return
        tile.pause = min(2 * tile.pause, retry._LONGEST_PAUSE)
        self._at(self.now + wait, lambda: self._turn(tile, made))


def simulated(load: Load) -> Outcome:
    return _Simulation(load).run()


HEADS = ("jobs", "at a refusal", "puts taken, of the limit", "refused", "longest wait", "given up")


def row(load: Load) -> tuple[str, ...]:
    """The table's."""
    found = simulated(load)
    return (
        str(load.jobs),
        "a job gives way" if load.heeds else "nobody does",
        f"{found.goodput:.0%}",
        f"{found.refused:.1%}",
        f"{found.longest:.0f} s",
        str(found.gave_up),
    )


def main() -> None:
    loads = [Load(jobs, heeds=heeds) for jobs in (16, 64, 128) for heeds in (True, False)]
    print(table([HEADS, *map(row, loads)], left=[1]))


if __name__ == "__main__":
    main()
