"""One class of tests for every store, and what is special about the directory store."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.clock import FakeClock
from vsv_pyramid.errors import NoSuchObject, OptionError, StoreBusy, StoreError
from vsv_pyramid.runtime.locks import Lock
from vsv_pyramid.store import Store, directory, disk, moves, open_pyramid, open_store
from vsv_pyramid.store.archive import ArchiveStore
from vsv_pyramid.store.directory import DirectoryStore, PrivateStore
from vsv_pyramid.store.enclosed import EnclosedStore

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
        assert any_store.head(f"{FOLDER}/b.jpeg") == 4
        assert keys(any_store) == {f"{FOLDER}/b.jpeg": 4}

    def test_a_part_of_an_object(self, any_store: Store) -> None:
        with any_store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/b.jpeg", b"0123456789")
            staged.put(f"{FOLDER}/empty.jpeg", b"")
        tags = set()
        for start, end in (0, 2), (3, 7), (8, 99), (9, None), (0, None), (10, None), (50, 60):
            part = any_store.read(f"{FOLDER}/b.jpeg", start, end)
            assert (part.data, part.size) == (b"0123456789"[start:end], 10)
            tags.add(part.tag)
        assert len(tags) == 1 and '"' not in tags.pop()
        for end in 5, None:
            assert any_store.read(f"{FOLDER}/empty.jpeg", 0, end)[:2] == (b"", 0)
        with pytest.raises(NoSuchObject):
            any_store.read(f"{FOLDER}/c.jpeg", 0, 2)

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
                staged.put(f"{FOLDER}/icc.icc", text)
                assert keys(staged, f"{FOLDER}/") == {f"{FOLDER}/icc.icc": len(text)}
        assert keys(any_store) == {f"{FOLDER}/icc.icc": 2}

    def test_a_failed_first_replacement_shows_nothing(self, any_store: Store) -> None:
        with pytest.raises(KeyboardInterrupt), any_store.replacing(FOLDER):
            raise KeyboardInterrupt
        assert keys(any_store) == {}

    def test_only_one_replaces_at_a_time(self, any_store: Store, clock: FakeClock) -> None:
        with any_store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/icc.icc", b"1")
            with pytest.raises(StoreBusy, match="another process"):
                any_store.replacing(FOLDER).__enter__()
        with any_store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/icc.icc", b"12")
        assert keys(any_store) == {f"{FOLDER}/icc.icc": 2}

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
        other.enter_context(disk.locked(store.path(FOLDER), 0))
        clock.meanwhile = other.close
        assert store.put_if(FOLDER, b"1", None)
    assert len(clock.slept) == 1
    with disk.locked(store.path(FOLDER), 0):
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


OLD, NEW = f"{FOLDER}/icc.icc", f"{FOLDER}/label.jpeg"


def test_a_replacement_leaves_only_the_new(store: DirectoryStore) -> None:
    store.put(OLD, b"1")
    with store.replacing(FOLDER) as staged:
        staged.put(NEW, b"22")
        assert staged.get(NEW) == b"22"
        assert keys(store, f"{FOLDER}/") == {OLD: 1}
    assert keys(store) == {NEW: 2}


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
    archive = ArchiveStore(tmp_path / "a.zip")
    with archive.replacing("images/a") as staged:
        staged.put("images/a/x", b"1")
    before = (tmp_path / "a.zip").read_bytes()
    with pytest.raises(StoreError, match="is for one slide"):
        archive.replacing("images/b").__enter__()
    with pytest.raises(ZeroDivisionError), archive.replacing("images/a") as staged:
        staged.put("images/a/x", b"2")
        raise ZeroDivisionError
    assert (tmp_path / "a.zip").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    (tmp_path / "a.zip").write_bytes(before[:-10])
    with pytest.raises(StoreError, match="no whole zip file"):
        archive.get("images/a/x")


@pytest.mark.parametrize("name", ["a.zip", "a.szi"])
def test_what_holds_no_pyramid_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match=rf"{name}: there is no such file; check the path"):
        open_pyramid(tmp_path / name)
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("images/a/slide.json", "{}")
    with pytest.raises(StoreError, match=rf"{name}: holds no pyramid \(no \.dzi in it\)"):
        open_pyramid(tmp_path / name)


def test_what_others_put_into_an_archive_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for text in (b"1", b"22"):
        with ArchiveStore(path).replacing("images/a") as staged:
            staged.put("images/a/slide.json", text)
            if text == b"1":
                staged.put("images/a/icc.icc", text)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"images/a/mine/{len(text)}", b"333")
    assert keys(ArchiveStore(path)) == {
        "images/a/slide.json": 2,
        "images/a/mine/1": 3,
        "images/a/mine/2": 3,
    }


def test_an_archive_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    reader, writer = ArchiveStore(tmp_path / "a.zip"), ArchiveStore(tmp_path / "a.zip")
    for text in (b"1", b"2", b"33"):
        with writer.replacing("images/a") as staged:
            staged.put("images/a/x", text)
        assert (reader.get("images/a/x"), reader.head("images/a/x")) == (text, len(text))
    (tmp_path / "a.zip").unlink()
    with pytest.raises(StoreError, match=r"a\.zip: there is no such object"):
        reader.get("images/a/x")


def test_an_archive_is_closed_with_its_store(tmp_path: Path) -> None:
    """And not when its file is collected, among what is of no use any more in no order at all."""
    with ArchiveStore(tmp_path / "a.zip").replacing("images/a") as staged:
        staged.put("images/a/x", b"1")
    store = ArchiveStore(tmp_path / "a.zip")
    assert store.get("images/a/x") == b"1"
    assert store._held
    archive = store._held.members.archive
    circle: list[object] = [store]
    circle.append(circle)
    del store, circle
    assert archive.fp
    gc.collect()
    assert archive.fp is None


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
    store.put("beside", b"1")
    for name, target in {
        "images/a/file": tmp_path / "outside/secret",
        "images/folder": tmp_path / "outside",
        "images/a/beside": store.path("beside"),
        "images/a/up": Path("../../beside"),
        "images/a/inside": store.path("images/a/own"),
        "images/b": Path("a"),
        "images/a/loop": store.path("images/a/loop"),
    }.items():
        store.path(name).symlink_to(target)
    (tmp_path / "link").symlink_to(store.root)
    enclosed = EnclosedStore(tmp_path / "link")
    for key in ("images/a/own", "images/a/inside", "images/b/own", "beside"):
        assert enclosed.get(key) == store.get(key)
        assert enclosed.head(key) == 1
        assert enclosed.tagged(key)
    assert set(enclosed.names("images")) == set(store.names("images"))
    with pytest.raises(NoSuchObject, match="leads out of it"):
        store.get("../outside/secret")
    for key in ("images/a/file", "images/folder/secret", "images/a/beside", "images/a/up"):
        assert store.get(key) == b"1"
        with pytest.raises(NoSuchObject):
            enclosed.get(key)
        assert enclosed.head(key) is None
        assert enclosed.tagged(key) is None
    assert store.names("images/folder") == ["secret"]
    assert enclosed.names("images/folder") == []
    with pytest.raises(StoreError):
        enclosed.get("images/a/loop")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_the_images_may_be_a_link(store: DirectoryStore, tmp_path: Path) -> None:
    store.put("images/a/own", b"2")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/images").symlink_to(store.path("images"))
    enclosed = EnclosedStore(tmp_path / "other")
    assert enclosed.get("images/a/own") == b"2"
    assert enclosed.names("images") == ["a/"]


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
        f"    staged.put({FOLDER + '/icc.icc'!r}, b'1')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    assert not (store.root / FOLDER).exists()
    assert any((store.root / "images").iterdir())
    with store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/slide.json", b"12")
    assert keys(store) == {f"{FOLDER}/slide.json": 2}


def test_a_crash_between_two_renames_loses_nothing(store: DirectoryStore) -> None:
    store.put(OLD, b"1")
    target = store.path(FOLDER)
    target.rename(target.with_name(".a.old"))  # as if the process had died right here
    with pytest.raises(ZeroDivisionError), store.replacing(FOLDER):
        assert store.get(OLD) == b"1"
        raise ZeroDivisionError
    assert keys(store) == {OLD: 1}
    with store.replacing(FOLDER) as staged:
        staged.put(NEW, b"2")
    assert keys(store) == {NEW: 1}


class Died(BaseException):
    pass


EXCHANGE = pytest.mark.skipif(sys.platform != "linux", reason="the exchange of folders is Linux's")


BESIDE = ("annotations.json", "mine/DeepZoom.dzi")
AMONG = ("DeepZoom_files/vips-properties.xml", "DeepZoom_files/0/notes/0_0.jpeg")


@pytest.mark.parametrize(
    ("others_names", "old_until", "at"),
    [
        *((names, 5, at) for names in (BESIDE, AMONG, BESIDE + AMONG) for at in range(11)),
        *(pytest.param((), 1, at, marks=EXCHANGE) for at in range(3)),
    ],
)
@pytest.mark.parametrize("is_killed", [True, False])
def test_an_end_at_any_rename_leaves_the_old_or_the_new(
    store: DirectoryStore,
    monkeypatch: pytest.MonkeyPatch,
    others_names: tuple[str, ...],
    old_until: int,
    at: int,
    is_killed: bool,
) -> None:
    """`is_killed`: nothing is tidied up; what comes next finds it so."""
    names = ("DeepZoom.dzi", "DeepZoom_files/0/0_0.jpeg", "slide.json")
    old = {f"{FOLDER}/{name}": 1 for name in (*names, "icc.icc")}
    new = {f"{FOLDER}/{name}": 2 for name in (*names, "label.jpeg")}
    others = {f"{FOLDER}/{name}": 3 for name in others_names}

    def put(into: DirectoryStore, sizes: dict[str, int]) -> None:
        for key, size in sizes.items():
            into.put(key, bytes(size))

    put(store, old | others)
    rename = Path.rename
    left = at

    def dying(path: Path, to: Path) -> Path:
        nonlocal left
        assert others.items() <= keys(store).items()
        left -= 1
        if left == -1:
            raise Died
        return rename(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        if is_killed:
            settle = moves.settle
            patch.setattr(
                directory,
                "settle",
                lambda target, **facts: left >= 0 and settle(target, **facts),
            )
        ends = pytest.raises(Died) if at < 2 * old_until else contextlib.nullcontext()
        with ends, store.replacing(FOLDER) as staged:
            put(staged, new)
    with store.exclusive(FOLDER):
        pass
    assert keys(store) == others | (old if at < old_until else new)
    assert sorted(path.name for path in store.path("images").iterdir()) == ["a"]


@EXCHANGE
def test_what_comes_just_before_the_exchange_stays(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {f"{FOLDER}/late/mine.json": 4, f"{FOLDER}/DeepZoom_files/0/mine.json": 4}

    def exchanged(one: Path, other: Path) -> bool:
        for key in late:
            store.put(key, b"mine")
        return disk.exchanged(one, other)

    monkeypatch.setattr(moves, "exchanged", exchanged)
    for text in (b"1", b"22"):
        with store.replacing(FOLDER) as staged:
            staged.put(f"{FOLDER}/DeepZoom.dzi", text)
    assert keys(store) == {**late, f"{FOLDER}/DeepZoom.dzi": 2}


def test_what_cannot_be_removed_is_not_in_the_way(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a mount point in the old pyramid, or a file that a share still holds."""
    rmtree = shutil.rmtree

    def refused(folder: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            rmtree(folder)

    store.put(OLD, b"1")
    monkeypatch.setattr(shutil, "rmtree", refused)
    with store.replacing(FOLDER) as staged:
        staged.put(NEW, b"22")
    (left,) = store.path("images").glob(".a.*")
    assert caplog.messages == [
        f"{left}: what is left of an old pyramid cannot be removed; remove it"
    ]
    monkeypatch.undo()
    with store.replacing(FOLDER) as staged:
        staged.put(NEW, b"333")
    assert keys(store, f"{FOLDER}/") == {NEW: 3}


@EXCHANGE
def test_without_others_there_is_always_a_pyramid(store: DirectoryStore) -> None:
    key = f"{FOLDER}/DeepZoom.dzi"
    store.put(key, b"0")
    done = threading.Event()
    lacking: list[bool] = []

    def read() -> None:
        while not done.is_set():
            lacking.append(store.head(key) is None)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        with store.replacing(FOLDER) as staged:
            staged.put(key, b"1")
    done.set()
    reader.join()
    assert lacking and not any(lacking)


def test_a_reader_sees_the_old_or_the_new_at_any_time(store: DirectoryStore) -> None:
    """Wherever the descriptor is there, and the same, before and after a look at the rest."""
    one, two = f"{FOLDER}/DeepZoom.dzi", f"{FOLDER}/DeepZoom_files/0/0_0.jpeg"

    def replace(text: bytes) -> None:
        with store.replacing(FOLDER) as staged:
            staged.put(one, text)
            staged.put(two, text)

    replace(b"0")
    done = threading.Event()
    seen: set[bytes | str] = set()

    def read() -> None:
        while not done.is_set():
            texts = []
            for key in (one, two, one):
                found = store.tagged(key)
                texts.append(found and found.data)
            if texts[0] is not None and texts[0] == texts[2]:
                seen.add(texts[0] if texts[1] == texts[0] else "a mixture")

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(1, 30):
        replace(b"%d" % n)
    done.set()
    reader.join()
    assert "a mixture" not in seen
    assert len(seen) > 1


def _replace(store: DirectoryStore, _: str) -> None:
    with store.replacing("w/x/one") as staged:
        staged.put("w/x/one/DeepZoom.dzi", b"1")


@pytest.mark.parametrize("kind", [DirectoryStore, PrivateStore])
@pytest.mark.parametrize(
    "write",
    [
        lambda store, key: store.put(key, b"1"),
        lambda store, key: store.put_if(key, b"1", None),
        _replace,
    ],
)
def test_folders_that_a_delete_leaves_empty_come_back(
    tmp_path: Path, kind: type[DirectoryStore], write: Callable[[DirectoryStore, str], object]
) -> None:
    store, key = kind(tmp_path), "w/x/one.json"
    done = threading.Event()

    def delete() -> None:
        while not done.is_set():
            store.delete("w/x/other.json")

    others = [threading.Thread(target=delete) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(200):
            write(store, key)
            store.delete(*(found.key for found in list(store.every(""))))
    finally:
        done.set()
        for other in others:
            other.join()


def test_a_folder_that_goes_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [3]

    def write(path: Path, data: bytes, mode: int = 0o666) -> None:
        if left[0] and path.parent.exists():
            left[0] -= 1
            path.parent.rmdir()
        disk.write(path, data, mode)

    monkeypatch.setattr(directory, "write", write)
    DirectoryStore(tmp_path).put("watch/a.json", b"1")
    assert (tmp_path / "watch/a.json").read_bytes() == b"1"
    assert not left[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
@pytest.mark.parametrize("name", ["root/images/index.json", "a.zip"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_to_what_is_written_stays_one(tmp_path: Path, name: str, is_there: bool) -> None:
    real, link = tmp_path / "elsewhere/real", tmp_path / name
    real.parent.mkdir()
    link.parent.mkdir(parents=True, exist_ok=True)
    if is_there:
        with zipfile.ZipFile(real, "w"):
            pass
    link.symlink_to(real)
    if name == "a.zip":
        with open_store(str(link)).replacing(FOLDER) as staged:
            staged.put(NEW, b"22")
    else:
        store = open_store(str(tmp_path / "root"))
        found = store.tagged("images/index.json")
        assert store.put_if("images/index.json", b"1", found and found.tag)
    assert link.is_symlink()
    assert link.read_bytes() == real.read_bytes() != b""
    assert [path.name for path in real.parent.iterdir()] == ["real"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("", "link", "a: is a link, to .*elsewhere.*; remove the link"),
        ("", "dangling", "a: is a link, to .*nowhere.*; remove the link"),
        ("", "file", "a: is a file in the way of a folder of the pyramid; move it away"),
        ("DeepZoom_files", "link", "DeepZoom_files: is a link"),
        ("DeepZoom_files", "file", "DeepZoom_files: is a file in the way of a folder"),
        ("DeepZoom.dzi", "link", "DeepZoom.dzi: is a link"),
        ("slide.json", "folder", "slide.json: is a folder in the way of a file"),
    ],
)
def test_what_is_in_the_way_is_named_and_left(
    store: DirectoryStore, tmp_path: Path, name: str, kind: str, sentence: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/mine").write_text("1")
    way = store.path(FOLDER) / name
    way.parent.mkdir(parents=True)
    if kind == "file":
        way.write_text("1")
    elif kind == "folder":
        way.mkdir()
    else:
        way.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    before = way.lstat().st_ino
    with pytest.raises(StoreError, match=sentence), store.replacing(FOLDER):
        pass
    assert way.lstat().st_ino == before
    assert (tmp_path / "elsewhere/mine").read_text() == "1"
    assert [path.name for path in store.path("images").iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "check the disk or share, and try again"),
        (errno.ENOTEMPTY, "check the disk and try again"),
        (errno.EXDEV, "is on another file system than its folder"),
        (errno.EFBIG, "larger than the file system allows"),
        (errno.ENAMETOOLONG, "choose a shorter one"),
        (errno.EMFILE, "allow more of them"),
    ],
)
def test_what_the_disk_refuses_is_said_with_the_remedy(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    store.put("before", b"1")
    monkeypatch.setattr(directory, "write", refuse)
    with pytest.raises(StoreError, match=remedy):
        store.put("key", b"1")
    with pytest.raises(StoreError, match=remedy), store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/x", b"1")
    assert keys(store) == {"before": 1}


def test_what_does_not_reach_the_disk_is_not_published(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    with store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/x", b"1")
    monkeypatch.setattr(directory, "flush", refuse)
    with pytest.raises(StoreError, match="disk is full"), store.replacing(FOLDER) as staged:
        staged.put(f"{FOLDER}/x", b"22")
    assert keys(store) == {f"{FOLDER}/x": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux knows of one file system alone")
def test_a_file_system_that_is_not_there_cannot_be_waited_for(tmp_path: Path) -> None:
    disk.flush(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.flush(tmp_path / "nothing")


def test_destinations(tmp_path: Path) -> None:
    assert str(open_store(str(tmp_path))) == str(tmp_path)
    assert str(open_store(tmp_path.as_uri())) == str(tmp_path)
    for place in ("gopher://hole", "s3://", "s3:///x", "s3://a b"):
        with pytest.raises(OptionError, match=r"is no place|names no bucket"):
            open_store(place)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes nothing that is open")
def test_a_lock_that_is_released_twice_is_not_anothers(tmp_path: Path) -> None:
    """A signal amid the release has the file removed once more, which may be the next one's."""
    mine, others = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert mine.acquired()
    mine._remove()
    assert others.acquired()
    mine.release()
    assert not Lock(tmp_path / "lock").acquired()
    others.release()
    assert not (tmp_path / "lock").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(store: DirectoryStore) -> None:
    store.put("images/a", b"1")
    pipe = store.path("images/pipe")
    os.mkfifo(pipe)
    calls: list[Callable[[str], object]] = [
        store.get,
        store.tagged,
        lambda key: store.put(key, b"1"),
        lambda key: store.put_if(key, b"1", None),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="images/pipe: is a pipe or a device"):
            call("images/pipe")
    assert pipe.is_fifo()
    assert sorted(keys(store)) == ["images/a", "images/pipe"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["a.zip", "a.szi"])
def test_a_pipe_is_no_archive(name: str, tmp_path: Path, small_slide: Path, run: Run) -> None:
    os.mkfifo(tmp_path / name)
    for words in ("info",), ("verify",), ("serve", "--port", 0), ("convert", small_slide, "--to"):
        outcome = run(*words, tmp_path / name)
        assert (outcome.code, "is a pipe or a device" in outcome.err) == (1, True), words


def test_a_signal_leaves_no_lock_that_was_just_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_locked, made = Lock._is_locked, tmp_path / ".target.lock"

    def stop_once(lock: Lock, descriptor: int) -> bool:
        monkeypatch.setattr(Lock, "_is_locked", is_locked)
        assert made.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(Lock, "_is_locked", stop_once)
    with pytest.raises(KeyboardInterrupt), disk.locked(tmp_path / "target", 0):
        pass
    assert not made.exists()
