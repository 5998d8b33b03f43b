"""Every file of the forged table is published as what it is, or refused by a sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from tests.support.forge_tiffs import LIBTIFF, PICTURE, SIZE, Row
from tests.support.tiff_rows import ROWS
from tests.support.tiles import tissue
from vsv_pyramid import against
from vsv_pyramid.convert import Summary, convert
from vsv_pyramid.errors import SlideError
from vsv_pyramid.info import info
from vsv_pyramid.plan import ConvertOptions
from vsv_pyramid.verify import verify

# Encoding once more, in the finest quality, changes no pixel by more on average.
ENCODED = 0.8
NO_LIBTIFF = "this Pillow has no libtiff"


def options(lane: str) -> ConvertOptions:
    return ConvertOptions(lane=lane, quality=100, subsampling="444", workers=1, private=False)


def said_of(row: Row) -> str:
    if row.said != LIBTIFF:
        return row.said
    return "" if features.check("libtiff") else NO_LIBTIFF


def published(summary: Summary) -> NDArray[Any]:
    """The base level, which is one tile."""
    folder = Path(summary.target).parent / "DeepZoom_files"
    level = max(int(path.name) for path in folder.iterdir())
    (tile,) = (folder / str(level)).iterdir()
    with Image.open(io.BytesIO(tile.read_bytes())) as image:
        return np.asarray(image.convert("RGB"))


def apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_file_is_right_or_refused(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = row.write(tmp_path / "a.tif")
    if said := said_of(row):
        for lane in "auto", "pixels":
            with pytest.raises(SlideError) as refused:
                convert(slide, str(tmp_path / lane), options(lane))
            assert said in str(refused.value)
            assert "\n" not in str(refused.value)
        with pytest.raises(SlideError) as planned:
            info(slide, options("auto"))
        assert str(planned.value) == str(refused.value)
        assert not list(tmp_path.rglob("*.dzi"))
        return
    judged = row.judged(slide)
    assert apart(judged, row.truth) < (5 if row.is_lossy else 0.6)
    for lane in "auto", "pixels":
        summary = convert(slide, str(tmp_path / lane), options(lane))
        assert apart(published(summary), judged) < ENCODED
        report = verify(summary.target, against=slide)
        assert (report.errors, report.warnings) == ([], [])
        document = json.loads(Path(summary.target).with_name("slide.json").read_text())
        told = [note for note in summary.notes if note.startswith("left out")]
        assert bool(told) == bool(row.left) == bool(document["left_out"])
        assert row.left in "".join(told)
        assert row.left in ", ".join(document["left_out"])
    monkeypatch.setattr(against, "reference", lambda _: None)  # as without imagecodecs
    assert verify(summary.target, against=slide).errors == []


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Pyramids of pictures of the same size: of another place, and of other colours."""
    folder = tmp_path_factory.mktemp("others")
    pictures = {"elsewhere": tissue(*SIZE, 1), "swapped": PICTURE[..., ::-1]}
    for name, pixels in pictures.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")
    return [
        convert(folder / f"{name}.png", str(folder), options("auto")).target for name in pictures
    ]


SHOWN = [row for row in ROWS if not said_of(row) and row.truth.shape == PICTURE.shape]


@pytest.mark.parametrize("row", SHOWN, ids=lambda row: row.name)
def test_another_picture_is_told_from_it(row: Row, tmp_path: Path, others: list[str]) -> None:
    slide = row.write(tmp_path / "a.tif")
    for other in others:
        report = verify(other, against=slide)
        assert report.errors
        assert not report.unread
