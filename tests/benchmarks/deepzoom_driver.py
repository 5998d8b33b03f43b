"""The usual way to a pyramid: openslide-python's DeepZoomGenerator, driven by worker processes."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

BATCH = 16  # tiles a task: the queue costs nothing, and the workers still end together

Address = tuple[int, int, int]  # level, column, row


def generator(slide: Path, tile_size: int) -> DeepZoomGenerator:
    return DeepZoomGenerator(OpenSlide(slide), tile_size=tile_size, overlap=0, limit_bounds=False)


def addresses(tiles: DeepZoomGenerator) -> Iterator[Address]:
    for level, (columns, rows) in enumerate(tiles.level_tiles):
        for row in range(rows):
            for column in range(columns):
                yield level, column, row


class Worker:
    """A process's own slide: an OpenSlide object does not outlive a fork."""

    tiles: DeepZoomGenerator

    @classmethod
    def start(cls, slide: Path, tile_size: int) -> None:
        cls.tiles = generator(slide, tile_size)


def write_tile(folder: Path, quality: int, address: Address) -> None:
    level, column, row = address
    tile = Worker.tiles.get_tile(level, (column, row))
    tile.save(folder / str(level) / f"{column}_{row}.jpeg", quality=quality)


def convert(slide: Path, to: Path, tile_size: int, quality: int, workers: int) -> None:
    """Write `to`/DeepZoom.dzi and its tiles in `to`/DeepZoom_files."""
    tiles = generator(slide, tile_size)
    folder = to / "DeepZoom_files"
    for level in range(tiles.level_count):
        (folder / str(level)).mkdir(parents=True)
    # Forked workers are the parent's own children: whoever measures it measures them.
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, Worker.start, (slide, tile_size)) as pool:
        write = partial(write_tile, folder, quality)
        for _ in pool.imap_unordered(write, addresses(tiles), BATCH):
            pass
        pool.close()
        pool.join()
    (to / "DeepZoom.dzi").write_text(tiles.get_dzi("jpeg"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--tile-size", type=int, default=720)
    parser.add_argument("--quality", type=int, default=80)
    parser.add_argument("--workers", type=int, default=2)
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
