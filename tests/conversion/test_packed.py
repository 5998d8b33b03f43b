"""The packed layout: a slide's tiles in one object, which slide.json names."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.support.destinations import keeping, opened, private_of
from tests.support.s3_proxy import Proxy
from tests.support.s3_server import Place
from vsv_pyramid import deletion, repacking
from vsv_pyramid.catalog import Catalog, rebuild_catalog
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import OptionError, SlideError, StoreError
from vsv_pyramid.inspection import published
from vsv_pyramid.layout import bounds, keys
from vsv_pyramid.packed.published import is_published, packed_key
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.pyramid import copied
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.store import open_store, parts
from vsv_pyramid.verification import verify

OPTIONS = ConvertOptions(tile_size=240, workers=2, layout="packed")
FOLDER = "images/small"


def objects(target: str) -> dict[str, bytes]:
    """All there is, by key."""
    store = open_store(target)
    return {found.key: store.get(found.key) for found in store.keys("")}


def slide_json(target: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(open_store(target).get(f"{FOLDER}/slide.json"))
    return document


def tiles_in(szi: bytes, name: str = "small") -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(szi)) as archive:
        assert archive.testzip() is None
        prefix = f"{name}/{name}_files/"
        return {
            found.removeprefix(prefix): archive.read(found)
            for found in archive.namelist()
            if found.startswith(prefix)
        }


@pytest.fixture(scope="module")
def tiles(small_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same slide's tiles, as objects."""
    root = tmp_path_factory.mktemp("tiles")
    convert(small_slide, root, replace(OPTIONS, layout="tiles"))
    place = root / FOLDER / "DeepZoom_files"
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*.jpeg")}


def test_the_tiles_are_in_one_object(
    small_slide: Path, target: str, tiles: dict[str, bytes], clock: object
) -> None:
    made = convert(small_slide, target, OPTIONS)
    document = slide_json(target)
    name = document["packed"]
    assert keys.is_packed(name)
    assert document["layout"] == 2
    assert made.target == f"{target}/{FOLDER}/{name}"
    found = objects(target)
    assert found.keys() == {
        *(f"{FOLDER}/{each}" for each in (name, "slide.json", "thumbnail.jpeg")),
        *("images/index.json", "images/root.json"),
    }
    assert tiles_in(found[f"{FOLDER}/{name}"]) == tiles
    for place in f"{target}/{FOLDER}", made.target:
        report = verify(place, deep=True, against=small_slide)
        assert (report.errors, report.warnings, report.tiles) == ([], [], len(tiles))
    facts = published(made.target)
    assert (facts["state"], facts["layout"], facts["tiles"]) == ("complete", "packed", len(tiles))
    (entry,) = Catalog(open_destination(target)).slides().values()
    assert (entry["packed"], entry["layout"]) == (name, 2)
    assert convert(small_slide, target, replace(OPTIONS, layout=None)).status == "skipped"


def test_it_is_the_same_whoever_makes_it(small_slide: Path, place: Place, tmp_path: Path) -> None:
    made = {
        convert(small_slide, to, replace(OPTIONS, workers=workers, details=details)).target
        for to, workers, details in (
            (str(place), 1, "none"),
            (str(tmp_path / "a"), 2, "lab"),
            (str(tmp_path / "b"), 4, "none"),
        )
    }
    assert len({target.rpartition("/")[2] for target in made}) == 1
    data = {
        open_store(target.rpartition(f"/{FOLDER}")[0]).get(f"{FOLDER}/{target.rpartition('/')[2]}")
        for target in made
    }
    assert len(data) == 1


def test_nothing_that_may_be_withdrawn_is_in_it(real_slide: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, associated=("thumbnail", "label", "macro"), slide_id="small")
    convert(real_slide, tmp_path / "to", keeping(options, tmp_path / "to"))
    found = objects(str(tmp_path / "to"))
    assert {f"{FOLDER}/label.jpeg", f"{FOLDER}/macro.jpeg"} <= found.keys()
    document = slide_json(str(tmp_path / "to"))
    with zipfile.ZipFile(BytesIO(found[f"{FOLDER}/{document['packed']}"])) as archive:
        names = [name for name in archive.namelist() if "_files/" not in name]
        assert [name.rpartition("/")[2] for name in names] == [
            *("tiles.index", "small.dzi", "slide.json", "thumbnail.jpg", "scan-properties.xml")
        ]
        inner = json.loads(archive.read("small/slide.json"))
    assert document["scanned"] and document["created"]
    assert (inner["details"], inner["scanned"], inner["created"]) == ("none", None, None)
    assert inner["associated_images"]["published"] == ["thumbnail"]
    assert verify(tmp_path / "to" / FOLDER, deep=True).errors == []


def test_a_destination_has_one_layout(small_slide: Path, target: str, run: Run) -> None:
    convert(small_slide, target, OPTIONS)
    with pytest.raises(OptionError, match=r"has the layout packed.*vsv-pyramid unpack"):
        convert(small_slide, target, replace(OPTIONS, layout="tiles"))
    deletion.delete(target, "small")
    assert convert(small_slide, target, replace(OPTIONS, layout=None)).target.endswith(".szi")


@pytest.mark.parametrize("command", ["convert", "watch"])
def test_another_layout_is_refused_at_once(
    small_slide: Path, target: str, run: Run, command: str
) -> None:
    convert(small_slide, target, OPTIONS)
    ended = run(command, small_slide.parent, "--to", target, "--layout", "tiles")
    assert ended.code == 2
    assert ended.err.count("has the layout packed") == 1


def test_a_plan_says_where_it_will_be(small_slide: Path, run: Run) -> None:
    ended = run("convert", small_slide, "--layout", "packed", "--dry-run")
    assert "3 objects -> ./images/small\n" in ended.out
    assert list(Path().iterdir()) == []
    convert(small_slide, "to", replace(OPTIONS, slide_id="other"))
    ended = run("convert", small_slide, "--to", "to", "--dry-run")
    assert "3 objects -> to/images/small\n" in ended.out


def test_one_with_tiles_is_none_for_packed_ones(small_slide: Path, target: str) -> None:
    convert(small_slide, target, replace(OPTIONS, layout=None))
    with pytest.raises(OptionError, match=r"has the layout tiles.*vsv-pyramid pack"):
        convert(small_slide, target, OPTIONS)
    assert is_published(open_store(target), FOLDER)


@pytest.mark.parametrize(("name", "layout"), [("a.szi", "tiles"), ("a.zip", "packed")])
def test_an_archive_has_its_own(small_slide: Path, tmp_path: Path, name: str, layout: str) -> None:
    with pytest.raises(OptionError, match=r"leave --layout out"):
        convert(small_slide, tmp_path / name, replace(OPTIONS, layout=layout))
    assert not (tmp_path / name).exists()


def test_the_private_place_is_known_beside_the_layout(small_slide: Path, target: str) -> None:
    convert(small_slide, target, keeping(OPTIONS, target))
    convert(small_slide, target, keeping(replace(OPTIONS, overwrite=True), target))
    root = json.loads(open_store(target).get("images/root.json"))
    assert root["layout"] == "packed"
    private = json.loads(open_store(private_of(target)).get("root.json"))
    assert private == {"version": 1, "private": root["private"]}
    with pytest.raises(OptionError, match="has a private place, which was not given"):
        convert(small_slide, target, OPTIONS)


def test_the_layout_is_remembered_where_a_private_place_is_known(
    small_slide: Path, real_slide: Path, target: str
) -> None:
    convert(small_slide, target, keeping(OPTIONS, target))
    assert convert(
        real_slide, target, keeping(replace(OPTIONS, layout=None), target)
    ).target.endswith(".szi")


def test_another_scan_is_another_object(small_slide: Path, real_slide: Path, target: str) -> None:
    """Who looks at the former one goes on with it until another one comes."""
    named = replace(OPTIONS, slide_id="small", overwrite=True)
    names = []
    for slide, options in (
        (small_slide, named),
        (real_slide, named),
        (small_slide, replace(named, quality=70)),
    ):
        convert(slide, target, options)
        names.append(slide_json(target)["packed"])
        kept = [key.rpartition("/")[2] for key in objects(target) if key.endswith(".szi")]
        assert sorted(kept) == sorted(names[-2:])
        assert verify(f"{target}/{FOLDER}", deep=True, against=slide).errors == []
    assert len(set(names)) == 3


def test_delete_takes_all_of_it(small_slide: Path, target: str) -> None:
    convert(small_slide, target, OPTIONS)
    assert deletion.delete(target, "small") == 3
    assert objects(target).keys() == {"images/index.json", "images/root.json"}
    assert rebuild_catalog(open_store(target)).slides == 0


def test_a_scan_that_is_bad_is_withdrawn(small_slide: Path, target: str) -> None:
    from vsv_pyramid.review.desk import Desk

    convert(small_slide, target, keeping(OPTIONS, target))
    desk = Desk(opened(target), "technician")
    desk.set({"small": None}, {"status": "BAD"})
    (outcome,) = desk.delete({"small": None})
    assert outcome.error is None
    assert not any(key.startswith(FOLDER) for key in objects(target))
    assert convert(small_slide, target, keeping(replace(OPTIONS, update=True), target)).target == ""


class Interrupted(Exception):
    pass


def interrupt_at(tiles: int) -> Any:
    def progress(now: Progress) -> None:
        if now.tiles >= tiles:
            raise Interrupted

    return progress


def uploads(place: Place) -> list[str]:
    client = place.server.client()
    listed = client.list_multipart_uploads(Bucket=place.bucket, Prefix=place.prefix)
    return [upload["UploadId"] for upload in listed.get("Uploads", ())]


def test_a_slide_that_fails_leaves_nothing(
    small_slide: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SlideError(small_slide, "a damaged tile")

    monkeypatch.setattr(copied.CopiedLeaves, "leaf", fail)
    with pytest.raises(SlideError):
        convert(small_slide, target, OPTIONS)
    assert objects(target).keys() <= {"images/root.json"}
    if not target.startswith("s3://"):
        assert not (Path(target) / FOLDER).exists()


def test_what_a_slide_has_failed_in_s3_leaves_no_parts(
    small_slide: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert uploads(place)
        raise SlideError(small_slide, "a damaged tile")

    monkeypatch.setattr(copied.CopiedLeaves, "leaf", fail)
    with pytest.raises(SlideError):
        convert(small_slide, str(place), OPTIONS)
    assert uploads(place) == []


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, real_slide: Path, tmp_path: Path) -> Path:
    """A slide whose pyramid takes several parts of the smallest size."""
    from tests.support.forge import forge_svs

    monkeypatch.setattr(parts, "PART_BYTES", 5 << 20)
    path = tmp_path / "small.svs"
    forge_svs(path, tissue=real_slide, size=(11000, 9000), levels=(1,))
    return path


@pytest.mark.crowd
def test_a_stopped_conversion_goes_on_with_the_parts_there(
    large: Path, place: Place, proxy: Proxy
) -> None:
    stop = threading.Event()

    def watch(_: Progress) -> None:
        sent = [path for method, path in proxy.requests if method == "PUT" and "partNumber" in path]
        if len(sent) >= 2:
            stop.set()

    with pytest.raises(StoreError, match="stopped"):
        convert(large, str(place), OPTIONS, progress=watch, stop=stop)
    (upload,) = uploads(place)
    there = place.server.client().list_parts(
        Bucket=place.bucket,
        Key=f"{place.prefix}/{FOLDER}/{_only_packed(proxy)}",
        UploadId=upload,
    )["Parts"]
    assert there
    proxy.requests.clear()
    assert convert(large, str(place), OPTIONS).status == "converted"
    puts = [path for method, path in proxy.requests if method == "PUT" and "partNumber" in path]
    numbers = {f"partNumber={part['PartNumber']}&" for part in there}
    assert puts
    assert not any(number in f"{path}&" for number in numbers for path in puts)
    assert uploads(place) == []
    assert verify(f"{place}/{FOLDER}", deep=True, against=large).errors == []


def _only_packed(proxy: Proxy) -> str:
    (name,) = {
        path.partition("?")[0].rpartition("/")[2]
        for method, path in proxy.requests
        if method == "PUT" and "partNumber" in path
    }
    return name


def test_an_upload_of_another_scan_is_ended(small_slide: Path, place: Place) -> None:
    client = place.server.client()
    for key in f"{FOLDER}/DeepZoom-{'0' * 32}.szi", "images/small2/x":
        client.create_multipart_upload(Bucket=place.bucket, Key=f"{place.prefix}/{key}")
    convert(small_slide, str(place), OPTIONS)
    assert len(uploads(place)) == 1


def test_what_is_not_there_is_told(small_slide: Path, target: str) -> None:
    convert(small_slide, target, OPTIONS)
    name = slide_json(target)["packed"]
    open_store(target).delete(f"{FOLDER}/{name}")
    with pytest.raises(StoreError, match=rf"{name} is missing, which slide\.json names; convert"):
        verify(f"{target}/{FOLDER}")
    assert published(f"{target}/{FOLDER}")["state"] == "not complete"
    assert convert(small_slide, target, OPTIONS).status == "converted"
    assert verify(f"{target}/{FOLDER}", deep=True).errors == []


def test_a_member_as_large_as_no_tile_is_not_read(
    small_slide: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(small_slide, target, OPTIONS)
    monkeypatch.setattr(bounds, "bound", lambda key: bounds.Bound("a tile or a picture", 10_000))
    with pytest.raises(StoreError, match=r"bytes, and a tile or a picture has 10,000 at the most"):
        verify(f"{target}/{FOLDER}", deep=True)


def test_a_layout_of_a_later_release_is_told(small_slide: Path, target: str) -> None:
    open_store(target).put("images/root.json", b'{"version": 1, "layout": "onion"}')
    with pytest.raises(StoreError, match=r"root.json: has a layout 'onion', of a later release"):
        convert(small_slide, target, replace(OPTIONS, layout=None))


def test_a_damaged_root_json_is_told(small_slide: Path, target: str) -> None:
    open_store(target).put("images/root.json", b'{"layout": "pa')
    with pytest.raises(StoreError, match=r"root.json: is damaged"):
        convert(small_slide, target, OPTIONS)
    assert open_store(target).get("images/root.json") == b'{"layout": "pa'


@pytest.mark.parametrize("name", ["szi", "slide.json", "thumbnail.jpeg", "DeepZoom_files"])
@pytest.mark.parametrize("way", ["convert", "pack", "unpack"])
def test_what_is_somebody_elses_is_not_written_into(
    small_slide: Path, tmp_path: Path, name: str, way: str
) -> None:
    """A link leads to it; a folder is in the place of a file."""
    root = tmp_path / "to"
    convert(small_slide, root, OPTIONS)
    folder = root / FOLDER
    name = slide_json(str(root))["packed"] if name == "szi" else name
    if way == "pack":
        repacking.unpack(open_store(root), FOLDER)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(b"precious")
    leads_to = precious if name == "DeepZoom_files" else precious / "file"
    if (folder / name).is_dir():
        (folder / name).rename(tmp_path / "aside")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(leads_to)
    acts: dict[str, Callable[[], object]] = {
        "convert": lambda: convert(small_slide, root, replace(OPTIONS, overwrite=True)),
        "pack": lambda: repacking.pack(open_store(root), FOLDER),
        "unpack": lambda: repacking.unpack(open_store(root), FOLDER),
    }
    act = acts[way]
    none = "there is no whole pyramid"  # since slide.json, or what it names, cannot be read
    is_none = way == "unpack" and name == "slide.json"
    with pytest.raises(StoreError, match=none if is_none else "is a link, to"):
        act()
    assert [(path.name, path.read_bytes()) for path in precious.iterdir()] == [
        ("file", b"precious")
    ]
    (folder / name).unlink()
    (folder / name / "x").mkdir(parents=True)
    if name != "DeepZoom_files":
        is_none = way == "unpack" and name != "thumbnail.jpeg"
        with pytest.raises(StoreError, match=none if is_none else "is a folder in the way of a"):
            act()
    assert (folder / name / "x").is_dir()


def test_a_folder_of_somebody_elses_is_no_slide(small_slide: Path, tmp_path: Path) -> None:
    notes = tmp_path / FOLDER / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    convert(small_slide, tmp_path, OPTIONS)
    repacking.unpack(open_store(tmp_path), FOLDER)
    repacking.pack(open_store(tmp_path), FOLDER)
    deletion.delete(tmp_path, "small")
    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("packed", ["../../precious", "DeepZoom.szi", 5, None, ["a"], {}])
def test_a_slide_json_that_names_no_such_object(
    small_slide: Path, target: str, packed: object
) -> None:
    convert(small_slide, target, OPTIONS)
    document = slide_json(target)
    open_store(target).put(
        f"{FOLDER}/slide.json", json.dumps({**document, "packed": packed}).encode()
    )
    with pytest.raises(StoreError, match=f"{document['packed']} is there, and slide.json does not"):
        verify(f"{target}/{FOLDER}")
    assert not is_published(open_store(target), FOLDER)
    assert convert(small_slide, target, OPTIONS).status == "converted"


def test_headers(small_slide: Path, place: Place) -> None:
    convert(small_slide, str(place), OPTIONS)
    key = packed_key(open_store(str(place)), FOLDER)
    assert key
    answer = place.get(key)
    assert answer["ContentType"] == "application/zip"
    assert answer["CacheControl"] == "public, max-age=31536000, immutable"
