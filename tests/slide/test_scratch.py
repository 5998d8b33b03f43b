"""Folders that slides are fetched into, and what is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.s3_server import Place
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime.locks import Lock
from vsv_pyramid.slide import scratch

ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has none")
KILLED = """
import pathlib, sys
from vsv_pyramid.slide import scratch
with scratch.made_in(pathlib.Path(sys.argv[1])) as folder:
    (folder / "a.svs").write_bytes(bytes(1000))
    print("fetched", flush=True)
    sys.stdin.read()
"""


def left_by_the_dead(folder: Path, token: str = "0123456789ab") -> Path:
    """What is there after the process is gone: its lock's file, which nobody holds, and a slide."""
    (folder / f".vsv-pyramid-{token}.lock").touch()
    left = folder / f"vsv-pyramid-{token}-abcdefgh"
    left.mkdir()
    (left / "a.svs").write_bytes(b"1")
    return left


def test_what_a_killed_process_has_left_goes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == f"fetched{os.linesep}".encode()
        scratch.sweep(tmp_path)
        assert len(list(tmp_path.rglob("a.svs"))) == 1  # it lives
        process.kill()
    assert len(list(tmp_path.rglob("a.svs"))) == 1
    scratch.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_uses_stays(tmp_path: Path) -> None:
    with scratch.made_in(tmp_path) as one, scratch.made_in(tmp_path) as other:
        scratch.sweep(tmp_path)
        assert one.is_dir()
        assert other.is_dir()
        if os.name == "posix":
            assert one.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_before_a_slide_is_fetched(
    tmp_path: Path, place: Place, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And before room is looked for."""
    left = left_by_the_dead(tmp_path)
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _: SimpleNamespace(free=0 if left.exists() else 1 << 40)
    )
    place.put("scans/small.svs", small_slide.read_bytes())
    options = ConvertOptions(scratch=tmp_path, tile_size=240)
    assert convert(f"{place}/scans/small.svs", f"{place}/to", options).status == "converted"
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "kept").touch()
    (tmp_path / "vsv-pyramid-abcdefgh").mkdir()  # of an earlier release, or somebody's
    (tmp_path / ".vsv-pyramid-1.lock").write_text("not empty, and no lock")
    (tmp_path / "vsv-pyramid-1-x").mkdir()
    (tmp_path / ".vsv-pyramid-2.lock").touch()
    (tmp_path / "vsv-pyramid-2-file").touch()
    if os.name == "posix":
        (tmp_path / "vsv-pyramid-2-link").symlink_to(theirs)
        os.mkfifo(tmp_path / ".vsv-pyramid-3.lock")
    before = set(tmp_path.rglob("*"))
    scratch.sweep(tmp_path)
    assert before - set(tmp_path.rglob("*")) == {tmp_path / ".vsv-pyramid-2.lock"}


@ON_POSIX
def test_another_accounts_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = left_by_the_dead(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: left.stat().st_uid + 1)
    scratch.sweep(tmp_path)
    assert (left / "a.svs").exists()


def test_what_cannot_be_removed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left_by_the_dead(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *_, **__: None)
        scratch.sweep(tmp_path)
    assert caplog.messages[-1].endswith("has left it, and it cannot be removed; remove it")
    left_by_the_dead(tmp_path, "b")
    scratch.sweep(tmp_path)
    assert caplog.messages[-1].endswith("has left it, and it is removed")


@ON_POSIX
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refused)
    with scratch.made_in(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
        scratch.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_a_sweep_has_taken_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [SimpleNamespace(hex="taken"), SimpleNamespace(hex="other")]
    monkeypatch.setattr("uuid.uuid4", lambda: names.pop(0))
    sweeping = Lock(tmp_path / ".vsv-pyramid-taken.lock")
    assert sweeping.acquired()
    with scratch.made_in(tmp_path) as folder:
        assert folder.name.startswith("vsv-pyramid-other-")
    sweeping.release()
    assert list(tmp_path.iterdir()) == []
