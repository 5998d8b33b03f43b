"""The pixel lane's benchmark: a fair opponent, and verdicts that can be missed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.benchmarks import deepzoom_driver, performance, pixels
from tests.benchmarks.pixels import Pair, Run
from tests.support.forge import forge_svs


@pytest.fixture(scope="module")
def forged(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forged") / "forged.svs"
    forge_svs(path, tissue=real_slide, size=(1501, 1100), levels=(1, 4))
    return path


def pair(gigapixels: float, cpu_ratio: float, peak_mb: float) -> Pair:
    ours = Run(gigapixels, "vsv-pyramid", 40 * cpu_ratio, 9, int(peak_mb * 1e6), 1234, 1230)
    return Pair(ours, Run(gigapixels, "DeepZoomGenerator", 40, 21, 305_000_000, 1231, 1230))


def test_the_driver_makes_every_tile_as_deepzoom_generator_has_it(
    forged: Path, tmp_path: Path
) -> None:
    driver = [sys.executable, "-m", "tests.benchmarks.deepzoom_driver"]
    subprocess.run([*driver, str(forged), "--to", str(tmp_path)], check=True)
    tiles = deepzoom_driver.generator(forged, 720)
    expected = {
        # Not get_tile_dimensions: get_tile's own tiles are a pixel smaller here and there.
        f"DeepZoom_files/{level}/{column}_{row}.jpeg": tiles.get_tile(level, (column, row)).size
        for level, column, row in deepzoom_driver.addresses(tiles)
    }
    assert len(expected) == tiles.tile_count
    assert (tmp_path / "DeepZoom.dzi").read_text() == tiles.get_dzi("jpeg")
    made = {}
    for path in tmp_path.rglob("*.jpeg"):
        with Image.open(path) as tile:
            made[path.relative_to(tmp_path).as_posix()] = tile.size
    assert made == expected


@pytest.mark.parametrize(
    ("pairs", "met"),
    [
        ([pair(0.25, 0.6, 260), pair(4, 0.3, 299)], [True, True, True]),
        ([pair(0.25, 0.5, 260), pair(4, 0.61, 270)], [False, True, True]),
        ([pair(0.25, 0.5, 290), pair(1, 0.5, 300), pair(4, 0.5, 290)], [True, False, True]),
        ([pair(4, 0.5, 231), pair(0.25, 0.5, 200)], [True, True, False]),
        ([pair(0.25, 0.5, 231), pair(4, 0.5, 190)], [True, True, False]),
    ],
)
def test_verdicts(pairs: list[Pair], met: list[bool]) -> None:
    assert [verdict.met for verdict in pixels.verdicts(pairs)] == met


def test_the_table() -> None:
    options = {"tile_size": 720, "quality": 80, "workers": 2}
    about: dict[str, str | int] = {"cpu": "a CPU", "cores": 2, "os": "an OS"}
    section = performance.pixels(pixels.results([pair(0.25, 0.5, 260)], options, about))
    lines = [line for line in section.splitlines() if line.startswith("|")][:4]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]] == [
        ["0.25", "vsv-pyramid", "20.0", "80.0", "0.50", "9.0", "260", "1,234"],
        ["0.25", "DeepZoomGenerator", "40.0", "160.0", "1.00", "21.0", "305", "1,231"],
    ]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("gigapixels", [0.25, 1, 4])
def test_slides_are_as_large_as_they_are_said_to_be(gigapixels: float) -> None:
    width, height = pixels.size(gigapixels)
    assert width * height / 1e9 == pytest.approx(gigapixels, rel=1e-3)


@pytest.fixture
def driver_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual way in both lanes: how a run goes is tested here, not who wins."""
    monkeypatch.setattr(pixels, "OURS", [sys.executable])
    monkeypatch.setattr(pixels, "TOOLS", dict.fromkeys(pixels.TOOLS, pixels.USUAL))


@pytest.mark.usefixtures("driver_for_ours")
def test_a_run(real_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scratch, result = tmp_path / "scratch", tmp_path / "result.json"
    arguments = f"--gigapixels 0.004 0.001 --scratch {scratch} --json {result}"
    pixels.main([*arguments.split(), "--tissue", str(real_slide)])
    assert not list(scratch.iterdir())
    written = json.loads(result.read_text())
    assert [(run["gigapixels"], run["tool"]) for run in written["runs"]] == [
        (gigapixels, tool) for gigapixels in (0.004, 0.001) for tool in pixels.TOOLS
    ]
    assert all(run["cpu_seconds"] > 0 and run["tiles"] > 12 for run in written["runs"])
    out = capsys.readouterr().out
    assert len(re.findall(r"\| (?:met|missed) +\|\n", out)) == len(written["verdicts"]) == 3
    assert written["machine"]["cpu"] in out


@pytest.mark.usefixtures("driver_for_ours")
def test_a_lane_that_makes_fewer_tiles_is_refused(
    real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    less = [word.replace("{tile_size}", "1440") for word in pixels.USUAL]
    monkeypatch.setitem(pixels.TOOLS, "vsv-pyramid", less)
    arguments = f"--gigapixels 0.004 --scratch {tmp_path}"
    with pytest.raises(SystemExit, match="not the same pyramid"):
        pixels.main([*arguments.split(), "--tissue", str(real_slide)])
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        pixels.main(["--scratch", str(tmp_path), "--tissue", str(tmp_path / "none.svs")])
    assert "none.svs is missing" in capsys.readouterr().err
