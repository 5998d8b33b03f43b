"""What is private, and lies where it is served."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.destinations import opened
from tests.support.s3_server import Place
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import StoreError
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.verification import verify
from vsv_pyramid.verification.reach import verify_root

PLACES = [
    "images/a/label.jpeg",
    "images/a/macro.jpeg",
    "images/a/slide.private.json",
    "images/slide.private.json",
    "images/label.jpeg",
    "images/b/label.jpeg",
    "images/a/private/images/a/label.jpeg",
    "images/a/old/slide.private.json",
    "images/private/images/a/slide.private.json",
    "images/private/ids.json",
    "images/private/failed/a.json",
    "images/.private/images/a/label.jpeg",
    "images/some of mine/slide.private.json",
    "images/watch/0123abcd.json",
    "images/manifests/0123abcd.json",
    "label.jpeg",
    "slide.private.json",
    "private/images/a/slide.private.json",
]
NOTHING = ["images/a/notes.txt", "images/watch/slide.json", "images/private/thumbnail.jpeg"]


@pytest.fixture
def root(small_slide: Path, tmp_path: Path) -> Path:
    convert(small_slide, tmp_path / "www", ConvertOptions(slide_id="a", tile_size=256, workers=2))
    return tmp_path / "www"


@pytest.mark.parametrize("place", [*PLACES, *NOTHING])
def test_beside_the_pyramids(root: Path, run: Run, place: str) -> None:
    assert verify_root(root).errors == []
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_bytes(b"{}")
    errors = verify_root(root).errors
    said = "is private; move it to a place that nobody serves"
    shown = "private" if place.startswith("private/") else place
    assert errors == ([f"{root}/{shown} {said}"] if place in PLACES else [])
    assert run("verify", str(root)).code == (place in PLACES)


def test_what_was_asked_for_is_no_mistake(real_slide: Path, tmp_path: Path) -> None:
    options = ConvertOptions(slide_id="a", associated=("label", "thumbnail"), workers=2)
    folder = Path(convert(real_slide, tmp_path, options).target).parent
    assert verify_root(tmp_path).errors == verify(folder).errors == []
    shutil.copy(folder / "label.jpeg", folder / "macro.jpeg")
    said = f"{tmp_path}/images/a/macro.jpeg is private; move it to a place that nobody serves"
    assert verify_root(tmp_path).errors == [said]
    (error,) = verify(folder).errors
    assert "images/a/macro.jpeg is there, and slide.json does not list it as published" in error


def test_it_says_how_far_it_is(root: Path) -> None:
    (root / "images/b").mkdir()
    seen: list[Progress] = []
    verify_root(root, progress=seen.append)
    assert [(one.tiles, one.total) for one in seen] == [(1, 2), (2, 2)]


def test_many_are_counted(root: Path) -> None:
    (root / "images/a/old").mkdir()
    for n in range(30):
        (root / f"images/a/old/{n}.svs").write_bytes(b"")
        (root / f"images/a/old/slide{n}").mkdir()
        (root / f"images/a/old/slide{n}/slide.private.json").write_bytes(b"{}")
    report = verify_root(root)
    assert len(report.errors) == 21
    assert report.errors[-1] == "... and 40 more like the last one"
    assert report.warnings == []


@pytest.mark.parametrize("name", ["slide.private.json", "label.jpeg", "old/slide.private.json"])
def test_of_one_pyramid(root: Path, name: str) -> None:
    (root / "images/a" / name).parent.mkdir(exist_ok=True)
    (root / "images/a" / name).write_bytes(b"{}")
    (error,) = verify(root / "images/a").errors
    assert error.startswith((f"{root}/images/a/{name} is private", f"images/a/{name} is there"))


@pytest.mark.parametrize("name", ["a.zip", "a.szi"])
@pytest.mark.parametrize(
    "member",
    ["{}/label.jpeg", "{}/slide.private.json", "other/label.jpeg", "private/ids.json"],
)
def test_in_an_archive(small_slide: Path, tmp_path: Path, name: str, member: str) -> None:
    options = ConvertOptions(slide_id="a", tile_size=256, workers=2)
    convert(small_slide, tmp_path / name, options)
    assert verify(tmp_path / name).errors == []
    member = member.format("a" if name == "a.szi" else "images/a")
    with zipfile.ZipFile(tmp_path / name, "a") as archive:
        archive.writestr(member, b"{}")
    (error,) = verify(tmp_path / name).errors
    assert "is private" in error or "does not list it as published" in error


@pytest.mark.parametrize("key", ["images/a/label.jpeg", "images/private/ids.json", "label.jpeg"])
def test_in_a_bucket(place: Place, small_slide: Path, key: str) -> None:
    convert(small_slide, str(place), ConvertOptions(slide_id="a", tile_size=256, workers=2))
    assert verify_root(str(place)).errors == []
    opened(str(place)).published.put(key, b"{}")
    said = f"{place}/{key} is private; move it to a place that nobody serves"
    assert verify_root(str(place)).errors == [said]


@pytest.mark.parametrize(
    "member", ["label.jpeg", "a/label.jpeg", "a/associated_images/label.jpg", "slide.private.json"]
)
def test_in_a_packed_slide(small_slide: Path, tmp_path: Path, member: str) -> None:
    options = ConvertOptions(slide_id="a", tile_size=256, workers=2, layout="packed")
    convert(small_slide, tmp_path, options)
    (packed,) = tmp_path.glob("images/a/*.szi")
    assert verify(tmp_path / "images/a").errors == []
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(member, b"{}")
    assert any("is private" in error for error in verify(tmp_path / "images/a").errors)


@pytest.mark.parametrize("name", ["a.zip", "a.szi", "images/a"])
@pytest.mark.parametrize("place", ["before", "behind", "comment"])
def test_text_around_an_archives_members(
    small_slide: Path, tmp_path: Path, name: str, place: str
) -> None:
    is_packed = name == "images/a"
    options = ConvertOptions(slide_id="a", tile_size=256, workers=2)
    if is_packed:
        convert(small_slide, tmp_path, replace(options, layout="packed"))
    else:
        convert(small_slide, tmp_path / name, options)
    (path,) = tmp_path.glob("images/a/*.szi") if is_packed else [tmp_path / name]
    assert verify(tmp_path / name).errors == []
    if place == "comment":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"Zebulon"
    else:
        data = path.read_bytes()
        path.write_bytes(b"Zebulon" + data if place == "before" else data + b"Zebulon")
    try:
        errors = verify(tmp_path / name).errors
    except StoreError as exc:
        errors = [str(exc)]
    assert errors


@pytest.mark.parametrize(
    "place",
    [
        "images/a/DeepZoom_files/slide.private.json",
        "images/a/DeepZoom_files/9/label.jpeg",
        "images/a/DeepZoom_files/9/scan.svs",
        "images/a/Label.PNG",
        "images/a/.slide.private.json.partial",
        "images/scan.ndpi",
    ],
)
def test_wherever_it_lies_in_images(root: Path, place: str) -> None:
    (root / place).write_bytes(b"{}")
    assert len(verify_root(root).errors) >= 1


@pytest.mark.parametrize("name", ["a.szi", "a.zip"])
def test_an_archive_beside_the_pyramids_is_told(root: Path, name: str) -> None:
    (root / "images" / name).write_bytes(b"")
    report = verify_root(root)
    assert report.errors == []
    (warning,) = report.warnings
    assert warning.startswith(f"{root}/images/{name} may hold what is private")


def test_what_a_killed_conversion_has_set_aside_comes_back(
    real_slide: Path, tmp_path: Path
) -> None:
    """Its label was asked for."""
    options = ConvertOptions(slide_id="a", associated=("label",), workers=2)
    convert(real_slide, tmp_path, options)
    (tmp_path / "images/a").rename(tmp_path / "images/.a.old")
    assert verify_root(tmp_path).errors == []
