"""An ICC profile as it may be published: the numbers of its transform, and nothing else.

A profile has room for text: descriptions, a copyright, private tags, four letters for who made
the device, whatever lies between and behind its tags. What is published is therefore not the
slide's profile with something left out, but another one, built of what is understood of it.

The formats are those of ICC.1:2001-04 (version 2) and ICC.1:2022 (version 4), with their names.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping

# Size, version, class, colour space, PCS, date, "acsp", device attributes, rendering intent, PCS
# illuminant. Between them: CMM, platform, flags, manufacturer, model, creator, ID, reserved bytes.
_HEADER = struct.Struct(">I4x2B2x4s4s4s12s4s23xB3xB12s48x")
_ENTRY = struct.Struct(">4s2I")
_ATTRIBUTES = 0b1111  # those that the standard defines; the vendors' 32 bits could be letters
_INTENTS = 0b11
_DATE = struct.pack(">6H", 2000, 2, 1, 0, 0, 0)  # Pillow raises without one, and in January
_D50 = bytes.fromhex("0000f6d6 00010000 0000d32d")

_CLASSES = {b"scnr", b"mntr", b"prtr", b"spac", b"abst"}
_SPACES = {b"RGB ", b"GRAY", b"CMYK", b"YCbr", b"Lab ", b"XYZ "}
_PCS = {b"XYZ ", b"Lab "}
# What describes other things than pixels of a device. Names are of these lists, never the file's.
_OTHER_CLASSES = {b"link": "a device link", b"abst": "an abstract one", b"nmcl": "of named colours"}
_OTHER_SPACES = {
    **{b"CMYK": "CMYK", b"CMY ": "CMY", b"GRAY": "gray", b"Lab ": "Lab", b"Luv ": "Luv"},
    **{b"XYZ ": "XYZ", b"Yxy ": "Yxy", b"YCbr": "YCbCr", b"HSV ": "HSV", b"HLS ": "HLS"},
}
_CURVES = (b"curv", b"para")
_PARAMETERS = (1, 3, 4, 5, 7)  # of each function of a parametric curve

# The tags a transform is made of, and the types they may have. Those without one make transforms,
# too, but are not understood here: without them, the colours would be others.
_TAGS: Mapping[bytes, tuple[bytes, ...]] = {
    **dict.fromkeys((b"A2B0", b"A2B1", b"A2B2"), (b"mft1", b"mft2", b"mAB ")),
    **dict.fromkeys((b"B2A0", b"B2A1", b"B2A2"), (b"mft1", b"mft2", b"mBA ")),
    **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC", b"kTRC"), _CURVES),
    **dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"bkpt"), (b"XYZ ",)),
    b"chad": (b"sf32",),
    **dict.fromkeys((b"D2B0", b"D2B1", b"D2B2", b"D2B3"), ()),
    **dict.fromkeys((b"B2D0", b"B2D1", b"B2D2", b"B2D3"), ()),
    b"cicp": (),
}
_TRANSFORMS = (
    {b"A2B0"},
    {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"},
    {b"kTRC"},
)
# Every profile has to have them.
_TEXTS = {b"desc": "Colours of a slide", b"cprt": "Not stated"}


class _NotUnderstood(ValueError):
    """The profile is damaged, or says something that is on no list here."""


def mismatch(profile: bytes) -> str | None:
    """Why the profile describes other things than tiles of RGB pixels, in words; None where it does
    not, or is none."""
    if profile[36:40] != b"acsp":
        return None
    kind, space = profile[12:16], profile[16:20]
    if kind in _OTHER_CLASSES:
        return f"it is {_OTHER_CLASSES[kind]}, and describes no pixels"
    if space != b"RGB ":
        return f"it is of {_OTHER_SPACES.get(space, 'other')} colours, and the tiles are RGB"
    return None


def published_profile(profile: bytes) -> bytes | None:
    """The profile of the same transform without anything else in it: no text, no private tags, no
    signatures, no date of its own; the same bytes for the same transform.

    None where the profile is damaged, or makes no transform that is understood.
    """
    try:
        return _rebuilt(profile)
    except (_NotUnderstood, LookupError, struct.error):
        return None


def _rebuilt(profile: bytes) -> bytes:
    *said, attributes, intent, _ = _HEADER.unpack_from(profile)
    size, major, minor, kind, space, pcs, _, magic = said
    _demand(magic == b"acsp" and major in (2, 4))
    _demand(kind in _CLASSES and space in _SPACES and pcs in _PCS)
    tags: dict[bytes, bytes] = {}
    for signature, data in _tags(_cut(profile, 0, size)):
        _demand(signature not in tags)
        tags[signature] = data
    _demand(any(tags.keys() >= transform for transform in _TRANSFORMS))
    texts = {name: _TEXT_TAGS[major, name](text) for name, text in _TEXTS.items()}
    body = _body({**texts, **tags})
    said = [_HEADER.size + len(body), major, minor, kind, space, pcs, _DATE, magic]
    return _HEADER.pack(*said, attributes & _ATTRIBUTES, intent & _INTENTS, _D50) + body


def _tags(profile: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The signature and data of each tag of the transform, with nothing that its type lacks."""
    (count,) = struct.unpack_from(">I", profile, _HEADER.size)
    table = _cut(profile, _HEADER.size + 4, count * _ENTRY.size)
    for signature, offset, length in _ENTRY.iter_unpack(table):
        _demand(offset >= _HEADER.size + 4 + len(table))
        data = _cut(profile, offset, length)
        if signature in _TAGS:
            _demand(offset % 4 == 0)  # a type's own parts are aligned in the file, not in the tag
            _demand(data[:4] in _TAGS[signature])
            yield signature, _TYPES[data[:4]](data)


def _body(tags: Mapping[bytes, bytes]) -> bytes:
    """The tag table, and the data of all tags; what is the same is there once."""
    start = _HEADER.size + 4 + len(tags) * _ENTRY.size
    table, data, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for signature, value in tags.items():
        if value not in places:
            places[value] = start + len(data)
            data += _padded(value)
        table += _ENTRY.pack(signature, places[value], len(value))
    return table + data


def _numbers(count: int) -> Callable[[bytes], bytes]:
    """XYZType, s15Fixed16ArrayType: so many numbers of four bytes."""
    return lambda data: data[:4] + bytes(4) + _cut(data, 8, 4 * count)


def _curve(data: bytes) -> bytes:
    """curveType: no entry (identity), one (a gamma), or a table of them."""
    (count,) = struct.unpack_from(">I", data, 8)
    return data[:4] + bytes(4) + _cut(data, 8, 4 + 2 * count)


def _parametric(data: bytes) -> bytes:
    """parametricCurveType."""
    (function,) = struct.unpack_from(">H", data, 8)
    return struct.pack(">4s4xH2x", data[:4], function) + _cut(data, 12, 4 * _PARAMETERS[function])


def _lut8(data: bytes) -> bytes:
    """lut8Type: a matrix, tables of input curves, a grid of colours, tables of output curves."""
    i, o, grid = struct.unpack_from(">3B", data, 8)
    return _lut(data, 48 + 256 * i + grid**i * o + 256 * o)


def _lut16(data: bytes) -> bytes:
    """lut16Type: as lut8Type, with tables of any length."""
    i, o, grid, inputs, outputs = struct.unpack_from(">3B37x2H", data, 8)
    return _lut(data, 52 + 2 * (inputs * i + grid**i * o + outputs * o))


def _lut(data: bytes, size: int) -> bytes:
    return struct.pack(">4s4x3sx", data[:4], data[8:11]) + _cut(data, 12, size - 12)


def _modular(data: bytes) -> bytes:
    """lutAToBType, lutBToAType: up to five elements, each where its offset says, if anywhere."""
    kind, i, o, *offsets = struct.unpack_from(">4s4x2B2x5I", data)
    device, pcs = (i, o) if kind == b"mAB " else (o, i)
    elements: tuple[Callable[[int], bytes], ...] = (
        lambda at: _curves(data, at, pcs),
        lambda at: _cut(data, at, 48),  # a matrix
        lambda at: _curves(data, at, pcs),
        lambda at: _grid(data, at, i, o),
        lambda at: _curves(data, at, device),
    )
    places, body = [], b""
    for at, element in zip(offsets, elements, strict=True):
        places.append(32 + len(body) if at else 0)
        body += element(at) if at else b""
    return struct.pack(">4s4x2B2x5I", kind, i, o, *places) + body


def _curves(data: bytes, at: int, count: int) -> bytes:
    """So many curves, each at the next multiple of four bytes."""
    _demand(at % 4 == 0)
    curves = b""
    for _ in range(count):
        rest = data[at + len(curves) :]
        _demand(rest[:4] in _CURVES)
        curves += _padded(_TYPES[rest[:4]](rest))
    return curves


def _grid(data: bytes, at: int, i: int, o: int) -> bytes:
    """A grid of colours: its points along each input channel, bytes a number, the numbers."""
    points, width = _cut(data, at, 16)[:i], _cut(data, at + 16, 1)[0]
    numbers = _cut(data, at + 20, math.prod(points) * o * width)
    return _padded(struct.pack(">16sB3x", points, width) + numbers)


def _description(text: str) -> bytes:
    """textDescriptionType, of version 2: ASCII, and neither Unicode nor Macintosh text."""
    return struct.pack(f">4s4xI{len(text) + 1}s78x", b"desc", len(text) + 1, text.encode("ascii"))


def _text(text: str) -> bytes:
    """textType."""
    return struct.pack(f">4s4x{len(text) + 1}s", b"text", text.encode("ascii"))


def _localized(text: str) -> bytes:
    """multiLocalizedUnicodeType, of version 4: one record, in English."""
    utf16 = text.encode("utf-16-be")
    return struct.pack(">4s4x2I4s2I", b"mluc", 1, 12, b"enUS", len(utf16), 28) + utf16


_TYPES: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"XYZ ": _numbers(3),
    b"sf32": _numbers(9),
    b"curv": _curve,
    b"para": _parametric,
    b"mft1": _lut8,
    b"mft2": _lut16,
    b"mAB ": _modular,
    b"mBA ": _modular,
}
_TEXT_TAGS: Mapping[tuple[int, bytes], Callable[[str], bytes]] = {
    (2, b"desc"): _description,
    (2, b"cprt"): _text,
    (4, b"desc"): _localized,
    (4, b"cprt"): _localized,
}


def _cut(data: bytes, at: int, size: int) -> bytes:
    """So many bytes from there on."""
    _demand(at + size <= len(data))
    return data[at : at + size]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _demand(understood: bool) -> None:
    if not understood:
        raise _NotUnderstood
