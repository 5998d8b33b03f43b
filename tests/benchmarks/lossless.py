"""The lossless lane against its peers: CPU time, wall time and memory, side by side in one run."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import on_demand, performance
from tests.benchmarks.measure import Cost, measure
from tests.benchmarks.pixels import OURS, TISSUE, USUAL, size
from tests.benchmarks.report import (
    DECODE,
    NARROW,
    OUR_NAME,
    USUAL_NAME,
    VIPS,
    Verdict,
    machine,
    tell,
)
from tests.support.forge import Encoding, forge_svs
from vsv_pyramid.aws.prices import STANDARD
from vsv_pyramid.layout.geometry import Pyramid, Size

OPTIONS = ["{slide}", "--to", "{to}", "--tile-size", "{tile_size}"]
TOOLS = {
    OUR_NAME: OURS,
    NARROW: [sys.executable, "-m", "tests.benchmarks.narrow_driver", *OURS[1:]],
    DECODE: [sys.executable, "-m", "tests.benchmarks.decode_driver", "{slide}"],
    VIPS: [sys.executable, "-m", "tests.benchmarks.vips_driver", *OPTIONS],
    USUAL_NAME: USUAL,
}


@dataclass(frozen=True)
class Kind:
    """A kind of slide, and what is to be reached on it: ratios of CPU and of wall seconds."""

    name: str
    encoding: Encoding
    vips_cpu: float
    vips_wall: float
    decode_cpu: float


KINDS = (
    Kind("RGB 4:4:4 Q70, 240 px", Encoding(240, 70, "4:4:4", rgb=True), 4, 5, 0.75),
    Kind("YCbCr 4:2:0 Q70, 256 px", Encoding(256, 70, "4:2:0", rgb=False), 6, 6, 0.75),
    Kind("YCbCr 4:2:2 Q91, 256 px", Encoding(256, 91, "4:2:2", rgb=False), 4, 5, 0.85),
)
USUAL_CPU = 15
PEAK_MB = 200
SPREAD = 1.1  # from the smallest slide to the largest
WORKERS = 2
COUNTED_GIGAPIXELS = 8  # of the slide whose tiles are counted


@dataclass(frozen=True)
class Row:
    """One tool on one slide: the median of its runs."""

    kind: Kind
    gigapixels: float
    tool: str
    cost: Cost
    runs: int


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def measured(tool: str, slide: Path, to: Path, tile_size: int) -> Cost:
    """The cost of one run of a tool that writes to `to`, which is removed after it."""
    values = {"slide": slide, "to": to, "tile_size": tile_size, "quality": 80, "workers": WORKERS}
    to.mkdir()
    try:
        return measure([word.format(**values) for word in TOOLS[tool]])
    finally:
        shutil.rmtree(to)


def compare(
    kind: Kind, gigapixels: float, tools: Sequence[str], scratch: Path, runs: int
) -> list[Row]:
    slide = scratch / "forged.svs"
    forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=kind.encoding)
    costs: dict[str, list[Cost]] = {tool: [] for tool in tools}
    # By turns: a machine that is not one's own is slower at one time than at another.
    for number in range(runs):
        for tool in tools:
            if number and tool == USUAL_NAME:
                continue  # minutes a run, and nobody's near competitor
            print(f"{kind.name}, {gigapixels:g} gigapixels: {tool}", file=sys.stderr, flush=True)
            costs[tool].append(measured(tool, slide, scratch / "out", 3 * kind.encoding.tile))
    slide.unlink()
    return [Row(kind, gigapixels, tool, median(each), len(each)) for tool, each in costs.items()]


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Of each kind of slide, against each of the other tools that ran."""
    cost = {(row.kind, row.gigapixels, row.tool): row.cost for row in rows}
    found = []
    for (kind, gigapixels, tool), peer in cost.items():
        ours = cost[kind, gigapixels, OUR_NAME]
        targets = {
            VIPS: (("CPU", "cpu_seconds", kind.vips_cpu), ("wall", "wall_seconds", kind.vips_wall)),
            USUAL_NAME: (("CPU", "cpu_seconds", USUAL_CPU),),
        }
        for what, name, target in targets.get(tool, ()):
            times = getattr(peer, name) / getattr(ours, name)
            wanted = f"{kind.name}: {what} time at least {target:g} times less than {tool}"
            found.append(Verdict(wanted, f"{times:.1f} times", times >= target))
        if tool == DECODE:
            part = ours.cpu_seconds / peer.cpu_seconds
            wanted = f"{kind.name}: CPU time at most {kind.decode_cpu:g} of one {tool}"
            found.append(Verdict(wanted, f"{part:.2f}", part <= kind.decode_cpu))
    return found


def growth_verdicts(growth: Sequence[Row]) -> list[Verdict]:
    """Of memory, and of CPU time a gigapixel, as the slide grows."""
    if not growth:
        return []
    peaks = [row.cost.peak_bytes / 1e6 for row in growth]
    seconds = [row.cost.cpu_seconds / row.gigapixels for row in growth]
    memory, cpu = max(peaks) / min(peaks), max(seconds) / min(seconds)
    most = f"at most {SPREAD:g} times the least, at any size"
    return [
        Verdict(
            f"peak memory at most {PEAK_MB} MB, at any size",
            f"{max(peaks):.0f} MB",
            max(peaks) <= PEAK_MB,
        ),
        Verdict(f"peak memory {most}", f"{memory:.1f} times", memory <= SPREAD),
        Verdict(f"CPU time a gigapixel {most}", f"{cpu:.1f} times", cpu <= SPREAD),
    ]


def puts() -> list[dict[str, float]]:
    """Tiles of a slide, and dollars to put them into S3: in our size, and in the usual one."""
    pixels = Size(*size(COUNTED_GIGAPIXELS))
    pyramids = [
        Pyramid(pixels, tile_size)
        for tile_size in (3 * KINDS[0].encoding.tile, on_demand.TILE_SIZE)
    ]
    return [
        {
            "gigapixels": COUNTED_GIGAPIXELS,
            "tile_size": pyramid.tile_size,
            "tiles": pyramid.tile_count,
            "dollars": pyramid.tile_count * STANDARD.put,
        }
        for pyramid in pyramids
    ]


def record(row: Row) -> dict[str, Any]:
    about = {"slide": row.kind.name, "gigapixels": row.gigapixels, "tool": row.tool}
    return about | row.cost._asdict() | {"runs": row.runs}


def results(
    rows: Sequence[Row], growth: Sequence[Row], about: Mapping[str, str | int]
) -> dict[str, Any]:
    """What is written down of the runs."""
    return {
        "machine": about,
        "options": {"workers": WORKERS},
        "runs": [record(row) for row in rows],
        "growth": [record(row) for row in growth],
        "puts": puts(),
        "verdicts": [asdict(verdict) for verdict in verdicts(rows) + growth_verdicts(growth)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.lossless", description=__doc__
    )
    parser.add_argument("--gigapixels", type=float, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--growth", type=float, nargs="*", default=[0.5, 2, 8])
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        rows = [
            row
            for kind in KINDS
            for row in compare(kind, options.gigapixels, options.tools, scratch, options.runs)
        ]
        growth = [
            row
            for gigapixels in options.growth
            for row in compare(KINDS[0], gigapixels, [OUR_NAME], scratch, 1)
        ]
    result = results(rows, growth, machine("pyvips-binary"))
    tell(performance.lossless(result), result, options.json)


if __name__ == "__main__":
    main()
