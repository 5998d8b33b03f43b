"""One class of tests for every store, and what is special about the directory store."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.store import Store, directory, open_store
from vsv_pyramid.store.directory import DirectoryStore

FOLDER = "images/a"


def keys(store: Store, prefix: str = "") -> dict[str, int]:
    return {found.key: found.size for found in store.keys(prefix)}


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "root")


class TestStore:
    """What every store must do."""

    def test_what_is_put_is_got(self, store: Store) -> None:
        store.put("a/b.jpeg", b"12345")
        store.put("a/b.jpeg", b"1234")
        assert store.get("a/b.jpeg") == b"1234"
        assert store.get("a/b.jpeg", first=2) == b"12"
        assert store.head("a/b.jpeg") == 4
        assert keys(store) == {"a/b.jpeg": 4}

    def test_keys_below_a_prefix(self, store: Store) -> None:
        for key in ("a/1/x", "a/1/y", "a/12/z", "b"):
            store.put(key, b"")
        assert set(keys(store, "a/1/")) == {"a/1/x", "a/1/y"}
        assert set(keys(store, "a/1")) == {"a/1/x", "a/1/y", "a/12/z"}
        assert set(keys(store, "c/")) == set()

    def test_what_is_not_there(self, store: Store) -> None:
        assert store.head("a") is None
        with pytest.raises(StoreError, match="nothing"):
            store.get("nothing")
        store.delete("a")

    def test_delete(self, store: Store) -> None:
        store.put("a/b", b"1")
        store.delete("a/b")
        assert store.head("a/b") is None
        assert keys(store) == {}

    def test_a_replacement_takes_the_place_of_all(self, store: Store) -> None:
        store.put(f"{FOLDER}/old", b"1")
        with store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/new", b"22")
            assert staged.get(f"{FOLDER}/new") == b"22"
            assert keys(staged, f"{FOLDER}/") == {f"{FOLDER}/new": 2}
            assert keys(store, f"{FOLDER}/") == {f"{FOLDER}/old": 1}
        assert keys(store) == {f"{FOLDER}/new": 2}

    def test_a_failed_replacement_changes_nothing(self, store: Store) -> None:
        store.put(f"{FOLDER}/old", b"1")

        def fail() -> None:
            with store.replacing(FOLDER) as staged:
                staged.put(f"{FOLDER}/new", b"22")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert keys(store) == {f"{FOLDER}/old": 1}

    def test_only_one_replaces_at_a_time(self, store: Store) -> None:
        with store.replacing(FOLDER), pytest.raises(StoreError, match="another process"):
            store.replacing(FOLDER).__enter__()
        with store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/x", b"")
        assert keys(store) == {f"{FOLDER}/x": 0}


def test_a_failed_first_publication_leaves_no_folder(store: DirectoryStore) -> None:
    with pytest.raises(ZeroDivisionError), store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/new", b"22")
        raise ZeroDivisionError
    assert not store.root.exists()


def test_leftovers_of_a_killed_process_are_cleared(store: DirectoryStore, tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from vsv_pyramid.store.directory import DirectoryStore\n"
        "store = DirectoryStore(pathlib.Path(sys.argv[1]))\n"
        f"with store.replacing({FOLDER!r}) as staged:\n"
        f"    staged.put({FOLDER + '/half'!r}, b'1')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    assert not (store.root / FOLDER).exists()
    assert any((store.root / "images").iterdir())
    with store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/whole", b"12")
    assert keys(store) == {f"{FOLDER}/whole": 2}


def test_a_crash_between_two_renames_loses_nothing(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "_exchanged", lambda *_: False)
    store.put(f"{FOLDER}/old", b"1")
    target = store.path(FOLDER)
    target.rename(target.with_name(".a.old"))  # as if the process had died right here
    with pytest.raises(ZeroDivisionError), store.replacing(FOLDER):
        assert store.get(f"{FOLDER}/old") == b"1"
        raise ZeroDivisionError
    assert keys(store) == {f"{FOLDER}/old": 1}
    with store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/new", b"2")
    assert keys(store) == {f"{FOLDER}/new": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="the exchange of two folders is Linux's")
def test_a_reader_sees_the_old_or_the_new_at_any_time(store: DirectoryStore) -> None:
    def replace(text: bytes) -> None:
        with store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/one", text)
            staged.put(f"{FOLDER}/two", text)

    replace(b"0")
    done = threading.Event()
    seen: set[bytes | str] = set()

    def read() -> None:
        while not done.is_set():
            # One open folder is one state: what a reader takes from it must not be a mixture.
            folder = os.open(store.path(FOLDER), os.O_RDONLY)
            try:
                texts = set()
                for name in ("one", "two"):
                    file = os.open(name, os.O_RDONLY, dir_fd=folder)
                    texts.add(os.read(file, 9))
                    os.close(file)
                seen.add(texts.pop() if len(texts) == 1 else "a mixture")
            except FileNotFoundError:
                pass  # the old folder, just being removed; a new look finds the new one
            finally:
                os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(1, 30):
        replace(b"%d" % n)
    done.set()
    reader.join()
    assert "a mixture" not in seen
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "check the disk"),
    ],
)
def test_what_the_disk_refuses_is_said_with_the_remedy(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    def refuse(self: Path, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    store.put("before", b"1")
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StoreError, match=remedy):
        store.put("key", b"1")
    with pytest.raises(StoreError, match=remedy), store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/x", b"1")
    assert keys(store) == {"before": 1}


def test_destinations(tmp_path: Path) -> None:
    assert str(open_store(str(tmp_path))) == str(tmp_path)
    assert str(open_store(tmp_path.as_uri())) == str(tmp_path)
    with pytest.raises(OptionError, match="gopher"):
        open_store("gopher://hole")
