"""The pixel lane against the usual way: CPU time and memory, side by side on forged slides."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import performance
from tests.benchmarks.measure import measure
from tests.benchmarks.report import OUR_NAME, USUAL_NAME, Verdict, machine, tell
from tests.support.forge import forge_svs

TISSUE = Path(".cache/CMU-1-Small-Region.svs")
OPTIONS = [
    *("{slide}", "--to", "{to}", "--tile-size", "{tile_size}"),
    *("--quality", "{quality}", "--workers", "{workers}"),
]
OURS = [str(Path(sys.executable).with_name("vsv-pyramid")), "convert", *OPTIONS, "--quiet"]
PIXELS = [*OURS, "--lane", "pixels"]
USUAL = [sys.executable, "-m", "tests.benchmarks.deepzoom_driver", *OPTIONS]
TOOLS = {OUR_NAME: PIXELS, USUAL_NAME: USUAL}

MAX_CPU_RATIO = 0.6
MAX_PEAK_MB = 300
MAX_GROWTH = 0.15  # of the peak, from the smallest slide to the largest


@dataclass(frozen=True)
class Run:
    """One tool on one slide."""

    gigapixels: float
    tool: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    objects: int
    tiles: int

    @property
    def peak_mb(self) -> float:
        return self.peak_bytes / 1e6


@dataclass(frozen=True)
class Pair:
    """Both tools on one slide."""

    ours: Run
    usual: Run

    @property
    def cpu_ratio(self) -> float:
        return self.ours.cpu_seconds / self.usual.cpu_seconds


def size(gigapixels: float) -> tuple[int, int]:
    """(width, height) in px of a slide in the shape of most: five to four."""
    width = round(math.sqrt(gigapixels * 1e9 * 5 / 4))
    return width, round(gigapixels * 1e9 / width)


def run(tool: str, gigapixels: float, slide: Path, to: Path, **options: int) -> Run:
    """Let `tool` convert `slide` into `to`, measure it and remove what it made."""
    command = [word.format(slide=slide, to=to, **options) for word in TOOLS[tool]]
    to.mkdir()
    try:
        cost = measure(command)
        made = [path for path in to.rglob("*") if path.is_file()]
    finally:
        shutil.rmtree(to)
    tiles = sum(path.parts[-3] == "DeepZoom_files" for path in made)
    return Run(gigapixels, tool, *cost, objects=len(made), tiles=tiles)


def compare(
    gigapixels: float, tissue: Path, scratch: Path, say: Callable[[str], None], **options: int
) -> Pair:
    """Forge a slide, run both tools on it and remove it."""
    slide = scratch / f"forged-{gigapixels:g}.svs"
    say(f"{gigapixels:g} gigapixels: forging")
    forge_svs(slide, tissue=tissue, size=size(gigapixels))
    runs = []
    for tool in TOOLS:
        say(f"{gigapixels:g} gigapixels: {tool}")
        runs.append(run(tool, gigapixels, slide, scratch / "out", **options))
    slide.unlink()
    pair = Pair(*runs)
    if pair.ours.tiles != pair.usual.tiles:
        raise SystemExit(f"not the same pyramid: {pair.ours.tiles} and {pair.usual.tiles} tiles")
    return pair


def verdicts(pairs: Sequence[Pair]) -> list[Verdict]:
    slowest = max(pairs, key=lambda pair: pair.cpu_ratio)
    largest_peak = max(pair.ours.peak_mb for pair in pairs)
    small, large = (
        extreme((pair.ours for pair in pairs), key=lambda run: run.gigapixels)
        for extreme in (min, max)
    )
    growth = large.peak_bytes / small.peak_bytes - 1
    return [
        Verdict(
            f"CPU time at most {MAX_CPU_RATIO:g} of {USUAL_NAME}'s",
            f"{slowest.cpu_ratio:.2f} at most",
            slowest.cpu_ratio <= MAX_CPU_RATIO,
        ),
        Verdict(
            f"peak memory under {MAX_PEAK_MB} MB",
            f"{largest_peak:.0f} MB at most",
            largest_peak < MAX_PEAK_MB,
        ),
        Verdict(
            f"peak memory within {MAX_GROWTH:.0%} from {small.gigapixels:g} to "
            f"{large.gigapixels:g} gigapixels",
            f"{growth:+.1%}",
            abs(growth) <= MAX_GROWTH,
        ),
    ]


def results(
    pairs: Sequence[Pair], options: Mapping[str, int], about: Mapping[str, str | int]
) -> dict[str, Any]:
    """What is written down of the runs."""
    return {
        "machine": about,
        "options": options,
        "runs": [asdict(run) for pair in pairs for run in (pair.ours, pair.usual)],
        "verdicts": [asdict(verdict) for verdict in verdicts(pairs)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pixels", description=__doc__)
    parser.add_argument("--gigapixels", type=float, nargs="+", default=[0.25, 1, 4])
    parser.add_argument("--tile-size", type=int, default=720)
    parser.add_argument("--quality", type=int, default=80)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tissue", type=Path, default=TISSUE, help="the real slide")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    for needed in options.tissue, Path(OURS[0]):
        if not needed.exists():
            parser.error(f"{needed} is missing: make demo brings it")

    settings = {name: getattr(options, name) for name in ("tile_size", "quality", "workers")}
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        pairs = [
            compare(
                gigapixels,
                options.tissue,
                Path(scratch),
                lambda line: print(line, file=sys.stderr, flush=True),
                **settings,
            )
            for gigapixels in options.gigapixels
        ]
    result = results(pairs, settings, machine())
    tell(performance.pixels(result), result, options.json)


if __name__ == "__main__":
    main()
