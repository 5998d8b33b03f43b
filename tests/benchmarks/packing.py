"""The packed layout against tiles: CPU time and memory of a conversion into S3, and of `pack` and
`unpack` against a loop that only reads and writes the same bytes.

S3 is the sink of the benchmark of publishing: what is measured is the client.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import performance
from tests.benchmarks.lossless import KINDS, median
from tests.benchmarks.measure import Cost, measure
from tests.benchmarks.pixels import TISSUE, size
from tests.benchmarks.publish import BUCKET, sink, to_s3
from tests.benchmarks.report import Verdict, machine, tell
from tests.support.forge import forge_svs

TILES, PACKED = "convert into S3, tiles", "convert into S3, packed"
PACK, UNPACK = "pack", "unpack"
TO_ONE, TO_MANY = "a loop: files into one", "a loop: one into files"
CPU_OF_TILES, CPU_OF_LOOP = 0.85, 1.4
PEAK_MB = 250

# What no program can do with less: each file read or written once.
LOOPS = {
    TO_ONE: """
import sys
from pathlib import Path
with open(sys.argv[2], "wb") as one:
    for path in Path(sys.argv[1]).rglob("*.jpeg"):
        one.write(path.read_bytes())
""",
    TO_MANY: """
import sys
from pathlib import Path
sizes = [(path, path.stat().st_size) for path in Path(sys.argv[1]).rglob("*.jpeg")]
to = Path(sys.argv[3])
with open(sys.argv[2], "rb") as one:
    for number, (_, size) in enumerate(sizes):
        (to / f"{number}.jpeg").write_bytes(one.read(size))
""",
}


class Row(NamedTuple):
    """One way on a slide of so many gigapixels: the median of its runs."""

    way: str
    gigapixels: float
    cost: Cost


def ours(*words: object) -> list[str]:
    return [sys.executable, "-m", "vsv_pyramid", *map(str, words)]


def converted(slide: Path, scratch: Path) -> dict[str, Cost]:
    costs = {}
    with sink(scratch):
        for way, layout in ((TILES, "tiles"), (PACKED, "packed")):
            command = to_s3(slide, f"s3://{BUCKET}/{layout}", 720)
            costs[way] = measure([*command, "--layout", layout])
    return costs


def repacked(slide: Path, scratch: Path) -> dict[str, Cost]:
    out, loose = scratch / "out", scratch / "loose"
    measure(to_s3(slide, str(out), 720))
    loose.mkdir()
    loop = [sys.executable, "-c"]
    one = scratch / "one"
    costs = {
        TO_ONE: measure([*loop, LOOPS[TO_ONE], str(out), str(one)]),
        TO_MANY: measure([*loop, LOOPS[TO_MANY], str(out), str(one), str(loose)]),
    }
    shutil.rmtree(loose)
    one.unlink()
    pyramid = out / "images" / slide.stem
    costs |= {way: measure(ours(way, pyramid, "--yes")) for way in (PACK, UNPACK)}
    shutil.rmtree(out)
    return costs


def compare(gigapixels: float, scratch: Path, runs: int) -> list[Row]:
    slide = scratch / "forged.svs"
    forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=KINDS[0].encoding)
    found = []
    for number in range(runs):
        print(f"{gigapixels:g} gigapixels: run {number + 1} of {runs}", file=sys.stderr, flush=True)
        found.append(converted(slide, scratch) | repacked(slide, scratch))
    slide.unlink()
    return [Row(way, gigapixels, median([costs[way] for costs in found])) for way in found[0]]


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    cpu = {row.way: row.cost.cpu_seconds for row in rows}
    pairs = (
        (PACKED, TILES, CPU_OF_TILES),
        (PACK, TO_ONE, CPU_OF_LOOP),
        (UNPACK, TO_MANY, CPU_OF_LOOP),
    )
    found = [
        Verdict(
            f"{way}: CPU time at most {target:g} of: {other}",
            f"{cpu[way] / cpu[other]:.2f}",
            round(cpu[way] / cpu[other], 2) <= target,
        )
        for way, other, target in pairs
    ]
    peak = max(row.cost.peak_bytes for row in rows if row.way == PACKED) / 1e6
    what = f"{PACKED}: peak memory at most {PEAK_MB} MB"
    return [*found, Verdict(what, f"{peak:.0f} MB", peak <= PEAK_MB)]


def results(
    rows: Sequence[Row], options: Mapping[str, float], about: Mapping[str, str | int]
) -> dict[str, Any]:
    return {
        "machine": about,
        "options": options,
        "runs": [
            {"way": row.way, "gigapixels": row.gigapixels, **row.cost._asdict()} for row in rows
        ],
        "verdicts": [asdict(verdict) for verdict in verdicts(rows)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.packing", description=__doc__)
    parser.add_argument("--gigapixels", type=float, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        rows = compare(options.gigapixels, Path(folder), options.runs)
    settings = {"gigapixels": options.gigapixels, "runs": options.runs}
    result = results(rows, settings, machine("boto3", "obstore"))
    tell(performance.packing(result), result, options.json)


if __name__ == "__main__":
    main()
