"""The attack: that it plays, and that it sees what does not hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack import plays
from tests.attack.__main__ import MOST_MEGABYTES, Score

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its limits are Linux's")


def test_a_little_of_it(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.attack", "--seed", "1", "--share", "0.002"]
    ended = subprocess.run(
        words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    seed, _, _, *rows = ended.stdout.splitlines()
    assert seed == "seed 1"
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(plays.PLAYS)
    assert all(row.endswith("| 0 |") for row in rows)


def test_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(plays, "main", defect)
    (fault,) = plays.command("info", "a.svs")
    assert fault.startswith("info a.svs: Traceback")
    monkeypatch.setattr(plays, "main", lambda _: print("\x1b[2J"))
    assert plays.command("info") == ["info: \x1b[2J\n"]


def test_a_case_that_takes_too_much() -> None:
    score = Score()
    for number, megabytes in enumerate((10, MOST_MEGABYTES + 1, MOST_MEGABYTES + 1)):
        score.add({"ends": number, "seconds": 1, "megabytes": megabytes, "faults": []})
    assert score.faults == [(1, "1001 MB of memory")]  # by the process, whose highest it is
    assert (score.cases, score.seconds, score.slowest) == (3, 3, 1)
