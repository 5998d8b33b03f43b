"""Names that are not what they seem: what is listed leaves them out, and says so."""

from __future__ import annotations

import json
import logging
import os
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support import odd_names
from tests.support.destinations import private_of
from tests.support.odd_names import FILES, KEYS, listed
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place, Server
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import NoSuchObject, SlideAccessError
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide.search import slides_in
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.store import Store, listing, open_store
from vsv_pyramid.words import IS_ODD, is_plain, left_out, one_line

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems take UTF-8 only")
IN_S3 = [name for name in FILES if "\\" not in name and "\udcff" not in name]  # the server's own
FOLDER = "images/small"


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_told", set())


def keys(store: Store, prefix: str = "") -> set[str]:
    return {found.key for found in store.keys(prefix)}


@pytest.mark.parametrize("key", [*FILES, *KEYS, ".", "..", "\ud800", "é/" + "é" * 256])
def test_what_is_not_plain(key: str) -> None:
    assert not is_plain(key)
    assert not is_plain(f"images/{key}/b")
    assert one_line(left_out([key])).isprintable()


@pytest.mark.parametrize(
    "key", ["a", "a/b", "a/", "a..b", "...", ".a", "Schnitt 1 µ(2)", "試料/1", "\ufffd", "n" * 255]
)
def test_what_is_plain(key: str) -> None:
    assert is_plain(key)


def test_what_is_said_of_them() -> None:
    assert left_out(["a\nb"]).startswith("'a\\nb' left out: the name has a control character")
    assert left_out(["\x1b" * 99, "b", "c"]).startswith("'" + "\\x1b" * 20 + "...' and 2 others")


@ON_LINUX
def test_in_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(tmp_path)
    for name in FILES:
        (tmp_path / FOLDER / name).mkdir(parents=True)
        (tmp_path / FOLDER / name / "inside").touch()
        (tmp_path / FOLDER / f"{name}.jpeg").touch()
    store.put(f"{FOLDER}/icc.icc", b"1")
    for _ in range(2):
        assert keys(store) == keys(store, f"{FOLDER}/") == {f"{FOLDER}/icc.icc"}
        assert store.names(FOLDER) == ["icc.icc"]
    assert len(caplog.records) == 2  # once for each place
    assert f"{2 * len(FILES) - 1} others left out" in caplog.text
    every = [found.key for found in store.every("")]
    assert len(every) == 2 * len(FILES) + 1
    store.delete(*every)
    assert list((tmp_path / FOLDER).glob("*")) == []


def test_folders_of_any_depth(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for _ in range(sys.getrecursionlimit()):
        folder += "/d"
        Path(folder).mkdir()
    Path(folder, "x").touch()
    assert len(keys(open_store(tmp_path))) == 1
    assert list(slides_in(tmp_path).skipped.values()) == ["it is the 100th folder within another"]
    Path(folder, "x").unlink()
    os.removedirs(folder)  # by which pytest would not come to an end


def test_in_an_archive(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("images/a/DeepZoom.dzi", "images/a/a\x1bb", "../a", "/a"):
            archive.writestr(zipfile.ZipInfo(name), b"1")
    store = open_store(tmp_path / "a.zip")
    assert keys(store) == {"images/a/DeepZoom.dzi"}
    assert store.names("images/a") == ["DeepZoom.dzi"]
    assert len({found.key for found in store.every("")}) == 4
    (said,) = {record.getMessage() for record in caplog.records}
    assert "'images/a/a\\x1bb' and 2 others left out" in said


def test_in_a_bucket(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(str(place))
    place.put(f"{FOLDER}/icc.icc", b"1")
    for name in IN_S3:
        place.put(f"{FOLDER}/{name}", b"1")
    assert keys(store, f"{FOLDER}/") == {f"{FOLDER}/icc.icc"}
    assert store.names(FOLDER) == ["icc.icc"]
    assert {record.getMessage().partition(": ")[0] for record in caplog.records} == {
        f"{place}/{FOLDER}"
    }
    assert f"{len(IN_S3) - 1} others left out" in caplog.text
    every = {found.key for found in store.every("")}
    assert every == {f"{FOLDER}/{name}" for name in ("icc.icc", *IN_S3)}
    store.delete(*every)
    assert place.objects() == {}


def test_in_a_bucket_of_amazon(monkeypatch: pytest.MonkeyPatch, s3: Server) -> None:
    """Which takes more names than the tests' server."""
    with listed() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        store = open_store("s3://bucket/p")
        for name in (*IN_S3, *KEYS, "a\\b"):
            server.keys = [f"p/{FOLDER}/{one}" for one in ("icc.icc", name)]
            assert keys(store) == {f"{FOLDER}/icc.icc"}
            assert {found.key for found in store.every("")} - keys(store) == {f"{FOLDER}/{name}"}
        server.keys = ["p/images", "p/images/", "p/images/a"]  # which obstore takes for two
        assert keys(store) == {"images", "images/", "images/a"}


@pytest.mark.parametrize(("root", "below"), [("", ""), ("/p", "p/")])
def test_a_key_with_a_slash_in_front_is_not_the_one_without(
    place: Place, proxy: Proxy, root: str, below: str
) -> None:
    asked: list[str] = []

    def fault(handler: Handler, request: Request) -> bool:
        asked.append(request.path.partition("?")[0])
        handler.accept(request)
        return True

    proxy.fault = fault
    open_store(f"s3://{place.bucket}{root}").delete("/y")
    assert asked == [f"/{place.bucket}/{below}/y"]


@pytest.mark.parametrize("name", ["a\nb", "a\x00b", "..", "x//y"])
def test_what_documents_name(name: str, target: str) -> None:
    """An object that none is, and no error of a library."""
    store = open_store(target)
    with pytest.raises(NoSuchObject):
        store.get(f"{FOLDER}/../{name}/a")


@ON_LINUX
def test_slides_on_a_share(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # What pytest has seen of a log goes from process to process, in UTF-8.
    monkeypatch.setattr(logging.getLogger("vsv_pyramid"), "propagate", False)
    for name in FILES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "b.svs").touch()
        (tmp_path / f"{name}.svs").touch()
    (tmp_path / "plain.svs").touch()
    found = slides_in(tmp_path)
    # Of bytes in another encoding an id can be made.
    other = [name for name in FILES if any(0xDC80 <= ord(letter) <= 0xDCFF for letter in name)]
    taken = [*(f"{name}.svs" for name in other), "plain.svs", *(f"{name}/b.svs" for name in other)]
    assert {str(path.relative_to(tmp_path)) for path in found.slides} == set(taken)
    odd = set(FILES) - set(other)
    assert found.skipped == {tmp_path / name: IS_ODD for one in odd for name in (one, f"{one}.svs")}
    outcome = run("convert", tmp_path, "--to", "to")
    assert outcome.err.count(IS_ODD) == 2 * len(odd)
    assert all(line.isprintable() for line in outcome.err.splitlines())
    outcome = run("convert", tmp_path, "--to", "to", "--log-format", "json")
    assert len([json.loads(line) for line in outcome.err.splitlines()]) > 2 * len(odd)


@pytest.mark.parametrize("name", ["a\nb.svs", "a\u202eb.svs", "..\\..\\b.svs", "n" * 300 + ".svs"])
def test_slides_in_s3(name: str) -> None:
    with pytest.raises(SlideAccessError, match="rename it"):
        find_source(f"s3://bucket/{name}")


def test_a_series_in_s3(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.put("scans/1/a\x1bb.dcm", b"1")
    with pytest.raises(SlideAccessError, match="has no DICOM files"):
        find_source(f"{place}/scans/1/")
    assert "left out" in caplog.text


@ON_LINUX
@pytest.mark.parametrize("is_remote", [False, True])
def test_all_commands(
    is_remote: bool, small_slide: Path, place: Place, run: Run, request: pytest.FixtureRequest
) -> None:
    """Each ends as it would without such names, and each tells of them once."""
    to = str(place) if is_remote else "to"
    options = ConvertOptions(private_to=private_of(to))
    convert(small_slide, to, options)
    planted = [f"{FOLDER}/a\x1bb", f"{FOLDER}/DeepZoom_files/12/0_0.jpeg\n", "images/x\ny/z"]
    planted += ["images/x\u202ey", "a\nb.svs"]
    for key in planted:
        if is_remote:
            place.put(key, b"1")
        else:
            Path(to, key).parent.mkdir(parents=True, exist_ok=True)
            Path(to, key).write_bytes(b"1")
    commands = (
        ("index", to),
        ("slides", "list", to, "--private-to", options.private_to),
        ("verify", f"{to}/{FOLDER}"),
        ("verify", to),
        ("info", f"{to}/{FOLDER}"),
        ("refresh", to, "--private-to", options.private_to),
        ("pack", to, "--yes"),
        ("tidy", to),
        ("unpack", to, "--yes"),
        ("convert", small_slide, "--to", to, "--overwrite", "--private-to", options.private_to),
        ("delete", "small", "--in", to, "--private-to", options.private_to, "--yes"),
    )
    for words in commands:
        listing._told.clear()
        outcome = run(*words)
        assert outcome.code == 0, (words, outcome)
        assert "Traceback" not in outcome.err
        assert all(line.isprintable() for line in (outcome.out + outcome.err).splitlines()), words
        assert "left out: the name has a control character" in outcome.err, words


@ON_LINUX
@pytest.mark.parametrize("is_remote", [False, True])
def test_a_purge_sees_and_removes_them(
    is_remote: bool, small_slide: Path, place: Place, run: Run
) -> None:
    to = str(place) if is_remote else "to"
    private = private_of(to)
    convert(small_slide, to, ConvertOptions(private_to=private))
    of_private = open_store(private)
    for key in (f"{FOLDER}/a\x1bb", f"{FOLDER}/c\nd/label.jpeg"):
        if is_remote:
            place.put(key, b"1")
            place.private.put(f"private/{key}", b"1")
        else:
            for root in (to, f"{private}/private"):
                Path(root, key).parent.mkdir(parents=True, exist_ok=True)
                Path(root, key).write_bytes(b"1")
    words = ("verify", to, "--purged", "small", "--private-to", private)
    assert run("delete", "small", "--in", to, "--private-to", private, "--yes").code == 0
    seen = run(*words)
    assert seen.code == 1
    assert "images/small: 2 objects" in seen.out + seen.err
    purged = ("delete", "small", "--in", to, "--private-to", private, "--purge", "--yes")
    assert run(*purged).code == 0
    assert run(*words).code == 0
    assert not list(of_private.every("private/images/small/"))
    assert not list(open_store(to).every(f"{FOLDER}/"))


def test_the_table_is_of_names_that_files_can_have() -> None:
    assert not [name for name in FILES if "/" in name or "\0" in name]
    assert not set(odd_names.FILES) & set(odd_names.KEYS)


def test_a_member_that_is_said_to_be_behind_the_end(small_slide: Path, run: Run) -> None:
    assert run("convert", small_slide, "--to", "a.szi").code == 0
    path = Path("a.szi")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")  # of the central directory
    data[entry + 42 : entry + 46] = (len(data) - 8).to_bytes(4, "little")
    path.write_bytes(data)
    outcome = run("verify", path)
    assert outcome.code == 1
    assert "is no whole zip file" in outcome.err
    assert "Traceback" not in outcome.err
