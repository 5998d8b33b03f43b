"""A slide's files on disk: their place, what tells them from any others, and their removal."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from vsv_pyramid.containers.reading import naming, read_exactly, reason
from vsv_pyramid.errors import SlideAccessError, SlideChanged, SlideError, SlideUnavailable
from vsv_pyramid.slide.names import is_dicom_name
from vsv_pyramid.slide.pixels import Slide, open_slide
from vsv_pyramid.slide.series import series_at, stem_of
from vsv_pyramid.words import digest

ANOTHER = "is another scan by now; look at it first"

_MEGABYTE = 1 << 20

# The other files of the formats that are more than one file, as (folder, pattern) of the slide.
_COMPANIONS: dict[str, Callable[[Path], Iterable[Path]]] = {
    ".mrxs": lambda path: path.with_suffix("").glob("*"),
    ".vms": lambda path: path.parent.glob(f"{glob.escape(path.stem)}*"),
    ".vmu": lambda path: path.parent.glob(f"{glob.escape(path.stem)}*"),
}


def is_in_s3(name: str) -> bool:
    """Whether a slide of that name can be fetched from S3: it is a single file, or DICOM."""
    return PurePosixPath(name).suffix.lower() not in _COMPANIONS


class FileSource:
    """A slide on disk. Implements Source."""

    def __init__(self, path: Path) -> None:
        self._series = series_at(path)
        if self._series:
            path = self._series.place
        self._path = path
        self.stem = self._series.stem if self._series else stem_of(path)
        self.location = str(path.absolute())
        self.name = path.name
        self.place = place_of(path)
        self.places = places_of(self.location)
        self.fingerprint: Mapping[str, object] = fingerprint(path)
        with naming(path):
            self.arrived = max(stat.st_ctime for stat in _stats(path))  # copies preserve the mtime

    def __str__(self) -> str:
        return str(self._path)

    @contextmanager
    def opened(self) -> Iterator[Slide]:
        with open_slide(self._path) as slide:
            yield slide

    def check_unchanged(self) -> None:
        if self._is_changed():
            raise SlideChanged(
                self._path, "changed while it was read; convert it when the scanner has finished"
            )

    def _is_changed(self) -> bool:
        try:
            return fingerprint(self._path) != self.fingerprint
        except SlideUnavailable:
            raise
        except SlideError:
            return True

    def check_removable(self) -> None:
        if self._path.is_symlink():
            target = os.path.realpath(self._path)
            raise SlideAccessError(self._path, f"is a link to {target}; delete both yourself")
        if self._series or not is_in_s3(self.name):
            raise SlideAccessError(self._path, "is a slide of several files; delete them yourself")
        try:
            names = self._path.stat().st_nlink
        except OSError as exc:
            raise SlideAccessError(self._path, reason(exc)) from exc
        if names > 1:
            raise SlideAccessError(
                self._path, f"has {names} names (hard links); delete all of them yourself"
            )
        folder = self._path.absolute().parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SlideAccessError(
                folder,
                "nothing may be deleted in it; delete the slide yourself, or have it allowed",
            )

    def remove(self) -> None:
        self.check_removable()
        if self._is_changed():
            raise SlideAccessError(self._path, ANOTHER)
        try:
            self._path.unlink()
        except OSError as exc:
            raise SlideAccessError(
                self._path, f"{reason(exc)}; delete it yourself, or have it made deletable"
            ) from exc


def places_of(location: str) -> frozenset[str]:
    """What the place of a slide at the location, a path or an s3:// URL, is called, and was called
    by releases before this one."""
    if location.startswith("s3://"):
        return frozenset([digest(location)])
    return frozenset([place_of(Path(location)), digest(location)])


def place_of(path: Path) -> str:
    """What the place of a slide's file is called."""
    return digest(str(normal(path)))


def normal(path: Path) -> Path:
    """The one path of a file to which several lead: without links and '..', and in the capitals
    and small letters that the file system has."""
    real = Path(os.path.realpath(path))
    found = Path(real.anchor)
    for name in real.parts[1:]:
        found /= _as_stored(found, name)
    return found


def _as_stored(folder: Path, name: str) -> str:
    """The name as the folder has it: not all file systems tell capitals from small letters."""
    other = name.swapcase()
    try:
        if name == other or not (folder / other).samefile(folder / name):
            return name
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return name
    same = (stored for stored in names if _folded(stored) == _folded(name))
    return name if name in names else next(same, name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def extent(path: Path) -> tuple[int, int]:
    """Of a slide's file, or of all its files: bytes in all, newest mtime in ns. Raises OSError, and
    SlideAccessError for a folder that cannot be read."""
    stats = _stats(path)
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)


def _stats(path: Path) -> list[os.stat_result]:
    companions = _COMPANIONS.get(path.suffix.lower())
    series = series_at(path) if path.is_dir() or is_dicom_name(path.name) else None
    # A link that leads nowhere is left to OpenSlide, which says so if it needs it.
    others = filter(Path.exists, companions(path)) if companions else ()
    return [file.stat() for file in dict.fromkeys(series.files if series else (path, *others))]


def fingerprint(path: Path) -> dict[str, object]:
    """Identity of a slide's file(s): its extent, and a digest of the first and last megabyte of the
    file itself. Raises SlideError."""
    data = hashlib.sha256()
    with naming(path):
        mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a pipe may take for ever
        raise SlideAccessError(path, "is neither a file nor a folder; give a slide's file")
    series = series_at(path)
    with naming(path), (series.base if series else path).open("rb") as file:
        size, mtime_ns = extent(path)
        length = os.fstat(file.fileno()).st_size
        part = min(length, _MEGABYTE)
        for offset in (0, length - part):
            data.update(read_exactly(file, path, offset, part))
    return {"size": size, "mtime_ns": mtime_ns, "digest": data.hexdigest()}
