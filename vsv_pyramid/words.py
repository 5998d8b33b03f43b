"""How sentences are made: numbers of things, what others have said on one line, and eight digits
for what is not to be said."""

from __future__ import annotations

import hashlib


def counted(number: int, thing: str) -> str:
    """The number and the thing, of which the last word gets an s."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def one_line(text: str) -> str:
    """The text with its line ends and all else that is not to be seen as escapes."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def digest(place: str) -> str:
    """Tells the place from another one, and is too short to tell which it is."""
    return hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:8]
