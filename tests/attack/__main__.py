"""Attacks the program, two processes at a time, and prints a table of how it held.

    python -m tests.attack [--seed N] [--share 0.1]

A fault is a traceback, a case of more than 30 s or 1 GB, and what is left behind. Exit code 1 where
there is one; a case can be played again by its seed and number: python -m tests.attack.player.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.attack.plays import PLAYS

MOST_MEGABYTES = 1000
_AT_ONCE = 2  # processes
_CASES = 50  # that one process plays


@dataclass
class Score:
    """Of one play."""

    cases: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    megabytes: float = 0.0
    faults: list[tuple[int, str]] = field(default_factory=list)

    def add(self, told: dict[str, Any]) -> None:
        self.cases += 1
        self.seconds += told["seconds"]
        self.slowest = max(self.slowest, told["seconds"])
        if told["megabytes"] > max(self.megabytes, MOST_MEGABYTES):
            self.faults.append((told["ends"], f"{told['megabytes']:.0f} MB of memory"))
        self.megabytes = max(self.megabytes, told["megabytes"])
        self.faults += [(told["ends"], fault) for fault in told["faults"]]


def play(name: str, seed: int, first: int, last: int) -> Score:
    """The cases from the first up to the last, in as many processes as that takes."""
    score = Score()
    while first < last:
        words = [sys.executable, "-m", "tests.attack.player", name, *map(str, (seed, first, last))]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            out, err = process.communicate()
        for line in out.decode().splitlines():
            told = json.loads(line)
            if "begins" in told:
                first = told["begins"] + 1
            else:
                score.add(told)
        if not process.returncode:
            return score
        ended = process.returncode
        why = "a hang" if ended == -signal.SIGALRM else f"the process's end, by {ended}"
        score.faults.append((first - 1, f"{why}: {err.decode(errors='replace')[-2000:]}"))
        score.cases += 1
        if not out:  # it did not come so far as to play one
            return score
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--share", type=float, default=1.0, help="of all cases")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    parts = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, (cases, _) in PLAYS.items():
            wanted = max(1, round(cases * given.share))
            for first in range(0, wanted, _CASES):
                last = min(first + _CASES, wanted)
                parts.append((name, pool.submit(play, name, given.seed, first, last)))
    scores: dict[str, Score] = {}
    for name, part in parts:
        score, done = scores.setdefault(name, Score()), part.result()
        score.cases += done.cases
        score.seconds += done.seconds
        score.slowest = max(score.slowest, done.slowest)
        score.megabytes = max(score.megabytes, done.megabytes)
        score.faults += done.faults
    for name, score in scores.items():
        for number, fault in score.faults:
            print(f"{name} {number}: {fault}", file=sys.stderr)
    print("| what | cases | slowest case | most memory | faults |")
    print("| --- | --- | --- | --- | --- |")
    for name, score in scores.items():
        print(
            f"| {name} | {score.cases:,} | {score.slowest:.1f} s | {score.megabytes:,.0f} MB "
            f"| {len({number for number, _ in score.faults})} |"
        )
    sys.exit(any(score.faults for score in scores.values()))


if __name__ == "__main__":
    main()
