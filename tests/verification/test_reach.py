"""What is private, and lies where it is served."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support.destinations import opened
from tests.support.s3_server import Place
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions
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


def test_many_are_counted(root: Path) -> None:
    (root / "images/a/old").mkdir()
    for n in range(30):
        (root / f"images/a/old/{n}.svs").write_bytes(b"")
        (root / f"images/a/old/slide{n}").mkdir()
        (root / f"images/a/old/slide{n}/slide.private.json").write_bytes(b"{}")
    report = verify_root(root)
    assert len(report.errors) == 21
    assert report.errors[-1] == "... and 10 more like the last one"
    assert len(report.warnings) == 30


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
