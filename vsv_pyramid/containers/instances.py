"""DICOM series by their instances: the files of a slide, what they say, and whether all are there.

By pydicom, which reads no pixels for it.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

from vsv_pyramid.containers.reading import Watched, naming, unavailable
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideUnavailable
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.words import unquoted

NO_DICOM = "named as a DICOM file, and does not begin as one; copy it again"

_MAGIC_AT, _MAGIC = 128, b"DICM"
_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"  # (7FE0,0010)
# What elements raise that lack, or are of no sense. They are in memory: an OSError of theirs is of
# no disk, but pydicom's word for a sequence that ends too soon.
DAMAGED = (
    *(ValueError, KeyError, AttributeError, IndexError, TypeError, ArithmeticError),
    *(NotImplementedError, struct.error, MemoryError, OSError),
)
_HEADING = (
    *("SOPClassUID", "SeriesInstanceUID", "ImageType"),
    *("TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
)
_WANTED = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "ImageType", "ManufacturerModelName"),
    *("TotalPixelMatrixColumns", "TotalPixelMatrixRows", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation"),
    *("DimensionOrganizationType", "TotalPixelMatrixFocalPlanes", "NumberOfOpticalPaths"),
    *("ConcatenationUID", "ConcatenationFrameOffsetNumber", "InConcatenationTotalNumber"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("OpticalPathSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)
_TYPES = (b"OB", b"OW", b"UN")  # of the pixels
_TO_THE_END = 0xFFFFFFFF
_LONGEST, _MOST_TEXTS = 4096, 1000  # bytes of what is told, and how many of it
_NO_TEXT = ("SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN")
_OF_FRAMES = "PerFrameFunctionalGroupsSequence"  # thousands of them


class Instance(NamedTuple):
    """One file of a series: its elements but for the pixels, and where these begin, None where they
    are not found; and how many bytes they say they have, None where their end tells it."""

    path: Path
    elements: Any  # pydicom.Dataset
    syntax: str
    pixels_at: int | None
    pixel_bytes: int | None

    @property
    def kind(self) -> str:
        """VOLUME, LABEL, OVERVIEW or THUMBNAIL, as its ImageType has it."""
        stated = list(self.elements.get("ImageType") or [])
        return str(stated[2]) if len(stated) > 2 else ""

    @property
    def is_resampled(self) -> bool:
        return "RESAMPLED" in (self.elements.get("ImageType") or ())

    @property
    def is_full(self) -> bool:
        """Whether all tiles are there, one behind the other; where it does not say so, frames
        without places can be no others."""
        stated = self.elements.get("DimensionOrganizationType")
        return stated == "TILED_FULL" or not (stated or self.elements.get(_OF_FRAMES))

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
        """Raises ValueError where it says that there are more than it has bytes."""
        stated = int(self.elements.get("NumberOfFrames") or 1)
        with naming(self.path):
            size = self.path.stat().st_size
        if not 0 < stated <= size:
            raise ValueError(f"{stated} frames")
        return stated

    @property
    def first_frame(self) -> int:
        """Raises ValueError for a negative one."""
        stated = int(self.elements.get("ConcatenationFrameOffsetNumber") or 0)
        if stated < 0:
            raise ValueError(f"a first frame of number {stated}")
        return stated


class Heading(NamedTuple):
    """Of which series a file is, and how many pixels its picture has, 0 where it is none of the
    slide itself."""

    series: str
    pixels: int


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM does. Raises SlideAccessError."""
    with naming(path), path.open("rb") as file:
        file.seek(_MAGIC_AT)
        return file.read(len(_MAGIC)) == _MAGIC


def heading(path: Path) -> Heading | None:
    """None where the file is no slide's. Raises SlideError."""
    if not is_dicom(path):
        raise SlideError(path, NO_DICOM)
    if (instance := _instance(path, _HEADING)) is None:
        return None
    said = instance.elements
    try:
        pixels = instance.size.pixels if instance.kind == "VOLUME" else 0
    except DAMAGED:
        pixels = 0
    return Heading(str(said.SeriesInstanceUID), pixels)


def series_of(path: Path) -> list[Instance]:
    """All instances of the slide that the file is of, in order of name.

    Raises SlideError, also where a DICOM file beside it cannot be read: that may be of the slide,
    and even its base level.
    """
    one = _instance(path)
    if one is None:
        raise SlideError(
            path,
            "a DICOM file, and not one of a slide's (VL Whole Slide Microscopy); give one of those",
        )
    series = one.elements.SeriesInstanceUID
    beside = map(_instance, _beside(path))
    return [other for other in beside if other and other.elements.SeriesInstanceUID == series]


def _beside(path: Path) -> Iterator[Path]:
    """The DICOM files in the same folder, in order of name. What is named otherwise and may not be
    read is no matter."""
    with naming(path.parent):
        places = sorted(place for place in path.parent.iterdir() if place.is_file())
    for place in places:
        try:
            if is_dicom(place):
                yield place
        except SlideUnavailable:
            raise
        except SlideAccessError:
            if place.suffix.lower() == path.suffix.lower():
                raise


def lacking(instances: Sequence[Instance]) -> str | None:
    """Why a series is not complete, in words; None where it is, as far as it says: all parts of its
    concatenations, and a picture of the volume at full size."""
    for instance in instances:
        if instance.pixels_at is None:
            return (
                f"its file {instance.path.name} has no pixels that can be found, since it is cut "
                "off or compressed as a whole; copy or export it again"
            )
    volume = [instance for instance in instances if instance.kind == "VOLUME"]
    if not volume:
        return (
            "a DICOM file of a slide's label, overview or thumbnail, and the slide is not beside "
            "it; copy all files of the series into one folder"
        )
    for parts in pictures(volume):
        said = parts[0].elements
        stated = int(said.get("InConcatenationTotalNumber") or len(parts))
        frames = sum(part.frames for part in parts)
        is_short = parts[0].is_full and frames < grid(parts[0]).pixels
        if len(parts) < stated or is_short or _has_gap(parts):
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


def _has_gap(parts: Sequence[Instance]) -> bool:
    """Whether a part begins later than at the end of those before it."""
    ends = accumulate((part.frames for part in parts), initial=0)
    return any(part.first_frame > end for part, end in zip(parts, ends, strict=False))


def pictures(instances: Iterable[Instance]) -> list[list[Instance]]:
    """The instances of each picture: one, or the parts of a concatenation in their order. Of an
    instance that is there twice, one."""
    pictures: dict[object, dict[str, Instance]] = {}
    for instance in instances:
        name = str(instance.elements.get("SOPInstanceUID", instance.path))
        pictures.setdefault(instance.picture, {}).setdefault(name, instance)
    return [
        sorted(parts.values(), key=lambda part: part.first_frame) for parts in pictures.values()
    ]


def grid(instance: Instance) -> Size:
    width, height = instance.size
    said = instance.elements
    return Size(-(-width // int(said.Columns)), -(-height // int(said.Rows)))


def _instance(path: Path, wanted: Sequence[str] = _WANTED) -> Instance | None:
    """The file's elements of these names, None where it is no slide's. Raises SlideError."""
    import pydicom  # late: only DICOM needs it

    try:
        with _reading(path) as file:
            said = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(wanted))
            at = file.tell()
            head = file.read(12)
            for elements in said, said.file_meta:
                for tag in list(elements.keys()):  # only now are their values made
                    elements[tag]
    except MemoryError as exc:
        raise SlideError(path, "damaged: one of its elements is larger than memory") from exc
    kind = said.get("SOPClassUID") or said.file_meta.get("MediaStorageSOPClassUID")
    if kind and kind != _MICROSCOPY:
        return None
    if not (kind and said.get("SeriesInstanceUID")):
        raise SlideError(path, "cut off in its header; copy it again")
    syntax = str(said.file_meta.get("TransferSyntaxUID", ""))
    return Instance(path, said, syntax, *_pixels(at, head))


def _pixels(at: int, head: bytes) -> tuple[int | None, int | None]:
    """Where the pixels are whose element has that head, and how many bytes it says there are. Its
    type is written down or not, whatever the transfer syntax says (7.1 of PS3.5): none reads as an
    even length."""
    if head[:4] != _PIXEL_DATA:
        return None, None
    is_explicit = head[4:6] in _TYPES
    (length,) = struct.unpack("<I", head[8:] if is_explicit else head[4:8])
    return at + (12 if is_explicit else 8), None if length == _TO_THE_END else length


def properties_of(path: Path) -> dict[str, str]:
    """What the file says besides its pixels, as far as that is short text and can be read: by
    names such as "dicom.PatientName" and "dicom.SpecimenDescriptionSequence[0].SpecimenUID".

    Raises SlideAccessError where the file cannot be read.
    """
    import pydicom

    try:
        with _reading(path) as file:
            said = pydicom.dcmread(file, stop_before_pixels=True, defer_size=_LONGEST)
            return dict(islice(_texts(said, "dicom."), _MOST_TEXTS))
    except SlideAccessError:
        raise
    except SlideError:
        return {}  # by an element that no picture needs


@contextmanager
def _reading(path: Path) -> Iterator[Watched]:
    """The file, for pydicom. Raises SlideError for whatever that raises."""
    from pydicom.config import disable_value_validation

    with (
        naming(path),
        Watched(path) as file,
        disable_value_validation(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield file
        except SlideUnavailable:
            raise
        except Exception as exc:  # whatever pydicom raises on bytes that are no DICOM
            if file.trouble:
                raise unavailable(path, file.trouble) from exc
            raise SlideError(
                path, f"damaged or cut off: pydicom cannot read it ({unquoted(exc)}); copy it again"
            ) from exc


def _texts(said: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for raw in list(said.values()):
        if raw.value is None:  # it is too long, or empty
            continue
        with suppress(Exception):  # as above, of this one alone
            element = said[raw.tag]
            name = f"{prefix}{element.keyword}"
            if element.VR == "SQ" and element.keyword != _OF_FRAMES:
                for number, item in enumerate(element.value):
                    yield from _texts(item, f"{name}[{number}].")
            elif element.keyword and element.VR not in _NO_TEXT and element.value is not None:
                several = element.value if element.VM > 1 else [element.value]
                yield name, "\\".join(map(str, several))
