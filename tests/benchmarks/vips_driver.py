"""libvips in its fast direct mode: tiles of the TIFF decoded once, shrunk, and encoded."""

from __future__ import annotations

import argparse
from pathlib import Path

import pyvips


def convert(slide: Path, to: Path, tile_size: int, quality: int, icc: bool) -> None:
    """Write `to`/DeepZoom.dzi and its tiles; a suffix option would switch the direct mode off. With
    `icc`, in sRGB."""
    image = pyvips.Image.tiffload(str(slide), access="sequential")
    if icc:
        image = image.icc_transform("srgb", embedded=True, intent="perceptual")
    image.dzsave(str(to / "DeepZoom"), tile_size=tile_size, overlap=0, Q=quality)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--tile-size", type=int, default=720)
    parser.add_argument("--quality", type=int, default=80)
    parser.add_argument("--icc", action="store_true")
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
