"""What was private beside the pyramids goes into the private place, and nothing of it is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.destinations import as_formerly, keeping, private_of
from tests.support.s3_server import Place
from tests.support.versioned import keeping_versions, kept_by, versions
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import moving
from vsv_pyramid.errors import StoreBusy, StoreError, StoreRefused
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store.directory import DirectoryStore, PrivateStore
from vsv_pyramid.store.s3 import S3Store

RECORD = keys.private_json_key("a")
LABEL = keys.private_image_key("a", "label")
OPTIONS = ConvertOptions(slide_id="a", workers=2)
LINKS = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")


@pytest.fixture
def target(real_slide: Path, tmp_path: Path) -> str:
    target = str(tmp_path / "to")
    convert(real_slide, target, keeping(OPTIONS, target))
    as_formerly(target)
    return target


def move(target: str, run: Run) -> tuple[int, str]:
    outcome = run("private", "move", target, "--private-to", private_of(target))
    return outcome.code, outcome.err


def aged(path: Path, seconds: int) -> None:
    stat = path.stat()
    os.utime(path, (stat.st_atime, stat.st_mtime + seconds))


@pytest.mark.parametrize("key", [RECORD, LABEL])
@pytest.mark.parametrize("left", [b"", b"\0" * 100, b"{", None])
def test_what_a_power_cut_has_left_is_not_taken_for_it(
    target: str, run: Run, key: str, left: bytes | None
) -> None:
    data = (Path(target) / f".{key}").read_bytes()
    place = Path(private_of(target)) / key
    place.parent.mkdir(parents=True)
    place.write_bytes(data[: len(data) // 2] if left is None else left)
    if left is None and key == LABEL:
        aged(place, -1000)
        code, err = move(target, run)
        assert code == 1 and "is newer than" in err
        assert (Path(target) / f".{key}").read_bytes() == data
        return
    assert move(target, run) == (0, "")
    assert place.read_bytes() == data


def test_a_newer_one_stays_and_is_told(target: str, run: Run) -> None:
    assert move(target, run) == (0, "")
    former = Path(target) / f".{RECORD}"
    former.parent.mkdir(parents=True)
    kept = (Path(private_of(target)) / RECORD).read_bytes()
    former.write_bytes(kept.replace(b'"a"', b'"b"'))
    aged(former, 1000)
    code, err = move(target, run)
    assert code == 1 and f".{RECORD}: is newer than {private_of(target)}/{RECORD}" in err
    assert former.exists()
    aged(former, -2000)
    assert move(target, run) == (0, "")
    assert not former.exists()
    assert (Path(private_of(target)) / RECORD).read_bytes() == kept


def test_it_is_on_the_disk_before_it_is_removed(
    target: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    former = Path(target) / f".{RECORD}"
    monkeypatch.setattr(moving, "flush", lambda _: seen.append(former.exists()))
    assert move(target, run) == (0, "")
    assert seen and any(seen)
    assert not former.exists()


def test_what_was_deleted_meanwhile_does_not_come_back(
    target: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion waits for the slide, or has it to itself."""
    get = DirectoryStore.get
    tried: list[str] = []

    def reading(store: DirectoryStore, key: str) -> bytes:
        if key == f".{LABEL}" and not tried:
            tried.append(key)
            with pytest.raises(StoreBusy), store.exclusive(keys.folder("a")):
                pass
        return get(store, key)

    monkeypatch.setattr(DirectoryStore, "get", reading)
    assert move(target, run)[0] == 0
    assert tried


def test_what_another_process_has_moved_is_no_error(
    target: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = DirectoryStore.get

    def reading(store: DirectoryStore, key: str) -> bytes:
        if key == f".{LABEL}":
            store.path(key).unlink()
        return get(store, key)

    monkeypatch.setattr(DirectoryStore, "get", reading)
    assert move(target, run) == (0, "")


def test_a_slide_that_is_being_written_waits(target: str, run: Run) -> None:
    with DirectoryStore(Path(target)).exclusive(keys.folder("a")):
        code, err = move(target, run)
    assert code == 1 and "another process is writing it" in err
    assert (Path(target) / f".{RECORD}").exists()
    assert not (Path(private_of(target)) / RECORD).exists()
    assert move(target, run) == (0, "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreRefused("private", "the disk is full"), 1), (StoreError("private", "is damaged"), 1)],
)
def test_what_the_private_place_does_not_take_stays(
    target: str, run: Run, monkeypatch: pytest.MonkeyPatch, error: StoreError, code: int
) -> None:
    def refuse(*_: object) -> bool:
        raise error

    before = sorted(Path(target).glob(".private/**/*"))
    with monkeypatch.context() as patch:
        patch.setattr(PrivateStore, "put_if", refuse)
        refused = move(target, run)
    assert refused[0] == code and str(error) in refused[1]
    assert sorted(Path(target).glob(".private/**/*")) == before
    assert move(target, run) == (0, "")


@LINKS
def test_a_link_is_told_and_nothing_goes_through_it(target: str, run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder = Path(target) / f".{keys.private_folder('a')}"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    before = sorted(path.name for path in elsewhere.iterdir())
    assert run("verify", target).code == 1
    code, err = move(target, run)
    assert code == 1 and f"{folder}: is a link; remove it" in err
    where = ("--in", target, "--private-to", private_of(target))
    refused = run("delete", "a", *where, "--yes")
    assert refused.code == 1 and "is a link" in refused.err
    assert sorted(path.name for path in elsewhere.iterdir()) == before


@LINKS
def test_one_that_cannot_be_read_keeps_nothing_else(target: str, run: Run) -> None:
    broken = Path(target) / f".{LABEL}"
    broken.unlink()
    broken.symlink_to("nowhere")
    before = len([path for path in Path(target).glob(".private/**/*") if path.is_file()])
    move(target, run)
    assert before > 1
    assert not [path for path in Path(target).glob(".private/**/*") if path.is_file()]


def test_what_is_somebody_elses_is_told(target: str, run: Run) -> None:
    (Path(target) / ".private/scan.svs").write_bytes(b"1")
    code, err = move(target, run)
    assert code == 0 and ".private/scan.svs: is not of this program, and stays" in err
    outcome = run("verify", target)
    assert "scan.svs is a slide's own file" in outcome.out


def test_nothing_is_purged_before_it_is_moved(target: str, run: Run) -> None:
    where = ("--in", target, "--private-to", private_of(target))
    refused = run("delete", "a", *where, "--purge", "--yes")
    assert refused.code == 1 and ".private may tell of the slide, too; move" in refused.err
    asked = run("verify", target, "--private-to", private_of(target), "--purged", "a")
    assert asked.code == 1 and ".private may tell of the slide, too; move" in asked.err
    assert move(target, run) == (0, "")
    assert run("delete", "a", *where, "--purge", "--yes").code == 0
    assert run("verify", target, "--private-to", private_of(target), "--purged", "a").code == 0


class TestVersions:
    @pytest.fixture
    def kept(self, place: Place, small_slide: Path) -> Iterator[Place]:
        with keeping_versions(place) as made:
            options = ConvertOptions(slide_id="a", private_to=str(kept_by(made)), tile_size=256)
            convert(small_slide, str(made), options)
            for key, data in ((RECORD, b'{"id": "a"}'), (LABEL, b"\xff\xd8")):
                made.put(f".{key}", data)
            yield made

    def former(self, kept: Place) -> list[str]:
        return [key for key, _ in versions(kept) if "/.private/" in key]

    def test_none_is_left_of_what_is_moved(self, kept: Place, run: Run) -> None:
        for key in RECORD, LABEL:
            kept_by(kept).delete(key)
        outcome = run("private", "move", str(kept), "--private-to", str(kept_by(kept)))
        assert (outcome.code, outcome.err) == (0, "")
        assert self.former(kept) == []
        assert run("verify", str(kept)).code == 0

    def test_those_that_stay_are_told(
        self, kept: Place, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = ("private", "move", str(kept), "--private-to", str(kept_by(kept)))
        with monkeypatch.context() as patch:
            patch.setattr(S3Store, "remove_versions", lambda *_: ["AccessDenied"])
            outcome = run(*words)
        assert "1 former version cannot be removed (AccessDenied)" in outcome.err

        def refuse(*_: object) -> None:
            raise StoreRefused("bucket", "no s3:ListBucketVersions")

        with monkeypatch.context() as patch:
            patch.setattr(S3Store, "versions", refuse)
            outcome = run(*words)
            assert "whether former versions are left in" in outcome.err
            assert "former versions like it" not in run("verify", str(kept)).out

    def test_those_of_what_was_deleted_are_told_and_purged(self, kept: Place, run: Run) -> None:
        private = str(kept_by(kept))
        client = kept.server.client()
        for key in set(self.former(kept)):
            client.delete_object(Bucket=kept.bucket, Key=key)
        outcome = run("verify", str(kept))
        assert outcome.code == 1 and "former versions like it, of what was private" in outcome.out
        where = ("--in", str(kept), "--private-to", private)
        assert run("delete", "a", *where, "--purge", "--yes").code == 0
        assert self.former(kept) == []
        assert run("verify", str(kept)).code == 0
