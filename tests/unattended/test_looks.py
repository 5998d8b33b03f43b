"""Whether a slide in a folder is all there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.forge_dicom import concatenated
from vsv_pyramid.errors import SlideAccessError
from vsv_pyramid.runtime import clock
from vsv_pyramid.unattended import looks
from vsv_pyramid.unattended.looks import UNFINISHED_SECONDS, is_unfinished

Make = Callable[[Path], Path]


def nothing(folder: Path) -> Path:
    path = folder / "a.svs"
    path.touch()
    return path


def half_tiff(folder: Path) -> Path:
    path = folder / "a.svs"
    path.write_bytes(b"II*\0\xff\xff\xff\0")
    return path


def half_series(folder: Path) -> Path:
    concatenated(folder)
    (folder / "7.dcm").unlink()
    return folder / "9.dcm"


@pytest.mark.parametrize("make", [nothing, half_tiff, half_series])
@pytest.mark.parametrize("seconds", [UNFINISHED_SECONDS, -UNFINISHED_SECONDS - 60])
def test_what_nothing_has_come_to_for_long_is_all_there_will_be(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Also by a clock that was ahead when it came."""
    path = make(tmp_path)
    assert is_unfinished(path)
    monkeypatch.setattr(clock, "time", lambda: time.time() + seconds)
    assert not is_unfinished(path)


def test_no_series_is_unfinished(tmp_path: Path) -> None:
    assert is_unfinished(tmp_path)


@pytest.mark.parametrize(("make", "reader"), [(half_tiff, "tiff_base"), (half_series, "series_of")])
def test_what_may_not_be_read_is_handed_on_to_be_told(
    make: Make, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise SlideAccessError(path, "may not be read")

    path = make(tmp_path)
    monkeypatch.setattr(looks, reader, refused)
    assert not is_unfinished(path)
