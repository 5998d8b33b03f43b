"""A slide in S3: an object, or those of a DICOM series, fetched for a while."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from vsv_pyramid.errors import (
    STOPPED,
    UNSUPPORTED,
    OptionError,
    SlideAccessError,
    SlideChanged,
    SlideError,
    StoreError,
)
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.files import ANOTHER, is_in_s3, places_of
from vsv_pyramid.slide.names import is_dicom_name
from vsv_pyramid.slide.pixels import Slide, open_slide
from vsv_pyramid.slide.scratch import made_in, sweep
from vsv_pyramid.words import IS_ODD, digest, is_plain, left_out

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

SPARE_BYTES = 64 << 20  # what a scratch folder's disk must keep
_REST_SECONDS = 60  # for which nothing may have been put beside a series of objects


class ObjectSource:
    """A slide in S3. Implements Source."""

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
        folder, _, name = self._url.key.rpartition("/")
        self._is_series = not name or is_dicom_name(name)
        if self._is_series:  # a folder is a slide
            self._url = self._url._replace(key=folder)
        self.location = str(self._url)
        self.name = self._url.key.rpartition("/")[2]
        if self.name in ("", ".", ".."):
            raise OptionError(f"{url!r} names no slide; give s3://bucket/key, DICOM in a folder")
        if not is_plain(self.name):
            raise SlideAccessError(url, IS_ODD)
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
        if self._head() != self.fingerprint:
            raise SlideAccessError(self._url, ANOTHER)
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
        self.arrived = head["LastModified"].timestamp()
        return {"size": head["ContentLength"], "etag": head["ETag"].strip('"')}

    @contextmanager
    def _fetched(self) -> Iterator[Path]:
        scratch = Path(self._scratch or tempfile.gettempdir())
        sweep(scratch)
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
        with ExitStack() as stack:
            try:
                fetched = stack.enter_context(made_in(scratch))
            except OSError as exc:
                raise StoreError(
                    scratch, f"{exc.strerror}; give a folder that can be written as --scratch"
                ) from exc
            path = fetched / self.name
            if self._is_series:
                path.mkdir()
                for item in self._objects():
                    self._fetch(item["Key"], path / _name(item))
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
            found = (item for page in pages for item in page.get("Contents", ()))
            return [item for item in found if is_dicom_name(_name(item))]

        found = self._patiently(listed)
        odd = [name for name in map(_name, found) if not is_plain(name)]
        if odd:
            _log.warning("%s: %s", self._url, left_out(odd))
            found = [item for item in found if _name(item) not in odd]
        if found:
            return found
        raise SlideAccessError(self._url, "has no DICOM files; check the URL")

    def _at_rest(self) -> dict[str, object]:
        """The fingerprint of all files, once nothing has been put beside them for a while: of
        twenty files there are twenty events. A clock that is slow waits no longer than that."""
        before: dict[str, object] = {}
        while True:
            objects = self._objects()
            found = fingerprint_of_all(objects)
            self.arrived = max(item["LastModified"] for item in objects).timestamp()
            waits = _REST_SECONDS - (clock.time() - self.arrived)
            if waits <= 0 or found == before:
                return found
            if not before:
                _log.warning("%s: its last file has just come; more are waited for", self._url)
            before = found
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


def _name(item: Mapping[str, Any]) -> str:
    name: str = item["Key"].rpartition("/")[2]
    return name


def fingerprint_of_all(objects: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    """What tells a series of objects in S3 from any other."""
    tags = sorted((item["Key"], item.get("ETag", "")) for item in objects)
    return {"size": sum(item["Size"] for item in objects), "etag": digest(json.dumps(tags))}
