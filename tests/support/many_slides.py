"""A bucket of many slides, and as many published pyramids: lists that are made up, no S3."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest import mock

from vsv_pyramid import catalog_json
from vsv_pyramid.aws import batch, session
from vsv_pyramid.catalog import MOST_SLIDES, SHARDS, Catalog, shard_of
from vsv_pyramid.catalog_json import Entry
from vsv_pyramid.cli.options import Texts, print_json
from vsv_pyramid.destination import Destination, open_destination, tie
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.history import Record
from vsv_pyramid.review.records import Kept
from vsv_pyramid.unattended import backlog, sampled

SIZE, PAGE = 980_000_000, 1000
URL = "s3://scans/2026"
_SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Bucket:
    """In place of S3: so many slides, listed page by page."""

    def __init__(self, slides: int) -> None:
        self.client = self
        self._slides = slides

    def list_objects_v2(self, *, ContinuationToken: str = "0", **_: object) -> dict[str, Any]:
        start = int(ContinuationToken)
        end = min(start + PAGE, self._slides)
        items = [
            {
                "Key": f"2026/{name(number)}.svs",
                "Size": SIZE,
                "ETag": f'"{etag(number)}"',
                "LastModified": _SINCE,
            }
            for number in range(start, end)
        ]
        more = {"NextContinuationToken": str(end)}
        return {"Contents": items, "IsTruncated": end < self._slides, **more}

    def get_object(self, **_: object) -> dict[str, Any]:
        return {"Body": mock.Mock(read=lambda: b"")}


class Nobody(batch.Queue):
    """In place of Batch."""

    def __init__(self) -> None:
        self.children = 0

    def submit(self, place: str, children: int = 1) -> str:
        self.children += children
        return "job"


def name(number: int) -> str:
    return f"slide-of-a-scanner-{number:08d}"


def etag(number: int) -> str:
    return f"{number:032x}-117"


def lay_out(root: Path, slides: int) -> None:
    """Lists so many slides as published at the root, the first half of which the bucket lacks."""
    store = _opened(root)
    assert store.private
    tie.tie(store.published, store.private)
    ids = [name(slides // 2 + number) for number in range(slides)]
    _spread(store, Catalog(store), "images", ids, _entry)
    _spread(store, Kept(store), keys.KEPT, ids, _kept)


def _spread(store: Destination, catalog: Catalog, folder: str, ids: list[str], made: Any) -> None:
    if len(ids) <= MOST_SLIDES:
        store.put(f"{folder}/{keys.CATALOG}", catalog_json.write(map(made, ids)))
        return
    names = [keys.shard_name("a", number) for number in range(SHARDS)]
    members = defaultdict(list)
    for slide_id in ids:
        members[shard_of(slide_id, names)].append(slide_id)
    for shard in names:
        store.put(f"{folder}/{shard}", catalog_json.write(map(made, members[shard])))
    store.put(f"{folder}/{keys.CATALOG}", catalog_json.write_root(names))


def _entry(slide_id: str) -> Entry:
    pyramid = {"version": f"{hash(slide_id):032x}", "tile_size": 720, "tile_count": 10_480}
    return {
        "entry": catalog_json.ENTRY_VERSION,
        "id": slide_id,
        "width": 80_000,
        "height": 50_000,
        "mpp": {"x": 0.25, "y": 0.25},
        "objective_power": 40,
        "year": 2026,
        "scanned": None,
        "scanner": "a scanner",
        "vendor": "aperio",
        "created": "2026-01-01T00:00:00Z",
        "bytes": 1_360_000_000,
        "source": {"size": SIZE, "etag": etag(int(slide_id[-8:]))},
        **pyramid,
    }


def _kept(slide_id: str) -> Entry:
    return {
        "id": slide_id,
        "review": Record(slide_id).review(),
        "scanned": "2026-01-01T00:00:00Z",
        "scanner": "SS1234",
        "file": f"{slide_id}.svs",
        "location": f"{URL}/{slide_id}.svs",
    }


def submitted(root: Path, slides: int) -> Iterator[str]:
    """What is told of a whole run, as `submit` and the audit do it: dry, for good, as JSON."""
    options = ConvertOptions(private_to=_private(root))
    queue = Nobody()
    with mock.patch.object(session, "Account", lambda *_, **__: Bucket(slides)):
        found = backlog.find(URL, str(root), options)
        yield f"{len(found.slides):,} waiting, {found.published:,} published"
        yield f"{sampled.estimated(found.slides).gigapixels:,.0f} gigapixels"
        backlog.submit(found.slides, str(root), queue, options=options)
        yield f"{queue.children:,} children"
        yield f"{len(heapq.nlargest(20, (slide.hours for slide in found.slides)))} told of"
        print_json({"slides": Texts(found.slides, lambda slide: str(slide.url))})


def _private(root: Path) -> str:
    return str(root.with_name(f"{root.name}-private"))


def _opened(root: Path) -> Destination:
    return open_destination(str(root), _private(root))
