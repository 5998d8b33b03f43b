"""The simulations of many jobs, and of many slides: targets, and the tables that a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.benchmarks import backlogs, throttling
from tests.benchmarks.throttling import Load
from vsv_pyramid.aws import costs

PAGE = Path(__file__).parents[2] / "cloudformation/README.md"


@pytest.mark.parametrize("jobs", [64, 128])
def test_many_jobs_use_what_there_is(jobs: int) -> None:
    found = throttling.simulated(Load(jobs))
    assert found.goodput > 0.9
    assert found.longest < 60
    assert found.gave_up == 0
    assert_on_the_page(throttling.row(Load(jobs)))


def assert_on_the_page(cells: Sequence[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.strip("| ").split("|") for line in text.splitlines() if "|" in line]
    assert list(cells) in [[cell.strip() for cell in row] for row in rows]


def test_100_000_slides_at_once() -> None:
    assert_on_the_page(backlogs.row(backlogs.Load(64)))


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("vcpus", [16, 64, 256])
def test_what_is_told_beforehand_comes_true(vcpus: int, is_packed: bool) -> None:
    load = backlogs.Load(vcpus, is_packed, slides=10_000)
    told = costs.schedule(load.taken(), vcpus)
    assert told.hours == pytest.approx(backlogs.simulated(load).hours, rel=0.06)


def test_functions_hand_on_no_faster_than_they_can() -> None:
    load = backlogs.Load(4000, is_packed=True, by_events=True, slides=10_000)
    assert backlogs.simulated(load).hours > 10_000 / backlogs.HANDED_ON / 3600


def test_who_does_not_give_way_is_refused_most() -> None:
    loads = [Load(64, seconds=15, heeds=heeds) for heeds in (True, False)]
    heeding, other = map(throttling.simulated, loads)
    assert other.refused > 5 * heeding.refused


def test_few_jobs_are_not_held_up() -> None:
    """But at the very beginning, when all of their threads put at once."""
    found = throttling.simulated(Load(16, seconds=15))
    assert found.refused < 0.001
    assert found.goodput > 0.97
