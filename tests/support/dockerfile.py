"""The Dockerfile, as far as this project uses its language."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "batch/Dockerfile"
INSTRUCTIONS = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT"}


@dataclass(frozen=True)
class Instruction:
    """Its name in capitals, and what follows it in one line."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """What follows without options, as the instruction splits it."""
        if self.text.startswith("["):
            words: list[str] = json.loads(self.text)
            return words
        return [word for word in shlex.split(self.text) if not word.startswith("--")]

    def option(self, name: str) -> str | None:
        found = re.search(rf"--{name}=(\S+)", self.text)
        return found[1] if found else None


@dataclass
class Stage:
    """What one FROM begins."""

    image: str
    name: str
    steps: list[Instruction] = field(default_factory=list)

    def of(self, name: str) -> list[Instruction]:
        return [step for step in self.steps if step.name == name]


def stages(text: str) -> list[Stage]:
    """Images are named with what an ARG before the first FROM has. Raises ValueError for an
    instruction that is not known here."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    for line in filter(None, joined.splitlines()):
        name, _, rest = line.partition(" ")
        if name not in INSTRUCTIONS:
            raise ValueError(f"{name} is not known here")
        if name == "ARG":
            argument, _, value = rest.strip().partition("=")
            arguments[argument] = value
        elif name == "FROM":
            image, *alias = re.split(r"\s+AS\s+", Template(rest.strip()).substitute(arguments))
            found.append(Stage(image, alias[0] if alias else str(len(found))))
        else:
            found[-1].steps.append(Instruction(name, rest.strip()))
    return found
