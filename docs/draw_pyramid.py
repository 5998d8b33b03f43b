"""Draws the README's picture: the upper levels of a published pyramid, tile by tile.

Usage: python docs/draw_pyramid.py images/CMU-1-Small-Region docs/pyramid.jpeg
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vsv_pyramid.layout.descriptor import Descriptor

SCALE = 6  # px of the base level to one px of the picture
GAP = 6
MARGIN = 36
LEVELS = 4


def draw(folder: Path, to: Path) -> None:
    """Each level as large as it is, its tiles apart from one another, the base at the left."""
    pyramid = Descriptor.parse((folder / "DeepZoom.dzi").read_bytes()).pyramid
    levels = pyramid.levels[::-1][:LEVELS]
    font = ImageFont.load_default(13)
    # no column is narrower than its caption
    widths = [max(110, level.size.width // SCALE + GAP * (level.columns - 1)) for level in levels]
    height = levels[0].size.height // SCALE + GAP * (levels[0].rows - 1)
    picture = Image.new("RGB", (sum(widths) + MARGIN * (LEVELS + 1), height + 68), "#e4e4e8")
    x = MARGIN
    for level, width in zip(levels, widths, strict=True):
        for address in level.tiles():
            with Image.open(folder / f"DeepZoom_files/{address}.jpeg") as tile:
                size = tuple(max(1, round(side / SCALE)) for side in tile.size)
                small = tile.resize(size, Image.Resampling.BOX)
            step = pyramid.tile_size // SCALE + GAP
            picture.paste(small, (x + address.column * step, 12 + address.row * step))
        lines = f"level {level.number}\n{level.size.width} x {level.size.height} px"
        at = (x, 20 + level.size.height // SCALE + GAP * (level.rows - 1))
        ImageDraw.Draw(picture).text(at, lines, fill="#333", font=font)
        x += width + MARGIN
    picture.save(to, quality=85)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
