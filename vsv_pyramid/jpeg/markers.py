"""The marker segments of a JPEG stream, read and written, and what is wrong with one.

Section numbers are those of ITU-T T.81.
"""

from __future__ import annotations

from collections.abc import Iterator

from vsv_pyramid.errors import StreamError

SOI, EOI, SOS, DQT, DHT, DRI, DNL, APP0, APP14 = (
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xC4,
    0xDD,
    0xDC,
    0xE0,
    0xEE,
)
SOF0 = 0xC0
_SOF = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))


def segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Each marker with its body and the offset behind it, up to SOS or EOI."""
    if data[:2] != b"\xff\xd8":
        raise StreamError("not a JPEG stream: it does not begin with SOI")
    at = 2
    while True:
        if at >= len(data):
            raise StreamError("the JPEG stream ends within its header")
        if data[at] != 0xFF:
            raise StreamError(f"no marker where one must stand, at byte {at}")
        while at < len(data) and data[at] == 0xFF:
            at += 1
        if at >= len(data):
            raise StreamError("the JPEG stream ends within its header")
        code = data[at]
        at += 1
        if code == EOI:
            yield code, b"", at
            return
        if code in _BARE:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        if size < 2 or at + size > len(data):
            raise StreamError(
                f"marker {code:#04x} promises {size} bytes, more or fewer than there are"
            )
        yield code, data[at + 2 : at + size], at + size
        if code == SOS:
            return
        at += size


def segment(code: int, body: bytes) -> bytes:
    return bytes((0xFF, code)) + (len(body) + 2).to_bytes(2, "big") + body


def is_frame(code: int) -> bool:
    """Whether the marker is one of the SOFs."""
    return code in _SOF
