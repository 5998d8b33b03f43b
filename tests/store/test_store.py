"""One class of tests for every store, and what is special about the directory store."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.clock import FakeClock
from vsv_pyramid.errors import NoSuchObject, OptionError, StoreBusy, StoreError
from vsv_pyramid.store import Store, directory, open_store
from vsv_pyramid.store.archive import ArchiveStore
from vsv_pyramid.store.directory import DirectoryStore, EnclosedStore
from vsv_pyramid.store.locks import Lock

FOLDER = "images/a"


def keys(store: Store, prefix: str = "") -> dict[str, int]:
    return {found.key: found.size for found in store.keys(prefix)}


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "root")


@pytest.fixture(params=["directory", "s3", "archive"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A new store of each kind."""
    if request.param == "s3":
        return open_store(str(request.getfixturevalue("place")))
    return open_store(str(tmp_path / {"directory": "root", "archive": "root.zip"}[request.param]))


class TestStore:
    """What every store must do."""

    def test_what_is_put_is_got(self, any_store: Store) -> None:
        with any_store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/b.jpeg", b"1234")
        assert any_store.get(f"{FOLDER}/b.jpeg") == b"1234"
        assert any_store.get(f"{FOLDER}/b.jpeg", first=2) == b"12"
        assert any_store.head(f"{FOLDER}/b.jpeg") == 4
        assert keys(any_store) == {f"{FOLDER}/b.jpeg": 4}

    def test_keys_below_a_prefix(self, any_store: Store) -> None:
        with any_store.replacing(FOLDER) as staged:
            for key in ("1/x", "1/y", "12/z", "b"):
                staged.put(f"{FOLDER}/{key}", b"1")
            assert set(keys(staged, f"{FOLDER}/12/")) == {f"{FOLDER}/12/z"}
        assert set(keys(any_store, f"{FOLDER}/1/")) == {f"{FOLDER}/1/x", f"{FOLDER}/1/y"}
        assert set(keys(any_store, f"{FOLDER}/1")) == {
            f"{FOLDER}/{key}" for key in ("1/x", "1/y", "12/z")
        }
        assert set(keys(any_store, "c/")) == set()

    def test_what_is_not_there(self, any_store: Store) -> None:
        assert any_store.head(f"{FOLDER}/a") is None
        assert keys(any_store) == {}
        assert any_store.tagged(f"{FOLDER}/a") is None
        assert any_store.names("images") == []
        any_store.delete()

    def test_names_in_a_folder(self, any_store: Store) -> None:
        with any_store.replacing(FOLDER) as staged:
            for key in ("1/x", "1/2/y", "12", "b"):
                staged.put(f"{FOLDER}/{key}", b"1")
        assert sorted(any_store.names(FOLDER)) == ["1/", "12", "b"]
        assert any_store.names(f"{FOLDER}/1/2") == ["y"]
        assert any_store.names("images") == ["a/"]
        assert "images/" in any_store.names("")  # beside what is left of the lease, for a while
        assert any_store.names(f"{FOLDER}/b") == any_store.names("imag") == []

    def test_a_put_on_a_condition(self, any_store: Store) -> None:
        key = "images/index.json"
        if isinstance(any_store, ArchiveStore):
            with pytest.raises(StoreError, match="convert the slide again"):
                any_store.put_if(key, b"1", None)
            return
        assert not any_store.put_if(key, b"1", "a tag")
        assert any_store.put_if(key, b"1", None)
        assert not any_store.put_if(key, b"2", None)
        first = any_store.tagged(key)
        assert first and first.data == b"1"
        assert any_store.put_if(key, b"2", first.tag)
        assert not any_store.put_if(key, b"3", first.tag)
        second = any_store.tagged(key)
        assert second and second.data == b"2"
        assert second.tag != first.tag
        any_store.delete(key)
        assert not any_store.put_if(key, b"3", second.tag)
        assert keys(any_store) == {}

    def test_what_is_not_there_among_what_is(self, any_store: Store) -> None:
        with any_store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/b/c", b"1")
            assert staged.head(f"{FOLDER}/b/c") == 1
        for key in ("nothing", FOLDER, f"{FOLDER}/b", f"{FOLDER}/b/c/d"):
            with pytest.raises(NoSuchObject, match=re.escape(str(any_store))):
                any_store.get(key)

    def test_a_replacement_takes_the_place_of_what_was_there(self, any_store: Store) -> None:
        for text in (b"1", b"22"):
            with any_store.replacing(FOLDER) as staged:
                staged.put(f"{FOLDER}/same", text)
                assert keys(staged, f"{FOLDER}/") == {f"{FOLDER}/same": len(text)}
        assert keys(any_store) == {f"{FOLDER}/same": 2}

    def test_a_failed_first_replacement_shows_nothing(self, any_store: Store) -> None:
        with pytest.raises(KeyboardInterrupt), any_store.replacing(FOLDER):
            raise KeyboardInterrupt
        assert keys(any_store) == {}

    def test_only_one_replaces_at_a_time(self, any_store: Store, clock: FakeClock) -> None:
        with any_store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/x", b"1")
            with pytest.raises(StoreBusy, match="another process"):
                any_store.replacing(FOLDER).__enter__()
        with any_store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/x", b"12")
        assert keys(any_store) == {f"{FOLDER}/x": 2}

    def test_puts_and_deletes_of_single_objects(self, any_store: Store) -> None:
        if isinstance(any_store, ArchiveStore):
            with pytest.raises(StoreError, match="convert the slide again"):
                any_store.put("a", b"1")
            with pytest.raises(StoreError, match="delete the file itself"):
                any_store.delete("a")
            return
        for key in ("a/b", "a/c", "d"):
            any_store.put(key, b"5")
        any_store.put("a/b", b"55")
        any_store.delete("a/c", "d", "e")
        assert keys(any_store) == {"a/b": 2}


def test_what_another_holds_for_a_moment_is_waited_for(
    store: DirectoryStore, clock: FakeClock
) -> None:
    """A sweep, or a put on a condition."""
    with contextlib.ExitStack() as other:
        other.enter_context(directory.locked(store.path(FOLDER), 0))
        clock.meanwhile = other.close
        assert store.put_if(FOLDER, b"1", None)
    assert len(clock.slept) == 1
    with directory.locked(store.path(FOLDER), 0):
        clock.meanwhile = lambda: None
        assert not store.put_if(FOLDER, b"2", None)
    assert clock.passed == pytest.approx(2, abs=0.1)


@pytest.mark.skipif(sys.platform == "win32", reason="has locks of its own on every file system")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_not_a_busy_one(
    run: Run, small_slide: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    outcome = run("convert", small_slide)
    assert outcome.code == 1
    assert f"files there cannot be locked ({os.strerror(number)}); have the" in outcome.err
    assert not list(Path().rglob("DeepZoom.dzi"))


def test_a_lock_whose_file_was_removed_is_taken_anew(tmp_path: Path) -> None:
    """What a process that waited has opened is no longer the file that others lock."""
    one, other, third = (Lock(tmp_path / "lock") for _ in range(3))
    assert one.acquired()
    assert not other.acquired()
    one.release()
    assert other.acquired()
    assert not third.acquired()
    other.release()
    assert list(tmp_path.iterdir()) == []


def test_a_replacement_leaves_only_the_new(store: DirectoryStore) -> None:
    store.put(f"{FOLDER}/old", b"1")
    with store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/new", b"22")
        assert staged.get(f"{FOLDER}/new") == b"22"
        assert keys(store, f"{FOLDER}/") == {f"{FOLDER}/old": 1}
    assert keys(store) == {f"{FOLDER}/new": 2}


def test_a_failed_replacement_changes_nothing(store: DirectoryStore) -> None:
    store.put(f"{FOLDER}/old", b"1")
    with pytest.raises(KeyboardInterrupt), store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/new", b"22")
        raise KeyboardInterrupt
    assert keys(store) == {f"{FOLDER}/old": 1}


def test_folders_left_empty_go_with_what_was_in_them(store: DirectoryStore) -> None:
    store.put("a/b/c", b"1")
    store.put("a/d", b"1")
    store.delete("a/b/c")
    assert [path.name for path in (store.root / "a").iterdir()] == ["d"]
    store.delete("a/d")
    assert list(store.root.iterdir()) == []


def test_an_archive_is_one_slides(tmp_path: Path) -> None:
    archive = ArchiveStore(tmp_path / "a.szi")
    with archive.replacing("images/a") as staged:
        staged.put("images/a/x", b"1")
    before = (tmp_path / "a.szi").read_bytes()
    with pytest.raises(StoreError, match="is for one slide"):
        archive.replacing("images/b").__enter__()
    with pytest.raises(ZeroDivisionError), archive.replacing("images/a") as staged:
        staged.put("images/a/x", b"2")
        raise ZeroDivisionError
    assert (tmp_path / "a.szi").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.szi"]
    (tmp_path / "a.szi").write_bytes(before[:-10])
    with pytest.raises(StoreError, match="no whole zip file"):
        archive.get("images/a/x")


def test_an_archive_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    reader, writer = ArchiveStore(tmp_path / "a.zip"), ArchiveStore(tmp_path / "a.zip")
    for text in (b"1", b"2", b"33"):
        with writer.replacing("images/a") as staged:
            staged.put("images/a/x", text)
        assert (reader.get("images/a/x"), reader.head("images/a/x")) == (text, len(text))
    (tmp_path / "a.zip").unlink()
    with pytest.raises(StoreError, match=r"a\.zip: there is no such object"):
        reader.get("images/a/x")


def test_an_archive_is_read_by_several_threads(tmp_path: Path) -> None:
    store = ArchiveStore(tmp_path / "a.zip")
    texts = {f"images/a/{number}": b"%d" % number * 1000 for number in range(200)}
    with store.replacing("images/a") as staged:
        for key, text in texts.items():
            staged.put(key, text)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(store.get, list(texts) * 5)) == list(texts.values()) * 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_an_enclosed_store_does_not_leave_its_root(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"1")
    store.put("images/a/own", b"2")
    for name, target in {
        "images/a/file": tmp_path / "outside/secret",
        "images/folder": tmp_path / "outside",
        "images/a/inside": store.path("images/a/own"),
        "images/a/loop": store.path("images/a/loop"),
    }.items():
        store.path(name).symlink_to(target)
    (tmp_path / "link").symlink_to(store.root)
    enclosed = EnclosedStore(tmp_path / "link")
    for key in ("images/a/own", "images/a/inside"):
        assert enclosed.get(key) == b"2"
    for key in ("images/a/file", "images/folder/secret", "../outside/secret"):
        assert store.get(key) == b"1"
        with pytest.raises(NoSuchObject):
            enclosed.get(key)
    with pytest.raises(StoreError):
        enclosed.get("images/a/loop")


def test_an_archive_is_stored_as_it_is(tmp_path: Path) -> None:
    with ArchiveStore(tmp_path / "a.zip").replacing("images/a") as staged:
        staged.put("images/a/x", b"1" * 1000)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        (member,) = archive.infolist()
    assert (member.compress_type, member.compress_size) == (zipfile.ZIP_STORED, 1000)


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
    for place in ("gopher://hole", "s3://", "s3:///x", "s3://a b"):
        with pytest.raises(OptionError, match=r"is no place|names no bucket"):
            open_store(place)
