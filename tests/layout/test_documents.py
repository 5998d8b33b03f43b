"""The border that JSON documents of others have to pass."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, TypedDict

import pytest

from tests.support.hostile import VALUES, json_documents
from vsv_pyramid.layout.documents import MOST_NESTED, read, to_json


class _Optional(TypedDict, total=False):
    number: int
    texts: list[str]


class Shape(_Optional):
    name: str


def nested(depth: int) -> bytes:
    return b'{"name": "a", "x": ' + b"[" * (depth - 2) + b"0" + b"]" * (depth - 2) + b"}"


def test_what_is_of_the_shape_is_read_as_it_is() -> None:
    document: dict[str, Any] = {
        "name": "a",
        "number": 1,
        "texts": ["é", "\U0001f600"],
        "later": {"x": [None]},
    }
    data = to_json(document)
    assert read(data, Shape) == document
    assert read(json.dumps(document, ensure_ascii=False).encode(), Shape) == document
    assert read(b"\xef\xbb\xbf" + data, Shape) == document  # as an editor leaves it
    assert read(b'{"name": "\\udcff.svs"}', Shape)["name"] == "\udcff.svs"  # a file's name
    read(nested(MOST_NESTED), Shape)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is no JSON: Expecting value"),
        (b"\xff{}", "it is no UTF-8 text at byte 0"),
        (b'{"name": "a"} x', "it is no JSON: Extra data"),
        (b"{}", "it has no name"),
        (b"[]", "a list stands where an object is meant"),
        (b'{"name": 1}', "a whole number stands where a text is meant, in name"),
        (
            b'{"name": "a", "number": true}',
            "true or false stands where a whole number is meant, in number",
        ),
        (b'{"name": "a", "texts": [null]}', "nothing stands where a text is meant, in texts["),
        (b'{"name": "a", "x": NaN}', "NaN is no number"),
        (b'{"name": "a", "x": -Infinity}', "-Infinity is no number"),
        (b'{"name": "a", "x": 1e999}', "1e999 is no number"),
        (b'{"name": "a", "x": %d}' % 10**30, "a number has 31 digits"),
        (b'{"name": "\\ud800"}', "it holds half a character"),
        (b'"\\udcff"', "a text stands where none is meant"),
        (nested(MOST_NESTED + 1), "it is nested too deep"),
        (b"[" * 100_000, "it is nested too deep"),
    ],
)
def test_what_is_not_is_told(data: bytes, why: str) -> None:
    with pytest.raises(ValueError) as told:
        read(data, Shape)
    assert str(told.value).startswith(why)


def test_hostile_ones_are_always_the_same_and_many() -> None:
    honest = to_json({"name": "a", "texts": ["b"], "within": {"x": {"y": 1}}})
    made = list(json_documents(honest, 7, 300))
    assert made == list(json_documents(honest, 7, 300))
    assert made != list(json_documents(honest, 8, 300))
    assert len({name for name, _ in made}) == len(made) > 200
    assert {f"only {name}" for name in VALUES} < {name for name, _ in made}


THREADS = """
import sys, threading
from vsv_pyramid.layout import documents, shapes

sys.setswitchinterval(1e-6)
begin = threading.Barrier(8)

def read():
    begin.wait()
    for shape in (shapes.Catalog, shapes.Slide, shapes.Record):
        try:
            documents.read(b'{"slides": [{"id": "a", "source": {"size": 1}}]}', shape)
        except ValueError:
            pass

threads = [threading.Thread(target=read) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_the_first_document_is_read_by_many_threads() -> None:
    """msgspec alone ends the process, since it makes what it knows of a shape without a lock."""
    for _ in range(5):
        subprocess.run([sys.executable, "-c", THREADS], check=True)
