"""A slide as DICOM: a series of instances in one folder, read by pydicom.

Its levels are instances, or concatenations of several (VL Whole Slide Microscopy); the base is what
it is for OpenSlide, the largest picture of the volume. Section numbers are those of DICOM.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vsv_pyramid.containers.codecs import is_jpeg_2000_ycbcr
from vsv_pyramid.containers.frame_kinds import (
    JPEGS,
    TRANSFORMED,
    are_alike,
    are_layers,
    decoder,
    obstacle,
)
from vsv_pyramid.containers.frames import frames, optical_path, places
from vsv_pyramid.containers.instances import DAMAGED, Instance, grid, lacking, pictures, series_of
from vsv_pyramid.containers.pages import is_reduced
from vsv_pyramid.containers.raw import JPEG, Piece, StoredLevel, probes
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideIncomplete
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.words import counted, unquoted

# The kinds of pictures beside the volume, by what OpenSlide calls them.
_ASSOCIATED = {"LABEL": "label", "OVERVIEW": "macro", "THUMBNAIL": "thumbnail"}
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
        why = f"damaged or cut off: its DICOM elements cannot be read ({unquoted(exc)})"
        raise SlideError(path, f"{why}; copy it again") from exc


def miscoded(base: DicomBase) -> str | None:
    """Why the colours of its JPEG 2000 frames are not what it states, by three of them, with what
    to do. Raises SlideError."""
    stated = base.properties.get("dicom.PhotometricInterpretation")
    if stated in TRANSFORMED and all(map(is_jpeg_2000_ycbcr, probes(base))):
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
    if sentence := obstacle(parts[0], tile, whole):
        raise _Unread(sentence)
    is_jpeg = parts[0].syntax in JPEGS
    if not are_alike(parts):
        raise _Unread("the parts of its picture are stored in several ways; export it anew")
    is_full = parts[0].is_full
    count = sum(part.frames for part in parts)
    if is_full and whole.pixels > count:
        raise _Unread("it has fewer frames than cover its picture; copy it again")
    if is_full and not are_layers(said, count, whole):
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
        decode=None if is_jpeg else decoder(parts[0], tile),
        properties=_properties(parts[0], tile),
        icc_profile=_profile(parts[0]),
        left_out=tuple(_left_out(said, spare)),
    )


def _properties(part: Instance, tile: Size) -> dict[str, str]:
    said = part.elements
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
        power = optical_path(part).ObjectiveLensPower
        found["openslide.objective-power"] = f"{float(power):g}"
    return found


def _profile(part: Instance) -> bytes | None:
    with suppress(*DAMAGED):
        return bytes(optical_path(part).ICCProfile)
    return None
