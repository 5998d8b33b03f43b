"""Plain images by their first bytes: what they are, and how many bits a channel has."""

from __future__ import annotations

import re
from typing import NamedTuple

from PIL import features

from vsv_pyramid.errors import StreamError
from vsv_pyramid.jpeg.markers import is_frame, segments

# Bytes that are looked at: before the codestream of JPEG 2000 lies whatever its writer liked.
HEAD = 1 << 24

_PNG, _SGI = b"\x89PNG\r\n", b"\x01\xda"
_JPEG_2000 = re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")
_SIZ = re.compile(rb"\xff\x4f\xff\x51.{38}", re.DOTALL)  # its last two bytes count the components
_PPM = re.compile(rb"P[2356]\s")
_COMMENT = re.compile(rb"#[^\r\n]*")
_JPEG_LS = 0xF7  # its frame, in ITU-T T.87
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)


class _Kind(NamedTuple):
    """A name, and Pillow's for the library that it needs and may lack: "" where it needs none, None
    where there is none."""

    name: str
    library: str | None


_JPEG = _Kind("a JPEG image", "")
_KINDS = (
    (re.compile(rb"\xff\xd8\xff"), _JPEG),
    (re.compile(_PNG), _Kind("a PNG image", "")),
    (_JPEG_2000, _Kind("a JPEG 2000 image", "jpg_2000")),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _Kind("a WebP image", "webp")),
    (
        re.compile(rb"....ftyp(?:mif1.{0,40}|msf1.{0,40})?avi[fs]", re.DOTALL),
        _Kind("an AVIF image", "avif"),
    ),
    (re.compile(rb"....ftyp(?:hei|hev|mif1|msf1)", re.DOTALL), _Kind("a HEIC image", None)),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), _Kind("a JPEG XL image", None)),
    (re.compile(rb"II\xbc"), _Kind("a JPEG XR image", None)),
)


def is_jpeg_2000(head: bytes) -> bool:
    return _JPEG_2000.match(head) is not None


def bits(head: bytes) -> int:
    """Bits a channel as the file states them, of formats that can have more than 8; of others 8."""
    if head.startswith(_PNG):
        return head[24] if len(head) > 24 else 8
    if head.startswith(_SGI):
        return 8 * head[3] if len(head) > 3 else 8
    if is_jpeg_2000(head) and (siz := _SIZ.search(head)):
        count = int.from_bytes(siz[0][-2:], "big")
        each = head[siz.end() : siz.end() + 3 * count : 3]
        return 1 + max((number & 127 for number in each), default=7)
    if _PPM.match(head):
        words = _COMMENT.sub(b"", head[:4096]).split(maxsplit=4)
        # A smaller maximum is what is used of the 16 bits, and Pillow goes by it.
        return 16 if words[3:4] == [b"65535"] else 8
    return 8


def why_unread(head: bytes) -> str:
    """Why Pillow does not read the file, with what to do."""
    kind = next((kind for magic, kind in _KINDS if magic.match(head)), None)
    if kind is None:
        return "neither a slide nor an image, or cut off; check it, or copy it again"
    if kind is _JPEG:
        kind = _jpeg(head)
    if kind.library is None:
        return f"{kind.name}, which Pillow cannot read; save it as PNG or TIFF first"
    if kind.library and not features.check(kind.library):
        return (
            f"{kind.name}, which this Pillow cannot read; install pillow from PyPI, or save it as "
            "PNG or TIFF first"
        )
    return f"{kind.name} that is damaged or cut off; check it, or copy it again"


def _jpeg(head: bytes) -> _Kind:
    """Which JPEG it is, by its frame."""
    try:
        for code, body, _ in segments(head):
            if code == _JPEG_LS:
                return _Kind("a JPEG-LS image", None)
            if code in _LOSSLESS:
                return _Kind("a lossless JPEG image", "" if _reads_lossless() else None)
            if is_frame(code) and body[:1] > b"\x08":
                return _Kind(f"a JPEG image of {body[0]} bits a channel", None)
    except StreamError:
        pass
    return _JPEG


def _reads_lossless() -> bool:
    """Whether Pillow's libjpeg-turbo is one that does."""
    version = features.version("libjpeg_turbo") or ""
    return int(version.partition(".")[0] or 0) >= 3
