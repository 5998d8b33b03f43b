"""Documents as nobody would write them who means well, each made of an honest one: JSON of other
values, types, depths and bytes, and DeepZoom descriptors. The same seed makes the same ones."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Named = tuple[str, bytes]
Way = tuple[str | int, ...]

_HERE = "@@here@@"
_DEEP = 100_000
# What may stand in the place of any value, as JSON has it.
VALUES = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus": "-1",
    "a fraction": "0.5",
    "64 bits": "9223372036854775808",
    "many digits": "9" * 400,
    "more digits": "9" * 5000,
    "near infinity": "1e308",
    "beyond infinity": "1e999",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "empty": '""',
    "a text": '"x"',
    "a long text": f'"{"x" * 100_000}"',
    "half a character": '"\\ud800"',
    "a byte of a name": '"\\udcff"',
    "NUL": '"a\\u0000b"',
    "lines": '"a\\nb\\u2028c"',
    "right to left": '"a\\u202eb"',
    "escapes": '"\\u001b[2J\\u001b]0;x\\u0007"',
    "a way out": '"../../../etc/passwd"',
    "an old date": '"0000-00-00T99:99:99"',
    "a list": "[]",
    "a list in a list": "[[[]]]",
    "a list of nothing": "[null]",
    "two numbers": "[1, 2]",
    "an object": "{}",
    "an object without a name": '{"": null}',
    "an object of objects": '{"x": {"y": {"z": []}}}',
    "depth": "[" * 500 + "]" * 500,
    "a deep object": '{"x":' * 500 + "0" + "}" * 500,
}
_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "a space": lambda _: b" ",
    "half": lambda data: data[: len(data) // 2],
    "all but its end": lambda data: data.rstrip()[:-1],
    "twice": lambda data: data * 2,
    "with a mark before it": lambda data: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "UTF-32": lambda data: data.decode().encode("utf-32"),
    "a byte that is no text": lambda data: data.replace(b'"', b'"\xff', 1),
    "half a character's bytes": lambda data: data.replace(b'"', b'"\xed\xa0\x80', 1),
    "NUL before it": lambda data: b"\0" + data,
    "zeros": lambda data: bytes(len(data)),
    "deep": lambda _: b"[" * _DEEP,
    "deep and whole": lambda _: b"[" * _DEEP + b"]" * _DEEP,
    "a deep object": lambda _: b'{"":' * _DEEP,
    "deep within": lambda data: data.rstrip()[:-1] + b',"x":' + b"[" * 900 + b"]" * 900 + b"}",
}


def json_documents(honest: bytes, seed: int = 0, most: int = 400) -> Iterator[Named]:
    """So many variants of a JSON document at the most, each with a name that says what it is: other
    bytes, other values, and of each value of the honest one, as a draw has it, another one, none,
    or a second one."""
    said = json.loads(honest)
    yield from ((name, change(honest)) for name, change in _BYTES.items())
    yield from ((f"only {name}", raw.encode()) for name, raw in VALUES.items())
    draw = random.Random(seed)
    places = [*dict.fromkeys(_ways(said))]
    drawn = [(way, name) for way in places for name in (*VALUES, "no more", "twice")]
    draw.shuffle(drawn)
    for way, name in drawn[: max(0, most - len(_BYTES) - len(VALUES))]:
        yield f"{'.'.join(map(str, way))}: {name}", _changed(said, way, name)
    for number in range(20):
        made = bytearray(honest)
        for _ in range(draw.randint(1, 4)):
            made[draw.randrange(len(made))] = draw.choice(b'{}[]",:0a\\\0\xff')
        yield f"bytes {number}", bytes(made)


def descriptors() -> Iterator[Named]:
    """Variants of a DeepZoom descriptor."""

    def stated(width: object, height: object, tile: object = 256, before: str = "") -> bytes:
        return (
            f'<?xml version="1.0"?>{before}<Image xmlns="http://schemas.microsoft.com/deepzoom/2008"'
            f' TileSize="{tile}" Overlap="0" Format="jpeg"><Size Width="{width}" '
            f'Height="{height}"/></Image>'
        ).encode()

    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    yield "entities", stated("&e9;", 1, before=f'<!DOCTYPE x [<!ENTITY e0 "9">{entities}]>')
    long = f'<!DOCTYPE x [<!ENTITY e "{"9" * 30_000}">]>'
    yield "a long entity", stated("&e;" * 3000, 1, before=long)
    yield (
        "another file",
        stated("&e;", 1, before='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
    )
    yield "depth", b"<a>" * 20_000
    yield "depth and whole", b"<a>" * 9_000 + b"</a>" * 9_000
    yield "attributes", b"<a " + b" ".join(b'a%d=""' % n for n in range(6_000)) + b"/>"
    yield "spaces", stated(1, 1) + b" " * (1 << 17)
    for number in (0, -1, 1 << 31, 1 << 40, "9" * 4000, "9" * 5000, "1_000", "", "x", "NaN", "1.5"):
        named = str(number)[:20]
        yield f"width {named}", stated(number, 100)
        yield f"size {named}", stated(number, number)
        yield f"tiles {named}", stated(100, 100, number)
    yield "the largest", stated((1 << 31) - 1, (1 << 31) - 1)
    yield "the most tiles", stated((1 << 31) - 1, (1 << 31) - 1, 1)
    yield "nothing", b""
    yield (
        "UTF-16",
        stated(1, 1).decode().replace('"1.0"', '"1.0" encoding="utf-16"').encode("utf-16"),
    )


def _ways(said: Any, way: Way = ()) -> Iterator[Way]:
    """To each value within, but for what is like the first of a list."""
    if way:
        yield way
    if isinstance(said, dict):
        for name, value in said.items():
            yield from _ways(value, (*way, name))
    elif isinstance(said, list):
        for number, value in enumerate(said[:1]):
            yield from _ways(value, (*way, number))


def _changed(said: Any, way: Way, name: str) -> bytes:
    made = copy.deepcopy(said)
    within = made
    for step in way[:-1]:
        within = within[step]
    last = way[-1]
    if name == "no more":
        del within[last]
        return json.dumps(made).encode()
    before = json.dumps(within[last])
    raw = VALUES.get(name, before)
    if name == "twice":
        raw = f'{before}, "{last}": []' if isinstance(last, str) else f"{before}, {before}"
    within[last] = _HERE
    return json.dumps(made).replace(f'"{_HERE}"', raw).encode()
