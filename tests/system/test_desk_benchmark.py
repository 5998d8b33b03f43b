"""The benchmark of the desk's search box: that it types, waits and counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.benchmarks import desk, performance
from tests.benchmarks.desk import Row


def test_the_table_and_the_verdict() -> None:
    rows = [Row(desk.FEW, [10.0, 20.0]), Row(desk.MANY, [30.0] * 19 + [500.0])]
    about: dict[str, str | int] = {"cpu": "a CPU", "cores": 2, "os": "an OS"}
    lines = performance.desk(desk.results(rows, about)).splitlines()[2:4]
    assert [line.replace(" ", "") for line in lines] == [
        "|100|2|15|20|20|",
        "|10,000|20|30|30|500|",
    ]
    assert desk.verdict(rows).met
    assert not desk.verdict([Row(desk.MANY, [30.0] * 18 + [100.0] * 2)]).met


def test_keystrokes_are_measured(
    chromium: Browser, real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "TYPED", ("slide-0001", "s26"))
    rows = desk.measured(chromium, real_slide, tmp_path, (10, 50), rounds=1)
    assert [(row.slides, len(row.milliseconds)) for row in rows] == [(10, 26), (50, 26)]
    assert all(time > 0 for row in rows for time in row.milliseconds)
