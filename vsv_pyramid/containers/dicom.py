"""A slide as DICOM: a series of instances in one folder, read by pydicom.

Its levels are instances, or concatenations of several (VL Whole Slide Microscopy); the base is what
it is for OpenSlide, the largest picture of the volume. Section numbers are those of DICOM.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vsv_pyramid.containers.codecs import DICOM_CODECS, JPEG_2000, is_jpeg_2000_ycbcr
from vsv_pyramid.containers.frames import frames, places
from vsv_pyramid.containers.instances import DAMAGED, Instance, grid, lacking, pictures, series_of
from vsv_pyramid.containers.pages import is_reduced
from vsv_pyramid.containers.raw import JPEG, Piece, StoredLevel, probes
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideIncomplete, StreamError
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.words import counted

_JPEGS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # baseline and extended
_MOST_PIXELS = 1 << 26  # of a frame
_MOST_TILES = 1 << 22  # 275 gigapixels in tiles of 256 px: any more would fill the memory
_TINY, _MOST_TINY = 32 * 32, 1 << 16  # px of a frame that no scanner makes, and how many of these
# The kinds of pictures beside the volume, by what OpenSlide calls them.
_ASSOCIATED = {"LABEL": "label", "OVERVIEW": "macro", "THUMBNAIL": "thumbnail"}
_YCBCR = ("YBR_FULL", "YBR_FULL_422")
_TRANSFORMED = ("YBR_ICT", "YBR_RCT")  # by JPEG 2000, whose decoders make R, G and B of it again
_COLOURS = ("RGB", *_YCBCR, *_TRANSFORMED)
_XYB, _JPEG_XL = "XYB", ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.112")  # likewise
_SAMPLES = {
    "SamplesPerPixel": (3,),
    "BitsAllocated": (8,),
    "BitsStored": (8,),
    "HighBit": (7,),
    "PixelRepresentation": (0,),  # unsigned
    "PlanarConfiguration": (0, 1),
}
# By OpenSlide's names: the facts that metadata are made of.
_FACTS = {
    "dicom.ManufacturerModelName": "ManufacturerModelName",
    "dicom.PhotometricInterpretation": "PhotometricInterpretation",
    "dicom.SeriesInstanceUID": "SeriesInstanceUID",
}


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


_SHAPE = (
    *("Rows", "Columns", "TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
    *("PhotometricInterpretation", "DimensionOrganizationType"),
)


class _Unread(Exception):
    """Why a picture is not read, with what to do."""


def dicom_base(path: Path) -> DicomBase:
    """The base level of the slide that the file is of.

    Raises SlideError where it is no slide, damaged, not complete, or of a kind that is not read.
    """
    instances = series_of(path)
    try:
        if sentence := lacking(instances):
            raise SlideIncomplete(path, sentence)
        return _base(instances)
    except SlideError:
        raise
    except _Unread as exc:
        raise SlideError(path, str(exc)) from exc
    except DAMAGED as exc:
        raise SlideError(
            path, f"damaged or cut off: its DICOM elements cannot be read ({exc}); copy it again"
        ) from exc


def miscoded(base: DicomBase) -> str | None:
    """Why the colours of its JPEG 2000 frames are not what it states, by three of them, with what
    to do. Raises SlideError."""
    stated = base.properties.get("dicom.PhotometricInterpretation")
    if stated in _TRANSFORMED and all(map(is_jpeg_2000_ycbcr, probes(base))):
        return (
            f"the colours of its frames are not coded as {stated}, which it states; export it anew"
        )
    return None


def _base(instances: Sequence[Instance]) -> DicomBase:
    volumes = sorted(
        pictures([instance for instance in instances if instance.kind == "VOLUME"]),
        key=lambda parts: parts[0].size.pixels,
        reverse=True,
    )
    base = _level(volumes[0])
    associated, unread = {}, []
    for instance in instances:
        if name := _ASSOCIATED.get(instance.kind):
            try:
                associated[name] = _level([instance])
            except SlideAccessError:
                raise
            except (_Unread, SlideError, *DAMAGED):  # of which the slide is no worse
                unread.append(f"a {name} that cannot be read")
    sizes = [parts[0].size for parts in volumes[1:]]
    others = [size for size in sizes if size != base.size and not is_reduced(size, base.size)]
    return replace(
        base,
        levels=tuple(size for size in sizes if size != base.size and size not in others),
        left_out=(
            *base.left_out,
            *_further(sizes.count(base.size), "picture of the same size"),
            *(f"a picture of {width} x {height} px of another area" for width, height in others),
            *unread,
        ),
        associated=associated,
    )


def _left_out(said: Any, spare: int) -> Iterator[str]:
    """What a picture has besides one plane by one light, in words; `spare` are the frames of it."""
    planes = int(said.get("TotalPixelMatrixFocalPlanes") or 1) - 1
    paths = int(said.get("NumberOfOpticalPaths") or 1) - 1
    yield from _further(planes, "focal plane")
    yield from _further(paths, "optical path")
    if planes < 1 > paths:
        yield from _further(spare, "frame")


def _further(number: int, what: str) -> Iterator[str]:
    if number > 0:
        yield counted(number, f"further {what}")


def _level(parts: Sequence[Instance]) -> DicomBase:
    """A picture by its frames. Raises _Unread, and what DAMAGED has."""
    said, whole = parts[0].elements, grid(parts[0])
    tile = Size(int(said.Columns), int(said.Rows))
    if sentence := _obstacle(parts[0], tile, whole):
        raise _Unread(sentence)
    is_jpeg = parts[0].syntax in _JPEGS
    if any(_storage(part) != _storage(parts[0]) for part in parts):
        raise _Unread("the parts of its picture are stored in several ways; export it anew")
    is_full = parts[0].is_full
    count = sum(part.frames for part in parts)
    if is_full and whole.pixels > count:
        raise _Unread("it has fewer frames than cover its picture; copy it again")
    if is_full and not _are_layers(said, count, whole):
        raise _Unread(
            f"it has {count:,} frames, where a picture of its size has {whole.pixels:,}; export it "
            "anew"
        )
    offsets, counts = array("Q", bytes(8 * whole.pixels)), array("Q", bytes(8 * whole.pixels))
    file_of = array("H", bytes(2 * whole.pixels))
    fragments: dict[int, Sequence[Piece]] = {}
    spare = 0
    placed = places(parts, whole, tile)
    if placed is None:
        raise _Unread("its frames lie on no grid; export it anew, as TILED_FULL")
    for number, (part, numbers) in enumerate(zip(parts, placed, strict=True)):
        for index, pieces in zip(numbers, frames(part, number, tile), strict=True):
            if index is None:
                spare += 1
                continue
            file_of[index], offsets[index] = number, pieces[0].offset
            counts[index] = sum(piece.length for piece in pieces)
            if not counts[index]:
                raise ValueError("a frame without a byte")
            if len(pieces) > 1:
                fragments[index] = pieces
    if is_full and 0 in counts:
        raise ValueError("some of its frames are not there")
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
        decode=None if is_jpeg else _decoder(parts[0], tile),
        properties=_properties(said, tile),
        icc_profile=_profile(said),
        left_out=tuple(_left_out(said, spare)),
    )


def _storage(part: Instance) -> list[object]:
    """What tells how its frames are stored, and in which picture."""
    return [part.syntax, *(part.elements.get(name) for name in (*_SAMPLES, *_SHAPE))]


def _are_layers(said: Any, frames: int, grid: Size) -> bool:
    """Whether the frames are of as many planes and paths as it says, and not of another grid."""
    layers = [said.get(name) for name in ("TotalPixelMatrixFocalPlanes", "NumberOfOpticalPaths")]
    if None in layers:
        return frames % grid.pixels == 0
    return frames <= grid.pixels * prod(max(1, int(number)) for number in layers)


def _obstacle(part: Instance, tile: Size, grid: Size) -> str | None:
    """Why the picture is not read, with what to do; None where it is."""
    said, is_jpeg = part.elements, part.syntax in _JPEGS
    for name, read in _SAMPLES.items():
        if (found := said.get(name, read[0])) not in read:
            return (
                f"its {name} is {found}, where it is {' or '.join(map(str, read))} of slides that "
                "are read; export it anew, in colours of 8 bits"
            )
    if not is_jpeg and part.syntax not in DICOM_CODECS:
        return f"its frames are {_named(part.syntax)}, which is not read; export it anew, as JPEG"
    colours = str(said.PhotometricInterpretation)
    is_read = colours in _COLOURS or (colours == _XYB and part.syntax in _JPEG_XL)
    if not is_read or (colours == "YBR_FULL_422" and not is_jpeg):
        return (
            f"its PhotometricInterpretation is {colours or 'empty'}, which is not read of frames "
            f"that are {_named(part.syntax)}; export it anew, as RGB"
        )
    if not 0 < tile.pixels <= _MOST_PIXELS:
        width, height = tile
        return f"its frames of {width} x {height} px are too large; export it with smaller ones"
    if grid.pixels > (_MOST_TINY if tile.pixels < _TINY else _MOST_TILES):
        return f"it has {grid.pixels:,} frames, which are too many; export it with larger ones"
    return None


def _named(syntax: str) -> str:
    from pydicom.uid import UID

    return UID(syntax).name


def _decoder(part: Instance, tile: Size) -> Callable[[bytes], Pixels]:
    """What makes RGB of a frame that is no JPEG."""
    said = part.elements
    stated = str(said.PhotometricInterpretation)
    shape = (tile.height, tile.width, 3)
    is_planar = bool(said.get("PlanarConfiguration"))
    codec = DICOM_CODECS[part.syntax]

    def decode(data: bytes) -> Pixels:
        pixels = codec(data, shape, is_planar)
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise StreamError("a frame of another size or depth than the series states")
        is_coded_so = codec is not JPEG_2000 or is_jpeg_2000_ycbcr(data)
        if stated in _TRANSFORMED and is_coded_so:
            raise StreamError(f"a frame whose colours are not coded as {stated}, which it states")
        if stated in _YCBCR and is_coded_so:
            return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
        return pixels

    return decode


def _properties(said: Any, tile: Size) -> dict[str, str]:
    found = {key: str(said[name].value) for key, name in _FACTS.items() if name in said}
    found["openslide.vendor"] = "dicom"
    found["openslide.level[0].tile-width"] = str(tile.width)
    found["openslide.level[0].tile-height"] = str(tile.height)
    with suppress(*DAMAGED):
        spacing = said.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        found["openslide.mpp-y"], found["openslide.mpp-x"] = (
            f"{1000 * float(millimetres):.12g}" for millimetres in spacing
        )
    with suppress(*DAMAGED):
        power = said.OpticalPathSequence[0].ObjectiveLensPower
        found["openslide.objective-power"] = f"{float(power):g}"
    return found


def _profile(said: Any) -> bytes | None:
    with suppress(*DAMAGED):
        return bytes(said.OpticalPathSequence[0].ICCProfile)
    return None
