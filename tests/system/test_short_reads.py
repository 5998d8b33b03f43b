"""Slides on a share that gives few bytes a read, or fails for a while: right, or tried again."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.destinations import private_of
from tests.support.forge import damage_tile, forge_svs
from tests.support.forge_tiffs import JFIF, Row, Stored, jpeg, tiles
from tests.support.share import Behaviour, command, endings
from tests.support.tiles import tissue
from vsv_pyramid.containers.reading import Watched, read_exactly
from vsv_pyramid.errors import EXIT_BAD_SLIDE, EXIT_TRY_AGAIN

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD and /proc are Linux's")

FOR_EVER = 10**9
PLACES = 12
SLIDES = [
    ("shared.svs", {"tile_size": 240, "lane": "lossless"}),
    ("shared.svs", {"tile_size": 240, "lane": "pixels"}),
    ("shared.png", {}),
    ("shared.tif", {}),
    ("big-endian.tif", {"lane": "lossless"}),
    ("big-endian.tif", {"lane": "pixels"}),
]


@pytest.fixture(scope="module")
def slides(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    forge_svs(folder / "shared.svs", tissue=real_slide, size=(700, 500), levels=(1,))
    picture = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB")
    picture.save(folder / "shared.png")
    pixels = tissue(300, 200)
    Row("", [Stored(pixels, {"rowsperstrip": 40})]).write(folder / "shared.tif")
    streams = jpeg(tiles(pixels, marker=JFIF), "ycbcr", shape=pixels.shape)
    Row("", [streams], file={"byteorder": ">"}).write(folder / "big-endian.tif")
    return folder


@pytest.mark.parametrize(("name", "options"), SLIDES)
def test_few_bytes_a_read_are_no_end(
    slides: Path, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    asked = [Behaviour(bytes=size, options=options) for size in (0, 100, 4096, 65537)]
    first, *others = endings(slides / name, tmp_path / "to", asked)
    assert first.version
    assert {(each.code, each.version, each.blank) for each in others} == {(0, first.version, 0)}


@pytest.mark.parametrize(("name", "options"), SLIDES)
def test_whatever_read_fails_it_is_right_or_tried_again(
    slides: Path, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    """Also where damaged tiles may be painted white."""
    options = {**options, "on_error": "blank"}
    first, *_ = endings(slides / name, tmp_path / "first", [Behaviour(options=options)])
    assert first.version
    asked = [
        Behaviour(
            after=first.reads * place // PLACES, failing=failing, error=error, options=options
        )
        for place in range(PLACES)
        for failing, error in ((1, errno.EIO), (5, errno.ESTALE), (FOR_EVER, errno.ETIMEDOUT))
    ]
    ended = endings(slides / name, tmp_path / "to", asked)
    for behaviour, ending in zip(asked, ended, strict=True):
        assert ending.blank == 0
        assert (ending.code, ending.version) in {(0, first.version), (EXIT_TRY_AGAIN, None)}, ending
        if behaviour.failing == FOR_EVER:
            assert ending.code == EXIT_TRY_AGAIN
            assert "cannot be read just now" in ending.error
    assert 0 in {ending.code for ending in ended}


@pytest.mark.parametrize(
    "error", [errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EHOSTDOWN]
)
def test_the_share_says_what_is_the_matter(slides: Path, tmp_path: Path, error: int) -> None:
    (ending,) = endings(
        slides / "shared.svs", tmp_path / "to", [Behaviour(failing=FOR_EVER, error=error)]
    )
    assert ending.code == EXIT_TRY_AGAIN
    assert "shared.svs: cannot be read just now (" in ending.error


def test_what_is_damaged_still_is(slides: Path, real_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "damaged.svs"
    forge_svs(slide, tissue=real_slide, size=(700, 500), levels=(1,))
    damage_tile(slide, 1, 1)
    asked = [
        Behaviour(bytes=1000, options={"tile_size": 240, "lane": lane, "on_error": what})
        for lane in ("lossless", "pixels")
        for what in ("fail", "blank")
    ]
    ended = endings(slide, tmp_path / "to", asked)
    assert [(ending.code, ending.blank) for ending in ended] == [(EXIT_BAD_SLIDE, 0), (0, 1)] * 2


def test_watch_does_not_set_it_aside(slides: Path, tmp_path: Path) -> None:
    scans, to = tmp_path / "scans", tmp_path / "to"
    scans.mkdir()
    slide = scans / "shared.svs"
    slide.write_bytes((slides / "shared.svs").read_bytes())
    private = ("--private-to", private_of(to))
    words = ["watch", scans, "--to", to, *private, "--once", "--interval", "0.1"]
    behaviour = Behaviour(failing=FOR_EVER, error=errno.EIO)
    done = command(slide, tmp_path / "share", behaviour, words)
    assert "shared.svs: cannot be read just now (Input/output error)" in done.stderr
    assert "is tried again in 1 minute\n" in done.stderr
    assert done.returncode == 1
    notes = Path(private_of(to), "watch").glob("[!.]*.json")
    (note,) = (json.loads(path.read_text()) for path in notes)
    assert note["due"]
    done = command(slide, tmp_path / "share", Behaviour(bytes=100), [*words, "--retry"])
    assert done.returncode == 0, done.stderr
    assert (to / "images/shared/DeepZoom.dzi").exists()


def test_verify_tells_the_share_from_the_slide(slides: Path, tmp_path: Path) -> None:
    slide = slides / "shared.svs"
    target = tmp_path / "to/images/shared"
    command(slide, tmp_path / "share", Behaviour(), ["convert", slide, "--to", tmp_path / "to"])
    words = ["verify", target, "--against", slide]
    for after in (0, 2, 8, 12, 16):
        behaviour = Behaviour(after=after, failing=FOR_EVER, error=errno.EIO)
        done = command(slide, tmp_path / "share", behaviour, words)
        assert done.returncode == EXIT_TRY_AGAIN, done.stdout + done.stderr
        assert "shared.svs: cannot be read just now" in done.stderr
    done = command(slide, tmp_path / "share", Behaviour(bytes=100), words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good" in done.stdout


def test_a_file_that_ends_is_told_from_a_reading_that_does(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    with path.open("rb", buffering=0) as file:
        assert read_exactly(file, path, 1, 4) == b"2345"
        with pytest.raises(Exception, match=r"cut off at 5 of at least 6 bytes"):
            read_exactly(file, path, 2, 4)


def test_no_library_maps_a_file_whose_share_may_fail(slides: Path) -> None:
    with Watched(slides / "shared.tif") as file, pytest.raises(OSError, match="fileno"):
        file.fileno()
