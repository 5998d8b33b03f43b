"""Slides that lie somewhere in their container, through the command: a picture, or a sentence; no
traceback, bounded memory, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers.mutable import CONTAINERS
from tests.support.mutations import mutated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")

PROGRAM = str(Path(sys.executable).with_name("vsv-pyramid"))
BYTES, SECONDS = 10**9, 600


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_picture_or_a_sentence(
    container: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    make, places_of = CONTAINERS[container]
    (tmp_path / "sound").mkdir()
    sound = make(tmp_path / "sound")
    data, places = sound.read_bytes(), list(places_of(sound))
    draw = random.Random(f"{container} {request.config.getoption('--chaos')}")
    count = 200 if request.config.getoption("--thorough") else 20
    slides = []
    for number in range(count):
        folder = tmp_path / "slides" / f"{number}"
        folder.mkdir(parents=True)
        slides.append(folder / f"{number}{sound.suffix}")
        slides[-1].write_bytes(mutated(data, places, draw))
    to = tmp_path / "to"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = ["prlimit", f"--as={BYTES}", PROGRAM, "convert", *map(str, slides), "--to", str(to)]
    ended = subprocess.run(
        [*command, "--json", "--quiet", "--on-error", "blank", "--workers", "1"],
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode >= 0, ended.stderr
    results = json.loads(ended.stdout)["slides"]
    assert len(results) == count
    for result in results:
        if result["status"] == "failed":
            assert result["error"].startswith(str(tmp_path)) and "\n" not in result["error"]
            assert "report it" not in result["error"]
    assert list(scratch.iterdir()) == []
    converted = {result["id"] for result in results if result["status"] == "converted"}
    found = {path.name for path in (to / "images").iterdir()} if to.exists() else set()
    assert found - {"index.json"} == converted
    shutil.rmtree(tmp_path)
