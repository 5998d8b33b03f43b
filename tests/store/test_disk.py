"""Files and folders on a disk, where the system is another, or refuses."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vsv_pyramid.errors import StoreError
from vsv_pyramid.store import disk

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own calls")


@ON_LINUX
def test_what_could_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def syncfs(_: int) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    library = SimpleNamespace(syncfs=syncfs)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    with pytest.raises(OSError, match="No space left"):
        disk.flush(tmp_path)


def test_on_other_systems_all_disks_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []
    monkeypatch.setattr(disk, "_IS_LINUX", False)
    monkeypatch.setattr(os, "sync", lambda: waited.append(True), raising=False)
    disk.flush(tmp_path)
    assert waited == [True]


def test_on_other_systems_folders_do_not_change_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_IS_LINUX", False)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert not disk.exchanged(tmp_path / "a", tmp_path / "b")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index.json"
    disk.check_readable(path)
    path.write_text("{}")
    disk.check_readable(path)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(StoreError, match=r"index\.json: no permission"):
        disk.check_readable(path)


def test_what_is_in_the_place_of_a_file_of_ours(tmp_path: Path) -> None:
    path = tmp_path / ".index.json.lock"
    disk.check_own(path)
    path.write_bytes(b"")
    disk.check_own(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="is in the way of a file that is to be made"):
        disk.check_own(path)


def test_a_folder_that_may_not_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.check_changeable(tmp_path / "nothing")
    disk.check_changeable(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(StoreError, match="no permission"):
        disk.check_changeable(tmp_path)


def test_a_lock_is_removed_although_that_is_refused_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, refused = Path.unlink, [PermissionError(13, "not now")]

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        if refused:
            raise refused.pop()
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlinked)
    with disk.locked(tmp_path / "a", 0):
        assert (tmp_path / ".a.lock").exists()
    assert not refused
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_takes_only_a_part_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, data: write(number, data[:3]))
    (tmp_path / "file").write_bytes(b"before, and longer")
    disk.write(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_write_that_takes_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda *_: 0)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk.write(tmp_path / "file", b"1")


@ON_LINUX
def test_a_full_disk_is_not_taken_for_a_file() -> None:
    with pytest.raises(OSError, match="No space left"):
        disk.write("/dev/full", b"1")
