"""Publish first, then the record, then the review: whatever ends a conversion, what is said of the
slide is true, and the same command once more goes on with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from tests.support.destinations import keeping, opened, private_of
from tests.support.forge import forge_svs
from vsv_pyramid import catalog, slide_json
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import records, rescans
from vsv_pyramid.review.barcode import Barcode
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.store.directory import DirectoryStore, _StagedStore
from vsv_pyramid.unattended.watch import Handed, Watch
from vsv_pyramid.verification import verify

ROOT = Path(__file__).parents[2]
OPTIONS = ConvertOptions(workers=1, update=True)
EFFECTS = [
    (DirectoryStore, "put"),
    (DirectoryStore, "delete"),
    (_StagedStore, "put"),
]


class Count:
    """The effects on stores, and what is done instead of one of them, or behind it."""

    def __init__(self, at: int = -1, end: Callable[[], object] = int, *, behind: bool = False):
        self.seen = 0
        self._at, self._end, self._behind = at, end, behind

    def before(self) -> None:
        if self.seen == self._at and not self._behind:
            self._end()

    def after(self) -> None:
        self.seen += 1
        if self.seen == self._at + 1 and self._behind:
            self._end()


@contextmanager
def counted(count: Count) -> Iterator[None]:
    def watched(made: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any) -> Any:
            count.before()
            result = made(*arguments)
            count.after()
            return result

        return effect

    patches = [
        mock.patch.object(kind, name, watched(getattr(kind, name))) for kind, name in EFFECTS
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def refuse() -> None:
    raise StoreError("planted", "the disk is full")


@dataclass(frozen=True)
class Case:
    """A destination as it is before a conversion, the slide's file, and what its label says."""

    to: Path
    slide: Path
    slide_id: str | None = None

    @property
    def store(self) -> Destination:
        return opened(self.to)

    @property
    def id(self) -> str:
        return self.slide.stem

    def convert(self) -> str:
        barcode = Barcode("read" if self.slide_id else "unreadable", self.slide_id)
        with mock.patch.object(rescans, "read_barcode", lambda _: barcode):
            return convert(self.slide, str(self.to), keeping(OPTIONS, self.to)).status

    def copied(self, to: Path) -> Case:
        """The same, with a destination of its own."""
        if self.to.exists():
            shutil.copytree(self.to, to)
            shutil.copytree(private_of(self.to), private_of(to))
        return Case(to, self.slide, self.slide_id)

    def published(self) -> dict[str, Any] | None:
        folder = keys.folder(self.id)
        if self.store.head(keys.descriptor_key(folder)) is None:
            return None
        document: dict[str, Any] = json.loads(self.store.get(keys.slide_json_key(folder)))
        return document

    def is_shown(self) -> bool:
        published = self.published()
        return bool(published and slide_json.is_of(published, find_source(self.slide).fingerprint))

    def label(self) -> bytes | None:
        key = keys.private_image_key(self.id, "label")
        return self.store.get(key) if self.store.head(key) else None

    def state(self) -> dict[str, Any]:
        """All that is said in the end, without moments and keys."""
        published = self.published()
        assert published
        assert catalog.Catalog(self.store).slides()[self.id]["review"] == published["review"]
        gone = records.deleted(self.store)
        documents = [records.record(self.store, name) for name in sorted({self.id, *gone})]
        return {
            "documents": [
                (document.source["size"], document.properties, document.images, document.barcode)
                for document in documents
            ],
            "histories": [
                [(event.action, event.changes) for event in document.history]
                for document in documents
            ],
            "review": published["review"],
            "version": published["pyramid"]["version"],
            "rescans": {name: slide.get("rescanned_as") for name, slide in gone.items()},
            "label": self.label(),
        }


def check_true(case: Case, before: Case, after: Case) -> None:
    """What is said of the new scan is said only where it is shown."""
    document, published = records.record(case.store, case.id), case.published()
    if not case.is_shown():
        assert document == records.record(before.store, case.id)
        assert case.label() == before.label() != after.label()
        assert records.deleted(case.store) == records.deleted(before.store)
    if published:
        assert verify(case.to / keys.folder(case.id)).errors == []
    if published and "review" in published:
        assert slide_json.is_of(published, document.source)
        assert published["review"] == document.published()


def scan(tissue: Path, folder: Path, name: str, width: int, color: str) -> Path:
    images = {"thumbnail": Image.new("RGB", (60, 40)), "label": Image.new("RGB", (50, 40), color)}
    folder.mkdir(exist_ok=True)
    slide = folder / f"{name}.svs"
    forge_svs(slide, tissue=tissue, size=(width, 200), levels=(1,), associated=images)
    return slide


def first_scan(tissue: Path, folder: Path) -> Case:
    return Case(folder / "to", scan(tissue, folder, "1", 300, "red"))


def rescan(tissue: Path, folder: Path) -> Case:
    """Of a slide that somebody has found good."""
    case = first_scan(tissue, folder)
    case.convert()
    Desk(case.store, "anna").set({"1": None}, {"status": "GOOD", "slide_id": "S1"})
    return Case(case.to, scan(tissue, folder, "1", 310, "blue"))


def rescan_of_a_deleted_one(tissue: Path, folder: Path) -> Case:
    case = rescan(tissue, folder)
    Desk(case.store, "anna").delete({"1": None})
    return case


def rescan_under_another_name(tissue: Path, folder: Path) -> Case:
    """Tied to the deleted slide by what its label says."""
    case = rescan_of_a_deleted_one(tissue, folder)
    return Case(case.to, scan(tissue, folder, "2", 320, "green"), "S1")


CASES = [first_scan, rescan, rescan_of_a_deleted_one, rescan_under_another_name]


def effects(case: Case) -> int:
    """How many there are when nothing is in the way."""
    count = Count()
    with counted(count):
        assert case.convert() == "converted"
    return count.seen


@pytest.mark.table
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("made", CASES)
def test_whatever_step_fails(
    real_slide: Path,
    tmp_path: Path,
    made: Callable[[Path, Path], Case],
    behind: bool,
    thorough: bool,
) -> None:
    """By turns in the everyday run, so that each step fails before its effect or behind it."""
    before = made(real_slide, tmp_path / "scans")
    after = before.copied(tmp_path / "after")
    steps = range(effects(after))
    for number in steps if thorough else steps[behind::2]:
        case = before.copied(tmp_path / str(number))
        with (
            counted(Count(number, refuse, behind=behind)),
            pytest.raises(StoreError, match="planted"),
        ):
            case.convert()
        check_true(case, before, after)
        shown = case.is_shown()
        assert case.convert() == ("skipped" if shown else "converted")
        assert case.state() == after.state()


def test_what_happened_after_the_publication_is_said(real_slide: Path, tmp_path: Path) -> None:
    case = first_scan(real_slide, tmp_path / "scans")
    with (
        mock.patch.object(rescans, "remember", lambda *_: refuse()),
        pytest.raises(StoreError, match=r"DeepZoom.dzi: is published, but not recorded, which"),
    ):
        case.convert()
    published = case.published()
    assert published
    assert not published["kept"]


def test_a_watch_goes_on_with_it(real_slide: Path, tmp_path: Path) -> None:
    """Its slide is published, and yet it is handed on."""
    case = rescan(real_slide, tmp_path / "scans")
    with mock.patch.object(rescans, "remember", lambda *_: refuse()), pytest.raises(StoreError):
        case.convert()

    def hand_on(path: Path) -> Handed:
        assert case.convert() == "skipped"
        return Handed()

    for _ in range(2):
        handed = mock.Mock(side_effect=hand_on)
        watch = Watch(case.slide.parent, case.store, handed, mock.Mock(), interval=0.1)
        watch.run(once=True)
    assert records.record(case.store, "1").history[-1].action == "rescanned"
    handed.assert_not_called()


def test_a_review_of_the_scan_before_is_not_published_with_this_one(
    real_slide: Path, tmp_path: Path
) -> None:
    case = rescan(real_slide, tmp_path / "scans")
    with mock.patch.object(rescans, "remember", lambda *_: refuse()), pytest.raises(StoreError):
        case.convert()
    Desk(case.store, "anna").set({"1": None}, {"case_id": "C1"})
    published = case.published()
    assert published
    assert not published["kept"]
    case.convert()
    published = case.published()
    assert published
    assert (published["review"]["status"], published["review"]["case_id"]) == ("NEW", "C1")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.crowd
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill -9")
def test_whenever_it_is_killed(real_slide: Path, tmp_path: Path) -> None:
    before = rescan(real_slide, tmp_path / "scans")
    after = before.copied(tmp_path / "after")
    number = effects(after)
    for at in (1, *range(number - 8, number)):
        case = before.copied(tmp_path / str(at))
        code = (
            "from pathlib import Path\n"
            "from tests.conversion.test_order import Case, Count, counted, kill\n"
            f"with counted(Count({at}, kill)):\n"
            f"    Case(Path({str(case.to)!r}), Path({str(case.slide)!r})).convert()\n"
        )
        killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
        check_true(case, before, after)
        case.convert()
        assert case.state() == after.state()
