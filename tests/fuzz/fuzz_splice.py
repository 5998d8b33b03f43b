"""An atheris target: any bytes as a tile beside a sound one.

What comes of it is a Joined, or a StreamError, and nothing else.

    python tests/fuzz/fuzz_splice.py -max_total_time=60 tests/fuzz/corpus

Of a kernel that is built with AddressSanitizer it finds what reads or writes out of bounds as well.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["vsv_pyramid.jpeg.stream", "vsv_pyramid.jpeg.join"]):
    from vsv_pyramid.errors import StreamError
    from vsv_pyramid.jpeg.join import join
    from vsv_pyramid.jpeg.stream import parse


def target(data: bytes) -> None:
    if len(data) < 3:
        return
    options, count = data[0], int.from_bytes(data[1:3], "big")
    tables, tile = data[3 : 3 + count], data[3 + count :]
    try:
        stream = parse(tile, tables)
    except StreamError:
        return
    if stream.width * stream.height > 1 << 18:
        return
    columns, rows = 1 + (options & 1), 1 + (options >> 1 & 1)
    width = columns * stream.width - (options >> 2 & 1) * (stream.width // 3)
    height = rows * stream.height - (options >> 3 & 1) * (stream.height // 3)
    tiles = [tile] * (columns * rows)
    if options & 16:
        tiles[-1] = b"" if len(tiles) > 1 else tile
    try:
        made = join(
            tiles,
            columns,
            rows,
            tile_size=(stream.width, stream.height),
            size=(width, height),
            tables=tables,
            rgb=bool(options & 32),
            subsampling=("420", "422", "444", "420")[options >> 6],
        )
    except StreamError:
        return
    again = parse(made.jpeg)
    assert (again.width, again.height) == (width, height)
    # What is joined can be joined: the kernel's output is a sound scan, with the same half.
    once_more = join(
        [made.jpeg],
        1,
        1,
        tile_size=(width, height),
        size=(width, height),
        rgb=bool(options & 32),
        subsampling=("420", "422", "444", "420")[options >> 6],
    )
    assert (
        all((a == b).all() for a, b in zip(made.half, once_more.half, strict=True)) or options & 28
    )


def main() -> None:
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
