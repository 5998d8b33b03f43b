"""Publishing to S3 against making files and uploading them: CPU time, and memory behind a slow net.

The server is a sink (HTTPS, on this machine) that answers at once: what is measured is the client.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import trustme

from tests.benchmarks.lossless import KINDS, TOOLS, VIPS, Kind, median
from tests.benchmarks.measure import Cost, measure
from tests.benchmarks.pixels import OURS, TISSUE, cells_as_table, machine, size
from tests.support import s3_server
from tests.support.forge import forge_svs

BUCKET = "images"
FOLDER, S3, S5CMD, BOTO = "vsv-pyramid to a folder", "vsv-pyramid to S3", "s5cmd", "boto3"
CPU_A_THOUSAND = 0.4  # seconds, beyond the conversion
PEAK_MB = 300
FINISHED_SECONDS = 5
LEAST = {KINDS[0].name: (3, 4), KINDS[1].name: (4, 5)}  # times less CPU than by s5cmd, by boto3
HEADING = ["slide", "way", "CPU s", "CPU ratio", "wall s", "peak MB"]


class Row(NamedTuple):
    """One way on one slide: the median of its runs."""

    kind: str
    way: str
    cost: Cost


@contextlib.contextmanager
def sink(folder: Path, delay: float = 0) -> Iterator[str]:
    """A sink's URL, with the environment set for clients to find and trust it."""
    authority = trustme.CA()
    certificate = folder / "certificate.pem"
    authority.issue_cert(s3_server.HOST).private_key_and_cert_chain_pem.write_to_path(
        str(certificate)
    )
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    command = [sys.executable, "-m", "tests.benchmarks.sink", "--certificate", str(certificate)]
    with subprocess.Popen(
        [*command, "--delay", str(delay)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        os.environ |= {"AWS_CA_BUNDLE": str(bundle), **s3_server.Server(url).environment()}
        try:
            yield url
        finally:
            process.terminate()


def to_s3(slide: Path, to: str, tile_size: int) -> list[str]:
    values = {"slide": slide, "to": to, "tile_size": tile_size, "quality": 80, "workers": 2}
    return [word.format(**values) for word in OURS]


def once(kind: Kind, slide: Path, scratch: Path, number: int) -> dict[str, Cost]:
    """What each way costs; those that upload files include the making of them."""
    tile_size = 3 * kind.encoding.tile
    costs = {}
    out = scratch / "out"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, out, ignore_errors=True)
        out.mkdir()
        costs[FOLDER] = measure(to_s3(slide, str(out), tile_size))
        shutil.rmtree(out)
        url = stack.enter_context(sink(scratch))
        costs[S3] = measure(to_s3(slide, f"s3://{BUCKET}/{number}/ours", tile_size))
        out.mkdir()
        values = {"slide": slide, "to": out, "tile_size": tile_size}
        made = measure([word.format(**values) for word in TOOLS[VIPS]])
        s5cmd = str(Path(sys.executable).with_name("s5cmd"))
        words = [s5cmd, "--log", "error", "--no-verify-ssl", "--endpoint-url", url, "cp"]
        by_s5cmd = measure([*words, f"{out}/", f"s3://{BUCKET}/{number}/s5cmd/"])
        driver = [sys.executable, "-m", "tests.benchmarks.boto_driver"]
        by_boto = measure([*driver, str(out), BUCKET, f"{number}/boto"])
    for name, upload in ((S5CMD, by_s5cmd), (BOTO, by_boto)):
        costs[f"pyvips, then {name}"] = Cost(
            made.cpu_seconds + upload.cpu_seconds,
            made.wall_seconds + upload.wall_seconds,
            max(made.peak_bytes, upload.peak_bytes),
        )
    return costs


def compare(kind: Kind, gigapixels: float, scratch: Path, runs: int) -> list[Row]:
    slide = scratch / "forged.svs"
    forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=kind.encoding)
    found = []
    for number in range(runs):
        print(f"{kind.name}: run {number + 1} of {runs}", file=sys.stderr, flush=True)
        found.append(once(kind, slide, scratch, number))
    slide.unlink()
    return [Row(kind.name, way, median([costs[way] for costs in found])) for way in found[0]]


def tiles(kind: Kind, gigapixels: float, scratch: Path) -> tuple[int, int]:
    """How many tiles a slide of that size has, and their bytes."""
    slide, out = scratch / "forged.svs", scratch / "out"
    forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=kind.encoding)
    command = [*to_s3(slide, str(out), 3 * kind.encoding.tile), "--json"]
    answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    shutil.rmtree(out)
    slide.unlink()
    return answer["slides"][0]["tiles"], answer["slides"][0]["bytes"]


def slow_peaks(delays: Sequence[tuple[float, float]], scratch: Path) -> dict[float, Cost]:
    """Costs by the seconds that a put takes; pairs of these and of gigapixels."""
    costs = {}
    for delay, gigapixels in delays:
        print(f"puts of {delay:g} s", file=sys.stderr, flush=True)
        slide = scratch / "forged.svs"
        forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=KINDS[0].encoding)
        with sink(scratch, delay):
            costs[delay] = measure(to_s3(slide, f"s3://{BUCKET}/slow", 720))
        slide.unlink()
    return costs


def finished(gigapixels: float, scratch: Path) -> tuple[int, Cost]:
    """How many tiles a pyramid on a real server has, and what finding it finished costs."""
    slide = scratch / "forged.svs"
    forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=KINDS[0].encoding)
    with s3_server.running() as server:
        os.environ.pop("AWS_CA_BUNDLE", None)
        os.environ |= server.environment()
        command = [*to_s3(slide, f"s3://{s3_server.BUCKET}", 240), "--json"]
        print("a finished pyramid", file=sys.stderr, flush=True)
        answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        cost = measure(command)
    slide.unlink()
    return answer["slides"][0]["tiles"], cost


def verdict(what: str, reached: float, unit: str, target: float, more: bool = False) -> str:
    met = reached >= target if more else reached <= target
    return f"{what}: {reached:.2f} {unit}, target {target}, {'met' if met else 'MISSED'}"


def verdicts(rows: Sequence[Row], count: dict[str, int]) -> list[str]:
    cpu = {(row.kind, row.way): row.cost.cpu_seconds for row in rows}
    lines = []
    for kind, targets in LEAST.items():
        extra = (cpu[kind, S3] - cpu[kind, FOLDER]) / count[kind] * 1000
        lines.append(
            verdict(f"{kind}: publishing a thousand tiles", extra, "CPU s", CPU_A_THOUSAND)
        )
        for name, target in zip((S5CMD, BOTO), targets, strict=True):
            ratio = cpu[kind, f"pyvips, then {name}"] / cpu[kind, S3]
            what = f"{kind}: CPU, times less than pyvips and {name}"
            lines.append(verdict(what, ratio, "", target, more=True))
    return lines


def cells(rows: Sequence[Row]) -> list[list[str]]:
    ours = {row.kind: row.cost.cpu_seconds for row in rows if row.way == S3}
    return [
        HEADING,
        *(
            [
                row.kind,
                row.way,
                f"{row.cost.cpu_seconds:.1f}",
                f"{row.cost.cpu_seconds / ours[row.kind]:.1f}",
                f"{row.cost.wall_seconds:.1f}",
                f"{row.cost.peak_bytes / 1e6:.0f}",
            ]
            for row in rows
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.publish", description=__doc__)
    parser.add_argument("--gigapixels", type=float, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch, gigapixels = Path(folder), options.gigapixels
        kinds = KINDS[:2]
        counts = {kind.name: tiles(kind, gigapixels, scratch) for kind in kinds}
        rows = [row for kind in kinds for row in compare(kind, gigapixels, scratch, options.runs)]
        slow = slow_peaks([(0.05, gigapixels), (1, gigapixels / 4)], scratch)
        finished_tiles, finding = finished(gigapixels * 0.45, scratch)
    lines = verdicts(rows, {kind: count for kind, (count, _) in counts.items()})
    lines += [
        verdict(f"peak memory, {delay:g} s a put", cost.peak_bytes / 1e6, "MB", PEAK_MB)
        for delay, cost in slow.items()
    ]
    what = f"a finished pyramid of {finished_tiles:,} tiles found so"
    lines.append(verdict(what, finding.wall_seconds, "s", FINISHED_SECONDS))
    print(cells_as_table(cells(rows), left=(0, 1), markdown=options.markdown), "", sep="\n")
    for kind, (count, total) in counts.items():
        print(f"{kind}: {count:,} tiles of {total / count / 1000:.0f} KB")
    print("\n".join(lines))
    if options.json:
        result: dict[str, Any] = {
            "machine": machine(),
            "runs": [{"slide": row.kind, "way": row.way, **row.cost._asdict()} for row in rows],
            "tiles": {kind: {"count": c, "bytes": b} for kind, (c, b) in counts.items()},
            "verdicts": lines,
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
