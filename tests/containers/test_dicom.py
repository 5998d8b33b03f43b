"""What of a DICOM series is looked at, before OpenSlide is believed."""

from __future__ import annotations

from pathlib import Path

import openslide
import pytest

from tests.support.forge_makers import dicom as forged
from tests.support.forge_tiffs import JFIF, SIZE, TILE, tiles
from vsv_pyramid.containers import dicom
from vsv_pyramid.errors import SlideUnavailable


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """One whose frames are of other colours than it states."""
    return forged(tmp_path / "a.dcm", tiles(marker=JFIF), SIZE, TILE, photometric="RGB")


def properties(series: Path) -> dict[str, str]:
    with openslide.OpenSlide(series) as slide:
        return dict(slide.properties)


def test_other_files_in_the_folder_do_not_matter(series: Path) -> None:
    said = properties(series)
    series.rename(series.with_name("z.dcm"))
    (series.parent / "folder").mkdir()
    (series.parent / "short.txt").write_text("short")
    (series.parent / "notes.txt").write_bytes(bytes(1000))
    (series.parent / "part.dcm").write_bytes(series.with_name("z.dcm").read_bytes()[:200])
    sentence = dicom.refusal(series.with_name("notes.txt"), said)
    assert sentence
    assert "are not of the colours that it states" in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dicom.TransferSyntaxUID", "1.2.840.10008.1.2.4.90"),  # JPEG 2000
        ("dicom.SOPInstanceUID", "1.2.3"),  # of a file that is not there
    ],
)
def test_what_cannot_be_told_is_not_refused(series: Path, name: str, value: str) -> None:
    assert dicom.refusal(series, {**properties(series), name: value}) is None


def test_a_share_that_does_not_answer_is_told(
    series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = properties(series)

    def away(*_: object) -> bytes:
        raise SlideUnavailable(series, "cannot be read just now")

    monkeypatch.setattr(dicom, "read_exactly", away)
    with pytest.raises(SlideUnavailable):
        dicom.refusal(series, said)
