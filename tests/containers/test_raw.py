"""Tiles whose bytes are others at another reading: tried again, and never called damaged."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.slide.test_every_picture import options
from tests.support.forge_tiffs import JFIF, Row, jpeg, tiles
from vsv_pyramid.containers import raw
from vsv_pyramid.containers.reading import read_exactly
from vsv_pyramid.containers.tiff import tiff_base
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import SlideUnavailable, TileError


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    row = Row("", [jpeg(tiles(marker=JFIF), "ycbcr")])
    return row.write(tmp_path_factory.mktemp("raw") / "a.tif")


def disturb(slide: Path, monkeypatch: pytest.MonkeyPatch, times: int, *, alike: bool) -> None:
    """Has the first tile be no JPEG at so many readings, by the same bytes or by others."""
    base = tiff_base(slide)
    assert base
    first, number = base.offsets[0], itertools.count()

    def disturbed(file: BinaryIO, path: Path, offset: int, count: int) -> bytes:
        data = read_exactly(file, path, offset, count)
        if offset != first or (reading := next(number)) >= times:
            return data
        return bytes((0 if alike else reading,)) + data[1:]

    monkeypatch.setattr(raw, "read_exactly", disturbed)


def version(slide: Path, to: Path, lane: str) -> str:
    summary = convert(slide, str(to), options(lane))
    document = json.loads(Path(summary.target).with_name("slide.json").read_text())
    assert document["pyramid"]["blank_tiles"] == 0
    return str(document["pyramid"]["version"])


@pytest.mark.parametrize("lane", ["lossless", "pixels"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_tile_that_comes_right_is_right(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: str, times: int
) -> None:
    expected = version(slide, tmp_path / "undisturbed", lane)
    disturb(slide, monkeypatch, times, alike=False)
    assert version(slide, tmp_path / "disturbed", lane) == expected


@pytest.mark.parametrize("lane", ["lossless", "pixels"])
def test_a_tile_that_is_never_the_same_is_tried_again_later(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: str
) -> None:
    disturb(slide, monkeypatch, 200, alike=False)
    with pytest.raises(SlideUnavailable, match="column 0, row 0 differs at each reading"):
        convert(slide, str(tmp_path), options(lane))


@pytest.mark.parametrize("lane", ["lossless", "pixels"])
def test_a_tile_that_stays_bad_is_damaged(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: str
) -> None:
    disturb(slide, monkeypatch, 200, alike=True)
    with pytest.raises(TileError, match="SOI"):
        convert(slide, str(tmp_path), options(lane))
