"""A slide as DICOM: whether it is the slide, and its colours are those that it states.

OpenSlide takes DICOM's word on the colours of JPEG frames, whatever they say themselves. Section
numbers are those of DICOM PS3.5.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from vsv_pyramid.containers.reading import naming, read_exactly
from vsv_pyramid.errors import SlideError, SlideUnavailable, StreamError
from vsv_pyramid.jpeg.colour import contradicts, has_header

_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # baseline and extended
_PREAMBLE = 132  # bytes, "DICM" at their end
_HEADER = 1024  # bytes, within which a JPEG's header mostly ends
_UNDEFINED = 0xFFFFFFFF
_SOI = b"\xff\xd8"
_LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()  # lengths of 4 bytes (7.1.2)
_Tag = tuple[int, int]
_PIXEL_DATA = (0x7FE0, 0x0010)
_INSTANCE = (0x0002, 0x0003)  # MediaStorageSOPInstanceUID
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)


def refusal(path: Path, properties: Mapping[str, str]) -> str | None:
    """Why OpenSlide does not show the slide right; None where it does, as far as it can be seen.
    Raises SlideAccessError."""
    if properties.get("dicom.ImageType[3]") == "RESAMPLED":
        return (
            "the largest picture of its series is a reduced one (DICOM ImageType RESAMPLED), and "
            "the picture at full size is missing; copy all files of the series into one folder"
        )
    if properties.get("dicom.TransferSyntaxUID") not in _JPEG:
        return None
    stated = properties.get("dicom.PhotometricInterpretation", "")
    for header in _frames(path, properties.get("dicom.SOPInstanceUID", "")):
        with contextlib.suppress(StreamError):  # OpenSlide does not decode it, either
            if contradicts(header, stated == "RGB"):
                return (
                    "its JPEG data, or some of them, are not of the colours that it states "
                    f"(PhotometricInterpretation {stated}), and OpenSlide would show them in false "
                    "ones; export it anew"
                )
    return None


def _frames(path: Path, instance: str) -> Iterator[bytes]:
    """Of every JPEG frame of the base level its first bytes, or all of them where these do not
    reach to its scan; none where they are not found."""
    for place in (path, *path.parent.iterdir()):  # a series is several files in one folder
        try:
            with naming(place), place.open("rb") as file:
                if _instance(file, place) == instance:
                    yield from _headers(file, place)
                    return
        except SlideUnavailable:
            raise
        except SlideError:  # a folder, or no DICOM as it should be
            continue


def _instance(file: BinaryIO, path: Path) -> str:
    if read_exactly(file, path, _PREAMBLE - 4, 4) == b"DICM":
        for tag, _, at, length in _elements(file, path):
            if tag == _INSTANCE:
                return read_exactly(file, path, at, length).rstrip(b"\0 ").decode("latin-1")
            if tag > _INSTANCE:
                break
    return ""


def _elements(file: BinaryIO, path: Path) -> Iterator[tuple[_Tag, int, int, int]]:
    """Each element as (tag, depth, offset, length), depth 0 for one of the data set itself. Raises
    SlideError where the file ends."""
    at, depth = _PREAMBLE, 0
    while True:
        group, element, kind, length = struct.unpack("<HH2sH", read_exactly(file, path, at, 8))
        tag = group, element
        is_marker = group == _ITEM[0]
        at += 8
        if is_marker or kind in _LONG:
            at += 0 if is_marker else 4
            (length,) = struct.unpack("<I", read_exactly(file, path, at - 4, 4))
        yield tag, depth, at, length
        if tag in (_ITEM_END, _SEQUENCE_END):
            depth -= 1
        elif length == _UNDEFINED:
            depth += 1
        else:
            at += length


def _headers(file: BinaryIO, path: Path) -> Iterator[bytes]:
    is_pixels = False
    for tag, depth, at, length in _elements(file, path):
        if is_pixels and tag == _SEQUENCE_END:
            return
        if is_pixels and length > 1:
            header = read_exactly(file, path, at, min(length, _HEADER))
            if header.startswith(_SOI):  # else the table of offsets, or a frame's further fragment
                yield header if has_header(header) else read_exactly(file, path, at, length)
        if (tag, depth) == (_PIXEL_DATA, 0):
            is_pixels = True
