"""What `submit` and the audit take where a bucket has a million slides, and a million pyramids are
published, half of them of these slides.

python -m tests.benchmarks.million prints what docs/unattended.md says.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import measure
from tests.benchmarks.report import table
from tests.support import many_slides


def main() -> None:
    rows = [("slides in the bucket, and published", "CPU", "peak memory")]
    for slides in (10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "to")
            many_slides.lay_out(root, slides)
            cost = measure(
                [sys.executable, "-m", "tests.benchmarks.million", str(slides), str(root)]
            )
        memory = f"{cost.peak_bytes / 1e6:.0f} MB"
        rows.append((f"{slides:,}", f"{cost.cpu_seconds:.0f} s", memory))
    print(table(rows, left=[]))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        for told in many_slides.submitted(Path(sys.argv[2]), int(sys.argv[1])):
            print(told)
    else:
        main()
