"""Where the frames of a DICOM instance are: in its file, and in the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from vsv_pyramid.containers.codecs import BARE
from vsv_pyramid.containers.instances import Instance
from vsv_pyramid.containers.raw import Piece
from vsv_pyramid.containers.reading import Watched, naming, unavailable
from vsv_pyramid.layout.geometry import Size

_EOI = b"\xff\xd9"


def places(part: Instance, grid: Size, tile: Size) -> Sequence[int | None] | None:
    """Of each frame the number of its tile, None for one of another focal plane or optical path;
    None where one lies beside the grid (C.7.6.17.3)."""
    said = part.elements
    if said.get("DimensionOrganizationType") == "TILED_FULL":
        numbers = range(part.first_frame, part.first_frame + part.frames)
        return [number if number < grid.pixels else None for number in numbers]
    found: list[int | None] = []
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
        found.append(None if index in taken else index)
        taken.add(index)
    if not found and grid.pixels == part.frames == 1:  # a label has no positions
        return [0]
    return found or None


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
