"""Where the frames of a DICOM instance are: in its file, and in the picture."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from vsv_pyramid.containers.codecs import BARE
from vsv_pyramid.containers.instances import Instance
from vsv_pyramid.containers.raw import Piece
from vsv_pyramid.containers.reading import Watched, naming, unavailable
from vsv_pyramid.errors import SlideError
from vsv_pyramid.layout.geometry import Size

_EOI = b"\xff\xd9"


class _Place(NamedTuple):
    """Of a frame: the number of its tile, its height over the glass, and its light."""

    tile: int
    z: float
    path: str


def places(parts: Sequence[Instance], grid: Size, tile: Size) -> list[Sequence[int | None]] | None:
    """Of each part, of each frame the number of its tile, None for one of another focal plane or
    optical path; None where one lies beside the grid (C.7.6.17.3).

    Raises SlideError where no plane and path has all the tiles that there are, ValueError where
    frames are without a place.
    """
    if parts[0].is_full:
        return [
            [
                number if number < grid.pixels else None
                for number in range(part.first_frame, part.first_frame + part.frames)
            ]
            for part in parts
        ]
    if grid.pixels == len(parts) == parts[0].frames == 1 and not _groups(parts[0]):
        return [[0]]  # a label has no positions
    found = [_stated(part, grid, tile) for part in parts]
    stated = [one for one in found if one is not None]
    if len(stated) < len(found):
        return None
    return _of_one_layer(parts[0].path, stated)


def _groups(part: Instance) -> Sequence[Any]:
    return part.elements.get("PerFrameFunctionalGroupsSequence") or ()


def _stated(part: Instance, grid: Size, tile: Size) -> list[_Place] | None:
    groups = _groups(part)
    if len(groups) != part.frames:
        raise ValueError(f"{len(groups)} places for {part.frames} frames")
    found = []
    for group in groups:
        position = group.PlanePositionSlideSequence[0]
        x = int(position.ColumnPositionInTotalImagePixelMatrix) - 1
        y = int(position.RowPositionInTotalImagePixelMatrix) - 1
        if x % tile.width or y % tile.height:
            return None
        column, row = x // tile.width, y // tile.height
        if not (0 <= column < grid.width and 0 <= row < grid.height):
            return None
        z = float(position.get("ZOffsetInSlideCoordinateSystem") or 0)
        found.append(_Place(row * grid.width + column, z, _path(group) or _shared_path(part)))
    return found


def optical_path(part: Instance) -> Any:
    """The item of the OpticalPathSequence of all frames that are shown: that of the first one.
    Raises LookupError where there is none."""
    groups = () if part.is_full else _groups(part)
    name = (groups and _path(groups[0])) or _shared_path(part)
    paths = part.elements.OpticalPathSequence
    if not name or len(paths) == 1:
        return paths[0]
    return {str(one.get("OpticalPathIdentifier")): one for one in paths}[name]


def _path(group: Any) -> str:
    said = group.get("OpticalPathIdentificationSequence")
    return str(said[0].OpticalPathIdentifier) if said else ""


def _shared_path(part: Instance) -> str:
    return _path((part.elements.get("SharedFunctionalGroupsSequence") or [{}])[0])


def _of_one_layer(path: Path, found: Sequence[Sequence[_Place]]) -> list[Sequence[int | None]]:
    """The tiles of the first frame's light and plane, which is the same one of each tile's: their
    heights may differ from tile to tile."""
    every = [place for part in found for place in part]
    first = every[0]
    heights: dict[int, list[float]] = {place.tile: [] for place in every}
    for place in every:
        if place.path == first.path and place.z not in heights[place.tile]:
            bisect.insort(heights[place.tile], place.z)
    if len({len(each) for each in heights.values()}) > 1:
        raise SlideError(
            path,
            "its focal planes, or its optical paths, do not have the same tiles; export one of "
            "them as a series of its own",
        )
    rank = heights[first.tile].index(first.z)
    taken: set[int] = set()
    chosen: list[Sequence[int | None]] = []
    for part in found:
        numbers: list[int | None] = []
        for place in part:
            is_of_it = place.path == first.path and place.z == heights[place.tile][rank]
            numbers.append(place.tile if is_of_it and place.tile not in taken else None)
            if is_of_it:
                taken.add(place.tile)
        chosen.append(numbers)
    return chosen


def frames(part: Instance, number: int, tile: Size) -> list[Sequence[Piece]]:
    """Where the bytes of each frame are, in fragments (A.4 of PS3.5). Raises ValueError where some
    are not there."""
    with naming(part.path), Watched(part.path) as file:
        found = list(_frames(part, file, number, tile))
        if file.trouble:  # pydicom goes on with what it has
            raise unavailable(part.path, file.trouble)
    if len(found) != part.frames:
        raise ValueError(f"{len(found)} of {part.frames} frames are there")
    end = max(frame[-1].offset + frame[-1].length for frame in found)
    with naming(part.path):
        size = part.path.stat().st_size
    if end > size:
        raise ValueError(f"it ends at {size:,} of at least {end:,} bytes")
    return found


def _frames(part: Instance, file: BinaryIO, number: int, tile: Size) -> Iterator[Sequence[Piece]]:
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    said, at = part.elements, part.pixels_at
    if at is None:
        return
    if part.syntax in BARE:
        length = tile.pixels * 3
        needed = part.frames * length
        if part.pixel_bytes not in (needed, needed + needed % 2):
            raise ValueError(f"pixels of {part.pixel_bytes} bytes where its frames take {needed}")
        for frame in range(part.frames):
            yield (Piece(number, at + frame * length, length),)
        return
    file.seek(at)
    basic = parse_basic_offsets(file)
    start = file.tell()
    if extended := said.get("ExtendedOffsetTable"):
        lengths = struct.unpack(f"<{part.frames}Q", said.ExtendedOffsetTableLengths)
        starts = struct.unpack(f"<{part.frames}Q", extended)
        for place, length in zip(starts, lengths, strict=True):
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


def _by_table(pieces: Sequence[Piece], starts: Sequence[int]) -> Iterator[Sequence[Piece]]:
    """In the table's order, which need not be that of the file."""
    numbers = {piece.offset - 8: number for number, piece in enumerate(pieces)}
    firsts = sorted({numbers.get(start, -1) for start in starts})
    if firsts[0] != 0:
        raise ValueError("its table of offsets leads beside its frames")
    ends = dict(zip(firsts, [*firsts[1:], len(pieces)], strict=True))
    for start in starts:
        yield pieces[numbers[start] : ends[numbers[start]]]


def _grouped(
    file: BinaryIO, pieces: Sequence[Piece], starts: Sequence[int], frames: int
) -> Iterator[Sequence[Piece]]:
    """The fragments of each frame: by the table of offsets; one each; or as their ends tell."""
    if starts:
        yield from _by_table(pieces, starts)
        return
    if len(pieces) == frames:
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
