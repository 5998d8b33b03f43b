"""How large an object is at the most that is read as a whole, by its name; and all else that is.

No honest file comes near. What is read is looked at before: a small archive, or a hostile server,
can state any size.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import NamedTuple

from vsv_pyramid.errors import TooLarge

_KIB, _MIB = 1 << 10, 1 << 20


class Bound(NamedTuple):
    """What an object is, and how many bytes it has at the most."""

    what: str
    most: int


# The first one that a key ends with.
_BOUNDS = tuple(
    (re.compile(f"(?:.*/)?{pattern}", re.DOTALL), Bound(what, most))
    for pattern, what, most in (
        (r"DeepZoom\.dzi", "a descriptor", 64 * _KIB),  # 170 bytes
        (r"(?:root|ids)\.json", "a destination's id", 64 * _KIB),  # 100 bytes
        (r"watch/places/[^/]+", "the place of a slide", 64 * _KIB),
        (r"[0-9a-f]{16}\.json", "a note about a slide", _MIB),  # 1 KB
        (r"failed/[^/]+\.json", "a note about a slide", _MIB),
        (r"slide\.json", "what is published of a slide", 4 * _MIB),  # 4 KB
        (r"slide\.private\.json", "a slide's record", 16 * _MIB),  # 400 bytes a change
        (r"(?:index|deleted)[^/]*\.json", "a list of slides", 32 * _MIB),  # 400 bytes a slide
        (r"[0-9a-f]{32}\.[a-z]+", "a list of slides for jobs", 32 * _MIB),  # 10,000 URLs
        (r"tiles\.index", "the index of a packed slide", 32 * _MIB),  # 4 bytes a tile
        (r"[^/]*\.html", "a page of the viewer", 16 * _MIB),
        (r"icc\.icc", "a colour profile", 64 * _MIB),
        (r".*", "a tile or a picture", 256 * _MIB),
    )
)
_SMALL_FILE = 1 * _MIB  # with a key or a password


def small_file(path: Path) -> bytes:
    """The file with a key or a password. Raises OSError where it cannot be read, or is no such
    file: it may be the wrong one, and a slide."""
    with path.open("rb") as file:
        data = file.read(_SMALL_FILE + 1)
    if len(data) > _SMALL_FILE:
        raise OSError(errno.EFBIG, f"it has more than {_SMALL_FILE:,} bytes", str(path))
    return data


def bound(key: str) -> Bound:
    """Of the object under the key."""
    return next(bound for pattern, bound in _BOUNDS if pattern.fullmatch(key))


def check(place: object, key: str, size: int) -> None:
    """Raises TooLarge for an object of so many bytes under the key."""
    what, most = bound(key)
    if size > most:
        raise TooLarge(
            place, f"has {size:,} bytes, and {what} has {most:,} at the most; look what it is"
        )
