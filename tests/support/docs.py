"""What users read: the README and the pages of docs/, and the commands that these show."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


TEXT = "\n".join(map(text, PAGES))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


def shown(page: Path) -> list[tuple[str, str]]:
    """The commands after a prompt, and what the page says that they print."""
    return [
        (command, output)
        for block in blocks(page, "console")
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]


def commands(page: Path) -> list[str]:
    """The commands without a prompt, in blocks of shell."""
    return [line for block in blocks(page, "sh") for line in block.splitlines()]
