"""The simulation of many jobs: targets, and the table that a page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import throttling
from tests.benchmarks.throttling import Load

PAGE = Path(__file__).parents[2] / "cloudformation/README.md"


@pytest.mark.parametrize("jobs", [64, 128])
def test_many_jobs_use_what_there_is(jobs: int) -> None:
    found = throttling.simulated(Load(jobs))
    assert found.goodput > 0.9
    assert found.longest < 60
    assert found.gave_up == 0
    cells = [cell.strip() for cell in throttling.row(Load(jobs))]
    rows = [line.strip("| ").split("|") for line in PAGE.read_text().splitlines() if "|" in line]
    assert cells in [[cell.strip() for cell in row] for row in rows]


def test_who_does_not_give_way_is_refused_most() -> None:
    loads = [Load(64, seconds=15, heeds=heeds) for heeds in (True, False)]
    heeding, other = map(throttling.simulated, loads)
    assert other.refused > 5 * heeding.refused


def test_few_jobs_are_not_held_up() -> None:
    """But at the very beginning, when all of their threads put at once."""
    found = throttling.simulated(Load(16, seconds=15))
    assert found.refused < 0.001
    assert found.goodput > 0.97
