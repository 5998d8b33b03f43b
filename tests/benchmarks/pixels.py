"""The pixel lane against the usual way: CPU time and memory, side by side on forged slides."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import openslide
import PIL

from tests.benchmarks.measure import measure
from tests.support.forge import forge_svs

TISSUE = Path(".cache/CMU-1-Small-Region.svs")
OPTIONS = [
    *("{slide}", "--to", "{to}", "--tile-size", "{tile_size}"),
    *("--quality", "{quality}", "--workers", "{workers}"),
]
OURS = [str(Path(sys.executable).with_name("vsv-pyramid")), "convert", *OPTIONS, "--quiet"]
PIXELS = [*OURS, "--lane", "pixels"]
USUAL = [sys.executable, "-m", "tests.benchmarks.deepzoom_driver", *OPTIONS]
TOOLS = {"vsv-pyramid": PIXELS, "DeepZoomGenerator": USUAL}

HEADING = [
    *("gigapixels", "tool", "CPU s", "CPU s a gigapixel"),
    *("ratio", "wall s", "peak MB", "objects"),
]
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


@dataclass(frozen=True)
class Verdict:
    """A target, and what was measured against it."""

    target: str
    measured: str
    met: bool

    def __str__(self) -> str:
        return f"{self.target}: {self.measured}, {'met' if self.met else 'MISSED'}"


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
            f"CPU time at most {MAX_CPU_RATIO:g} of DeepZoomGenerator's",
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


def rows(pairs: Sequence[Pair]) -> Iterator[list[str]]:
    """The table's cells, the heading first."""
    yield HEADING
    for pair in pairs:
        for run, ratio in (pair.ours, pair.cpu_ratio), (pair.usual, 1):
            yield [
                f"{run.gigapixels:g}",
                run.tool,
                f"{run.cpu_seconds:.1f}",
                f"{run.cpu_seconds / run.gigapixels:.1f}",
                f"{ratio:.2f}",
                f"{run.wall_seconds:.1f}",
                f"{run.peak_mb:.0f}",
                f"{run.objects:,}",
            ]


def table(pairs: Sequence[Pair], *, markdown: bool) -> str:
    return cells_as_table(list(rows(pairs)), left=(1,), markdown=markdown)


def cells_as_table(cells: Sequence[Sequence[str]], *, left: Sequence[int], markdown: bool) -> str:
    """The cells in columns, aligned to the right but for those at `left`."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        " | ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    rule = [
        "-" * width if column in left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines.insert(1, " | ".join(rule) if markdown else "-+-".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" if markdown else line for line in lines)


def machine() -> dict[str, str | int]:
    """What the numbers depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "os": _os_name(),
        "python": platform.python_version(),
        "openslide": openslide.__library_version__,
        "openslide-python": openslide.__version__,
        "pillow-simd" if ".post" in PIL.__version__ else "pillow": PIL.__version__,
        "simplejpeg": _version("simplejpeg"),
        "vsv-pyramid": _version("vsv-pyramid"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def report(pairs: Sequence[Pair], about: dict[str, str | int], *, markdown: bool) -> str:
    """The table and the verdicts; in Markdown, with the machine, as the README has it."""
    lines = [str(verdict) for verdict in verdicts(pairs)]
    if markdown:
        cpu, cores, system, *software = about.items()
        versions = ", ".join(f"{name} {number}" for name, number in software)
        lines = [f"- {line}" for line in lines]
        lines += ["", f"Measured on {cpu[1]}, {cores[1]} cores, {system[1]}; {versions}."]
    return "\n".join([table(pairs, markdown=markdown), "", *lines])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pixels", description=__doc__)
    parser.add_argument("--gigapixels", type=float, nargs="+", default=[0.25, 1, 4])
    parser.add_argument("--tile-size", type=int, default=720)
    parser.add_argument("--quality", type=int, default=80)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tissue", type=Path, default=TISSUE, help="the real slide")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
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
    about = machine()
    print(report(pairs, about, markdown=options.markdown))
    if options.json:
        result = {
            "machine": about,
            "options": settings,
            "runs": [asdict(run) for pair in pairs for run in (pair.ours, pair.usual)],
            "cpu_ratios": {f"{pair.ours.gigapixels:g}": pair.cpu_ratio for pair in pairs},
            "verdicts": [asdict(verdict) for verdict in verdicts(pairs)],
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
