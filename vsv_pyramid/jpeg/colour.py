"""What the samples of a JPEG stream are, by its own word, and the stream made to say it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from vsv_pyramid.errors import StreamError, Unspliceable
from vsv_pyramid.jpeg.markers import APP0, APP14, DHT, DQT, SOF0, SOS, is_frame, segment, segments


def is_rgb(
    ids: bytes, sampling: Collection[object], jfif: bool, adobe: int | None, stated: bool
) -> bool:
    """Whether three components are R, G and B, and not Y, Cb and Cr.

    The stream decides in libjpeg's order: JFIF is YCbCr; Adobe's marker says; subsampled chroma is
    YCbCr; so named components are RGB. Only where it is silent, `stated` holds, which is what the
    container says. (libjpeg has no container; OpenSlide and libvips ask nobody else.)
    """
    if jfif:
        return False
    if adobe is not None:
        return adobe == 0
    if len(set(sampling)) > 1:
        return False
    return ids == b"RGB" or stated


# Baseline, extended and progressive, with Huffman or arithmetic coding.
_DECODED = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)


class _Outline(NamedTuple):
    """The header of a stream: the frame's segment, what says its colours, all other segments, and
    where the scan's begins."""

    frame: bytes
    jfif: bool
    adobe: int | None
    kept: list[bytes]
    start: int

    def is_rgb(self, stated: bool) -> bool:
        return is_rgb(self.frame[6::3], self.frame[7::3], self.jfif, self.adobe, stated)


def has_header(start: bytes) -> bool:
    """Whether the first bytes of a stream reach as far as its scan, and are sound so far."""
    try:
        return SOS in (code for code, _, _ in segments(start))
    except StreamError:
        return False


def contradicts(tile: bytes, stated: bool) -> bool:
    """Whether the stream has three colours of another kind than the container states. Raises as
    `standalone` does."""
    outline = _outline(tile)
    return outline.frame[5] == 3 and outline.is_rgb(stated) != stated


def standalone(tile: bytes, tables: bytes, rgb: bool) -> bytes:
    """The stream with its tables, and with a marker by which every decoder takes its samples for
    what they are; `rgb` is the container's word on them.

    Raises Unspliceable for a stream that is neither gray nor of three colours with 8 bits, and
    StreamError for a damaged header.
    """
    outline = _outline(tile)
    head = [b"\xff\xd8"]
    if outline.frame[5] == 3:
        transform = not outline.is_rgb(rgb)
        head.append(segment(APP14, b"Adobe" + bytes((0, 100, 0, 0, 0, 0, transform))))
    if tables:
        # A new SOI forgets all else that JPEGTables may hold: restart interval, JFIF, Adobe.
        head += [segment(code, body) for code, body, _ in segments(tables) if code in (DQT, DHT)]
    # An EOI may lack; where there is one, decoders end with it.
    return b"".join((*head, *outline.kept, tile[outline.start :], b"\xff\xd9"))


def _outline(tile: bytes) -> _Outline:
    jfif, adobe, frame, kind = False, None, b"", SOF0
    kept: list[bytes] = []
    for code, body, behind in segments(tile):
        if code == SOS:
            start = behind - len(body) - 4
            break
        if code == APP0 and body[:5] == b"JFIF\0":
            jfif = True
        elif code == APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        else:
            kept.append(segment(code, body))
            if is_frame(code):
                frame, kind = body, code
    else:
        raise StreamError("the JPEG stream ends before its scan")
    if len(frame) < 6 or len(frame) != 6 + 3 * frame[5]:
        raise StreamError("a damaged frame header (SOF)")
    if kind not in _DECODED:
        raise Unspliceable(f"a lossless or hierarchical JPEG (SOF{kind - SOF0})")
    if frame[0] != 8:
        raise Unspliceable(f"{frame[0]} bits a sample")
    if frame[5] not in (1, 3):
        raise Unspliceable(f"{frame[5]} components")
    return _Outline(frame, jfif, adobe, kept, start)
