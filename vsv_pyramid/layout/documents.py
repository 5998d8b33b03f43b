"""JSON documents as bytes, written, and read: whatever others may have written comes in here, and
is of its shape behind it."""

from __future__ import annotations

import json
import math
import re
import threading
from typing import Any, NoReturn, TypeVar

Shape = TypeVar("Shape")

MOST_NESTED = 32  # ours go to 5
_turn = threading.Lock()  # two threads that show msgspec a new shape at once end the process
_LONGEST_NUMBER = 20  # characters: 64 bits, with a sign
# What a system has for bytes of a file's name that are no text; no other half of a character is in
# what this program writes.
_NO_TEXT = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")

_KINDS = re.compile("Expected (.*), got (.*)")
_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "nothing",
}


def to_json(document: dict[str, Any]) -> bytes:
    """The document as the ASCII bytes of an indented JSON file."""
    return (json.dumps(document, indent=2) + "\n").encode()


def read(data: bytes, shape: type[Shape]) -> Shape:
    """The document that the bytes are, with all that is in it, where it is of the shape, such as a
    TypedDict. Raises ValueError, which says what is wrong with it."""
    import msgspec  # late: many a command reads no document

    try:
        said: Any = json.loads(
            data.decode("utf-8-sig"),
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_refused,
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError as exc:
        raise ValueError(f"it is no UTF-8 text at byte {exc.start:,}") from exc
    except json.JSONDecodeError as exc:
        raise ValueError(f"it is no JSON: {exc}") from exc
    _check_depth(said)
    if _HALVES.search(data) and _NO_TEXT.search(json.dumps(said, ensure_ascii=False)):
        raise ValueError("it holds half a character")
    try:
        with _turn:
            msgspec.convert(said, shape)
    except msgspec.ValidationError as exc:
        what, _, place = str(exc).replace("`", "").partition(" - at $")
        what = what.replace("Object missing required field", "it has no")
        if kinds := _KINDS.fullmatch(what):
            what = f"{_called(kinds[2])} stands where {_called(kinds[1])} is meant"
        raise ValueError(f"{what}, in {place.lstrip('.')}" if place else what) from exc
    except UnicodeEncodeError:  # by bytes of a name, which are to be something else
        raise ValueError("a text stands where none is meant") from None
    return said  # type: ignore[no-any-return]  # not what is made of it, which lacks other fields


def _called(kinds: str) -> str:
    """What msgspec names, in words."""
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))


def _check_depth(said: object) -> None:
    layer = [said]
    for _ in range(MOST_NESTED):
        within = [one for one in layer if isinstance(one, (dict, list))]
        layer = [
            inner for one in within for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not layer:
            return
    raise ValueError("it is nested too deep")


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number has {len(text):,} digits")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text)


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text[:_LONGEST_NUMBER]} is no number")
