"""Plays cases one after another in this process, which a case may take down: what it begins and how
that ends is a line of JSON each.

    python -m tests.attack.player PLAY SEED FIRST LAST
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.attack.plays import PLAYS

SECONDS = 30  # for which a case may take
_MOST_ADDRESSES = 4 << 30  # bytes: what the system gives, of which less is used


def main() -> None:
    name, seed, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    out = os.fdopen(os.dup(1), "w")
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
    top = Path(tempfile.mkdtemp(prefix="attack-"))
    scratch = top / "scratch"
    tempfile.tempdir = str(scratch)
    os.environ["TMPDIR"] = str(scratch)
    for folder in (scratch, top / "play"):
        folder.mkdir()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with PLAYS[name].made_in(top / "play") as act:
            for number in range(first, last):
                here = top / "case"
                here.mkdir()
                print(json.dumps({"begins": number}), file=out, flush=True)
                start = time.monotonic()
                signal.alarm(SECONDS)
                faults = act(random.Random(f"{seed} {name} {number}"), here)
                signal.alarm(0)
                signal.set_wakeup_fd(-1)
                for one, handler in handlers.items():
                    signal.signal(one, handler)
                faults += [f"left behind: {path}" for path in scratch.iterdir()]
                faults += [f"a process is left: {found}" for found in _children()]
                ended = {
                    "ends": number,
                    "seconds": time.monotonic() - start,
                    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    "faults": faults,
                }
                print(json.dumps(ended), file=out, flush=True)
                shutil.rmtree(here)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _children() -> list[str]:
    found: list[str] = []
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # that thread has ended
            found += children.read_text().split()
    return found


if __name__ == "__main__":
    main()
