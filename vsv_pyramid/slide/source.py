"""Where slides come from: files, and objects in S3 that are fetched first."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar

from vsv_pyramid.containers.reading import naming, read_exactly, reason
from vsv_pyramid.errors import (
    STOPPED,
    UNSUPPORTED,
    OptionError,
    SlideAccessError,
    SlideChanged,
    SlideError,
    SlideUnavailable,
    StoreError,
)
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.names import is_dicom_name
from vsv_pyramid.slide.pixels import Slide, open_slide
from vsv_pyramid.slide.series import series_at
from vsv_pyramid.words import digest

Result = TypeVar("Result")

_MEGABYTE = 1 << 20
SPARE_BYTES = 64 * _MEGABYTE  # what a scratch folder's disk must keep

# The other files of the formats that are more than one file, as (folder, pattern) of the slide.
_COMPANIONS: dict[str, Callable[[Path], Iterable[Path]]] = {
    ".mrxs": lambda path: path.with_suffix("").glob("*"),
    ".vms": lambda path: path.parent.glob(f"{path.stem}*"),
    ".vmu": lambda path: path.parent.glob(f"{path.stem}*"),
}
_REST_SECONDS = 60  # for which nothing may have been put beside a series of objects


class Source(Protocol):
    """One slide's place. `location` is its path or URL in full, `name` the file's, or its folder's
    where it is several, and `stem` what its id is made of; `fingerprint` tells this slide from any
    other, and `place` where it is from any other place: `places` has what releases before this one
    called it, too.

    Raises SlideAccessError where there is no slide.
    """

    location: str
    name: str
    stem: str
    place: str
    places: frozenset[str]
    fingerprint: Mapping[str, object]

    def opened(self) -> AbstractContextManager[Slide]:
        """The slide, open until the block ends."""

    def check_unchanged(self) -> None:
        """Raises SlideChanged where the slide is no longer the one that the source was made of."""

    def check_removable(self) -> None:
        """Raises SlideAccessError where the slide's file cannot be removed, as far as that is to be
        known beforehand."""

    def remove(self) -> None:
        """Removes the slide's file for good. Raises SlideAccessError."""


def is_in_s3(name: str) -> bool:
    """Whether a slide of that name can be fetched from S3: it is a single file, or DICOM."""
    return PurePosixPath(name).suffix.lower() not in _COMPANIONS


def find_source(
    slide: str | Path,
    scratch: Path | None = None,
    request_payer: str | None = None,
    stop: threading.Event | None = None,
) -> Source:
    """The source that a path or an s3:// URL names; what is fetched goes into a new folder within
    `scratch`, the system's own by default, and is removed after use; `request_payer` is as in
    S3Options. Once `stop` is set, S3 is not asked again."""
    if str(slide).startswith("s3://"):
        return _Object(str(slide), scratch, request_payer, stop)
    return _File(Path(slide))


class _File:
    def __init__(self, path: Path) -> None:
        self._series = series_at(path)
        if self._series:
            path = self._series.place
        self._path = path
        self.stem = self._series.stem if self._series else path.stem
        self.location = str(path.absolute())
        self.name = path.name
        self.place = place_of(path)
        self.places = places_of(self.location)
        self.fingerprint: Mapping[str, object] = fingerprint(path)

    def __str__(self) -> str:
        return str(self._path)

    @contextmanager
    def opened(self) -> Iterator[Slide]:
        with open_slide(self._path) as slide:
            yield slide

    def check_unchanged(self) -> None:
        try:
            changed = fingerprint(self._path) != self.fingerprint
        except SlideUnavailable:
            raise
        except SlideError:
            changed = True
        if changed:
            raise SlideChanged(
                self._path, "changed while it was read; convert it when the scanner has finished"
            )

    def check_removable(self) -> None:
        if self._series or not is_in_s3(self.name):
            raise SlideAccessError(self._path, "is a slide of several files; delete them yourself")
        folder = self._path.absolute().parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SlideAccessError(
                folder,
                "nothing may be deleted in it; delete the slide yourself, or have it allowed",
            )

    def remove(self) -> None:
        self.check_removable()
        try:
            self._path.unlink()
        except OSError as exc:
            raise SlideAccessError(
                self._path, f"{reason(exc)}; delete it yourself, or have it made deletable"
            ) from exc


class _Object:
    def __init__(
        self,
        url: str,
        scratch: Path | None,
        request_payer: str | None,
        stop: threading.Event | None,
    ) -> None:
        from vsv_pyramid.aws import session  # late: boto3 takes half a second

        self._stop = stop
        self._url = session.object_url(url)
        self._scratch = scratch
        self.location = str(self._url)
        folder, _, name = self._url.key.rpartition("/")
        self._is_series = not name or is_dicom_name(name)
        if self._is_series:  # a folder is a slide
            self._url = self._url._replace(key=folder)
        self.location = str(self._url)
        self.name = self._url.key.rpartition("/")[2]
        if not self.name:
            raise OptionError(f"{url!r} names no slide; give s3://bucket/key, DICOM in a folder")
        self.stem = self.name if self._is_series else PurePosixPath(self.name).stem
        self.place = digest(self.location)
        self.places = places_of(self.location)
        if not is_in_s3(self.name):
            suffix = PurePosixPath(self.name).suffix.lower()
            raise SlideAccessError(
                url, f"a {suffix} slide is more than one file; copy all of them into a folder"
            )
        self._account = session.Account(self._url, RequestPayer=request_payer)
        described = self._at_rest if self._is_series else self._head
        self.fingerprint: Mapping[str, object] = described()

    def __str__(self) -> str:
        return str(self._url)

    @contextmanager
    def opened(self) -> Iterator[Slide]:
        with self._fetched() as path:
            try:
                with open_slide(path) as slide:
                    yield slide
            except SlideError as exc:
                raise type(exc)(self._url, exc.what) from exc

    def check_unchanged(self) -> None:
        try:
            changed = self._head() != self.fingerprint
        except SlideAccessError:
            changed = True
        if changed:
            raise self._changed()

    def check_removable(self) -> None:
        if self._is_series:
            raise SlideAccessError(self._url, "is a slide of several files; delete them yourself")
        client = self._account.client
        never_there = {"Bucket": self._url.bucket, "Key": f"{self._url.key}.is-this-allowed"}
        self._patiently(lambda: client.delete_object(**never_there))

    def remove(self) -> None:
        client, where = self._account.client, {"Bucket": self._url.bucket, "Key": self._url.key}
        self._patiently(lambda: client.delete_object(**where))

    def _changed(self) -> SlideChanged:
        return SlideChanged(
            self._url, "changed while it was read; convert it when it is uploaded for good"
        )

    def _head(self) -> dict[str, object]:
        if self._is_series:
            return fingerprint_of_all(self._objects())
        head = self._patiently(self._account.head)
        return {"size": head["ContentLength"], "etag": head["ETag"].strip('"')}

    @contextmanager
    def _fetched(self) -> Iterator[Path]:
        scratch = Path(self._scratch or tempfile.gettempdir())
        needed = int(str(self.fingerprint["size"])) + SPARE_BYTES
        try:
            free = shutil.disk_usage(scratch).free
        except OSError as exc:
            if exc.errno not in UNSUPPORTED:
                raise StoreError(
                    scratch, f"{exc.strerror}; give a folder that exists as --scratch"
                ) from exc
            free = needed  # as far as is known
        if free < needed:
            raise StoreError(
                scratch,
                f"has {free / 1e9:.1f} GB free, and {self._url} needs {needed / 1e9:.1f} GB; "
                "give another folder as --scratch",
            )
        try:
            fetched = tempfile.TemporaryDirectory(prefix="vsv-pyramid-", dir=scratch)
        except OSError as exc:
            raise StoreError(
                scratch, f"{exc.strerror}; give a folder that can be written as --scratch"
            ) from exc
        with fetched as folder:
            path = Path(folder, self.name)
            if self._is_series:
                path.mkdir()
                for item in self._objects():
                    self._fetch(item["Key"], path / item["Key"].rpartition("/")[2])
            else:
                self._fetch(self._url.key, path)
            self.check_unchanged()
            yield path

    def _fetch(self, key: str, path: Path) -> None:
        client, where = self._account.client, (self._url.bucket, key)
        self._patiently(lambda: client.download_file(*where, str(path)))

    def _objects(self) -> list[dict[str, Any]]:
        """The .dcm objects of the series."""

        def listed() -> list[dict[str, Any]]:
            pages = self._account.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._url.bucket, Prefix=f"{self._url.key}/", Delimiter="/"
            )
            return [
                item
                for page in pages
                for item in page.get("Contents", ())
                if is_dicom_name(item["Key"].rpartition("/")[2])
            ]

        if found := self._patiently(listed):
            return found
        raise SlideAccessError(self._url, "has no DICOM files; check the URL")

    def _at_rest(self) -> dict[str, object]:
        """The fingerprint of all files, once nothing has been put beside them for a while: of
        twenty files there are twenty events."""
        while True:
            objects = self._objects()
            newest = max(item["LastModified"] for item in objects)
            waits = _REST_SECONDS - (clock.time() - newest.timestamp())
            if waits <= 0:
                return fingerprint_of_all(objects)
            if clock.sleep(min(waits, _REST_SECONDS), self._stop or threading.Event()):
                raise StoreError(self._url, STOPPED)

    def _patiently(self, action: Callable[[], Result]) -> Result:
        """The action's result, or an error that names the slide."""
        from vsv_pyramid.aws import session
        from vsv_pyramid.aws.retry import with_retries

        try:
            return with_retries(self._url, action, logging.WARNING, self._stop)
        except session.ERRORS as exc:
            refusal = session.refusal(self._url, exc)
            if session.status(exc) == 404:
                raise SlideAccessError(self._url, refusal.what) from exc
            if session.status(exc) == 412:
                raise self._changed() from exc
            raise refusal from exc


def fingerprint_of_all(objects: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    """What tells a series of objects in S3 from any other."""
    tags = sorted((item["Key"], item["ETag"]) for item in objects)
    return {"size": sum(item["Size"] for item in objects), "etag": digest(json.dumps(tags))}


def places_of(location: str) -> frozenset[str]:
    """What the place of a slide at the location, a path or an s3:// URL, is called, and was called
    by releases before this one."""
    if location.startswith("s3://"):
        return frozenset([digest(location)])
    return frozenset([place_of(Path(location)), digest(location)])


def place_of(path: Path) -> str:
    """What the place of a slide's file is called."""
    return digest(str(normal(path)))


def is_of(stated: Mapping[str, object], source: Source) -> bool:
    """Whether what is stated of a file, its fingerprint among it, is of this very one."""
    return all(stated.get(key) == value for key, value in source.fingerprint.items())


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
        if name == other or not (folder / name).samefile(folder / other):
            return name
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return name
    same = (stored for stored in names if _folded(stored) == _folded(name))
    return name if name in names else next(same, name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def extent(path: Path) -> tuple[int, int]:
    """Of a slide's file, or of all its files: bytes in all, newest mtime in ns."""
    companions = _COMPANIONS.get(path.suffix.lower())
    series = series_at(path)
    files = series.files if series else (path, *(companions(path) if companions else ()))
    stats = [file.stat() for file in dict.fromkeys(files)]
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)


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
