"""A zip file's records, for members that are stored as they are (PKWARE's APPNOTE 6.3.10).

zipfile writes them, too, but goes back to each member's header, and knows no member in front of
what it has written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

_MOST = 0xFFFFFFFF  # what does not fit stands in a record of 64 bits
_MOST_ENTRIES = 0xFFFF
_STORED = 20  # "version needed to extract"; 45 with records of 64 bits
_ZIP64 = 45
_UTF_8 = 0x800
_DATE = 0x21  # 1980-01-01: the same pyramid is the same file, whenever it is made

_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")


class Member(NamedTuple):
    """What a zip file says of a member; `size` in bytes."""

    name: str
    crc: int
    size: int

    @property
    def header(self) -> bytes:
        """What stands before its bytes."""
        name = self.name.encode()
        numbers = (0, 0, _DATE, self.crc, self.size, self.size, len(name), 0)
        return _LOCAL.pack(b"PK\3\4", _STORED, self.flags, *numbers) + name

    @property
    def flags(self) -> int:
        return 0 if self.name.isascii() else _UTF_8


def member(name: str, data: bytes) -> Member:
    return Member(name, zlib.crc32(data), len(data))


def header_bytes(name: str) -> int:
    """How many bytes stand before a member's own."""
    return _LOCAL.size + len(name.encode())


def directory(members: Iterable[Member]) -> bytes:
    """What ends a file in which these lie one behind the other, each behind its header."""
    entries, at, count = bytearray(), 0, 0
    for found in members:
        name = found.name.encode()
        is_far = at >= _MOST
        extra = struct.pack("<2HQ", 1, 8, at) if is_far else b""
        entries += _ENTRY.pack(
            b"PK\1\2",
            _ZIP64 if is_far else _STORED,
            _ZIP64 if is_far else _STORED,
            *(found.flags, 0, 0, _DATE),
            *(found.crc, found.size, found.size),
            *(len(name), len(extra), 0, 0, 0),
            *(0, min(at, _MOST)),
        )
        entries += name + extra
        at += header_bytes(found.name) + found.size
        count += 1
    end = b""
    if count >= _MOST_ENTRIES or at >= _MOST or len(entries) >= _MOST:
        end += _END_64.pack(
            b"PK\6\6", _END_64.size - 12, _ZIP64, _ZIP64, 0, 0, count, count, len(entries), at
        )
        end += _LOCATOR.pack(b"PK\6\7", 0, at + len(entries), 1)
    least = min(count, _MOST_ENTRIES)
    end += _END.pack(b"PK\5\6", 0, 0, least, least, min(len(entries), _MOST), min(at, _MOST), 0)
    return bytes(entries) + end
