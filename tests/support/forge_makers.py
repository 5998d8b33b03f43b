"""Slides of makers whose containers have a word of their own on the colours of JPEG data."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tifffile import TiffWriter

from tests.support.tiles import Pixels

_BASELINE = "1.2.840.10008.1.2.4.50"
_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
_ROOT = "1.2.826.0.1.3680043.8.498."  # below which anybody may make identifiers
_UNDEFINED = 0xFFFFFFFF
_MCU = 16  # px
RUN = 8 * _MCU  # px from one restart marker to the next

ATTRIBUTE = '<Attribute Name="{}" Group="0x{}" Element="0x{}" PMSVR="{}">{}</Attribute>'


def _objects(name: str, group: str, element: str, kind: str, *attributes: str) -> str:
    inner = f'<Array><DataObject ObjectType="{kind}">{"".join(attributes)}</DataObject></Array>'
    return ATTRIBUTE.format(name, group, element, "IDataObjectArray", inner)


# What OpenSlide asks of Philips' description.
_PHILIPS = (
    '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
    + ATTRIBUTE.format("DICOM_MANUFACTURER", "0008", "0070", "IString", "PHILIPS")
    + _objects(
        "PIM_DP_SCANNED_IMAGES",
        "301D",
        "1003",
        "DPScannedImage",
        ATTRIBUTE.format("PIM_DP_IMAGE_TYPE", "301D", "1004", "IString", "WSI"),
        _objects(
            "PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE",
            "1001",
            "8B01",
            "PixelDataRepresentation",
            ATTRIBUTE.format(
                "DICOM_PIXEL_SPACING", "0028", "0030", "IDoubleArray", '"0.00025" "0.00025"'
            ),
        ),
    )
    + "{}</DataObject>"
)


def philips(
    path: Path,
    tiles: Sequence[bytes],
    tag: str,
    shape: tuple[int, ...],
    tile: int,
    patch: Callable[[Path], None] = lambda path: None,
    more: str = "",
) -> Path:
    """A Philips TIFF of these JPEG tiles, with `more` attributes in its description."""
    with TiffWriter(path) as tiff:
        tiff.write(
            iter(tiles),
            shape=shape,
            dtype=np.uint8,
            photometric=tag,
            tile=(tile, tile),
            compression="jpeg",
            compressionargs={"outcolorspace": tag},
            metadata=None,
            software="Philips DP v1.0",
            description=_PHILIPS.format(more),
        )
    patch(path)
    return path


_LEICA = (
    '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
    '<collection sizeX="{0}" sizeY="{1}">{2}</collection></scn>'
)
_AREA = (
    '<image>{7}<device model="Leica SCN400" version="1"/><pixels sizeX="{0}" sizeY="{1}">'
    "{2}</pixels>"
    '<view sizeX="{3}" sizeY="{4}" offsetX="{5}" offsetY="{6}" spacingZ="0"/><scanSettings>'
    "<objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>"
    "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings>"
    "</image>"
)
_DIMENSION = '<dimension sizeX="{0}" sizeY="{1}" r="0" ifd="{2}"{3}/>'
_NM = 500  # a pixel


def leica(
    path: Path,
    areas: Sequence[Sequence[bytes]],
    tag: str,
    size: tuple[int, int],
    tile: int,
    *,
    more: str = "",
    at: tuple[float, float] = (0, 0),
    told: Sequence[int] | None = None,
    planes: bool = False,
) -> Path:
    """A Leica slide of areas of `size`, side by side with as much between them from `at` on, and a
    macro; each is a page of its own, and `more` is said of each. The description tells of all, or
    of these; or they are the focal `planes` of one."""
    width, height = size
    left, top = (round(px * _NM) for px in at)
    across, down = left + 2 * width * len(areas) * _NM, 2 * top + height * _NM
    nm = (width * _NM, height * _NM)
    pages = range(len(areas)) if told is None else told
    dimensions = [_DIMENSION.format(width, height, i, f' z="{i}"' if planes else "") for i in pages]
    images = [
        _AREA.format(width, height, dimension, *nm, left + 2 * i * width * _NM, top, more)
        for i, dimension in zip(pages, dimensions, strict=True)
    ]
    if planes:
        images = [_AREA.format(width, height, "".join(dimensions), *nm, left, top, more)]
    macro = _DIMENSION.format(tile, tile, len(areas), "")
    images.append(_AREA.format(tile, tile, macro, across, down, 0, 0, more))
    description = _LEICA.format(across, down, "".join(images))
    with TiffWriter(path, bigtiff=True) as tiff:
        for number, tiles in enumerate(areas):
            tiff.write(
                iter(tiles),
                shape=(height, width, 3),
                dtype=np.uint8,
                photometric=tag,
                tile=(tile, tile),
                compression="jpeg",
                compressionargs={"outcolorspace": tag},
                metadata=None,
                software=False,
                description=None if number else description,
            )
        black = np.zeros((tile, tile, 3), np.uint8)
        tiff.write(black, photometric="rgb", tile=(tile, tile), metadata=None, software=False)
    return path


def hamamatsu(
    path: Path, picture: Pixels, *, levels: int = 3, run: int = RUN, planes: Sequence[int] = (0,)
) -> Path:
    """An NDPI: each level, a quarter of the one before, is one strip of one JPEG, which is read by
    its restart markers, `run` px apart, or as a whole where that is 0. The width (px) has to be a
    multiple of that in each level, of which there are as many as focal `planes`."""
    with TiffWriter(path) as tiff:
        for number, z in product(range(levels), planes):
            height, width = picture.shape[:2]
            assert not run or width % run == 0
            made = BytesIO()
            # 4:2:2, as of 4:2:0 OpenSlide's decoder would want the next row of blocks, too.
            Image.fromarray(picture).save(
                made, "JPEG", quality=80, subsampling=1, restart_marker_blocks=run // _MCU
            )
            data = made.getvalue()
            whole = np.frombuffer(data, np.uint8)
            marks = np.flatnonzero((whole[:-1] == 0xFF) & (whole[1:] & 0xF8 == 0xD0))
            scan = data.index(b"\xff\xda") + 2
            starts = [scan + int.from_bytes(data[scan : scan + 2], "big"), *(marks + 2).tolist()]
            tiff.write(
                iter([data]),
                shape=(height, width, 3),
                dtype=np.uint8,
                rowsperstrip=height,
                photometric="ycbcr",
                compression="jpeg",
                compressionargs={"outcolorspace": "ycbcr"},
                subsampling=(2, 1),
                metadata=None,
                extratags=[
                    (271, "s", 0, "Hamamatsu", True),
                    (65420, "I", 1, 1, True),  # that it is an NDPI
                    (65421, "f", 1, 20 / 4**number, True),  # the objective
                    (65424, "i", 1, z, True),  # the focal plane
                    (65426, "I", len(starts), starts, True),
                ],
            )
            if z == planes[-1]:
                picture = np.asarray(Image.fromarray(picture).reduce(4))
    return path


OVERLAP, SIDE = 8, 256  # px, of Ventana's tiles
_VENTANA = (
    '<EncodeInfo Ver="2"><SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" NumCols="{0}" '
    'NumRows="{1}" Width="{2}" Height="{2}" Pos-X="0" Pos-Y="0">{3}</ImageInfo></SlideStitchInfo>'
    '<AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
)
_JOINT = (
    '<TileJointInfo FlagJoined="1" Confidence="100" Direction="{}" Tile1="{}" Tile2="{}" '
    'OverlapX="{}" OverlapY="0"/>'
)
_ISCAN = '<iScan Magnification="20" ScanRes="0.5" ScannerModel="VENTANA DP 200"/>'


def ventana(path: Path, picture: Pixels, compression: str | None = None) -> Path:
    """A BIF of as many tiles of the picture as are whole; those of a row overlap."""
    height, width = picture.shape[:2]
    columns: int = (width - OVERLAP) // (SIDE - OVERLAP)
    rows: int = height // SIDE

    def number(column: int, row: int) -> int:
        """From 1 on, from the bottom, a row to the right, the next one to the left."""
        up = rows - 1 - row
        return up * columns + (columns - 1 - column if up % 2 else column) + 1

    places = [(column, row) for row in range(rows) for column in range(columns)]
    joints = [
        *(
            _JOINT.format("RIGHT", number(column, row), number(column + 1, row), OVERLAP)
            for column, row in places
            if column + 1 < columns
        ),
        *(
            _JOINT.format("UP", number(column, row), number(column, row - 1), 0)
            for column, row in places
            if row
        ),
    ]
    said = _VENTANA.format(columns, rows, SIDE, "".join(joints))
    label = np.full((64, 32, 3), 200, np.uint8)
    with TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(label, photometric="rgb", **_with("Label Image", _ISCAN))
        tiff.write(
            (
                picture[row * SIDE :, column * (SIDE - OVERLAP) :][:SIDE, :SIDE]
                for column, row in places
            ),
            shape=(rows * SIDE, columns * SIDE, 3),
            dtype=np.uint8,
            photometric="ycbcr" if compression == "jpeg" else "rgb",
            subsampling=(2, 2) if compression == "jpeg" else None,
            tile=(SIDE, SIDE),
            compression=compression,
            **_with("level=0 mag=20 quality=95", said),
        )
    return path


def _with(description: str, xmp: str) -> dict[str, Any]:
    tag = (700, "B", len(xmp), xmp.encode(), True)
    return {"description": description, "extratags": [tag], "metadata": None, "software": False}


def dicom(
    path: Path,
    frames: Sequence[bytes],
    size: tuple[int, int],
    tile: int,
    *,
    photometric: str,
    kind: str = "ORIGINAL\\PRIMARY\\VOLUME\\NONE",
    instance: int = 1,
    icon: bytes = b"",
    more: Sequence[bytes] = (),
) -> Path:
    """An instance of a DICOM series: JPEG frames of `size` px in tiles; `icon` is a JPEG in its
    IconImageSequence, `more` are further elements."""
    uid = f"{_ROOT}1.{instance}"
    meta = element(2, 2, "UI", _MICROSCOPY) + element(2, 3, "UI", uid)
    meta += element(2, 0x10, "UI", _BASELINE)
    width, height = size
    spacing = element(0x28, 0x30, "DS", "0.0005\\0.0005") + element(0x18, 0x50, "DS", "0.001")
    groups = sequence(0x28, 0x9110, spacing)
    data = [
        element(8, 8, "CS", kind),
        element(8, 0x16, "UI", _MICROSCOPY),
        element(8, 0x18, "UI", uid),
        element(8, 0x60, "CS", "SM"),
        element(0x20, 0xD, "UI", _ROOT + "2"),
        element(0x20, 0xE, "UI", _ROOT + "3"),
        element(0x20, 0x52, "UI", _ROOT + "4"),
        element(0x20, 0x9311, "CS", "TILED_FULL"),
        element(0x28, 2, "US", 3),
        element(0x28, 4, "CS", photometric),
        element(0x28, 6, "US", 0),
        element(0x28, 8, "IS", str(len(frames))),
        element(0x28, 0x10, "US", tile),
        element(0x28, 0x11, "US", tile),
        element(0x28, 0x100, "US", 8),
        element(0x28, 0x101, "US", 8),
        element(0x28, 0x102, "US", 7),
        element(0x28, 0x103, "US", 0),
        element(0x48, 6, "UL", width),
        element(0x48, 7, "UL", height),
        element(0x48, 0x302, "UL", 1),
        element(0x48, 0x303, "UL", 1),
        sequence(0x5200, 0x9229, groups),
        _encapsulated(frames),
    ]
    if icon:
        data.insert(-8, sequence(0x88, 0x200, _encapsulated([icon])))
    data = sorted([*data, *more], key=lambda made: struct.unpack_from("<HH", made))
    head = bytes(128) + b"DICM" + element(2, 0, "UL", len(meta)) + meta
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(head + b"".join(data))
    return path


def element(group: int, number: int, kind: str, value: str | int) -> bytes:
    """Of a kind whose length has 2 bytes."""
    if isinstance(value, int):
        body = struct.pack("<H" if kind == "US" else "<I", value)
    else:
        body = value.encode()
        body += (b"\0" if kind == "UI" else b" ") * (len(body) % 2)
    return struct.pack("<HH2sH", group, number, kind.encode(), len(body)) + body


def _item(body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body) if length is None else length) + body


def sequence(group: int, number: int, item: bytes) -> bytes:
    """Of one item, whose elements these are."""
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    whole = _item(item, _UNDEFINED) + end + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return struct.pack("<HH2sHI", group, number, b"SQ", 0, _UNDEFINED) + whole


def _encapsulated(frames: Sequence[bytes]) -> bytes:
    items = b"".join(_item(frame + bytes(len(frame) % 2)) for frame in frames)
    head = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, _UNDEFINED)
    return head + _item(b"") + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
