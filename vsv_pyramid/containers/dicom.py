"""A slide as DICOM: a series of instances in one folder, read by pydicom.

Its levels are instances, or concatenations of several (VL Whole Slide Microscopy); the base is what
it is for OpenSlide, the largest picture of the volume. Section numbers are those of DICOM.
"""

from __future__ import annotations

import io
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from vsv_pyramid.containers.codecs import DICOM_CODECS
from vsv_pyramid.containers.raw import JPEG, Piece, StoredLevel
from vsv_pyramid.containers.reading import Watched, naming, opened, unavailable
from vsv_pyramid.errors import SlideError, SlideIncomplete, SlideUnavailable, StreamError
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.words import counted

_MAGIC_AT, _MAGIC = 128, b"DICM"
_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
_JPEGS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # baseline and extended
# What elements raise that lack, or are of no sense.
_DAMAGED = (
    *(ValueError, KeyError, AttributeError, IndexError, TypeError, ArithmeticError),
    *(NotImplementedError, struct.error, MemoryError),
)
_IMPLICIT = "1.2.840.10008.1.2"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"  # (7FE0,0010)
_EOI = b"\xff\xd9"
_MOST_PIXELS = 1 << 27  # of a frame
# The kinds of pictures beside the volume, by what OpenSlide calls them.
_ASSOCIATED = {"LABEL": "label", "OVERVIEW": "macro", "THUMBNAIL": "thumbnail"}
_YCBCR = ("YBR_FULL", "YBR_FULL_422")
# By OpenSlide's names: the facts that metadata are made of.
_FACTS = {
    "dicom.ManufacturerModelName": "ManufacturerModelName",
    "dicom.PhotometricInterpretation": "PhotometricInterpretation",
    "dicom.SeriesInstanceUID": "SeriesInstanceUID",
}
_HEADING = (
    *("SOPClassUID", "SeriesInstanceUID", "ImageType"),
    *("TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
)
_WANTED = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "ImageType", "ManufacturerModelName"),
    *("TotalPixelMatrixColumns", "TotalPixelMatrixRows", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated"),
    *("DimensionOrganizationType", "TotalPixelMatrixFocalPlanes", "NumberOfOpticalPaths"),
    *("ConcatenationUID", "ConcatenationFrameOffsetNumber", "InConcatenationTotalNumber"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("OpticalPathSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)


class Instance(NamedTuple):
    """One file of a series: its elements but for the pixels, and where these begin."""

    path: Path
    elements: Any  # pydicom.Dataset
    syntax: str
    pixels_at: int

    @property
    def kind(self) -> str:
        """VOLUME, LABEL, OVERVIEW or THUMBNAIL, as its ImageType has it."""
        stated = list(self.elements.get("ImageType") or [])
        return str(stated[2]) if len(stated) > 2 else ""

    @property
    def is_resampled(self) -> bool:
        return "RESAMPLED" in (self.elements.get("ImageType") or ())

    @property
    def size(self) -> Size:
        """Raises ValueError for none."""
        said = self.elements
        size = Size(int(said.TotalPixelMatrixColumns), int(said.TotalPixelMatrixRows))
        if min(size) < 1:
            raise ValueError(f"a picture of {size.width} x {size.height} px")
        return size

    @property
    def picture(self) -> object:
        """What all parts of a concatenation have in common."""
        return self.elements.get("ConcatenationUID") or self.elements.SOPInstanceUID

    @property
    def frames(self) -> int:
        return int(self.elements.get("NumberOfFrames") or 1)

    @property
    def first_frame(self) -> int:
        return int(self.elements.get("ConcatenationFrameOffsetNumber") or 0)


class Heading(NamedTuple):
    """Of which series a file is, and how many pixels its picture has, 0 where it is none of the
    slide itself."""

    series: str
    pixels: int


@dataclass(frozen=True)
class DicomBase(StoredLevel):
    """A picture of a series, by its frames. `properties` are OpenSlide's, as far as they matter;
    `levels` are the sizes of smaller ones, `associated` the other pictures of the glass."""

    file_of: array[int]
    fragments: Mapping[int, Sequence[Piece]]
    decode: Callable[[bytes], Pixels] | None
    properties: Mapping[str, str]
    icc_profile: bytes | None
    levels: tuple[Size, ...] = ()
    left_out: tuple[str, ...] = ()
    associated: Mapping[str, DicomBase] = field(default_factory=dict)

    def pieces(self, index: int) -> Sequence[Piece]:
        if index in self.fragments:
            return self.fragments[index]
        return (Piece(self.file_of[index], self.offsets[index], self.counts[index]),)

    def decoded(self, data: bytes, index: int) -> Pixels:
        assert self.decode
        return self.decode(data)


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM does. Raises SlideAccessError."""
    with naming(path), path.open("rb") as file:
        file.seek(_MAGIC_AT)
        return file.read(len(_MAGIC)) == _MAGIC


def heading(path: Path) -> Heading | None:
    """None where the file is no slide's. Raises SlideError."""
    if not is_dicom(path) or (instance := _instance(path, _HEADING)) is None:
        return None
    said = instance.elements
    try:
        pixels = instance.size.pixels if instance.kind == "VOLUME" else 0
    except _DAMAGED:
        pixels = 0
    return Heading(str(said.SeriesInstanceUID), pixels)


def series_in(folder: Path) -> dict[str, list[Instance]]:
    """The slides in a folder, by the UID of their series: the instances of each, in order of name.
    Raises SlideAccessError."""
    found: dict[str, list[Instance]] = {}
    with naming(folder):
        places = sorted(folder.iterdir())
    for place in places:
        with suppress(SlideError):  # a folder, or another file
            if not place.is_dir() and is_dicom(place) and (instance := _instance(place)):
                found.setdefault(str(instance.elements.SeriesInstanceUID), []).append(instance)
    return found


def series_of(path: Path) -> list[Instance]:
    """All instances of the slide that the file is of. Raises SlideError."""
    instance = _instance(path)
    if instance is None:
        raise SlideError(
            path,
            "a DICOM file, and not one of a slide's (VL Whole Slide Microscopy); give one of those",
        )
    return series_in(path.absolute().parent).get(
        str(instance.elements.SeriesInstanceUID), [instance]
    )


def lacking(instances: Sequence[Instance]) -> str | None:
    """Why a series is not complete, in words; None where it is, as far as it says: all parts of its
    concatenations, and a picture of the volume at full size."""
    volume = [instance for instance in instances if instance.kind == "VOLUME"]
    if not volume:
        return (
            "a DICOM file of a slide's label, overview or thumbnail, and the slide is not beside "
            "it; copy all files of the series into one folder"
        )
    for parts in _pictures(volume):
        said = parts[0].elements
        stated = int(said.get("InConcatenationTotalNumber") or len(parts))
        frames = sum(part.frames for part in parts)
        is_full = said.get("DimensionOrganizationType") == "TILED_FULL"
        if len(parts) < stated or (is_full and frames < _grid(parts[0]).pixels):
            return (
                f"a part of its picture of {parts[0].size.width} x {parts[0].size.height} px is "
                "missing; copy all files of the series into one folder"
            )
    if max(volume, key=lambda instance: instance.size.pixels).is_resampled:
        return (
            "the largest picture of its series is a reduced one (DICOM ImageType RESAMPLED), and "
            "the picture at full size is missing; copy all files of the series into one folder"
        )
    return None


def dicom_base(path: Path) -> DicomBase | None:
    """The base level of the slide that the file is of; None where its tiles lie on no grid, or are
    of a kind that is not read here.

    Raises SlideError where it is no slide, damaged, or not complete.
    """
    instances = series_of(path)
    try:
        if sentence := lacking(instances):
            raise SlideIncomplete(path, sentence)
        return _base(instances)
    except SlideError:
        raise
    except _DAMAGED as exc:
        raise SlideError(
            path, f"damaged or cut off: its DICOM elements cannot be read ({exc}); copy it again"
        ) from exc


def _base(instances: Sequence[Instance]) -> DicomBase | None:
    volumes = sorted(
        _pictures([instance for instance in instances if instance.kind == "VOLUME"]),
        key=lambda parts: parts[0].size.pixels,
        reverse=True,
    )
    base = _level(volumes[0])
    if base is None:
        return None
    associated = {}
    for instance in instances:
        name = _ASSOCIATED.get(instance.kind)
        if name and (picture := _level([instance])):
            associated[name] = picture
    said = volumes[0][0].elements
    return DicomBase(
        **{
            **base.__dict__,
            "levels": tuple(parts[0].size for parts in volumes[1:]),
            "left_out": tuple(_left_out(said)),
            "associated": associated,
        }
    )


def _left_out(said: Any) -> Iterator[str]:
    """What the base level has besides the picture, in words."""
    for name, what in (
        ("TotalPixelMatrixFocalPlanes", "further focal plane"),
        ("NumberOfOpticalPaths", "further optical path"),
    ):
        if (more := int(said.get(name) or 1) - 1) > 0:
            yield counted(more, what)


def _pictures(instances: Iterable[Instance]) -> list[list[Instance]]:
    """The instances of each picture: one, or the parts of a concatenation in their order."""
    pictures: dict[object, list[Instance]] = {}
    for instance in instances:
        pictures.setdefault(instance.picture, []).append(instance)
    return [sorted(parts, key=lambda part: part.first_frame) for parts in pictures.values()]


def _grid(instance: Instance) -> Size:
    width, height = instance.size
    said = instance.elements
    return Size(-(-width // int(said.Columns)), -(-height // int(said.Rows)))


def _level(parts: Sequence[Instance]) -> DicomBase | None:
    """A picture by its frames; None where they are of no grid, or of a kind that is not read."""
    said, grid = parts[0].elements, _grid(parts[0])
    tile = Size(int(said.Columns), int(said.Rows))
    decode = _decoder(parts[0], tile)
    is_jpeg = parts[0].syntax in _JPEGS
    if (said.SamplesPerPixel, said.BitsAllocated) != (3, 8) or not (is_jpeg or decode):
        return None
    if not 0 < tile.pixels <= _MOST_PIXELS or (
        grid.pixels > sum(part.frames for part in parts)
        and (said.get("DimensionOrganizationType") == "TILED_FULL")
    ):
        return None
    offsets, counts = array("Q", bytes(8 * grid.pixels)), array("Q", bytes(8 * grid.pixels))
    file_of = array("H", bytes(2 * grid.pixels))
    fragments: dict[int, Sequence[Piece]] = {}
    for number, part in enumerate(parts):
        places = _places(part, grid, tile)
        if places is None:
            return None
        for index, pieces in zip(places, _frames(part, number, tile), strict=False):
            if index is None:
                continue
            file_of[index], offsets[index] = number, pieces[0].offset
            counts[index] = sum(piece.length for piece in pieces)
            if len(pieces) > 1:
                fragments[index] = pieces
    photometric = str(said.PhotometricInterpretation)
    return DicomBase(
        files=tuple(part.path for part in parts),
        size=parts[0].size,
        tile_size=tile,
        compression=JPEG if is_jpeg else parts[0].syntax,
        photometric="RGB" if photometric == "RGB" else "YCBCR",
        tables=b"",
        offsets=offsets,
        counts=counts,
        file_of=file_of,
        fragments=fragments,
        decode=decode,
        properties=_properties(said, tile),
        icc_profile=_profile(said),
    )


def _places(part: Instance, grid: Size, tile: Size) -> Sequence[int | None] | None:
    """Of each frame the number of its tile, None for one of another focal plane or optical path;
    None where one lies beside the grid (C.7.6.17.3)."""
    said = part.elements
    if said.get("DimensionOrganizationType") == "TILED_FULL":
        numbers = range(part.first_frame, part.first_frame + part.frames)
        return [number if number < grid.pixels else None for number in numbers]
    places: list[int | None] = []
    taken: set[int] = set()
    for group in said.get("PerFrameFunctionalGroupsSequence") or ():
        position = group.PlanePositionSlideSequence[0]
        x = int(position.ColumnPositionInTotalImagePixelMatrix) - 1
        y = int(position.RowPositionInTotalImagePixelMatrix) - 1
        if x % tile.width or y % tile.height:
            return None
        column, row = x // tile.width, y // tile.height
        if not (0 <= column < grid.width and 0 <= row < grid.height):
            return None
        index = row * grid.width + column
        places.append(None if index in taken else index)
        taken.add(index)
    if not places and grid.pixels == part.frames == 1:  # a label has no positions
        return [0]
    return places or None


def _frames(part: Instance, number: int, tile: Size) -> Iterator[Sequence[Piece]]:
    """Where the bytes of each frame are, in fragments (A.4 of PS3.5)."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    said = part.elements
    if not _is_encapsulated(part):
        length = tile.pixels * 3
        for frame in range(part.frames):
            yield (Piece(number, part.pixels_at + frame * length, length),)
        return
    with opened(part.path) as raw, io.BufferedReader(raw) as file:  # type: ignore[type-var]
        file.seek(part.pixels_at)
        basic = parse_basic_offsets(file)
        start = file.tell()
        extended = said.get("ExtendedOffsetTable")
        if extended:
            lengths = struct.unpack(f"<{part.frames}Q", said.ExtendedOffsetTableLengths)
            places = struct.unpack(f"<{part.frames}Q", extended)
            for place, length in zip(places, lengths, strict=True):
                yield (Piece(number, start + place + 8, length),)
            return
        _, items = parse_fragments(file)
        pieces = _pieces(file, items, number)
        yield from _grouped(file, pieces, [start + offset for offset in basic], part.frames)


def _pieces(file: BinaryIO, items: Sequence[int], number: int) -> list[Piece]:
    """The data of fragments, which lie one behind the other."""
    if not items:
        return []
    file.seek(items[-1] + 4)
    (last,) = struct.unpack("<I", file.read(4))
    ends = [*items[1:], items[-1] + 8 + last]
    return [Piece(number, item + 8, end - item - 8) for item, end in zip(items, ends, strict=True)]


def _grouped(
    file: BinaryIO, pieces: Sequence[Piece], starts: Sequence[int], frames: int
) -> Iterator[Sequence[Piece]]:
    """The fragments of each frame: by the table of offsets; one each; or as their ends tell."""
    if starts:
        firsts = set(starts)
        ends = [index > 0 and piece.offset - 8 in firsts for index, piece in enumerate(pieces)]
    elif len(pieces) == frames:
        ends = [index > 0 for index in range(len(pieces))]
    else:
        ends = [False]
        for piece in pieces[:-1]:
            file.seek(piece.offset + max(0, piece.length - 4))
            ends.append(frames > 1 and _EOI in file.read(min(piece.length, 4)))
    frame: list[Piece] = []
    for piece, is_next in zip(pieces, ends, strict=True):
        if is_next:
            yield frame
            frame = []
        frame.append(piece)
    if frame:
        yield frame


def _is_encapsulated(part: Instance) -> bool:
    from pydicom.uid import UID

    return UID(part.syntax).is_encapsulated


def _decoder(part: Instance, tile: Size) -> Callable[[bytes], Pixels] | None:
    """What makes RGB of a frame that is no JPEG, None where nothing here does."""
    said = part.elements
    is_ycbcr = str(said.PhotometricInterpretation) in _YCBCR
    shape = (tile.height, tile.width, 3)
    is_planar = bool(said.get("PlanarConfiguration"))
    codec = DICOM_CODECS.get(part.syntax)
    if codec is None or (str(said.PhotometricInterpretation) == "YBR_FULL_422"):
        return None

    def decode(data: bytes) -> Pixels:
        pixels = codec(data, shape, is_planar)
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise StreamError("a frame of another size or depth than the series states")
        if is_ycbcr:
            return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
        return pixels

    return decode


def _properties(said: Any, tile: Size) -> dict[str, str]:
    found = {key: str(said[name].value) for key, name in _FACTS.items() if name in said}
    found["openslide.vendor"] = "dicom"
    found["openslide.level[0].tile-width"] = str(tile.width)
    found["openslide.level[0].tile-height"] = str(tile.height)
    with suppress(*_DAMAGED):
        spacing = said.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        found["openslide.mpp-y"], found["openslide.mpp-x"] = (
            f"{1000 * float(millimetres):.12g}" for millimetres in spacing
        )
    with suppress(*_DAMAGED):
        power = said.OpticalPathSequence[0].ObjectiveLensPower
        found["openslide.objective-power"] = f"{float(power):g}"
    return found


def _profile(said: Any) -> bytes | None:
    with suppress(*_DAMAGED):
        return bytes(said.OpticalPathSequence[0].ICCProfile)
    return None


def _instance(path: Path, wanted: Sequence[str] = _WANTED) -> Instance | None:
    """The file's elements of these names, None where it is no slide's. Raises SlideError."""
    import pydicom  # late: only DICOM needs it
    from pydicom.config import disable_value_validation

    try:
        with naming(path), Watched(path) as file, disable_value_validation():
            try:
                said = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(wanted))
                at = file.tell()
                head = file.read(12)
                for tag in list(said.keys()):  # only now are their values made
                    said[tag]
            except SlideUnavailable:
                raise
            except Exception as exc:  # whatever pydicom raises on bytes that are no DICOM
                if file.trouble:
                    raise unavailable(path, file.trouble) from exc
                raise SlideError(
                    path, f"damaged or cut off: pydicom cannot read it ({exc}); copy it again"
                ) from exc
    except MemoryError as exc:
        raise SlideError(path, "damaged: one of its elements is larger than memory") from exc
    if said.get("SOPClassUID") != _MICROSCOPY or "SeriesInstanceUID" not in said:
        return None
    syntax = str(said.file_meta.get("TransferSyntaxUID", ""))
    if head[:4] != _PIXEL_DATA:
        raise SlideError(path, "cut off before its pixels; copy it from the scanner again")
    return Instance(path, said, syntax, at + (8 if syntax == _IMPLICIT else 12))
