"""A slide of each kind of container, and the numbers in it that a mutation may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from tests.support.forge_dicom import J2K, bare, coded, fragmented, run_length, sparse
from tests.support.forge_makers import RUN, hamamatsu, ventana
from tests.support.forge_tiffs import JFIF, PICTURE, TILE, Row, Stored, jpeg, tiles
from tests.support.mutations import Place, dicom_places, tiff_places

Make = Callable[[Path], Path]


def tiff(compression: str, **file: object) -> Make:
    def make(folder: Path) -> Path:
        settings = {"tile": (TILE, TILE), "compression": compression}
        return Row("", [Stored(PICTURE, settings)], file=dict(file)).write(folder / "a.tif")

    return make


def jpeg_tiff(folder: Path) -> Path:
    return Row("", [jpeg(tiles(marker=JFIF), "ycbcr")]).write(folder / "a.tif")


def ndpi(folder: Path) -> Path:
    return hamamatsu(folder / "a.ndpi", np.tile(PICTURE, (2, 3, 1))[:, : 4 * RUN], levels=2)


def bif(folder: Path) -> Path:
    return ventana(folder / "a.bif", np.tile(PICTURE, (4, 3, 1)))


CONTAINERS: dict[str, tuple[Make, Callable[[Path], Iterator[Place]]]] = {
    "jpeg": (jpeg_tiff, tiff_places),
    "lzw, big-endian": (tiff("lzw", byteorder=">"), tiff_places),
    "jpeg2000": (tiff("jpeg2000"), tiff_places),
    "webp": (tiff("webp", bigtiff=True), tiff_places),
    "jpegxl": (tiff("jpegxl"), tiff_places),
    "ndpi": (ndpi, tiff_places),
    "bif": (bif, tiff_places),
    "fragments": (lambda folder: fragmented(folder, has_table=True), dicom_places),
    "sparse": (sparse, dicom_places),
    "run lengths": (lambda folder: coded(folder, RLELossless, run_length, "RGB"), dicom_places),
    "bare frames": (lambda folder: bare(folder, ExplicitVRLittleEndian), dicom_places),
    "JPEG 2000 frames": (
        lambda folder: coded(
            folder, J2K, lambda block: imagecodecs.jpeg2k_encode(block, level=0), "RGB"
        ),
        dicom_places,
    ),
}
