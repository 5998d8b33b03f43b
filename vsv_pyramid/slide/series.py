"""DICOM slides among files: a series is a slide, and a folder with one series is that slide."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePath
from typing import NamedTuple

from vsv_pyramid.containers import instances
from vsv_pyramid.containers.reading import naming
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideUnavailable
from vsv_pyramid.slide.names import is_dicom_name, is_slide
from vsv_pyramid.words import digest

_KEPT = 1 << 14  # headings in memory, of files that are looked at again and again


class Series(NamedTuple):
    """A slide of several files. `place` stands for all of them: their folder, or where other slides
    are in it, the file of the base level, which is `base`; `stem` is what ids are made of."""

    place: Path
    stem: str
    files: tuple[Path, ...]
    base: Path


class Dicom(NamedTuple):
    """The slides of a folder's .dcm files, and those of these files that cannot be read, with the
    reason: they may be of a slide."""

    slides: list[Series]
    damaged: dict[Path, str]


def series_in(folder: Path) -> Dicom:
    """What there is in the folder itself. Raises SlideAccessError."""
    groups: dict[str, dict[Path, int]] = {}
    damaged: dict[Path, str] = {}
    with naming(folder):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        if not is_dicom_name(entry.name):
            continue
        path = folder / entry.name
        try:
            stat = entry.stat()
            if not entry.is_file():  # a pipe would wait for who writes into it
                continue
            if heading := _heading(entry.path, stat.st_size, stat.st_mtime_ns):
                groups.setdefault(heading.series, {})[path] = heading.pixels
        except (OSError, SlideUnavailable):
            continue  # it has vanished, or its share does not answer
        except SlideError as exc:
            damaged[path] = exc.what
    is_alone = len(groups) == 1 and not any(is_slide(entry.name) for entry in entries)
    found = []
    for series, files in groups.items():
        base = max(files, key=lambda path: files[path])
        place, stem = (folder, folder.absolute().name) if is_alone else (base, _name(series))
        found.append(Series(place, stem, tuple(files), base))
    return Dicom(found, damaged)


def series_at(path: Path) -> Series | None:
    """The slide that the folder is, or that the file is of; None where there is no such slide.

    Raises SlideAccessError for a folder of several, or one that cannot be read.
    """
    with naming(path):
        is_folder = path.is_dir()
    if is_folder:
        found = series_in(path).slides
        if len(found) > 1:
            raise SlideAccessError(
                path, f"holds {len(found)} slides (DICOM series); give a file of one of them"
            )
        return found[0] if found else None
    if not is_dicom_name(path.name):
        return None
    return next((one for one in series_in(path.parent).slides if path in one.files), None)


def stem_of(place: str | PurePath) -> str:
    """What the id of a slide at the path or s3:// URL is made of: its file's name without suffix,
    or the name of its folder. Of a .dcm file that is of no slide, it is none that
    others could have, too."""
    if str(place).startswith("s3://"):
        folder, _, name = str(place).rpartition("/")
        if not name or is_dicom_name(name):
            return folder.rpartition("/")[2]
        return PurePath(name).stem
    with suppress(SlideError):
        if found := series_at(Path(place)):
            return found.stem
        if is_dicom_name(PurePath(place).name):
            return _name(str(Path(place).absolute()))
    return PurePath(place).stem


def _name(series: str) -> str:
    """Of a series in a folder with others: not its UID, by which a patient can be found."""
    return f"series-{digest(series)}"


@lru_cache(maxsize=_KEPT)
def _heading(path: str, size: int, mtime_ns: int) -> instances.Heading | None:
    """Of a file as it was at a look."""
    return instances.heading(Path(path))
