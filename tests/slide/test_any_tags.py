"""Tags that nobody listed: what they make is right, or refused, and never something else."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.slide.test_every_picture import apart, options, published
from tests.support.raw_tiff import LONG, SHORT, Tags, independent, write
from tests.support.tiles import tissue
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import SlideError

# CMYK has no one meaning without a profile: readers differ by rounding, and in what black does.
NEAR = 2.5


COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}


class Drawn(NamedTuple):
    """One page's tags, which may contradict each other; `more` samples than they account for."""

    size: tuple[int, int]
    photometric: int
    extra: list[int]
    more: int
    dtype: str
    planar: int
    tile: tuple[int, int] | None
    compression: int
    subfile: int
    orientation: int
    seed: int
    further: int
    one_depth: bool
    wide_palette: bool


def any_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


PAGES = st.builds(
    Drawn,
    size=any_of((96, 64), (80, 70), (33, 47)),
    photometric=any_of(2, 2, 2, 0, 1, 3, 5, 6, 8, 32803),
    extra=any_of([], [], [], [0], [1], [2], [0, 0], [2, 0]),
    more=any_of(0, 0, 0, 0, 1, -1),
    dtype=any_of(*"BBBBBBHbef"),
    planar=any_of(1, 1, 1, 2, 2, 0, 3),
    tile=any_of(None, (32, 32), (64, 48)),
    compression=any_of(1, 1, 8, 32946),
    subfile=any_of(0, 0, 0, 1, 2, 4, 9),
    orientation=any_of(1, 1, 1, 2, 3, 5, 6, 8),
    seed=st.integers(0, 3),
    further=any_of(255, 0, 128),
    one_depth=st.booleans(),
    wide_palette=st.booleans(),
)


YCBCR = Drawn(
    size=(96, 64),
    photometric=6,
    extra=[],
    more=0,
    dtype="B",
    planar=1,
    tile=(64, 48),
    compression=1,
    subfile=0,
    orientation=1,
    seed=1,
    further=255,
    one_depth=True,
    wide_palette=True,
)


NEGATIVE = YCBCR._replace(size=(80, 70), photometric=0, planar=2, tile=(32, 32))


FOUR = YCBCR._replace(photometric=2, more=1, planar=2, one_depth=False)


MASK = YCBCR._replace(photometric=2, tile=(32, 32), subfile=4, orientation=2)
STRIPS = YCBCR._replace(photometric=2, tile=None)
NEITHER_PLANAR = YCBCR._replace(photometric=2, planar=0)


def page(drawn: Drawn) -> tuple[Tags, list[bytes]]:
    """Its tags, and as many samples as they state."""
    width, height = drawn.size
    usual = COLOURS.get(drawn.photometric, 3)
    samples = max(1, usual + len(drawn.extra) + drawn.more)
    data = np.resize(tissue(width, height, drawn.seed), (height, width, samples))
    data[..., usual:] = drawn.further
    if drawn.extra[:1] == [1]:  # alpha by which the colours are multiplied already
        data[..., :usual] = data[..., :usual].astype(int) * drawn.further // 255
    is_float = drawn.dtype in "ef"
    stored = (data / 255).astype(drawn.dtype) if is_float else data.astype(drawn.dtype)
    tags: dict[int, tuple[int, list[int]]] = {
        254: (LONG, [drawn.subfile]),
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [stored.dtype.itemsize * 8] * (1 if drawn.one_depth else samples)),
        259: (SHORT, [drawn.compression]),
        262: (SHORT, [drawn.photometric]),
        274: (SHORT, [drawn.orientation]),
        277: (SHORT, [samples]),
        284: (SHORT, [drawn.planar]),
        339: (SHORT, [{"B": 1, "H": 1, "b": 2}.get(drawn.dtype, 3)] * samples),
    }
    if drawn.extra:
        tags[338] = (SHORT, drawn.extra)
    if drawn.photometric == 3:
        ramp = [number * (257 if drawn.wide_palette else 1) for number in range(256)]
        tags[320] = (SHORT, ramp + ramp[::-1] + ramp)
    if drawn.photometric == 6 and drawn.wide_palette:
        tags[530] = (SHORT, [1, 1])
    if drawn.tile:
        tags |= {322: (LONG, [drawn.tile[0]]), 323: (LONG, [drawn.tile[1]])}
    else:
        tags[278] = (LONG, [16 if drawn.seed else height])
    planes = [stored[..., number : number + 1] for number in range(samples)]
    chunks = [
        part
        for plane in (planes if drawn.planar == 2 else [stored])
        for part in cut(plane, drawn.tile, tags)
    ]
    return tags, [part if drawn.compression == 1 else zlib.compress(part) for part in chunks]


def cut(plane: NDArray[Any], tile: tuple[int, int] | None, tags: Tags) -> list[bytes]:
    height, width = plane.shape[:2]
    if tile is None:
        rows = tags[278][1][0]
        return [plane[y : y + rows].tobytes() for y in range(0, height, rows)]
    below, right = -height % tile[1], -width % tile[0]
    full = np.pad(plane, ((0, below), (0, right), (0, 0)), "edge")
    return [
        full[y : y + tile[1], x : x + tile[0]].tobytes()
        for y in range(0, full.shape[0], tile[1])
        for x in range(0, full.shape[1], tile[0])
    ]


def judge(slide: Path, index: int) -> NDArray[Any] | None:
    """The page as tifffile sees it, None where it does not, and nobody is to vouch for it."""
    try:
        return independent(slide, index)
    except (ValueError, NotImplementedError, KeyError):
        return None


@settings(max_examples=120)
@example(drawn=[YCBCR], order=">")
@example(drawn=[YCBCR], order="<")
@example(drawn=[NEGATIVE], order=">")
@example(drawn=[NEGATIVE._replace(size=(33, 47)), NEGATIVE], order="<")
@example(drawn=[FOUR], order="<")
@example(drawn=[MASK, STRIPS], order="<")
@example(drawn=[NEITHER_PLANAR], order="<")
@given(drawn=st.lists(PAGES, min_size=1, max_size=3), order=any_of("<", ">"))
def test_any_tags(drawn: list[Drawn], order: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        slide = write(Path(folder) / "a.tif", [page(one) for one in drawn], order)
        try:
            summary = convert(slide, folder, options("auto"))
        except SlideError as exc:
            assert "\n" not in str(exc) and "; " in str(exc)
            return
        size = summary.width, summary.height
        alike = [at for at, one in enumerate(drawn) if size in (one.size, one.size[::-1])]
        judged = [seen for at in alike if (seen := judge(slide, at)) is not None]
        made = published(summary)
        assert min(apart(made, one) for one in judged if one.shape == made.shape) < NEAR
        told = any(note.startswith("left out") for note in summary.notes)
        largest = max(one.size[0] * one.size[1] for one in drawn)
        assert told or (summary.width * summary.height == largest and len(alike) == 1)
