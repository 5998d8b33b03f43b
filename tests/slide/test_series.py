"""A DICOM series is a slide: found, named, converted once, by its folder or any of its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from tests.slide.test_every_picture import apart, options, published
from tests.support.forge_dicom import YCBCR, concatenated, instance, several, stated
from tests.support.forge_tiffs import PICTURE, SIZE
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideIncomplete, SlideUnavailable
from vsv_pyramid.inspection import info, is_pyramid
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.slide.search import find_slides, slides_in
from vsv_pyramid.slide.series import series_at, series_in, stem_of
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
    (series,) = series_in(folder).slides
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
    found = {series.stem: series.base.name for series in series_in(tmp_path).slides}
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
    (series,) = series_in(tmp_path).slides
    assert stem_of(tmp_path / "7.dcm") == series.stem != tmp_path.name


def test_a_watched_folder_is_no_slide_itself(tmp_path: Path) -> None:
    concatenated(tmp_path)
    found = slides_in(tmp_path, itself=False)
    assert found.slides == []
    assert list(found.skipped.values()) == ["DICOM needs a folder of its own; move it into one"]


def test_what_is_no_slide_is_not_found(tmp_path: Path) -> None:
    path = instance(tmp_path / "a.dcm", YCBCR, change=stated(SOPClassUID=CTImageStorage))
    (tmp_path / "._b.dcm").write_bytes(b"Mac")
    assert slides_in(tmp_path) == ([], {}, {})
    assert series_at(tmp_path) is series_at(path) is None


DAMAGED = {
    b"": "does not begin as one",
    bytes(1000): "does not begin as one",
    bytes(128) + b"DICM": "cut off in its header",
}


@pytest.mark.parametrize("data", DAMAGED)
def test_a_file_that_cannot_be_read_is_told_of(
    data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "1", "2":
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.dcm").write_bytes(data)
    found = slides_in(tmp_path)
    assert (found.slides, found.skipped) == ([], {})
    assert list(found.damaged) == [tmp_path / "1/a.dcm", tmp_path / "2/a.dcm"]
    with pytest.raises(SlideAccessError, match="a folder without slides"):
        find_slides(tmp_path)
    for path, reason in found.damaged.items():
        assert DAMAGED[data] in reason
        assert f"{path}: skipped, {reason}" in caplog.text
    assert len({stem_of(path) for path in found.damaged}) == 2


def test_a_file_that_cannot_be_read_stops_no_series_beside_it(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "zeros.dcm").write_bytes(bytes(1000))
    assert find_slides(folder) == [folder]
    assert caplog.text.count("zeros.dcm: skipped, named as a DICOM file") == 1
    assert convert(folder, str(tmp_path / "out"), options("auto")).id == folder.name


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
