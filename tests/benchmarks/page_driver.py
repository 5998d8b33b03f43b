"""No converter: all tiles of a TIFF's first page, decoded once by tifffile and imagecodecs."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from vsv_pyramid.containers.raw import RawTiles
from vsv_pyramid.containers.tiff import tiff_base


def decode(slide: Path, workers: int) -> None:
    base = tiff_base(slide)
    assert base is not None
    with closing(RawTiles(base)) as raw, ThreadPoolExecutor(workers) as pool:

        def decode_one(index: int) -> None:
            row, column = divmod(index, base.grid.width)
            base.decoded(raw.tile(column, row) or b"", index)

        list(pool.map(decode_one, range(base.grid.pixels)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    decode(**vars(parser.parse_args()))
