"""The measure measures: children of known memory and CPU time come out as what they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.measure import measure, memory, tree

MB = 1_000_000
OVERHEAD = 30 * MB  # the interpreter itself, generously

# Touched, or it would not be resident; held for several samples.
HOLD = "block = b'x' * {size}; import time; time.sleep({seconds})"
BURN = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.fixture(autouse=True)
def plain_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children without AddressSanitizer, whose memory would be counted as theirs."""
    monkeypatch.delenv("LD_PRELOAD", raising=False)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def parent_of(code: str, *, then: str = "") -> str:
    """Python code that runs `code` in a process of its own, waits for it, and then goes on."""
    return f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}]); {then}"


def test_peak_memory() -> None:
    cost = measure(python(HOLD.format(size=200 * MB, seconds=1)))
    assert 200 * MB <= cost.peak_bytes < 200 * MB + OVERHEAD


def test_the_peak_is_kept_when_the_memory_is_given_back() -> None:
    code = HOLD.format(size=200 * MB, seconds=1) + "; del block; time.sleep(0.2)"
    assert measure(python(code)).peak_bytes >= 200 * MB


def test_children_count() -> None:
    child = HOLD.format(size=100 * MB, seconds=1)
    code = f"mine = b'x' * {100 * MB}; " + parent_of(child)
    assert 200 * MB <= measure(python(code)).peak_bytes < 200 * MB + 2 * OVERHEAD


def test_a_tree_is_the_process_its_children_and_theirs() -> None:
    leaf = "import os; print(os.getpid(), flush=True); input()"
    command = python(parent_of(parent_of(leaf)))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        leaf_pid = int(process.stdout.readline())
        processes = tree(process.pid)
        assert [each.pid for each in processes][::2] == [process.pid, leaf_pid]
        assert all(memory(each) > MB for each in processes)
        process.stdin.write("\n")
    assert tree(process.pid) == []
    assert [memory(each) for each in processes] == [0, 0, 0]


def test_shared_memory_is_counted_once() -> None:
    if not hasattr(psutil.Process().memory_full_info(), "pss"):
        pytest.skip("this platform knows no proportional set size")
    code = f"import os; block = b'x' * {200 * MB}; pid = os.fork(); import time; time.sleep(1)"
    cost = measure(python(code + "; pid and os.waitpid(pid, 0)"))
    assert 200 * MB <= cost.peak_bytes < 200 * MB + 2 * OVERHEAD


@pytest.mark.parametrize("code", [BURN, parent_of(BURN), parent_of(parent_of(BURN))])
def test_cpu_time_of_the_whole_tree(code: str) -> None:
    cost = measure(python(code))
    assert cost.cpu_seconds >= 0.5
    assert cost.wall_seconds > 0


def test_cpu_time_of_a_child_nobody_waits_for() -> None:
    """As multiprocessing's fork server leaves it."""
    code = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {BURN!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.read()\n"
        "os._exit(0)\n"  # a Popen object that is tidied up waits after all
    )
    assert measure(python(code)).cpu_seconds >= 0.4  # the last sample is up to 50 ms old


def test_waiting_costs_no_cpu_time() -> None:
    cost = measure(python("import time; time.sleep(1)"))
    assert cost.wall_seconds >= 1
    assert cost.cpu_seconds < cost.wall_seconds


def test_a_failing_command_raises() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        measure(python("raise SystemExit(3)"))
    assert error.value.returncode == 3


def test_a_killed_command_raises() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        measure(python("import os; os.kill(os.getpid(), 9)"))
    assert error.value.returncode == -9


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measure([os.fspath(tmp_path / "nothing")])
