"""What OpenSlide says of a slide is told with its true cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import openslide
import pytest
from PIL import Image
from tifffile import TiffFile

from tests.support.forge import forge_svs
from vsv_pyramid.errors import SlideError, SlideUnavailable
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.handles import OpenSlideReader

NAMES = ("thumbnail", "label", "macro")


@pytest.fixture
def path(real_slide: Path, tmp_path: Path) -> Path:
    """A slide whose macro image is no JPEG any more."""
    made = tmp_path / "a.svs"
    images = {name: Image.new("RGB", (99, 99), (200, 90, 120)) for name in NAMES}
    forge_svs(made, tissue=real_slide, size=(700, 500), levels=(1,), associated=images)
    data = bytearray(made.read_bytes())
    with TiffFile(made) as tiff:
        page = tiff.pages[-1]
        offset, count = page.dataoffsets[0], page.databytecounts[0]
    data[offset : offset + count] = bytes(count)
    made.write_bytes(data)
    return made


@pytest.fixture
def reader(path: Path) -> Iterator[OpenSlideReader]:
    with closing(OpenSlideReader(path, "aperio", None)) as made:
        yield made


def test_a_damaged_image_is_named_and_the_slide_goes_on(reader: OpenSlideReader) -> None:
    with pytest.raises(SlideError, match=r"its macro image is damaged .* --associated"):
        reader.associated("macro")
    assert reader.associated("label").size == (99, 99)
    assert reader.read(0, 0, Size(70, 50)).shape == (50, 70, 3)
    assert reader.read(690, 0, Size(70, 50)).shape == (50, 70, 4)  # across the edge


def test_what_could_not_be_read_is_not_called_damaged(
    reader: OpenSlideReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Image.Image:
        raise openslide.OpenSlideError("I/O error reading file")

    monkeypatch.setattr(openslide.OpenSlide, "read_region", failing)
    with pytest.raises(SlideUnavailable, match="cannot be read just now"):
        reader.read(0, 0, Size(70, 50))


def test_a_slide_is_one_makers_only(path: Path) -> None:
    with pytest.raises(SlideError, match="as aperio's, and it was hamamatsu's before"):
        OpenSlideReader(path, "hamamatsu", None)
