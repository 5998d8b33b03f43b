"""Tiles as large as no scanner's: few of them are in memory, whoever reads, and show the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.pyramid.test_copied import write_tiff
from tests.support.tiles import VARIANTS, cut, tissue
from vsv_pyramid.containers.tiff import tiff_base
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide import tiles
from vsv_pyramid.slide.tiles import NativeTiles, tiff_tiles

SIZE, TILE = (500, 380), 128
REGIONS = [(0, 0, 128, 128), (100, 100, 200, 200), (0, 0, *SIZE), (400, 300, 100, 80)]
BEYOND = (450, 350, 100, 100)


def opened(path: Path) -> NativeTiles:
    base = tiff_base(path)
    assert base
    return tiff_tiles(base)


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("kept", [1, 3])
def test_large_tiles_show_what_small_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: bool, kept: int
) -> None:
    rows = [[VARIANTS[0].tile(part) for part in row] for row in cut(tissue(*SIZE), TILE)]
    if left_out:
        rows[1][1] = b""
    path = write_tiff(tmp_path / "a.tif", rows, SIZE, TILE, rgb=VARIANTS[0].rgb)
    with closing(opened(path)) as small:
        monkeypatch.setattr(tiles, "_LARGE_BYTES", TILE * TILE * 3 - 1)
        monkeypatch.setattr(tiles, "_LARGE_CACHE_BYTES", kept * TILE * TILE * 3 + 1)
        with closing(opened(path)) as large, ThreadPoolExecutor(4) as pool:

            def read(region: tuple[int, int, int, int]) -> None:
                x, y, *size = region
                one, other = (reader.read(x, y, Size(*size)) for reader in (small, large))
                assert np.array_equal(one[..., :3], other[..., :3])
                alpha = one[..., 3:] if one.shape[2] == 4 else 255
                assert (other[..., 3:] == alpha).all()

            list(pool.map(read, [*REGIONS, BEYOND] * 4))
            assert large._tile.cache_info().maxsize == kept
