"""The lossless lane's figures as a picture: CPU time by slide and tool, and by size."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from tests.benchmarks.report import DECODE, OUR_NAME, USUAL_NAME, VIPS

COLOURS = {OUR_NAME: "#b5306f", DECODE: "#b8b8b8", VIPS: "#5a7fb0", USUAL_NAME: "#274060"}
BAR = 0.8 / len(COLOURS)


def draw_bars(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    """CPU seconds a gigapixel, a group of bars for each kind of slide."""
    slides = list(dict.fromkeys(run["slide"] for run in runs))
    for run in runs:
        if run["tool"] not in COLOURS:
            continue
        place = list(COLOURS).index(run["tool"])
        seconds = run["cpu_seconds"] / run["gigapixels"]
        x = slides.index(run["slide"]) + (place - (len(COLOURS) - 1) / 2) * BAR
        axes.bar(x, seconds, BAR, color=COLOURS[run["tool"]])
        axes.annotate(
            f"{seconds:.3g}", (x, seconds), (0, 2), textcoords="offset points", ha="center"
        )
    axes.set_yscale("log")
    axes.set_ylim(1, 400)
    axes.set_ylabel("CPU s a gigapixel")
    axes.set_xticks(range(len(slides)), [slide.replace(", ", "\n") for slide in slides])
    axes.legend(
        handles=[Patch(color=colour, label=tool) for tool, colour in COLOURS.items()],
        ncols=4,
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        frameon=False,
    )


def draw_growth(axes: Axes, growth: Sequence[dict[str, Any]]) -> None:
    """CPU seconds a gigapixel and peak memory, against gigapixels."""
    sizes = [run["gigapixels"] for run in growth]
    lines = (
        (
            axes,
            "CPU s a gigapixel",
            "-o",
            [run["cpu_seconds"] / run["gigapixels"] for run in growth],
        ),
        (axes.twinx(), "peak memory, MB", "--s", [run["peak_bytes"] / 1e6 for run in growth]),
    )
    for side, label, style, values in lines:
        side.plot(sizes, values, style, color=COLOURS[OUR_NAME], label=label)
        side.set_ylim(0, 1.4 * max(values))
        side.set_ylabel(label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xlabel("gigapixels")
    axes.legend(
        handles=[line for side, *_ in lines for line in side.get_lines()],
        loc="lower center",
        frameon=False,
    )
    axes.set_title(f"{OUR_NAME}, {growth[0]['slide']}", fontsize="medium")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.chart", description=__doc__)
    parser.add_argument("results", type=Path, help="what the lossless benchmark wrote as JSON")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    options = parser.parse_args(arguments)
    results = json.loads(options.results.read_text())
    mpl.use("agg")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.8), width_ratios=(2, 1), layout="constrained"
    )
    draw_bars(left, results["runs"])
    draw_growth(right, results["growth"])
    figure.savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
