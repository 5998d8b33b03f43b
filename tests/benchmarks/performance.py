"""What the benchmarks wrote as JSON, as sections of docs/performance.md and of the README.

A section is what lies between `<!-- bench: NAME -->` and `<!-- end -->`. It is made of nothing but
the results, so that no figure, and no word on a target, is typed.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.report import NARROW, OUR_NAME, USUAL_NAME, VIPS, percentile, table

PAGES = (Path("docs/performance.md"), Path("README.md"))
ON_DEMAND, VISITS = "on demand", ("cold", "warm")
TO_S3 = f"{OUR_NAME} to S3"

_MARKED = re.compile(r"(?<=<!-- bench: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

Result = Mapping[str, Any]  # what one benchmark wrote, or a part of it
Columns = Mapping[str, Callable[[Result], str]]  # by heading, the cell of what a row is about


def lossless(result: Result) -> str:
    ours = {_slide(run): run for run in result["runs"] if run["tool"] == OUR_NAME}
    narrow = {_slide(run): run for run in result["runs"] if run["tool"] == NARROW}
    runs = {run["tool"]: run["runs"] for run in result["runs"]}
    compared: Columns = {
        "slide": lambda run: str(run["slide"]),
        "gigapixels": lambda run: f"{run['gigapixels']:g}",
        "tool": lambda run: str(run["tool"]),
        "CPU s": lambda run: f"{run['cpu_seconds']:.1f}",
        "CPU ratio": lambda run: f"{run['cpu_seconds'] / ours[_slide(run)]['cpu_seconds']:.1f}",
        "CPU s without AVX2": lambda run: (
            f"{narrow[_slide(run)]['cpu_seconds']:.1f}"
            if run["tool"] == OUR_NAME and _slide(run) in narrow
            else ""
        ),
        "wall s": lambda run: f"{run['wall_seconds']:.1f}",
        "wall ratio": lambda run: f"{run['wall_seconds'] / ours[_slide(run)]['wall_seconds']:.1f}",
        "peak MB": _megabytes,
    }
    growing: Columns = {
        "slide": lambda run: str(run["slide"]),
        "gigapixels": lambda run: f"{run['gigapixels']:g}",
        "CPU s a gigapixel": lambda run: f"{_per_gigapixel(run):.1f}",
        "peak MB": _megabytes,
    }
    return _section(
        f"Median of {runs[OUR_NAME]} runs ({USUAL_NAME}: {runs.get(USUAL_NAME, 0)}), "
        f"{result['options']['workers']} workers.",
        _table([run for run in result["runs"] if run["tool"] != NARROW], compared, left=(0, 2)),
        f"{OUR_NAME}, as the slide grows:",
        _table(result["growth"], growing, left=(0,)),
        *_end(result),
    )


def pixels(result: Result) -> str:
    usual = {run["gigapixels"]: run for run in result["runs"] if run["tool"] == USUAL_NAME}
    columns: Columns = {
        "gigapixels": lambda run: f"{run['gigapixels']:g}",
        "tool": lambda run: str(run["tool"]),
        "CPU s": lambda run: f"{run['cpu_seconds']:.1f}",
        "CPU s a gigapixel": lambda run: f"{_per_gigapixel(run):.1f}",
        "ratio": lambda run: f"{run['cpu_seconds'] / usual[run['gigapixels']]['cpu_seconds']:.2f}",
        "wall s": lambda run: f"{run['wall_seconds']:.1f}",
        "peak MB": _megabytes,
        "objects": lambda run: f"{run['objects']:,}",
    }
    lead = "Tiles of {tile_size} px, quality {quality}, {workers} workers."
    return _section(
        lead.format(**result["options"]),
        _table(result["runs"], columns, left=(1,)),
        *_end(result),
    )


def containers(result: Result) -> str:
    ours = {run["slide"]: run for run in result["runs"] if run["tool"] == OUR_NAME}
    rows = [run for run in result["runs"] if run["tool"] != OUR_NAME]
    columns: Columns = {
        "slide": lambda run: str(run["slide"]),
        "gigapixels": lambda run: f"{run['gigapixels']:g}",
        "CPU s": lambda run: f"{ours[run['slide']]['cpu_seconds']:.1f}",
        "wall s": lambda run: f"{ours[run['slide']]['wall_seconds']:.1f}",
        "peak MB": lambda run: _megabytes(ours[run["slide"]]),
        "peer": lambda run: str(run["tool"]),
        "its CPU s": lambda run: f"{run['cpu_seconds']:.1f}",
        "ratio": lambda run: f"{ours[run['slide']]['cpu_seconds'] / run['cpu_seconds']:.2f}",
    }
    lead = "Median of {runs} runs, {workers} workers."
    return _section(
        lead.format(**result["options"]), _table(rows, columns, left=(0, 5)), *_end(result)
    )


def publish(result: Result) -> str:
    ours = {run["slide"]: run["cpu_seconds"] for run in result["runs"] if run["way"] == TO_S3}
    columns: Columns = {
        "slide": lambda run: str(run["slide"]),
        "way": lambda run: str(run["way"]),
        "CPU s": lambda run: f"{run['cpu_seconds']:.1f}",
        "CPU ratio": lambda run: f"{run['cpu_seconds'] / ours[run['slide']]:.1f}",
        "wall s": lambda run: f"{run['wall_seconds']:.1f}",
        "peak MB": _megabytes,
    }
    lead = "Slides of {gigapixels:g} gigapixels, median of {runs} runs, {workers} workers."
    return _section(
        lead.format(**result["options"]),
        _table(result["runs"], columns, left=(0, 1)),
        *_end(result),
    )


def viewing(result: Result) -> str:
    most = max(visit["viewers"] for visit in result["visits"])
    visits = [
        visit
        for visit in result["visits"]
        if visit["viewers"] == most and visit["visit"] == VISITS[0]
    ]
    slowest = next((_p95(visit) for visit in visits if visit["way"] == ON_DEMAND), None)
    columns: Columns = {
        "way": lambda visit: str(visit["way"]),
        "tile p50 ms": lambda visit: f"{visit['tile_seconds']['p50'] * 1000:.0f}",
        "tile p95 ms": lambda visit: f"{_p95(visit) * 1000:.0f}",
        "ratio of p95": lambda visit: f"{slowest / _p95(visit):.1f}" if slowest else "-",
        "view p50 ms": lambda visit: f"{visit['view_seconds']['p50'] * 1000:.0f}",
        "view p95 ms": lambda visit: f"{visit['view_seconds']['p95'] * 1000:.0f}",
        "views a second": lambda visit: _short(visit["views"] / visit["seconds"]),
    }
    return _section(
        f"A slide of {result['options']['gigapixels']:g} gigapixels, {most} viewers at once, their "
        "first visit.",
        _table(visits, columns, left=(0,)),
        *_openings(result["openings"]),
        *_end(result),
    )


def packing(result: Result) -> str:
    columns: Columns = {
        "way": lambda run: str(run["way"]),
        "CPU s": lambda run: f"{run['cpu_seconds']:.2f}",
        "wall s": lambda run: f"{run['wall_seconds']:.2f}",
        "peak MB": lambda run: f"{run['peak_bytes'] / 1e6:.0f}",
    }
    return _section(
        "A slide of {gigapixels:g} gigapixels (RGB), medians of {runs} runs.".format(
            **result["options"]
        ),
        _table(result["runs"], columns, left=(0,)),
        *_end(result),
    )


def sessions(result: Result) -> str:
    columns: Columns = {
        "pyramid": lambda row: str(row["way"]),
        "session": lambda row: str(row["visit"]),
        "first view s": lambda row: f"{row['view_seconds']:.2f}",
        "its requests": lambda row: f"{row['view_requests']:.0f}",
        "session s": lambda row: f"{row['seconds']:.2f}",
        "requests": lambda row: f"{row['requests']:.0f}",
        "MB": lambda row: f"{row['bytes'] / 1e6:.1f}",
    }
    lead = (
        "A slide of {gigapixels:g} gigapixels, {milliseconds:g} ms away, in Chromium; medians of "
    )
    return _section(
        f"{lead.format(**result['options'])}{result['sessions'][0]['sessions']} sessions of twenty "
        "steps.",
        _table(result["sessions"], columns, left=(0, 1)),
        *_end(result),
    )


def _openings(opened: Sequence[Result]) -> list[str]:
    drawers: dict[str, list[Result]] = {}
    for run in opened:
        drawers.setdefault(run["drawer"], []).append(run)

    def median(drawer: Result, name: str) -> float:
        return float(statistics.median(run[name] for run in drawer["runs"]))

    columns: Columns = {
        "drawer": lambda drawer: str(drawer["name"]),
        "openings": lambda drawer: str(len(drawer["runs"])),
        "page loaded s": lambda drawer: f"{median(drawer, 'loaded') / 1000:.1f}",
        "view complete s": lambda drawer: f"{median(drawer, 'complete') / 1000:.1f}",
        "tiles": lambda drawer: f"{median(drawer, 'tiles'):.0f}",
        "MB": lambda drawer: f"{median(drawer, 'size') / 1e6:.1f}",
    }
    rows = [{"name": name, "runs": runs} for name, runs in drawers.items()]
    return ["The first view in Chromium, median:", _table(rows, columns, left=(0,))] if rows else []


def desk(result: Result) -> str:
    columns: Columns = {
        "slides": lambda row: f"{row['slides']:,}",
        "keystrokes": lambda row: str(len(row["milliseconds"])),
        "p50 ms": lambda row: f"{statistics.median(row['milliseconds']):.0f}",
        "p95 ms": lambda row: f"{percentile(row['milliseconds'], 95):.0f}",
        "longest ms": lambda row: f"{max(row['milliseconds']):.0f}",
    }
    return _section(_table(result["rows"], columns, left=()), *_end(result))


def summary(copied: Result, decoded: Result) -> str:
    """The README's, of the results of the lossless lane and of the pixel lane."""
    rows = [
        {"slides": slides, "tool": tool, "runs": runs}
        for slides, result in (("of JPEG tiles", copied), ("any other", decoded))
        for tool in (OUR_NAME, VIPS, USUAL_NAME)
        if (runs := [run for run in result["runs"] if run["tool"] == tool])
    ]
    columns: Columns = {
        "slide": lambda row: str(row["slides"]),
        "tool": lambda row: str(row["tool"]),
        "CPU s a gigapixel": lambda row: _range(map(_per_gigapixel, row["runs"])),
        "wall s a gigapixel": lambda row: _range(
            run["wall_seconds"] / run["gigapixels"] for run in row["runs"]
        ),
        "peak MB": lambda row: _megabytes(max(row["runs"], key=lambda run: run["peak_bytes"])),
    }
    put = "{tiles:,} tiles of {tile_size} px, which cost ${dollars:.2f} to put into S3"
    here, usual = (put.format(**tiles) for tiles in copied["puts"])
    sentences = [
        f"A slide of {copied['puts'][0]['gigapixels']:g} gigapixels becomes {here}.",
        f"In the usual size it would be {usual}.",
    ]
    if growth := copied["growth"]:
        small, large = growth[0], growth[-1]
        sentences.append(
            f"From {small['gigapixels']:g} to {large['gigapixels']:g} gigapixels, the peak memory "
            f"of the lossless lane goes from {_megabytes(small)} to {_megabytes(large)} MB."
        )
    about = copied["machine"]
    sentences.append(
        f"Measured with {copied['options']['workers']} workers on {about['cpu']}, "
        f"{about['cores']} cores."
    )
    return _section(_table(rows, columns, left=(0, 1)), "\n".join(sentences))


def _slide(run: Result) -> tuple[str, float]:
    return run["slide"], run["gigapixels"]


def _per_gigapixel(run: Result) -> float:
    return float(run["cpu_seconds"] / run["gigapixels"])


def _megabytes(run: Result) -> str:
    return f"{run['peak_bytes'] / 1e6:.0f}"


def _p95(visit: Result) -> float:
    return float(visit["tile_seconds"]["p95"])


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _range(values: Iterable[float]) -> str:
    ordered = sorted(values)
    least, most = _short(ordered[0]), _short(ordered[-1])
    return least if least == most else f"{least} to {most}"


def _end(result: Result) -> list[str]:
    """What was to be reached, and where it was measured."""
    columns: Columns = {
        "target": lambda verdict: str(verdict["target"]),
        "measured": lambda verdict: str(verdict["measured"]),
        "result": lambda verdict: "met" if verdict["met"] else "missed",
    }
    cpu, cores, system, *software = result["machine"].items()
    versions = ", ".join(f"{name} {number}" for name, number in software)
    return [
        _table(result["verdicts"], columns, left=(0, 1, 2)),
        f"Measured on {cpu[1]}, {cores[1]} cores, {system[1]}; {versions}.",
    ]


def _table(rows: Sequence[Result], columns: Columns, *, left: Sequence[int]) -> str:
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return table([list(columns), *cells], left=left)


def _section(*parts: str) -> str:
    return "\n\n".join(parts)


# By name, and the benchmarks whose results each is made of.
SECTIONS: dict[str, tuple[Callable[..., str], tuple[str, ...]]] = {
    "lossless": (lossless, ("lossless",)),
    "pixels": (pixels, ("pixels",)),
    "containers": (containers, ("containers",)),
    "publish": (publish, ("publish",)),
    "viewing": (viewing, ("viewing",)),
    "packing": (packing, ("packing",)),
    "sessions": (sessions, ("sessions",)),
    "desk": (desk, ("desk",)),
    "summary": (summary, ("lossless", "pixels")),
}


def written(page: str, results: Mapping[str, Result]) -> str:
    """The page with its sections made anew, but for those whose results are not there."""

    def section(found: re.Match[str]) -> str:
        make, names = SECTIONS[found[1]]
        if not results.keys() >= set(names):
            return found[0]
        return f"{found[1]}{found[2]}\n{make(*(results[name] for name in names))}\n\n"

    return _MARKED.sub(section, page)


def sections(page: str) -> dict[str, str]:
    """The page's sections by name."""
    return {found[1]: found[0].partition("-->")[2].strip() for found in _MARKED.finditer(page)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.performance", description=__doc__
    )
    parser.add_argument("results", nargs="+", type=Path, help="what benchmarks wrote, NAME.json")
    options = parser.parse_args(arguments)
    results = {file.stem: json.loads(file.read_text()) for file in options.results}
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        path.write_text(written(text, results), encoding="utf-8")


if __name__ == "__main__":
    main()
