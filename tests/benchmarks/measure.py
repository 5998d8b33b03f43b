"""What a command costs: CPU time, wall time and peak memory of its whole process tree."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import psutil

INTERVAL = 0.05  # s between two samples


class Cost(NamedTuple):
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def measure(command: Sequence[str]) -> Cost:
    """Run `command` to its end, its stdout discarded, and return what its process tree cost.

    CPU time is user and system time of the process and of all it waited for. Memory is the
    highest sum of proportional set sizes, sampled: what lives for less than INTERVAL is missed.
    Raises subprocess.CalledProcessError for any exit code but 0.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    sampler = _Sampler(process.pid)
    sampler.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
        sampler.stop()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    # Workers of multiprocessing's fork server (the default from Python 3.14 on) are waited for by
    # the server, and the server by nobody: rusage lacks them all, the samples do not.
    cpu_seconds = max(usage.ru_utime + usage.ru_stime, sampler.cpu_seconds)
    return Cost(cpu_seconds, wall_seconds, sampler.peak_bytes)


def tree(pid: int) -> list[psutil.Process]:
    """The process and all its descendants; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(process: psutil.Process) -> int:
    """Proportional set size in bytes, resident set size where there is none, 0 when it is gone."""
    try:
        return getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss
    except psutil.AccessDenied:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


class _Sampler(threading.Thread):
    """Watches a process tree until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._pid = pid
        self._cpu_seconds: dict[psutil.Process, float] = {}
        self._stopped = threading.Event()

    @property
    def cpu_seconds(self) -> float:
        """Of all processes ever seen, each as it was when last seen."""
        return sum(self._cpu_seconds.values())

    def run(self) -> None:
        while not self._stopped.wait(INTERVAL):
            processes = tree(self._pid)
            self.peak_bytes = max(self.peak_bytes, sum(map(memory, processes)))
            for process in processes:
                try:
                    self._cpu_seconds[process] = sum(process.cpu_times()[:2])
                except psutil.NoSuchProcess:
                    continue

    def stop(self) -> None:
        self._stopped.set()
        self.join()
