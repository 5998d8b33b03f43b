"""The console script, and python -m vsv_pyramid."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
from typing import NoReturn

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 16 << 20  # a thread: some times what a tile of 768 px takes


def main() -> NoReturn:
    """Runs the command line. Ctrl-C during the imports ends the process at once: nothing is begun
    then, and an exception in the midst of an import can leave its lock held."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # NumPy's threads for linear algebra, of which there is none here, would spin for a while.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Nothing of what modules are made of is garbage: to look for it there takes a fifth of a start.
    gc.disable()
    from vsv_pyramid.cli.main import load, main

    load(sys.argv[1:])
    gc.freeze()
    gc.enable()
    _keep_memory()
    main()


def _keep_memory() -> None:
    """Each tile takes as much memory as the one before: glibc would give it back to the system, and
    ask for it again."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
            libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)


if __name__ == "__main__":
    main()
