"""Writes a packed pyramid: tiles as they come, in the file's order; what lies in front, in the end.

The front holds the index, which needs the lengths of all tiles, and so whoever takes the bytes gets
the rest first.
"""

from __future__ import annotations

import threading
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from xml.etree import ElementTree

import numpy as np

from vsv_pyramid.layout.geometry import Pyramid, Size, TileAddress
from vsv_pyramid.layout.szi import INDEX, tile_name
from vsv_pyramid.packed.index import Index, index_bytes
from vsv_pyramid.packed.order import behind, in_front
from vsv_pyramid.packed.records import Member, directory, header_bytes, member

_PROPERTIES = "http://www.pathozoom.com/szi"  # the namespace of SZI's scan-properties.xml

Append = Callable[[bytes], None]


class Packing:
    """One pyramid on its way into a file whose root folder is `root`.

    `append` takes, piece by piece, all that lies behind the front; it is called in the threads that
    bring tiles, one at a time.
    """

    def __init__(self, pyramid: Pyramid, root: str, append: Append) -> None:
        self._pyramid = pyramid
        self._root = root
        self._append = append
        self._lock = threading.Lock()
        self._in_front = dict.fromkeys(in_front(pyramid), b"")
        self._order = behind(pyramid)
        self._next = next(self._order, None)
        self._waiting: dict[TileAddress, bytes] = {}
        self._crcs = array("I")
        self._lengths = array("Q")

    def put_tile(self, address: TileAddress, jpeg: bytes) -> None:
        """From any thread, in any order; a tile waits in memory for those before it."""
        with self._lock:
            if address in self._in_front:
                self._in_front[address] = jpeg
                return
            self._waiting[address] = jpeg
            while self._next is not None and self._next in self._waiting:
                self._write(self._next, self._waiting.pop(self._next))
                self._next = next(self._order, None)

    def complete(self, files: Mapping[str, bytes]) -> bytes:
        """Appends what ends the file, and returns its front: the index, the `files` by their names,
        and the tiles there. All tiles must have come."""
        assert self._next is None and not self._waiting and all(self._in_front.values())
        tiles = [(self._name(address), jpeg) for address, jpeg in self._in_front.items()]
        lengths = np.array([*(len(jpeg) for _, jpeg in tiles), *self._lengths], np.int64)
        name = f"{self._root}/{INDEX}"
        start = header_bytes(name) + index_bytes(len(lengths), int(lengths.max()))
        start += sum(header_bytes(named) + len(data) for named, data in files.items())
        made = Index(self._root, self._pyramid, start, lengths).data
        members = [(name, made), *files.items(), *tiles]
        described = [member(*item) for item in members]
        self._append(directory([*described, *self._members_behind()]))
        return b"".join(
            part
            for said, (_, data) in zip(described, members, strict=True)
            for part in (said.header, data)
        )

    def _write(self, address: TileAddress, jpeg: bytes) -> None:
        self._crcs.append(zlib.crc32(jpeg))
        self._lengths.append(len(jpeg))
        said = Member(self._name(address), self._crcs[-1], len(jpeg))
        self._append(said.header)
        self._append(jpeg)

    def _members_behind(self) -> Iterator[Member]:
        for address, crc, length in zip(
            behind(self._pyramid), self._crcs, self._lengths, strict=True
        ):
            yield Member(self._name(address), crc, length)

    def _name(self, address: TileAddress) -> str:
        return tile_name(self._root, address)


def scan_properties(size: Size, mpp: Sequence[float | None]) -> bytes:
    """SZI's scan-properties.xml: the picture's size in px, and um per px across and down where they
    are known."""
    image = ElementTree.Element("image", xmlns=_PROPERTIES, version="1.0")
    properties = ElementTree.SubElement(image, "properties")
    facts: list[tuple[str, str, float | None]] = [
        ("ImageWidth", "gint", size.width),
        ("ImageHeight", "gint", size.height),
        ("MicronsPerPixelX", "gdouble", mpp[0]),
        ("MicronsPerPixelY", "gdouble", mpp[1]),
    ]
    for name, kind, value in facts:
        if value is not None:
            stated = ElementTree.SubElement(properties, "property")
            ElementTree.SubElement(stated, "name").text = name
            ElementTree.SubElement(stated, "value", type=kind).text = f"{value}"
    made: bytes = ElementTree.tostring(image, encoding="utf-8", xml_declaration=True)
    return made + b"\n"
