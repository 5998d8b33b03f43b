"""The slides that a command line names: files, and folders that are searched."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from vsv_pyramid.errors import OptionError, SlideAccessError, passing
from vsv_pyramid.slide.reading import unavailable

# Looked for in folders. DICOM is not: a slide is several .dcm files, so one of them must be named.
SLIDE_SUFFIXES = frozenset(
    [".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi"]
)


def find_slides(path: Path) -> list[Path]:
    """The path itself, or the slides in the folder it is.

    Raises SlideAccessError for a folder without slides, or one that cannot be read.
    """
    if not path.is_dir():
        return [path]
    found = slides_in(path)
    if not found:
        raise SlideAccessError(path, "a folder without slides; give slide files or another folder")
    return found


def slides_in(path: Path) -> list[Path]:
    """The slide files in the folder and below, in order of name; what is hidden is left out.

    Raises SlideAccessError for a folder that cannot be read.
    """
    found: list[Path] = []
    for folder, folders, files in os.walk(path, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in sorted(files) if is_slide(name)]
    return found


def is_slide(name: str) -> bool:
    """Whether a file of that name is looked for in folders."""
    # "._170782.svs" is what macOS leaves on shares.
    return PurePath(name).suffix.lower() in SLIDE_SUFFIXES and not name.startswith(".")


def _raise(exc: OSError) -> None:
    if passing(exc):
        raise unavailable(Path(exc.filename), exc) from exc
    raise SlideAccessError(exc.filename, f"{exc.strerror}; check its permissions") from exc


def check_ids(slides: Iterable[str | Path]) -> None:
    """Raises OptionError where two slides of one call would be published under the same id."""
    ids: dict[str, str | Path] = {}
    for slide in slides:
        other = ids.setdefault(PurePath(slide).stem, slide)
        if other != slide:
            raise OptionError(
                f"{other} and {slide} would get the same id; convert them one by one with --id"
            )
