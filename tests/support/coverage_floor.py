"""Fails where a file is covered less than the floor: coverage_floor.py REPORT.json PERCENT"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def below(report: Path, floor: float) -> list[str]:
    """A sentence for each file under the floor."""
    files = json.loads(report.read_text())["files"]
    return [
        f"{name} is covered {facts['summary']['percent_covered']:.0f} %, the floor is {floor:.0f} %"
        for name, facts in sorted(files.items())
        if facts["summary"]["percent_covered"] < floor
    ]


if __name__ == "__main__":
    sys.exit("\n".join(below(Path(sys.argv[1]), float(sys.argv[2]))) or None)
