"""What a fault of the chaos run comes upon: slides that are published, and somebody's own files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tests.support.chaos import MAKING, OPERATIONS, SLIDES, Operation
from tests.support.destinations import keeping, opened, private_of
from tests.support.forge import forge_svs
from tests.support.s3_server import Place
from vsv_pyramid import catalog, slide_json
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import Destination
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import open_store
from vsv_pyramid.store.disk import locked
from vsv_pyramid.verification import verify

MINE = ("annotations.json", "DeepZoom_files/0/annotations.json")
_HEIGHTS = {"first": 200, "second": 240}  # px, of the scans
_HELPERS = (".lock", ".partial", ".old", ".new")


class Stock(NamedTuple):
    """Two scans of each slide, first/ID.svs and second/ID.svs; all first ones, published out of
    the folder where scans are found; and that folder."""

    scans: Path
    published: Path
    inbox: Path

    @property
    def private(self) -> Path:
        return Path(private_of(self.published))


def stocked(folder: Path, tissue: Path) -> Stock:
    """All the slides, of different widths."""
    stock = Stock(folder / "scans", folder / "published", folder / "inbox")
    stock.inbox.mkdir()
    for which, height in _HEIGHTS.items():
        (stock.scans / which).mkdir(parents=True)
        for number, slide in enumerate(SLIDES):
            path = stock.scans / which / f"{slide}.svs"
            forge_svs(path, tissue=tissue, size=(260 + 10 * number, height), levels=(1,))
            os.utime(path, (height, height))
    for slide in SLIDES:
        path = stock.inbox / f"{slide}.svs"
        shutil.copy2(stock.scans / "first" / path.name, path)
        options = keeping(ConvertOptions(tile_size=256, workers=1), stock.published)
        convert(path, stock.published, options)
    return stock


@dataclass
class World:
    """A place with two slides, of which the first one is at stake; it is looked at by `look`, and
    all else tells what was there then."""

    to: str
    stock: Stock
    operation: Operation
    slides: list[str]
    place: Place | None = None  # where that is in S3
    before: dict[str, str] = field(default_factory=dict)  # MD5s by key
    now: dict[str, str] = field(default_factory=dict)
    missing: bool = False  # whether what is somebody's own was, at any event of files

    @property
    def slide(self) -> str:
        return self.slides[0]

    @property
    def folder(self) -> str:
        return keys.folder(self.slide)

    @cached_property
    def store(self) -> Destination:
        return opened(self.to)

    @property
    def words(self) -> list[str]:
        """The command."""
        words = self.operation.words.split()
        words = [word.format(inbox=self.stock.inbox, to=self.to, id=self.slide) for word in words]
        if words[0] in ("convert", "watch", "delete", "slides"):
            words += ["--private-to", private_of(self.to)]
        return words + list(MAKING) * (words[0] in ("convert", "watch"))

    def fill(self, local: Path) -> None:
        """By way of a folder, which is the world itself unless that is in S3."""
        private = Path(private_of(local))
        for slide in self.slides[not self.operation.published :]:
            shutil.copytree(self.stock.published / keys.folder(slide), local / keys.folder(slide))
            folder = keys.private_folder(slide)
            shutil.copytree(self.stock.private / folder, private / folder)
        catalog.rebuild_catalog(open_store(str(local)))
        for slide, name in product(self.slides, MINE):
            path = local / keys.folder(slide) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"mine")
        if self.place:
            for root in local, private:
                for path in filter(Path.is_file, root.rglob("*")):
                    self.store.put(path.relative_to(root).as_posix(), path.read_bytes())
        self.look()
        self.before = self.now
        for path in self.stock.inbox.iterdir():
            path.unlink()
        name = f"{self.slide}.svs"
        shutil.copy2(self.stock.scans / self.operation.scan / name, self.stock.inbox / name)

    def look(self) -> None:
        if self.place:
            self.now = self.place.objects() | self.place.private.objects()
            return
        self.now = {
            path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
            for root in (Path(self.to), Path(private_of(self.to)))
            for path in filter(Path.is_file, root.rglob("*"))
        }

    @property
    def is_done(self) -> bool:
        """Whether the slide is deleted, with all that was known of it unless that is kept."""
        if self.operation.after or self._own(self.now):
            return False
        known = [key for key in self.now if key.startswith(keys.private_folder(self.slide) + "/")]
        return self.operation is OPERATIONS["slides delete"] or not known

    def scan(self) -> str:
        """Which one is published, and whole; none is "", too."""
        if keys.descriptor_key(self.folder) not in self.now:
            return ""
        if self.operation.published and self._own(self.now) == self._own(self.before):
            return "first"
        errors = verify(f"{self.to}/{self.folder}", deep=True).errors
        assert errors == [], errors
        height = slide_json.parse(self.store.get(keys.slide_json_key(self.folder)))["height"]
        return next(which for which, of_it in _HEIGHTS.items() if of_it == height)

    def others(self, content: dict[str, str]) -> dict[str, str]:
        """What is not of the slide at stake, and what is somebody's own."""
        return {
            key: md5
            for key, md5 in content.items()
            if key.endswith(MINE) or any(other in key for other in self.slides[1:])
        }

    def left(self) -> list[str]:
        """What is there for as long as something is under way."""
        return [
            key
            for key in self.now
            if key.startswith(".leases/")
            or any(part.startswith(".") and part.endswith(_HELPERS) for part in key.split("/"))
        ]

    def free(self) -> None:
        """Takes what a dead process held, and lets go of it; raises StoreBusy where it is held."""
        for key in self.left():
            if key.startswith(".leases/"):
                with open_store(self.to).exclusive(key.removeprefix(".leases/")):
                    pass
            elif key.endswith(".lock"):
                places = (Path(root, key) for root in (self.to, private_of(self.to)))
                path = next(filter(Path.exists, places))
                with locked(path.with_name(path.name[1:].removesuffix(".lock")), 0):
                    pass

    def watching(self, come: Callable[[int, bool], None]) -> Callable[[int, bool], None]:
        """At each event of files, looks whether what is somebody's own is there."""
        mine = [Path(self.to, self.folder, name) for name in MINE]

        def watched(event: int, makes: bool) -> None:
            self.missing |= not all(map(os.path.lexists, mine))
            come(event, makes)

        return watched

    def _own(self, content: dict[str, str]) -> dict[str, str]:
        return {key: md5 for key, md5 in content.items() if keys.is_own(self.folder, key)}
