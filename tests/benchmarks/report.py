"""What all benchmarks tell: the tools, what they ran on, targets, and tables in Markdown."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import openslide
import PIL

from vsv_pyramid.jpeg import _splice

OUR_NAME, VIPS, USUAL_NAME, DECODE = "vsv-pyramid", "pyvips", "DeepZoomGenerator", "full decode"
NARROW = f"{OUR_NAME} without AVX2"


@dataclass(frozen=True)
class Verdict:
    """A target, and what was measured against it."""

    target: str
    measured: str
    met: bool


def percentile(values: Sequence[float], percent: float) -> float:
    """The least of the values that so many percent of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def table(cells: Sequence[Sequence[str]], *, left: Sequence[int]) -> str:
    """The cells in Markdown, the heading first, aligned to the right but for the columns `left`."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in cells
    ]
    rule = [
        "-" * width if column in left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def tell(section: str, result: dict[str, Any], file: Path | None) -> None:
    """Prints the section, and writes what it is made of to the file, if there is to be one."""
    print(section)
    if file:
        file.write_text(json.dumps(result, indent=2) + "\n")


def machine(*packages: str) -> dict[str, str | int]:
    """What the numbers depend on: the machine, and the versions of programs and these packages."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "os": _os_name(),
        "vectors of": "256 bits (AVX2)" if _splice.uses_avx2() else "128 bits",
        "python": platform.python_version(),
        "openslide": openslide.__library_version__,
        "openslide-python": openslide.__version__,
        "pillow-simd" if ".post" in PIL.__version__ else "pillow": PIL.__version__,
        **{package: _version(package) for package in ("simplejpeg", *packages, "vsv-pyramid")},
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
