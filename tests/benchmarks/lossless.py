"""The lossless lane against its peers: CPU time, wall time and memory, side by side in one run."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Cost, measure
from tests.benchmarks.pixels import OURS, TISSUE, USUAL, cells_as_table, machine, size
from tests.support.forge import Encoding, forge_svs

OPTIONS = ["{slide}", "--to", "{to}", "--tile-size", "{tile_size}"]
OUR_NAME, VIPS, USUAL_NAME, DECODE = "vsv-pyramid", "pyvips", "DeepZoomGenerator", "full decode"
TOOLS = {
    OUR_NAME: OURS,
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
    Kind("RGB 4:4:4 Q70, 240 px", Encoding(240, 70, "4:4:4", rgb=True), 4, 5, 1.0),
    Kind("YCbCr 4:2:0 Q70, 256 px", Encoding(256, 70, "4:2:0", rgb=False), 6, 6, 0.9),
    Kind("YCbCr 4:2:2 Q91, 256 px", Encoding(256, 91, "4:2:2", rgb=False), 4, 5, 1.1),
)
USUAL_CPU = 15
PEAK_MB = 200
SPREAD = 1.1  # from the smallest slide to the largest
HEADING = ["slide", "gigapixels", "tool", "CPU s", "CPU ratio", "wall s", "wall ratio", "peak MB"]


@dataclass(frozen=True)
class Row:
    """One tool on one slide: the median of its runs."""

    kind: Kind
    gigapixels: float
    tool: str
    cost: Cost


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def measured(tool: str, slide: Path, to: Path, tile_size: int, runs: int) -> Cost:
    """The median cost of a tool that writes to `to`, which is emptied after each run."""
    values = {"slide": slide, "to": to, "tile_size": tile_size, "quality": 80, "workers": 2}
    costs = []
    for _ in range(runs):
        to.mkdir()
        try:
            costs.append(measure([word.format(**values) for word in TOOLS[tool]]))
        finally:
            shutil.rmtree(to)
    return median(costs)


def compare(
    kind: Kind, gigapixels: float, tools: Sequence[str], scratch: Path, runs: int
) -> list[Row]:
    slide = scratch / "forged.svs"
    forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=kind.encoding)
    rows = []
    for tool in tools:
        print(f"{kind.name}, {gigapixels:g} gigapixels: {tool}", file=sys.stderr, flush=True)
        once = 1 if tool == USUAL_NAME else runs  # minutes a run, and nobody's near competitor
        cost = measured(tool, slide, scratch / "out", 3 * kind.encoding.tile, once)
        rows.append(Row(kind, gigapixels, tool, cost))
    slide.unlink()
    return rows


def cells(rows: Sequence[Row]) -> list[list[str]]:
    ours = {(row.kind, row.gigapixels): row.cost for row in rows if row.tool == OUR_NAME}
    table = [HEADING]
    for row in rows:
        base = ours[row.kind, row.gigapixels]
        table.append(
            [
                row.kind.name,
                f"{row.gigapixels:g}",
                row.tool,
                f"{row.cost.cpu_seconds:.1f}",
                f"{row.cost.cpu_seconds / base.cpu_seconds:.1f}",
                f"{row.cost.wall_seconds:.1f}",
                f"{row.cost.wall_seconds / base.wall_seconds:.1f}",
                f"{row.cost.peak_bytes / 1e6:.0f}",
            ]
        )
    return table


def verdicts(rows: Sequence[Row]) -> list[str]:
    """A line for each target: what was to be reached, and what was."""
    cost = {(row.kind, row.gigapixels, row.tool): row.cost for row in rows}
    lines = []
    for (kind, gigapixels, tool), peer in cost.items():
        ours = cost[kind, gigapixels, OUR_NAME]
        cpu = peer.cpu_seconds / ours.cpu_seconds
        wall = peer.wall_seconds / ours.wall_seconds
        targets: dict[str, list[tuple[str, float, float]]] = {
            VIPS: [
                ("CPU, times less than pyvips", cpu, kind.vips_cpu),
                ("wall, times less than pyvips", wall, kind.vips_wall),
            ],
            USUAL_NAME: [("CPU, times less than DeepZoomGenerator", cpu, USUAL_CPU)],
            DECODE: [("CPU, times less than one full decode", cpu, 1 / kind.decode_cpu)],
        }
        lines += [
            f"{kind.name}: {what}: {reached:.2f}, target {target:.2f}, "
            f"{'met' if reached >= target else 'MISSED'}"
            for what, reached, target in targets.get(tool, [])
        ]
    return lines


def growth_verdicts(growth: Sequence[Row]) -> list[str]:
    """A line for each target of memory, and of CPU time a gigapixel, as the slide grows."""
    if not growth:
        return []
    peaks = [row.cost.peak_bytes / 1e6 for row in growth]
    seconds = [row.cost.cpu_seconds / row.gigapixels for row in growth]
    return [
        f"{what}: {reached:.3g} {unit}, target {target}, {'met' if reached <= target else 'MISSED'}"
        for what, reached, unit, target in (
            ("peak memory at any size", max(peaks), "MB", PEAK_MB),
            ("peak memory, most over least", max(peaks) / min(peaks), "times", SPREAD),
            ("CPU a gigapixel, most over least", max(seconds) / min(seconds), "times", SPREAD),
        )
    ]


def record(row: Row) -> dict[str, Any]:
    about = {"slide": row.kind.name, "gigapixels": row.gigapixels, "tool": row.tool}
    return about | row.cost._asdict()


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
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
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
    about = machine()
    print(cells_as_table(cells(rows), left=(0, 2), markdown=options.markdown), "", sep="\n")
    print(cells_as_table(cells(growth), left=(0, 2), markdown=options.markdown), "", sep="\n")
    lines = verdicts(rows) + growth_verdicts(growth)
    print("\n".join(lines))
    if options.json:
        result = {
            "machine": about,
            "runs": [record(row) for row in rows],
            "growth": [record(row) for row in growth],
            "verdicts": lines,
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
