"""The locks: all that is installed here, with versions and hashes, for all platforms and Pythons.

    python -m tests.support.locks [--upgrade]

makes them by uv: of what stands in setup.cfg, or in a file *.in beside them. One that lies on
others begins with their names, takes their versions, and has what they lack. Versions stay as they
are where they can; with --upgrade, they are the newest.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = Path("locks")
OLDEST_PYTHON = "3.10"

# The extras of each lock that is made of setup.cfg, and the locks that it lies on.
OF_SETUP_CFG: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "run": ((), ()),
    "image": (("barcode", "lambda"), ("run",)),
    "test": (("test",), ("build", "run")),
    "dev": (("dev",), ("image", "test")),
    "bench": (("bench",), ("dev",)),
    "fuzz": (("fuzz",), ("dev",)),
}
OF_THEIR_OWN = ("build", "pillow-simd", "aws", "aws-lint", "tools")


class Locked(NamedTuple):
    """One version of a distribution, pinned, and the digests of its files."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        (pin,) = self.requirement.specifier
        return pin.version


def own(text: str) -> dict[str, Locked]:
    """What a lock has itself, by its lines without hashes."""
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line and not line.startswith(("#", "-r ")):
            pinned, *hashes = line.split("--hash=")
            stated = pinned.strip()
            found[stated] = Locked(Requirement(stated), tuple(map(str.strip, hashes)))
    return found


def with_those_below(name: str) -> Iterator[str]:
    """The lock's name, and all that it lies on."""
    yield name
    for line in path(name).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            yield from with_those_below(line.removeprefix("-r ").removesuffix(".txt"))


def locked(name: str) -> dict[str, Locked]:
    """All that is installed by the lock."""
    found: dict[str, Locked] = {}
    for below in with_those_below(name):
        found |= own(path(below).read_text(encoding="utf-8"))
    return found


def path(name: str, suffix: str = ".txt") -> Path:
    return ROOT / FOLDER / f"{name}{suffix}"


def make(name: str, *settings: str) -> None:
    extras, below = OF_SETUP_CFG.get(name, ((), ()))
    source = "setup.cfg" if name in OF_SETUP_CFG else str(FOLDER / f"{name}.in")
    words = ["uv", "pip", "compile", source, "--universal", "--python-version", OLDEST_PYTHON]
    words += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet", *settings]
    words += [f"--extra={extra}" for extra in extras]
    words += [f"--constraints={FOLDER / lower}.txt" for lower in below]
    subprocess.run([*words, f"--output-file={FOLDER / name}.txt"], check=True, cwd=ROOT)
    held = {line for lower in below for line in locked(lower)}
    lines = [f"-r {lower}.txt" for lower in below]
    for line, entry in own(path(name).read_text(encoding="utf-8")).items():
        if line not in held:
            lines.append(" \\\n    ".join([line, *(f"--hash={digest}" for digest in entry.hashes)]))
    path(name).write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    for lock in (*OF_THEIR_OWN, *OF_SETUP_CFG):
        make(lock, *sys.argv[1:])
