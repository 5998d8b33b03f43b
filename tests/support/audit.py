"""Asks what faults are known of all that is locked.

    python -m tests.support.audit

Exits with 0 if none is known, with 1 if one is, and with 3 if not of all could be asked. Of
Pillow-SIMD, which no list of faults knows, is asked as of the Pillow that it was made of.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.support.locks import OF_SETUP_CFG, OF_THEIR_OWN, locked

NOT_ASKED = 3
Ask = Callable[[Sequence[str]], str]


def pins() -> set[tuple[str, str]]:
    """The names and versions in all locks."""
    found = set()
    for name in (*OF_SETUP_CFG, *OF_THEIR_OWN):
        for entry in locked(name).values():
            of_pillow = re.fullmatch(r"([\d.]+)\.post\d+", entry.version)
            if entry.requirement.name == "pillow-simd" and of_pillow:
                found.add(("pillow", of_pillow[1]))
            else:
                found.add((entry.requirement.name, entry.version))
    return found


def rounds(pinned: Iterable[tuple[str, str]]) -> list[list[str]]:
    """As requirements, in lists of which each has a name once."""
    made: list[dict[str, str]] = []
    for name, version in sorted(pinned):
        free = next((one for one in made if name not in one), None)
        if free is None:
            made.append(free := {})
        free[name] = f"{name}=={version}"
    return [list(one.values()) for one in made]


def pip_audit(requirements: Sequence[str]) -> str:
    """Its JSON, "" if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.txt"
        asked.write_text("\n".join(requirements), encoding="utf-8")
        words = ["pip-audit", "--no-deps", "--disable-pip", "--progress-spinner=off"]
        words += ["--format=json", f"--requirement={asked}"]
        return subprocess.run(words, capture_output=True, text=True).stdout


def main(pinned: Iterable[tuple[str, str]], ask: Ask = pip_audit) -> int:
    faults, asked, unasked = 0, 0, []
    for requirements in rounds(pinned):
        try:
            answers: list[dict[str, Any]] = json.loads(ask(requirements))["dependencies"]
        except (ValueError, KeyError):
            answers = []
        known = {answer["name"]: answer for answer in answers if "vulns" in answer}
        for requirement in requirements:
            name = requirement.partition("==")[0]
            if name not in known:
                unasked.append(requirement)
                continue
            asked += 1
            for fault in known[name]["vulns"]:
                faults += 1
                mended = ", ".join(fault["fix_versions"]) or "no version"
                print(f"{requirement}: {fault['id']}, mended in {mended}")
    print(f"{asked} versions asked for, {faults} known faults.")
    if unasked:
        print(
            f"{len(unasked)} versions could not be asked for, and so nothing is known of them: "
            f"{', '.join(unasked[:5])}{', ...' if unasked[5:] else ''}. Is there a network?"
        )
    return 1 if faults else NOT_ASKED if unasked else 0


if __name__ == "__main__":
    sys.exit(main(pins()))
