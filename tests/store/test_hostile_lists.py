"""Lists of a bucket that no S3 gives: a sentence, and no error of a library."""

from __future__ import annotations

import pytest

from tests.support.odd_names import listed
from tests.support.s3_server import Server
from vsv_pyramid.errors import StoreError
from vsv_pyramid.store import open_store

WHOLE = (
    "<Contents><Key>p/a</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;1&quot;</ETag><Size>1</Size></Contents>"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<Size>1<", "<Size>many<"),
        ("<Size>1<", "<Size><"),
        ("<Size>1</Size>", ""),
        ("<Key>p/a</Key>", ""),
        (">2026-01-01T00:00:00.000Z<", "><"),
        (">2026-01-01T00:00:00.000Z<", f">{'9' * 40}<"),
        ("<LastModified>2026-01-01T00:00:00.000Z</LastModified>", ""),
        ("</Contents>", "</Contents></Contents>"),
    ],
)
def test_what_is_wrong_in_a_list(
    before: str, after: str, monkeypatch: pytest.MonkeyPatch, s3: Server
) -> None:
    with listed() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.contents = WHOLE.replace(before, after)
        store = open_store("s3://bucket/p")
        with pytest.raises(StoreError, match="is no S3 server"):
            list(store.keys(""))
        with pytest.raises(StoreError, match="is no S3 server"):
            store.names("")
        server.contents = WHOLE.replace("<ETag>&quot;1&quot;</ETag>", "")
        assert store.names("") == [found.key for found in store.keys("")] == ["a"]


def test_a_list_that_begins_anew(monkeypatch: pytest.MonkeyPatch, s3: Server) -> None:
    with listed() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.keys = ["p/a", "p/b", "p/a"]
        with pytest.raises(StoreError, match="is no S3 server"):
            list(open_store("s3://bucket/p").keys(""))
