"""How sentences are made: numbers of things, what others have said on one line, names that are not
what they seem, and eight digits for what is not to be said."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

_LONGEST_NAME = 255  # characters, of file systems
_FEW = 80  # characters of such a name that are told
_WHY = "has a control character, '..', a backslash or the like in it, or is too long"
IS_ODD = f"its name {_WHY}; rename it"

# Control characters, ends of lines, what turns the direction of writing, what is no text (of names
# in another encoding, by surrogateescape), and what is a slash on Windows.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\\\\]")
_QUOTED = re.compile("""“[^”]*”|(?<!\\w)'[^']*'(?!\\w)|(?<!\\w)"[^"]*"(?!\\w)""")
_NO_NAMES = frozenset(["", ".", ".."])


def counted(number: int, thing: str) -> str:
    """The number and the thing, of which the last word gets an s."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def one_line(text: str) -> str:
    """The text with its line ends and all else that is not to be seen as escapes."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def unquoted(exc: Exception) -> str:
    """What a library says of a slide, without what it quotes of it, which can be about a person."""
    return _QUOTED.sub("...", str(exc))


def is_plain(key: str) -> bool:
    """Whether the key, or the path with slashes, is what it seems to be, wherever it is shown, and
    wherever a file has its name. A slash at the end is a folder's."""
    names = key.removesuffix("/").split("/")
    return not (
        _ODD.search(key) or max(map(len, names)) > _LONGEST_NAME or not _NO_NAMES.isdisjoint(names)
    )


def split_url(text: str) -> SplitResult:
    """The URL's parts, all of them empty where it cannot be one."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def left_out(names: Sequence[str]) -> str:
    """What is said of the names, one at least, that are not plain."""
    first = one_line(names[0])
    shown = first if len(first) <= _FEW else f"{first[:_FEW]}..."
    others = f" and {counted(len(names) - 1, 'other')}" if names[1:] else ""
    return f"'{shown}'{others} left out: the name {_WHY}; rename or remove it"


def raw(text: str) -> bytes:
    """The text in UTF-8; of a file's name that is in no encoding its own bytes, as far as there are
    any."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # of Windows, or of JSON
        return text.encode(errors="surrogatepass")


def digest(place: str) -> str:
    """Tells the place from another one, and is too short to tell which it is."""
    return hashlib.sha256(raw(place)).hexdigest()[:8]
