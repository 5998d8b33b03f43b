"""An MRXS slide, as 3DHISTECH's scanners make it: a small file, and a folder with the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.tiles import Pixels

SHOT, OVERLAP = 512, 32  # px of the camera's pictures, and of what two of them both show
_STEP = SHOT - OVERLAP
_ID = "0123456789abcdef0123456789abcdef"

_GENERAL = """[GENERAL]
SLIDE_ID={id}
IMAGENUMBER_X={columns}
IMAGENUMBER_Y={rows}
OBJECTIVE_MAGNIFICATION=20
[HIERARCHICAL]
HIER_COUNT=1
NONHIER_COUNT=1
INDEXFILE=Index.dat
HIER_0_NAME=Slide zoom level
HIER_0_COUNT={levels}
NONHIER_0_NAME=Scan data layer
NONHIER_0_COUNT=1
NONHIER_0_VAL_0=ScanDataLayer_SlideBarcode
NONHIER_0_VAL_0_SECTION=LABEL
{sections}[LABEL]
BARCODE_IMAGE_TYPE=JPEG
[DATAFILE]
FILE_COUNT=1
FILE_0=Data0000.dat
"""
_LEVEL = """[LEVEL_{level}]
OVERLAP_X={overlap}
OVERLAP_Y={overlap}
MICROMETER_PER_PIXEL_X={mpp}
MICROMETER_PER_PIXEL_Y={mpp}
IMAGE_FILL_COLOR_BGR=16777215
DIGITIZER_WIDTH={side}
DIGITIZER_HEIGHT={side}
IMAGE_CONCAT_FACTOR={doubled}
IMAGE_FORMAT={format}
"""


def mirax(path: Path, picture: Pixels, levels: int, format: str = "PNG") -> Path:
    """A slide of the part of the picture that whole shots cover, each level half of the one before;
    "JPEG" is the other format. Its label is grey."""
    rows, columns = ((side - OVERLAP) // _STEP for side in picture.shape[:2])
    folder = path.with_suffix("")
    folder.mkdir()
    index = []
    with (folder / "Data0000.dat").open("wb") as data:
        for shots in _levels(picture, columns, rows, levels):
            records: list[int] = []
            for (column, row), shot in shots.items():
                made = _encoded(shot, format)
                records += (row * columns + column, data.tell(), len(made), 0)
                data.write(made)
            index.append([len(shots), 0, *records])
        label = _encoded(np.full((64, 32, 3), 200, np.uint8), "JPEG")
        index.append([1, 0, 0, 0, data.tell(), len(label), 0])
        data.write(label)
    (folder / "Index.dat").write_bytes(_pages(index))
    sections = "".join(f"HIER_0_VAL_{level}_SECTION=LEVEL_{level}\n" for level in range(levels))
    said = _GENERAL.format(id=_ID, columns=columns, rows=rows, levels=levels, sections=sections)
    for level in range(levels):
        said += _LEVEL.format(
            level=level,
            overlap=OVERLAP / 2**level,
            mpp=0.5 * 2**level,
            side=SHOT,
            doubled=min(level, 1),
            format=format,
        )
    (folder / "Slidedat.ini").write_text(said, encoding="utf-8")
    path.write_bytes(b"")
    return path


def _levels(
    picture: Pixels, columns: int, rows: int, levels: int
) -> Iterator[dict[tuple[int, int], Pixels]]:
    """The shots by column and row; then four of them in one, and so on."""
    shots = {
        (column, row): picture[row * _STEP :, column * _STEP :][:SHOT, :SHOT]
        for row in range(rows)
        for column in range(columns)
    }
    side = SHOT // 2
    for level in range(levels):
        yield shots
        apart = 1 << level
        joined: dict[tuple[int, int], Pixels] = {}
        for row in range(0, rows, 2 * apart):
            for column in range(0, columns, 2 * apart):
                made = np.full((SHOT, SHOT, 3), 255, np.uint8)
                for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    shot = shots.get((column + x * apart, row + y * apart))
                    if shot is not None:
                        made[y * side :, x * side :][:side, :side] = _half(shot)
                joined[column, row] = made
        shots = joined


def _half(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).reduce(2))


def _encoded(pixels: Pixels, format: str) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format, **({"quality": 90} if format == "JPEG" else {}))
    return file.getvalue()


def _pages(index: list[list[int]]) -> bytes:
    """The pages, the last one of what is no level, behind the pointers to them."""
    head = f"01.02{_ID}".encode()
    table = len(head) + 8
    place = table + 4 * len(index)
    pointers, pages = [], []
    for numbers in index:
        pointers.append(place)
        pages.append(struct.pack(f"<{len(numbers) + 2}i", 0, place + 8, *numbers))
        place += len(pages[-1])
    roots = (table, table + 4 * (len(index) - 1))
    return head + struct.pack(f"<{2 + len(index)}i", *roots, *pointers) + b"".join(pages)
