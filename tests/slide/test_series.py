"""A DICOM series is a slide: found, named, converted once, by its folder or any of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slide.test_every_picture import apart, options, published
from tests.support.forge_dicom import YCBCR, concatenated, instance, several
from tests.support.forge_tiffs import PICTURE, SIZE
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideIncomplete, SlideUnavailable
from vsv_pyramid.inspection import info, is_pyramid
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.slide.search import find_slides, slides_in
from vsv_pyramid.slide.series import all_series, series_at, stem_of
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.unattended.looks import is_unfinished, look_at
from vsv_pyramid.words import digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A slide of three files, in a folder whose name has dots."""
    place = tmp_path / "2026.11.27"
    place.mkdir()
    concatenated(place)
    return place


def test_a_folder_with_one_series_is_the_slide(folder: Path, tmp_path: Path) -> None:
    (series,) = all_series(folder)
    assert (series.place, series.stem) == (folder, folder.name)
    for given in folder, folder / "7.dcm", folder / "9.dcm":
        assert find_slides(given) == [folder]
        assert stem_of(given) == folder.name
        assert not is_pyramid(given)
        source = find_source(given)
        assert (source.stem, source.name) == (folder.name, folder.name)
        summary = convert(given, str(tmp_path / "out"), options("auto"))
        assert (summary.id, summary.status) == (
            folder.name,
            "converted" if given == folder else "skipped",
        )
        assert info(given, options("auto"))["plan"]["id"] == folder.name
    assert find_slides(tmp_path) == [folder]


def test_several_series_in_a_folder_are_several_slides(tmp_path: Path) -> None:
    several(tmp_path)
    found = {series.stem: series.base.name for series in all_series(tmp_path)}
    names = {uid: f"series-{digest(uid)}" for uid in ("1.2.3", "1.2.9")}
    assert found == {names["1.2.3"]: "c.dcm", names["1.2.9"]: "0.dcm"}
    assert find_slides(tmp_path) == [tmp_path / "0.dcm", tmp_path / "c.dcm"]
    assert series_at(tmp_path / "LABEL.dcm") == series_at(tmp_path / "c.dcm")
    with pytest.raises(SlideAccessError, match=r"holds 2 slides .* give a file of one of them"):
        convert(tmp_path, str(tmp_path / "out"), options("auto"))
    summary = convert(tmp_path / "LABEL.dcm", str(tmp_path / "out"), options("auto"))
    assert summary.id == names["1.2.3"]
    assert apart(published(summary), PICTURE) < 4


def test_another_series_beside_it_changes_nothing(tmp_path: Path) -> None:
    several(tmp_path)
    source = find_source(tmp_path / "c.dcm")
    look = look_at(tmp_path / "c.dcm")
    instance(tmp_path / "z.dcm", YCBCR, series="1.2.77")
    source.check_unchanged()
    assert look_at(tmp_path / "c.dcm") == look
    instance(tmp_path / "y.dcm", YCBCR)
    assert look_at(tmp_path / "c.dcm") != look


def test_beside_other_slides_it_is_not_called_as_their_folder(tmp_path: Path) -> None:
    concatenated(tmp_path)
    assert find_slides(tmp_path) == [tmp_path]
    (tmp_path / "170782.svs").write_bytes(b"another slide")
    assert find_slides(tmp_path) == [tmp_path / "170782.svs", tmp_path / "7.dcm"]
    (series,) = all_series(tmp_path)
    assert stem_of(tmp_path / "7.dcm") == series.stem != tmp_path.name


def test_a_watched_folder_is_no_slide_itself(tmp_path: Path) -> None:
    concatenated(tmp_path)
    found = slides_in(tmp_path, itself=False)
    assert found.slides == []
    assert list(found.skipped.values()) == ["DICOM needs a folder of its own; move it into one"]


def test_what_is_no_slide_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(bytes(1000))
    (tmp_path / "._b.dcm").write_bytes(b"Mac")
    assert slides_in(tmp_path).slides == []
    assert series_at(tmp_path) is series_at(tmp_path / "a.dcm") is None
    assert stem_of(tmp_path / "a.dcm") == "a"


def test_what_cannot_be_read_is_told(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And keeps no other slide from being found."""
    data = (folder / "7.dcm").read_bytes()
    for name, part in {"cut": data[:200], "zeros": bytes(len(data)), "none": b"DICOM"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.dcm").write_bytes(part)
    (folder / "other.dcm").write_bytes(data[:200])
    assert find_slides(tmp_path) == [folder]
    assert caplog.text.count("a.dcm: skipped, cut off in its header; copy it again") == 1
    assert caplog.text.count("a.dcm: skipped, it holds no DICOM; check it") == 2
    assert caplog.text.count("other.dcm: skipped, cut off in its header") == 1


def test_it_is_waited_for_until_it_is_complete(folder: Path, tmp_path: Path) -> None:
    last = folder / "7.dcm"
    data = last.read_bytes()
    last.unlink()
    assert is_unfinished(folder)
    with pytest.raises(SlideIncomplete, match="a part of its picture"):
        convert(folder, str(tmp_path / "out"), options("auto"))
    last.write_bytes(data[:200])
    assert is_unfinished(folder)
    last.write_bytes(data)
    assert not is_unfinished(folder)


def test_its_files_are_not_removed(folder: Path) -> None:
    with pytest.raises(SlideAccessError, match="several files"):
        find_source(folder).check_removable()
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("url", "stem"),
    [
        ("s3://bucket/a/170782.1/1.dcm", "170782.1"),
        ("s3://bucket/a/170782.1/", "170782.1"),
        ("s3://bucket/a/170782.svs", "170782"),
    ],
)
def test_names_in_s3(url: str, stem: str) -> None:
    assert stem_of(url) == stem


def test_the_size_is_that_of_the_whole(folder: Path) -> None:
    with open_slide(folder) as slide:
        assert slide.size == SIZE


@pytest.mark.parametrize(("number", "kind"), [(13, SlideAccessError), (5, SlideUnavailable)])
def test_a_place_that_cannot_be_looked_at(
    number: int, kind: type[SlideError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_dir(path: Path) -> bool:
        raise OSError(number, "cannot be looked at", str(path))

    monkeypatch.setattr(Path, "is_dir", is_dir)
    for name in "a.svs", "a.dcm":
        with pytest.raises(kind):
            series_at(tmp_path / name)
        assert stem_of(tmp_path / name) == "a"
        assert look_at(tmp_path / name) is None
