"""TIFFs that lie: one sentence each, within bounded time and memory, and nothing half-made."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tifffile import TiffFile, imwrite

from tests.conftest import Run
from tests.pyramid.test_copied import slide_of
from tests.slide.test_every_picture import options
from tests.support.forge import forge_svs
from tests.support.tiles import VARIANTS, tissue
from vsv_pyramid.inspection import info

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")

PROGRAM = str(Path(sys.executable).with_name("vsv-pyramid"))
SECONDS, BYTES = 300, 10**9  # for all of them together

NO_IMAGE = "neither a slide nor an image"
DIRECTORIES = "its TIFF directories cannot be read; copy it"
CUT = "cut off at"
NOT_READ = "of a kind OpenSlide does not read"
LARGE = "px are too large; save it with smaller ones"
OTHER_SIZE = "128 x 128 px where the slide's tiles are"
NO_TABLES = "names a table which is neither in the tile nor in JPEGTables"
NO_JPEG = "does not begin with SOI"
USABLE = ""

ITSELF, COPY = -1, -2  # the directory's own offset, and that of a copy at the file's end
LONG, SUBIFDS = 4, 330


def magic(header: bytes) -> int:
    return int.from_bytes(header, "little")


Outcome = tuple[dict[str, Any], set[str]]  # what is said of each slide, and what is published
Lie = tuple[str, dict[str, int], str]

# What is changed in a sound TIFF, to which number, and what is said of it.
LIES: list[Lie] = [
    ("no-directory", {"first": 0}, DIRECTORIES),
    ("directory-in-the-header", {"first": 1}, DIRECTORIES),
    ("directory-beyond-the-end", {"first": 10**8}, DIRECTORIES),
    ("directory-at-4-gigabytes", {"first": 2**32 - 1}, DIRECTORIES),
    ("header-of-mixed-byte-order", {"magic": magic(b"MM*\0")}, NO_IMAGE),
    ("no-entries", {"entries": 0}, DIRECTORIES),
    ("65535-entries", {"entries": 65535}, DIRECTORIES),
    ("next-is-itself", {"next": ITSELF}, NOT_READ),
    ("next-is-the-header", {"next": 4}, NOT_READ),
    ("next-beyond-the-end", {"next": 10**8}, NOT_READ),
    ("next-leads-back", {"next": COPY, "copy's next": ITSELF}, NOT_READ),
    ("two-directories", {"next": COPY}, USABLE),
    (
        "sub-directory-is-itself",
        {"ResolutionUnit code": SUBIFDS, "ResolutionUnit type": LONG, "ResolutionUnit": ITSELF},
        USABLE,
    ),
    ("no-width", {"ImageWidth": 0}, DIRECTORIES),
    ("no-height", {"ImageLength": 0}, DIRECTORIES),
    ("width-65535", {"ImageWidth": 65535}, DIRECTORIES),
    ("height-65535", {"ImageLength": 65535}, DIRECTORIES),
    ("width-2147483647", {"ImageWidth": 2**31 - 1}, DIRECTORIES),
    ("height-2147483647", {"ImageLength": 2**31 - 1}, DIRECTORIES),
    ("size-65535", {"ImageWidth": 65535, "ImageLength": 65535}, DIRECTORIES),
    ("size-2147483647", {"ImageWidth": 2**31 - 1, "ImageLength": 2**31 - 1}, DIRECTORIES),
    ("one-pixel", {"ImageWidth": 1, "ImageLength": 1}, USABLE),
    ("no-tile-width", {"TileWidth": 0}, DIRECTORIES),
    ("no-tile-height", {"TileLength": 0}, DIRECTORIES),
    ("tile-width-1", {"TileWidth": 1}, DIRECTORIES),
    ("tile-width-100", {"TileWidth": 100, "ImageWidth": 400}, OTHER_SIZE),
    ("tile-width-65535", {"TileWidth": 65535}, OTHER_SIZE),
    ("tile-height-65535", {"TileLength": 65535}, OTHER_SIZE),
    ("tile-width-2147483632", {"TileWidth": 2**31 - 16}, LARGE),
    ("tile-height-2147483648", {"TileLength": 2**31}, LARGE),
    ("tile-size-16", {"TileWidth": 16, "TileLength": 16}, DIRECTORIES),
    ("tile-size-65520", {"TileWidth": 65520, "TileLength": 65520}, LARGE),
    ("tile-size-2147483648", {"TileWidth": 2**31, "TileLength": 2**31}, LARGE),
    ("no-offsets", {"TileOffsets count": 0}, DIRECTORIES),
    ("million-offsets", {"TileOffsets count": 10**6}, DIRECTORIES),
    ("billion-offsets", {"TileOffsets count": 10**9}, DIRECTORIES),
    ("billion-counts", {"TileByteCounts count": 10**9}, DIRECTORIES),
    (
        "billion-of-both",
        {"TileOffsets count": 10**9, "TileByteCounts count": 10**9},
        DIRECTORIES,
    ),
    ("offsets-beyond-the-end", {"TileOffsets": 10**9}, DIRECTORIES),
    ("offset-0", {"TileOffsets[0]": 0}, NO_JPEG),
    ("offset-beyond-the-end", {"TileOffsets[0]": 10**6}, CUT),
    ("offset-at-4-gigabytes", {"TileOffsets[0]": 2**32 - 1}, CUT),
    ("count-0", {"TileByteCounts[0]": 0}, USABLE),
    ("count-1", {"TileByteCounts[0]": 1}, NO_JPEG),
    ("count-beyond-the-end", {"TileByteCounts[0]": 10**6}, CUT),
    ("count-4-gigabytes", {"TileByteCounts[0]": 2**32 - 1}, CUT),
    ("offsets-that-are-text", {"TileOffsets type": 2}, DIRECTORIES),
    ("tables-longer-than-the-file", {"JPEGTables count": 10**6}, NO_TABLES),
    ("tables-of-4-gigabytes", {"JPEGTables count": 2**32 - 1}, NO_TABLES),
    ("tables-beyond-the-end", {"JPEGTables": 10**9}, NO_TABLES),
    ("tables-of-1-byte", {"JPEGTables count": 1}, NO_JPEG),
]
CLASSIC_LIES: list[Lie] = [
    ("claims-to-be-big", {"magic": magic(b"II+\0")}, DIRECTORIES),
    ("claims-other-byte-order", {"magic": magic(b"MM\0*")}, DIRECTORIES),
]
BIG_LIES: list[Lie] = [
    ("claims-to-be-classic", {"magic": magic(b"II*\0")}, DIRECTORIES),
    ("claims-other-byte-order", {"magic": magic(b"MM\0+")}, DIRECTORIES),
    ("million-entries", {"entries": 10**6}, DIRECTORIES),
    ("2-to-the-60-entries", {"entries": 2**60}, DIRECTORIES),
    ("directory-at-2-to-the-63", {"first": 2**63}, DIRECTORIES),
    ("2-to-the-60-offsets", {"TileOffsets count": 2**60}, DIRECTORIES),
    ("2-to-the-60-counts", {"TileByteCounts count": 2**60}, DIRECTORIES),
    ("2-to-the-64-offsets", {"TileOffsets count": 2**64 - 1}, DIRECTORIES),
    ("tables-of-2-to-the-60", {"JPEGTables count": 2**60}, NO_TABLES),
    ("offset-at-2-to-the-63", {"TileOffsets[0]": 2**63}, CUT),
    ("offset-that-overflows", {"TileOffsets[0]": 2**64 - 1}, CUT),
    ("offsets-of-4-bytes", {"offset size": 4}, DIRECTORIES),
]
KINDS = {"classic": LIES + CLASSIC_LIES, "big": LIES + BIG_LIES}
SAID = {f"{kind}-{name}": said for kind, lies in KINDS.items() for name, _, said in lies}


def lying(good: Path, changes: Mapping[str, int]) -> bytes:
    """The TIFF with other numbers in its header, its directory, or the entry of a tag there."""
    data = bytearray(good.read_bytes())
    data += bytes(len(data) % 2)
    with TiffFile(good) as tiff:
        page, wide = tiff.pages.first, 8 if tiff.is_bigtiff else 4
        start, copy = page.offset, len(data)
        entries = start + (8 if tiff.is_bigtiff else 2)
        next_ = entries + len(page.tags) * (4 + 2 * wide)
        places = {
            "magic": (0, 4),
            "offset size": (4, 2),
            "first": (wide, wide),
            "entries": (start, entries - start),
            "next": (next_, wide),
            "copy's next": (copy + next_ - start, wide),
        }
        for tag in page.tags:
            places |= {
                f"{tag.name} code": (tag.offset, 2),
                f"{tag.name} type": (tag.offset + 2, 2),
                f"{tag.name} count": (tag.offset + 4, wide),
                f"{tag.name}": (tag.offset + 4 + wide, wide),  # the value, or where the values are
                f"{tag.name}[0]": (tag.valueoffset, 8 if tag.dtype == 16 else 4),
            }
    data += data[start : next_ + wide]
    for name, number in changes.items():
        at, length = places[name]
        number = {ITSELF: start, COPY: copy}.get(number, number)
        data[at : at + length] = number.to_bytes(length, "little")
    return bytes(data)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for kind, lies in KINDS.items():
        good = slide_of(folder / "good", VARIANTS[1], tissue(500, 400), 128, bigtiff=kind == "big")
        for name, changes, _ in lies:
            (folder / f"{kind}-{name}.tif").write_bytes(lying(good, changes))
    return folder


def converted(slides: Path, *options: str) -> Outcome:
    """All of them through the command line at once, whose memory and time are bounded."""
    to = slides / "-".join(["to", *options])
    words = ["convert", str(slides), "--to", str(to), "--json", "--quiet", *options]
    command = ["prlimit", f"--as={BYTES}", PROGRAM, *words]
    environment = dict(os.environ)
    if sanitizer := os.environ.get("ASAN_OPTIONS"):  # it takes terabytes of addresses for itself
        del command[:2]
        bound = f"allocator_may_return_null=1:max_allocation_size_mb={BYTES >> 20}"
        environment["ASAN_OPTIONS"] = f"{sanitizer}:{bound}"
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode == 65, ended.stderr
    results = {Path(slide["slide"]).stem: slide for slide in json.loads(ended.stdout)["slides"]}
    assert ended.stderr.count("Error: ") == sum("error" in result for result in results.values())
    return results, {path.name for path in (to / "images").iterdir()}


@pytest.fixture(scope="module")
def strict(slides: Path) -> Outcome:
    return converted(slides)


@pytest.fixture(scope="module")
def lenient(slides: Path) -> Outcome:
    return converted(slides, "--on-error", "blank")


@pytest.mark.table
@pytest.mark.parametrize("name", SAID)
def test_a_lie_is_told_in_one_sentence(strict: Outcome, name: str) -> None:
    results, published = strict
    if SAID[name] == USABLE:
        assert results[name]["status"] == "converted"
    else:
        error = results[name]["error"]
        assert f"{name}.tif: " in error
        assert SAID[name] in error
        assert "\n" not in error
    assert (name in published) == (SAID[name] == USABLE)


@pytest.mark.table
@pytest.mark.parametrize("name", SAID)
def test_only_what_tiles_say_can_be_left_blank(lenient: Outcome, name: str) -> None:
    results, published = lenient
    left = SAID[name] in (USABLE, OTHER_SIZE, NO_TABLES, NO_JPEG)
    assert results[name]["status"] == ("converted" if left else "failed")
    assert (name in published) == left


def test_nothing_else_is_published(strict: Outcome, lenient: Outcome) -> None:
    for results, published in (strict, lenient):
        assert set(results) == set(SAID)
        assert published <= {*SAID, "index.json"}


def test_a_macro_image_that_claims_to_be_huge_is_not_read(
    run: Run, real_slide: Path, tmp_path: Path
) -> None:
    images = {name: Image.new("RGB", (99, 99)) for name in ("thumbnail", "macro")}
    slide = tmp_path / "a.svs"
    forge_svs(slide, tissue=real_slide, size=(700, 500), levels=(1,), associated=images)
    data = bytearray(slide.read_bytes())
    with TiffFile(slide) as tiff:
        tags = tiff.pages[-1].aspage().tags
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            struct.pack_into("<HII", data, tags[name].offset + 2, LONG, 1, 1 << 14)
    slide.write_bytes(data)
    outcome = run("convert", slide, "--associated", "macro")
    assert outcome.code == 65
    assert f"Error: {slide}: its macro image of 16384 x 16384 px is too large" in outcome.err
    assert not Path("images").exists()
    assert run("convert", slide).code == 0


@pytest.mark.parametrize("text", ["<Pixels ", "<image vips ", "<OME ", "<!-- -->", 'x="', "x = "])
def test_a_long_description_is_read_once(text: str, tmp_path: Path) -> None:
    """Not anew from each of its words."""
    path = tmp_path / "a.tif"
    imwrite(path, tissue(200, 150), tile=(64, 64), photometric="rgb", description=text * 50_000)
    assert info(path, options("auto"))["width"] == 200
