"""The console script, and python -m vsv_pyramid."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command line. Ctrl-C during the imports ends the process at once: nothing is begun
    then, and an exception in the midst of an import can leave its lock held."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from vsv_pyramid.cli import main

    main()


if __name__ == "__main__":
    main()
