"""The slides that a command line names: files, and folders that are searched."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vsv_pyramid.containers.reading import unavailable
from vsv_pyramid.errors import OptionError, SlideAccessError, passing
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.files import normal
from vsv_pyramid.slide.names import is_dicom_name, is_slide
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.slide.series import series_at, series_in, stem_of
from vsv_pyramid.words import IS_ODD, is_plain, raw

_log = logging.getLogger(__name__)

NOTHING_MORE = Excluded()

_DEEPEST = 100  # of folders within each other, which no share of slides has


class Found(NamedTuple):
    """Slide files in order of name, what was skipped on the way to them, with the reason, and
    DICOM files that cannot be read, with that."""

    slides: list[Path]
    skipped: dict[Path, str]
    damaged: dict[Path, str]


def find_slides(path: Path, excluded: Excluded = NOTHING_MORE) -> list[Path]:
    """The path itself, or the slides in the folder it is; of what is skipped there, it warns.

    Raises SlideAccessError for a folder without slides, or one that cannot be read.
    """
    if not path.is_dir():
        series = series_at(path)
        return [series.place if series else path]
    found = slides_in(path, excluded)
    for place, reason in (found.skipped | found.damaged).items():
        _log.warning("%s: skipped, %s", place, reason)
    if not found.slides:
        raise SlideAccessError(path, "a folder without slides; give slide files or another folder")
    return found.slides


def slides_in(path: Path, excluded: Excluded = NOTHING_MORE, *, itself: bool = True) -> Found:
    """The slide files in the folder and below, without what is excluded. The folder may be a DICOM
    slide `itself`, or else is none.

    Raises SlideAccessError for a folder that cannot be read; one below it is skipped, as are links
    to folders, which could lead round in a circle.
    """
    met.meet_folder(path)
    found = Found([], {}, {})
    first: dict[tuple[str, str], Path] = {}

    def skip(exc: OSError) -> None:
        if Path(exc.filename) == path and passing(exc):
            raise unavailable(path, exc) from exc
        if Path(exc.filename) == path:
            raise SlideAccessError(path, f"{exc.strerror}; check its permissions") from exc
        met.meet_folder(exc.filename)
        found.skipped[Path(exc.filename)] = f"it cannot be read ({exc.strerror})"

    def wanted(folder: str, names: list[str]) -> list[str]:
        below = Path(folder).relative_to(path)
        return sorted(name for name in names if not excluded((below / name).as_posix()))

    for folder, folders, files in os.walk(path, onerror=skip):
        folders[:] = wanted(folder, folders)
        if folders and len(Path(folder).relative_to(path).parts) >= _DEEPEST:
            met.meet_folder(folder)
            found.skipped[Path(folder)] = f"it is the {_DEEPEST}th folder within another"
            folders.clear()
        for place in [Path(folder, name) for name in folders]:
            if _is_link(place):
                met.meet_folder(place)
                found.skipped[place] = "it is a link to a folder; give that folder itself"
            elif not _is_plain(place.name):
                met.meet_folder(place)
                found.skipped[place] = IS_ODD
                folders.remove(place.name)
        names = wanted(folder, files)
        places = [Path(folder, name) for name in names if is_slide(name)]
        if any(map(is_dicom_name, names)):
            dicom = series_in(Path(folder))
            damaged = {file: why for file, why in dicom.damaged.items() if file.name in names}
            met.meet(damaged)
            found.damaged.update(damaged)
            for one in dicom.slides:
                if one.place == path and not itself:
                    found.skipped[one.base] = "DICOM needs a folder of its own; move it into one"
                elif one.base.name in names:
                    places.append(one.place)
        met.meet(places)
        for place in places:
            obstacle = _obstacle(place)
            same = first.setdefault((place.name, os.path.realpath(place)), place)
            if obstacle is None and same == place:
                found.slides.append(place)
            else:
                found.skipped[place] = obstacle or f"it is {same}, by a link"
    return found


def _obstacle(place: Path) -> str | None:
    """Why it is no file that could be read, and published under its name; None where it is one."""
    if not _is_plain(place.name):
        return IS_ODD
    try:
        mode = place.stat().st_mode
        is_file = stat.S_ISREG(mode) or stat.S_ISDIR(mode)  # of a series
    except OSError as exc:
        if _is_link(place):
            return f"it is a link to what cannot be read ({exc.strerror})"
        return f"it cannot be read ({exc.strerror})"
    return None if is_file else "it is neither a file nor a folder"


def _is_plain(name: str) -> bool:
    """Whether the name is plain, but for bytes that are no text: of these, an id can be made."""
    return is_plain(raw(name).decode(errors="replace"))


def _is_link(place: Path) -> bool:
    try:
        return place.is_symlink()
    except OSError:  # in a folder that may be listed, and nothing else
        return False


def is_slide_key(key: str, excluded: Excluded = NOTHING_MORE) -> bool:
    """Whether an object in S3 is looked for; one whose key ends in a slash stands for a folder. Of
    DICOM, it is one of a slide's files, in a folder of its own."""
    folder, _, name = key.rpartition("/")
    is_one = is_slide(name) or (bool(folder) and is_dicom_name(name))
    return is_one and not excluded(key)


def once_each(
    slides: Iterable[str | Path], id_of: Callable[[str], str]
) -> dict[str | Path, str | Path | None]:
    """The slides, each once, however many ways to it are given, with another one that would be
    published under the same id; `id_of` makes an id of a file's stem."""
    groups: dict[str, list[str | Path]] = {}
    for slide in slides:
        made = stem_of(slide)
        with suppress(OptionError):  # which is told when its turn comes
            made = id_of(made)
        group = groups.setdefault(made, [])
        if not any(_is_same(other, slide) for other in group):
            group.append(slide)
    return {
        slide: next((other for other in group if other != slide), None)
        for group in groups.values()
        for slide in group
    }


def _is_same(one: str | Path, other: str | Path) -> bool:
    if "s3://" in (str(one)[:5], str(other)[:5]):
        return one == other
    return normal(Path(one)) == normal(Path(other))
