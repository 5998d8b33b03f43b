"""What is done to files is told while it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import file_events

# In a process of its own: what it hangs into one stays there.
PROGRAM = """
import json, sys
from pathlib import Path
from tests.support import file_events

folder, seen = Path(sys.argv[1]), []
with file_events.below(folder, lambda *event: seen.append(event)) as events:
    (folder / "a").write_text("1")
    (folder / "a").read_text()
    Path(file_events.__file__).read_text()
(folder / "b").mkdir()
print(json.dumps([events.count, seen]))
"""


def test_events_below_a_folder(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    told = subprocess.check_output(command, cwd=pytestconfig.rootpath)
    assert json.loads(told) == [2, [[1, True], [2, False]]]


def test_not_while_threads_are_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "gettrace", lambda: lambda *_: None)
    with pytest.raises(AssertionError, match="without --cov"):
        file_events.below(tmp_path, lambda *_: None).__enter__()
