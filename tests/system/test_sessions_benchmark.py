"""The benchmark of sessions: as far away as it says, the same for both, and figures that hold."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks import sessions
from tests.benchmarks.sessions import COLD, ONE_FILE, SLIDE, TILES, WARM, Session
from tests.support.distant import distant
from tests.support.nginx import nginx, readable
from tests.support.s3_server import HOST, free_ports

AWAY = 0.2  # seconds


def test_what_is_distant_comes_whole_and_late(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(3_000_000)
    (tmp_path / "data").write_bytes(data)
    readable(tmp_path)
    (port,) = free_ports(1)
    with nginx(f"server {{ listen {HOST}:{port}; root {tmp_path}; }}", port):
        with distant(port, AWAY) as far:
            connection = http.client.HTTPConnection(HOST, far)
            start = time.monotonic()
            took = []
            for _ in range(2):
                connection.request("GET", "/data")
                assert connection.getresponse().read() == data
                took.append(time.monotonic() - start)
            connection.close()
        with pytest.raises(ConnectionRefusedError):
            connection.request("GET", "/data")
    assert took[0] >= 2 * AWAY  # the connection, and the way there and back
    assert took[1] - took[0] >= AWAY


def test_the_steps_are_in_the_slide_and_the_same_again() -> None:
    plan = sessions.steps(random.Random(3))
    assert len(plan) == sessions.STEPS
    assert all(0 < x < 1 and 0 < y < 1 and 0 < zoom <= 1 for x, y, zoom in plan)
    assert plan == sessions.steps(random.Random(3)) != sessions.steps(random.Random(4))


@pytest.mark.parametrize(
    ("one_file", "again", "met"),
    [
        ((0.50, 5, 4.40, 70, 110), 0, [True] * 6),
        ((0.51, 5, 4.40, 70, 110), 0, [False, *[True] * 5]),
        ((0.50, 6, 4.40, 70, 110), 0, [True, False, *[True] * 4]),
        ((0.50, 5, 4.41, 71, 111), 1, [True, True, *[False] * 4]),
    ],
)
def test_a_verdict_says_what_was_measured(
    one_file: tuple[float, int, float, int, int], again: int, met: list[bool]
) -> None:
    found = [
        Session(TILES, COLD, 0.5, 10, 4.0, 100, 100),
        Session(TILES, WARM, 0.5, 0, 4.0, 0, 0),
        *[Session(ONE_FILE, COLD, *values) for values in (one_file, one_file, (9, 9, 9, 999, 9))],
        Session(ONE_FILE, WARM, 0.5, 0, 4.0, again, 0),
    ]
    assert [one.met for one in sessions.verdicts(sessions.medians(found))] == met


@pytest.mark.long
def test_a_run(real_slide: Path, tmp_path: Path, chromium: object) -> None:
    """In a process of its own, since it starts a browser itself."""
    scratch, result = tmp_path / "scratch", tmp_path / "result.json"
    words = "--gigapixels 0.03 --milliseconds 5 --runs 1"
    command = [sys.executable, "-m", "tests.benchmarks.sessions", *words.split()]
    files = ["--scratch", str(scratch), "--json", str(result), "--tissue", str(real_slide)]
    done = subprocess.run([*command, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(scratch.iterdir())
    written = json.loads(result.read_text())
    by = {(row["way"], row["visit"]): row for row in written["sessions"]}
    tiles, one_file = by[TILES, COLD], by[ONE_FILE, COLD]
    assert tiles["requests"] > one_file["requests"] > one_file["view_requests"] >= 2
    assert one_file["bytes"] == pytest.approx(tiles["bytes"], rel=0.2)
    assert by[ONE_FILE, WARM]["requests"] == 0
    assert by[SLIDE, COLD]["bytes"] > 100_000
    assert written["verdicts"][0]["target"] in done.stdout
