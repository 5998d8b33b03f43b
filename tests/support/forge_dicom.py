"""DICOM series made for tests: slides of the picture that forged TIFFs have, in any layout."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, fragment_frame
from pydicom.pixels.encoders import RLELosslessEncoder  # type: ignore[attr-defined]
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from tests.support.forge_tiffs import JFIF, PICTURE, SIZE, TILE, tiles

MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
JPEG, J2K, JLS, HTJ2K, JXL = (
    f"1.2.840.10008.1.2.4.{number}" for number in ("50", "90", "80", "201", "110")
)
COLUMNS, ROWS = (-(-length // TILE) for length in SIZE)
Change = Callable[[Dataset], None]


def blocks() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """The picture's tiles, the last ones filled."""
    whole = np.pad(
        PICTURE, ((0, ROWS * TILE - SIZE[1]), (0, COLUMNS * TILE - SIZE[0]), (0, 0)), "edge"
    )
    return [
        np.ascontiguousarray(whole[y : y + TILE, x : x + TILE])
        for y in range(0, ROWS * TILE, TILE)
        for x in range(0, COLUMNS * TILE, TILE)
    ]


def instance(
    path: Path,
    frames: Sequence[bytes],
    *,
    syntax: str = JPEG,
    photometric: str = "YBR_FULL_422",
    kind: str = "VOLUME",
    series: str = "1.2.3",
    size: tuple[int, int] = SIZE,
    change: Change = lambda _: None,
    encoded: bytes | None = None,
) -> Path:
    said = Dataset()
    said.file_meta = FileMetaDataset()
    said.file_meta.TransferSyntaxUID = UID(syntax)
    said.file_meta.MediaStorageSOPClassUID = said.SOPClassUID = UID(MICROSCOPY)
    said.file_meta.MediaStorageSOPInstanceUID = said.SOPInstanceUID = generate_uid()
    said.SeriesInstanceUID, said.StudyInstanceUID = series, "1.2"
    said.FrameOfReferenceUID = "1.2.4"
    said.Modality = "SM"
    said.ImageType = ["ORIGINAL", "PRIMARY", kind, "NONE"]
    said.DimensionOrganizationType = "TILED_FULL"
    said.SamplesPerPixel, said.PhotometricInterpretation, said.PlanarConfiguration = (
        3,
        photometric,
        0,
    )
    said.NumberOfFrames = len(frames)
    said.Rows = said.Columns = TILE
    said.BitsAllocated = said.BitsStored = 8
    said.HighBit, said.PixelRepresentation = 7, 0
    said.TotalPixelMatrixColumns, said.TotalPixelMatrixRows = size
    said.TotalPixelMatrixFocalPlanes = said.NumberOfOpticalPaths = 1
    measures = Dataset()
    measures.PixelSpacing = ["0.0005", "0.00025"]
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([measures])
    said.SharedFunctionalGroupsSequence = Items([shared])
    light = Dataset()
    light.ObjectiveLensPower = 40
    said.OpticalPathSequence = Items([light])
    if syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        said.PixelData = b"".join(frames)
    else:
        said.PixelData = encoded or encapsulate(list(frames))
        said["PixelData"].is_undefined_length = True
    change(said)
    said.save_as(path, enforce_file_format=True)
    return path


def positions(said: Dataset, places: Sequence[tuple[int, int]]) -> None:
    said.DimensionOrganizationType = "TILED_SPARSE"
    groups = []
    for x, y in places:
        position = Dataset()
        position.ColumnPositionInTotalImagePixelMatrix = x + 1
        position.RowPositionInTotalImagePixelMatrix = y + 1
        group = Dataset()
        group.PlanePositionSlideSequence = Items([position])
        groups.append(group)
    said.PerFrameFunctionalGroupsSequence = Items(groups)


GRID = [(x * TILE, y * TILE) for y in range(ROWS) for x in range(COLUMNS)]
YCBCR = tiles(marker=JFIF)


def sparse(folder: Path) -> Path:
    """The frames in another order, as their positions say."""
    order = list(range(len(GRID)))[::-1]
    return instance(
        folder / "a.dcm",
        [YCBCR[n] for n in order],
        change=lambda said: positions(said, [GRID[n] for n in order]),
    )


def concatenated(folder: Path) -> Path:
    uid = generate_uid()
    parts = [(0, 3), (3, 4), (4, len(YCBCR))]
    for number, (first, last) in enumerate(parts):

        def part(said: Dataset, number: int = number, first: int = first) -> None:
            said.ConcatenationUID = uid
            said.InConcatenationNumber, said.InConcatenationTotalNumber = number + 1, len(parts)
            said.ConcatenationFrameOffsetNumber = first

        instance(folder / f"{9 - number}.dcm", YCBCR[first:last], change=part)
    return folder / "8.dcm"


def fragmented(folder: Path, *, has_table: bool) -> Path:
    items = [list(fragment_frame(frame, 3)) for frame in YCBCR]
    encapsulated = encapsulate(YCBCR, fragments_per_frame=3, has_bot=has_table)
    assert sum(map(len, items)) == 3 * len(YCBCR)
    return instance(folder / "a.dcm", YCBCR, encoded=encapsulated)


def extended(folder: Path) -> Path:
    data, offsets, lengths = encapsulate_extended(list(YCBCR))

    def with_table(said: Dataset) -> None:
        said.ExtendedOffsetTable, said.ExtendedOffsetTableLengths = offsets, lengths

    return instance(folder / "a.dcm", YCBCR, encoded=data, change=with_table)


def glass() -> bytes:
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(PICTURE[:TILE, :TILE])))


def several(folder: Path) -> Path:
    """With a smaller level, a label and an overview, a file each; and another series."""
    small = [glass()]
    instance(folder / "b.dcm", small, size=(SIZE[0] // 4, SIZE[1] // 4))
    for kind in "LABEL", "OVERVIEW":
        instance(folder / f"{kind}.dcm", small, size=(TILE, TILE), kind=kind)
    instance(folder / "0.dcm", small, size=(TILE, TILE), series="1.2.9")
    (folder / "notes.txt").write_text("short")
    (folder / "other.dcm").write_bytes(bytes(1000))
    (folder / "folder").mkdir()
    return instance(folder / "c.dcm", YCBCR)


def bare(folder: Path, syntax: str, *, is_planar: bool = False) -> Path:
    frames = [(np.moveaxis(block, 2, 0) if is_planar else block).tobytes() for block in blocks()]

    def planar(said: Dataset) -> None:
        said.PlanarConfiguration = int(is_planar)

    return instance(folder / "a.dcm", frames, syntax=syntax, photometric="RGB", change=planar)


def coded(
    folder: Path, syntax: str, encode: Callable[..., bytes | bytearray], photometric: str
) -> Path:
    frames = [bytes(encode(block)) for block in blocks()]
    return instance(folder / "a.dcm", frames, syntax=syntax, photometric=photometric)


def jpeg_xl(folder: Path) -> Path:
    """Of a transfer syntax that pydicom does not know, whose UID is as long as HTJ2K's."""
    path = coded(
        folder, HTJ2K, lambda block: imagecodecs.jpegxl_encode(block, lossless=True), "RGB"
    )
    path.write_bytes(path.read_bytes().replace(HTJ2K.encode(), JXL.encode()))
    return path


def run_length(block: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    made: bytes = RLELosslessEncoder.encode(
        block,
        rows=TILE,
        columns=TILE,
        samples_per_pixel=3,
        number_of_frames=1,
        bits_allocated=8,
        bits_stored=8,
        photometric_interpretation="RGB",
        pixel_representation=0,
        planar_configuration=0,
        encoding_plugin="pydicom",
    )
    return made


def as_ycbcr(block: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.fromarray(block).convert("YCbCr"))


def focal_planes(folder: Path) -> Path:
    def said(data: Dataset) -> None:
        data.TotalPixelMatrixFocalPlanes = 2

    return instance(folder / "a.dcm", [*YCBCR, *YCBCR[::-1]], change=said)


def layered(
    folder: Path,
    planes: Sequence[tuple[int, float, str]],
    cuts: Sequence[int] = (),
    change: Change = lambda _: None,
) -> Path:
    """Frames of these places, heights and optical paths; the picture is what is at height 0 by path
    "1". In several files, cut at these frames."""
    blank = YCBCR[::-1]
    edges = [0, *cuts, len(planes)]
    uid = generate_uid()

    def said(start: int, end: int, number: int, data: Dataset) -> None:
        positions(data, [GRID[n] for n, _, _ in planes[start:end]])
        for group, (_, z, path) in zip(
            data.PerFrameFunctionalGroupsSequence, planes[start:end], strict=True
        ):
            group.PlanePositionSlideSequence[0].ZOffsetInSlideCoordinateSystem = str(z)
            light = Dataset()
            light.OpticalPathIdentifier = path
            group.OpticalPathIdentificationSequence = Items([light])
        data.TotalPixelMatrixFocalPlanes = len({z for _, z, _ in planes})
        data.NumberOfOpticalPaths = len({path for _, _, path in planes})
        if cuts:
            data.ConcatenationUID, data.InConcatenationNumber = uid, number + 1
            data.ConcatenationFrameOffsetNumber = start
        change(data)

    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        streams = [
            (YCBCR if (z, path) == (0, "1") else blank)[n] for n, z, path in planes[start:end]
        ]
        instance(
            folder / f"{number}.dcm",
            streams,
            change=partial(said, start, end, number),
        )
    return folder / "0.dcm"


WHOLE = [(n, 0.0, "1") for n in range(len(GRID))]
ABOVE = [(n, 0.002, "1") for n in range(len(GRID))]
BY_TURNS = [(n, 0.0, path) for n in range(len(GRID)) for path in ("12" if n % 2 == 0 else "21")]


def without(name: str) -> Change:
    def change(said: Dataset) -> None:
        del said[name]

    return change


def stated(**values: Any) -> Change:
    def change(said: Dataset) -> None:
        for name, value in values.items():
            setattr(said, name, value)

    return change
