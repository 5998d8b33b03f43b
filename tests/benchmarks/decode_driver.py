"""The yardstick of the possible: all base tiles decoded once by libjpeg-turbo, and thrown away."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg

from vsv_pyramid.containers.raw import RawTiles
from vsv_pyramid.containers.tiff import tiff_base

# Says that the samples are RGB, so that the decoder converts nothing.
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


def decode(slide: Path, workers: int) -> None:
    base = tiff_base(slide)
    assert base is not None
    raw = RawTiles(base)
    adobe = ADOBE_RGB if base.photometric == "RGB" else b""
    head = b"\xff\xd8" + adobe + base.tables[2:-2]
    columns, rows = base.grid

    def decode_row(row: int) -> None:
        pixels = np.empty((base.tile_size.height, base.tile_size.width, 3), np.uint8)
        for tile in raw.read(range(columns), range(row, row + 1)):
            assert tile is not None
            simplejpeg.decode_jpeg(head + tile[2:], "RGB", buffer=pixels)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(decode_row, range(rows)))
    raw.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    decode(**vars(parser.parse_args()))
