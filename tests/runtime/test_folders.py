"""Folders that others remove, and those that cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vsv_pyramid.runtime.folders import in_folder, make_folder


def test_one_that_always_goes_is_given_up(tmp_path: Path) -> None:
    tried = []

    def work() -> None:
        tried.append((tmp_path / "a").exists())
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        in_folder(tmp_path / "a", work)
    assert tried[0] is False
    assert all(tried[1:])
    assert 2 < len(tried) < 100


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
def test_what_is_in_its_way_is_no_race(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")


def test_a_file_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        in_folder(tmp_path / "a/b", lambda: (tmp_path / "a/b/c").write_bytes(b""))
