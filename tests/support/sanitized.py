"""Fails unless the kernel is built with AddressSanitizer, here and in what is started from here.

A pytest plugin (-p tests.support.sanitized), and a program (python -m tests.support.sanitized).
Without it a run on the ordinary kernel, found earlier on the path, would pass for one with every
check.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vsv_pyramid.slide import handles

KERNEL = "from vsv_pyramid.jpeg import _splice; print(_splice.__file__)"


def lacking(kernel: Path) -> str | None:
    """A sentence where a kernel calls no AddressSanitizer."""
    if b"__asan_report_store" in kernel.read_bytes():
        return None
    return f"{kernel} is built without AddressSanitizer; make sanitize builds one with it"


def kernels() -> set[Path]:
    """The kernels that are imported in this folder, and elsewhere."""
    with tempfile.TemporaryDirectory() as elsewhere:
        command = [sys.executable, "-c", KERNEL]
        outputs = [subprocess.check_output(command, cwd=cwd) for cwd in (None, elsewhere)]
    return {Path(output.decode().strip()) for output in outputs}


def pytest_sessionstart() -> None:
    for kernel in kernels():
        if sentence := lacking(kernel):
            raise pytest.UsageError(sentence)
    handles._OPENING_BYTES = -1  # it takes terabytes of addresses for itself
    # What UBSan calls to set the path of its own reports is ASan's function of the same name.
    ubsan = ctypes.CDLL("libubsan.so.1")
    ubsan.__sanitizer_set_report_path(bytes(Path("report").resolve()))


if __name__ == "__main__":
    sys.exit("\n".join(filter(None, map(lacking, kernels()))) or None)
