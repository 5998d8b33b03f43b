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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import performance
from tests.benchmarks.lossless import KINDS, TOOLS, WORKERS, Kind, median
from tests.benchmarks.measure import Cost, measure
from tests.benchmarks.pixels import OURS, TISSUE, size
from tests.benchmarks.report import VIPS, Verdict, machine, tell
from tests.support import s3_server
from tests.support.forge import forge_svs

BUCKET = "images"
FOLDER, S3, S5CMD, BOTO = "vsv-pyramid to a folder", performance.TO_S3, "s5cmd", "boto3"
CPU_A_THOUSAND = 0.4  # seconds, beyond the conversion
PEAK_MB = 300
FINISHED_SECONDS = 5
LEAST = {KINDS[0].name: (3, 4), KINDS[1].name: (4, 5)}  # times less CPU than by s5cmd, by boto3


class Row(NamedTuple):
    """One way on one slide: the median of its runs."""

    kind: str
    way: str
    cost: Cost


class Slow(NamedTuple):
    """A conversion to a server that takes so many seconds for a put."""

    seconds_a_put: float
    gigapixels: float
    cost: Cost


class Tiles(NamedTuple):
    """How many tiles a slide has, and their bytes."""

    number: int
    bytes: int


class Finished(NamedTuple):
    """How many tiles a pyramid has, and what finding it finished costs."""

    tiles: int
    cost: Cost


@contextlib.contextmanager
def sink(folder: Path, delay: float = 0) -> Iterator[str]:
    """A sink's URL, with the environment set for clients to find and trust it."""
    bundle = folder / "authority.pem"
    command = [sys.executable, "-m", "tests.benchmarks.sink", "--authority", str(bundle)]
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
    values = {"slide": slide, "to": to, "tile_size": tile_size, "quality": 80, "workers": WORKERS}
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


def tiles(kind: Kind, gigapixels: float, scratch: Path) -> Tiles:
    """Those of a slide of that size."""
    slide, out = scratch / "forged.svs", scratch / "out"
    forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=kind.encoding)
    command = [*to_s3(slide, str(out), 3 * kind.encoding.tile), "--json"]
    answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    shutil.rmtree(out)
    slide.unlink()
    return Tiles(answer["slides"][0]["tiles"], answer["slides"][0]["bytes"])


def slow_runs(delays: Sequence[tuple[float, float]], scratch: Path) -> list[Slow]:
    """For each pair of the seconds that a put takes, and of gigapixels."""
    found = []
    for delay, gigapixels in delays:
        print(f"puts of {delay:g} s", file=sys.stderr, flush=True)
        slide = scratch / "forged.svs"
        forge_svs(slide, tissue=TISSUE, size=size(gigapixels), encoding=KINDS[0].encoding)
        with sink(scratch, delay):
            cost = measure(to_s3(slide, f"s3://{BUCKET}/slow", 720))
        found.append(Slow(delay, gigapixels, cost))
        slide.unlink()
    return found


def finished(gigapixels: float, scratch: Path) -> Finished:
    """A pyramid on a real server, looked at again."""
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
    return Finished(answer["slides"][0]["tiles"], cost)


def verdicts(
    rows: Sequence[Row], counts: Mapping[str, Tiles], slow: Sequence[Slow], found: Finished
) -> list[Verdict]:
    cpu = {(row.kind, row.way): row.cost.cpu_seconds for row in rows}
    verdicts = []
    for kind, targets in LEAST.items():
        number, size = counts[kind]
        extra = (cpu[kind, S3] - cpu[kind, FOLDER]) / number * 1000
        verdicts.append(
            Verdict(
                f"{kind}: to put a thousand tiles of {size / number / 1000:.0f} KB takes at most "
                f"{CPU_A_THOUSAND:g} CPU s",
                f"{extra:.2f} CPU s",
                extra <= CPU_A_THOUSAND,
            )
        )
        for name, target in zip((S5CMD, BOTO), targets, strict=True):
            times = cpu[kind, f"pyvips, then {name}"] / cpu[kind, S3]
            what = f"{kind}: CPU time at least {target:g} times less than with pyvips and {name}"
            verdicts.append(Verdict(what, f"{times:.1f} times", times >= target))
    for seconds, gigapixels, cost in slow:
        what = f"peak memory at most {PEAK_MB} MB where a put takes {seconds:g} s"
        peak = cost.peak_bytes / 1e6
        verdicts.append(
            Verdict(f"{what} ({gigapixels:g} gigapixels)", f"{peak:.0f} MB", peak <= PEAK_MB)
        )
    what = f"a finished pyramid of {found.tiles:,} tiles on SeaweedFS is found to be finished"
    seconds = found.cost.wall_seconds
    is_met = seconds <= FINISHED_SECONDS
    return [
        *verdicts,
        Verdict(f"{what} within {FINISHED_SECONDS} s", f"{seconds:.1f} s", is_met),
    ]


def results(
    rows: Sequence[Row],
    counts: Mapping[str, Tiles],
    slow: Sequence[Slow],
    found: Finished,
    options: Mapping[str, float],
    about: Mapping[str, str | int],
) -> dict[str, Any]:
    """What is written down of the runs."""
    return {
        "machine": about,
        "options": {**options, "workers": WORKERS},
        "runs": [{"slide": row.kind, "way": row.way, **row.cost._asdict()} for row in rows],
        "tiles": {kind: tiles._asdict() for kind, tiles in counts.items()},
        "slow": [
            {"seconds_a_put": seconds, "gigapixels": gigapixels, **cost._asdict()}
            for seconds, gigapixels, cost in slow
        ],
        "finished": {"tiles": found.tiles, **found.cost._asdict()},
        "verdicts": [asdict(verdict) for verdict in verdicts(rows, counts, slow, found)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.publish", description=__doc__)
    parser.add_argument("--gigapixels", type=float, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch, gigapixels = Path(folder), options.gigapixels
        kinds = KINDS[:2]
        counts = {kind.name: tiles(kind, gigapixels, scratch) for kind in kinds}
        rows = [row for kind in kinds for row in compare(kind, gigapixels, scratch, options.runs)]
        slow = slow_runs([(0.05, gigapixels), (1, gigapixels / 4)], scratch)
        found = finished(gigapixels * 0.45, scratch)
    settings = {"gigapixels": gigapixels, "runs": options.runs}
    about = machine("pyvips-binary", "obstore", "boto3")
    result = results(rows, counts, slow, found, settings, about)
    tell(performance.publish(result), result, options.json)


if __name__ == "__main__":
    main()
