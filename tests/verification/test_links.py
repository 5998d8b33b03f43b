"""What a link leads to is good for verify just if serve serves it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.site import serving
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.verification import verify
from vsv_pyramid.web.app import create_app

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
FOLDER = "images/small"
WHAT = "is a link that leads out of images/, which serve does not follow; put the file itself there"


@pytest.fixture(params=["tiles", "packed"])
def root(request: pytest.FixtureRequest, small_slide: Path, tmp_path: Path) -> Path:
    options = ConvertOptions(tile_size=240, workers=2, layout=request.param)
    convert(small_slide, tmp_path / "root", options)
    return tmp_path / "root"


def asked(root: Path, key: str) -> int:
    with serving(create_app(open_root(root))) as site:
        return site.ask(f"/{key}").status


@pytest.mark.parametrize("leads", ["out", "within"])
def test_links(root: Path, tmp_path: Path, leads: str) -> None:
    elsewhere = tmp_path / "out" if leads == "out" else root / "images/other"
    elsewhere.mkdir()
    folder = root / FOLDER
    files = sorted(path.relative_to(root) for path in folder.rglob("*") if path.is_file())
    assert verify(folder).errors == []
    levels = [path.relative_to(root) for path in folder.glob("DeepZoom_files/9")]
    for place in (*{path.name: path for path in files}.values(), *levels, Path(FOLDER)):
        path = root / place
        key = next(each for each in files if each == place or place in each.parents).as_posix()
        assert asked(root, key) == 200, place
        path.rename(elsewhere / "real")
        path.symlink_to(elsewhere / "real")
        is_served = asked(root, key) == 200
        assert is_served == (leads == "within")
        said = [error for error in verify(folder).errors if WHAT in error]
        assert said == ([] if is_served else [f"{place.as_posix()} {WHAT}"])
        path.unlink()
        (elsewhere / "real").rename(path)
    (folder / "notes.txt").symlink_to(tmp_path / "out")  # of one's own
    assert verify(folder).errors == []
