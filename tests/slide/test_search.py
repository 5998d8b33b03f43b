"""Folders that are searched for slides, and what stands in the way there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vsv_pyramid.errors import SlideAccessError, SlideUnavailable
from vsv_pyramid.slide.search import slides_in


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path, code: int) -> None:
    """The folder is not listed any more, also to root."""
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path) == folder:
            raise OSError(code, os.strerror(code), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.svs", "closed/b.svs", "open/c.svs"):
        slide = tmp_path / name
        slide.parent.mkdir(exist_ok=True)
        slide.touch()
    return tmp_path


def test_a_folder_below_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, folder / "closed", errno.EACCES)
    found = slides_in(folder)
    assert [path.name for path in found.slides] == ["a.svs", "c.svs"]
    assert found.skipped == {folder / "closed": "it cannot be read (Permission denied)"}


@pytest.mark.parametrize(
    ("code", "told", "sentence"),
    [
        (errno.EACCES, SlideAccessError, "Permission denied; check its permissions"),
        (errno.EIO, SlideUnavailable, "cannot be read just now"),
    ],
)
def test_the_folder_itself_is_not(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    told: type[Exception],
    sentence: str,
) -> None:
    refuse(monkeypatch, folder, code)
    with pytest.raises(told, match=sentence) as caught:
        slides_in(folder)
    assert type(caught.value) is told
    assert str(folder) in str(caught.value)


def test_a_file_that_cannot_be_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lstat, denied = os.lstat, folder / "a.svs"

    def refusing(path: str | Path, *args: object, **options: object) -> os.stat_result:
        if Path(path) == denied:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return lstat(path)

    monkeypatch.setattr(os, "stat", refusing)
    monkeypatch.setattr(os, "lstat", refusing)
    assert slides_in(folder).skipped == {denied: "it cannot be read (Permission denied)"}
