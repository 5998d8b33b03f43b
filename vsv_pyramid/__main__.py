"""The console script, and python -m vsv_pyramid."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NoReturn


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
    main()


if __name__ == "__main__":
    main()
