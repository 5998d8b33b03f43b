"""A share that gives few bytes a read, or fails for a while: share.c, loaded before the system's
library. Linux only.

As a program it runs there what `endings` and `command` have it run.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vsv_pyramid.cli.main import main
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import exit_code
from vsv_pyramid.planning.options import ConvertOptions

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Behaviour:
    """Most bytes a read gives (0: all); so many `failing` reads `after` others, with this error;
    and the options of the conversion."""

    bytes: int = 0
    after: int = 0
    failing: int = 0
    error: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """How the conversion ended: its exit code, its sentence, the version of what is published (None
    without), how many tiles are blank, and how many reads there were."""

    code: int
    error: str
    version: str | None
    blank: int
    reads: int


def endings(slide: Path, folder: Path, behaviours: Iterable[Behaviour]) -> list[Ending]:
    """How conversions of the slide into folders in this one end, in one process."""
    asked = json.dumps([asdict(behaviour) for behaviour in behaviours])
    done = _run(slide, folder, ["endings", slide, folder], asked)
    done.check_returncode()
    return [Ending(**ending) for ending in json.loads(done.stdout)]


def command(
    slide: Path, folder: Path, behaviour: Behaviour, words: Sequence[object]
) -> subprocess.CompletedProcess[str]:
    """What the command line does while the slide is on such a share."""
    return _run(slide, folder, ["command", *words], json.dumps(asdict(behaviour)))


def _run(
    slide: Path, folder: Path, words: Sequence[object], asked: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.support.share", *map(str, words)],
        input=asked,
        env=_environment(slide, folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def _environment(slide: Path, folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    library = folder / "share.so"
    source = Path(__file__).with_name("share.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    loaded = f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()
    return {**os.environ, "LD_PRELOAD": loaded, "SHARED_FILE": slide.name}


def _behave(behaviour: Behaviour) -> int:
    """From now on; returns how many reads there were before."""
    behaves = ctypes.CDLL(None).share_behaves
    behaves.argtypes, behaves.restype = [ctypes.c_long] * 4, ctypes.c_long
    return int(behaves(behaviour.bytes, behaviour.after, behaviour.failing, behaviour.error))


def _ending(slide: Path, to: Path, behaviour: Behaviour) -> Ending:
    code, error, version, blank = 0, "", None, 0
    _behave(behaviour)
    try:
        summary = convert(slide, str(to), ConvertOptions(workers=1, **behaviour.options))
        document = json.loads(Path(summary.target).with_name("slide.json").read_text())
        version, blank = (document["pyramid"][name] for name in ("version", "blank_tiles"))
    except Exception as exc:
        code, error = exit_code(exc), str(exc)
    return Ending(code, error, version, blank, _behave(Behaviour()))


def _endings(slide: str, folder: str) -> None:
    asked = [Behaviour(**behaviour) for behaviour in json.load(sys.stdin)]
    ended = [
        _ending(Path(slide), Path(folder, str(number)), behaviour)
        for number, behaviour in enumerate(asked)
    ]
    json.dump([asdict(ending) for ending in ended], sys.stdout)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "endings":
        _endings(*words)
    else:
        _behave(Behaviour(**json.load(sys.stdin)))
        main(words)
