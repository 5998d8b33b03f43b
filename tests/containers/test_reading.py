"""Bytes of slides: whole, or with the reason; and a slide that is read from its own tiles."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import simplejpeg
from tifffile import TiffWriter

from vsv_pyramid.containers import reading
from vsv_pyramid.containers.tiff import tiff_base
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideUnavailable
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.slide.tiles import false_colours, tiff_tiles

# Its first page is mapped in no process: a file that opens, and fails with EIO when it is read.
UNREADABLE = Path("/proc/self/mem")


class Halves(io.FileIO):
    """Gives half of what is asked for, and nothing from `end` on."""

    end = sys.maxsize

    def read(self, size: int | None = -1, /) -> bytes:
        assert size
        return b"" if self.tell() >= self.end else super().read(max(1, size // 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.svs"
    made.write_bytes(bytes(range(100)))
    return made


def test_short_reads_are_no_end(path: Path) -> None:
    with Halves(path) as file:
        assert reading.read_exactly(file, path, 10, 50) == bytes(range(10, 60))


def test_an_end_of_the_file_is_told_from_one_of_the_reading(path: Path) -> None:
    with Halves(path) as file:
        with pytest.raises(SlideError, match="cut off at 100 of at least 110 bytes"):
            reading.read_exactly(file, path, 10, 100)
        file.end = 30
        with pytest.raises(SlideUnavailable, match=r"ended at .* of 100 bytes"):
            reading.read_exactly(file, path, 10, 50)


def test_damaged_is_what_was_read_twice(path: Path) -> None:
    answers: list[Exception | None] = [ValueError("damaged"), None]

    def attempt() -> str:
        if answer := answers.pop(0):
            raise answer
        return "whole"

    assert reading.twice(attempt, ValueError) == "whole"
    answers[:] = [ValueError("first"), ValueError("second")]
    with pytest.raises(ValueError, match="second"):
        reading.twice(attempt, ValueError)
    answers[:] = [SlideAccessError(path, "away"), None]
    with pytest.raises(SlideAccessError):
        reading.twice(attempt, SlideError)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.EIO, "Input/output error"), SlideUnavailable),
        (OSError(errno.ESTALE, "Stale file handle"), SlideUnavailable),
        (PermissionError(errno.EACCES, "Permission denied"), SlideAccessError),
        (FileNotFoundError(errno.ENOENT, "No such file"), SlideAccessError),
        (SlideError("a.svs", "bad"), SlideError),
        (ValueError("of ours"), ValueError),
    ],
)
def test_errors_of_the_system_name_the_slide(
    path: Path, raised: Exception, told: type[Exception]
) -> None:
    with pytest.raises(told) as caught, reading.naming(path):
        raise raised
    assert type(caught.value) is told


def test_reasons(path: Path) -> None:
    assert reading.reason(FileNotFoundError()) == "no such file"
    assert reading.reason(IsADirectoryError()) == "is a folder"
    assert reading.reason(PermissionError(errno.EACCES, os.strerror(errno.EACCES))) == (
        "Permission denied"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_file_that_fails_is_not_at_its_end() -> None:
    with pytest.raises(SlideUnavailable, match="Input/output error"):
        reading.check_readable(UNREADABLE)
    with reading.Watched(UNREADABLE) as file:
        assert file.trouble is None
        with pytest.raises(OSError, match="Input/output"):
            file.read(1)
        trouble = file.trouble
        assert trouble
        assert trouble.errno == errno.EIO
        with pytest.raises(OSError, match="Input/output"):
            file.read()
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()


def test_a_readable_file(path: Path) -> None:
    reading.check_readable(path)
    with reading.Watched(path) as file:
        assert file.read() == path.read_bytes()
        assert file.trouble is None


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_slide_whose_streams_are_of_other_colours_is_read_from_its_tiles(
    tmp_path: Path, byteorder: Literal["<", ">"]
) -> None:
    """The tag says RGB, and the tiles are JFIF, thus YCbCr: OpenSlide would show them in false
    colours."""
    path = tmp_path / "a.tif"
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    jpeg = simplejpeg.encode_jpeg(red, 95, "RGB", "444")
    with TiffWriter(path, byteorder=byteorder) as tiff:
        tiff.write(
            iter([jpeg] * 4),
            shape=(128, 128, 3),
            dtype=np.uint8,
            tile=(64, 64),
            photometric="rgb",
            compression="jpeg",
            compressionargs={"outcolorspace": "rgb"},
        )
    base = tiff_base(path)
    assert base
    assert "OpenSlide would show them in false ones" in (false_colours(path, base) or "")
    with open_slide(path) as slide:
        assert (slide.size, slide.level_sizes) == ((128, 128), ((128, 128),))
        assert slide.associated_names == ()
        with pytest.raises(KeyError):
            tiff_tiles(base).associated("label")
        pixels = slide.read(32, 32, Size(64, 64))
        assert abs(pixels.astype(int) - [200, 0, 0]).max() <= 3
