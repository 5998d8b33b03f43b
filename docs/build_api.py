"""Makes the page of what other programs may import: build_api.py FOLDER"""

from __future__ import annotations

import sys
from pathlib import Path

import pdoc

import vsv_pyramid


def main(folder: Path) -> None:
    for name in vsv_pyramid.__all__:  # pdoc sees what is there, not what comes when asked for
        setattr(vsv_pyramid, name, getattr(vsv_pyramid, name))
    pdoc.render.configure(search=False)
    pdoc.pdoc("vsv_pyramid", r"!vsv_pyramid\..*", output_directory=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
