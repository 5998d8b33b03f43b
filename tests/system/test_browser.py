"""What a browser shows: Chromium draws tiles in the colours that Pillow decodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
from playwright.sync_api import Browser

from tests.support.browser import decoded
from tests.support.forge import Encoding, forge_svs
from tests.support.tiles import decode
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions


@pytest.mark.parametrize("subsampling", [None, "4:4:4", "4:2:2", "4:2:0"])
def test_tiles_are_drawn_in_the_colours_of_the_slide(
    chromium: Browser, real_slide: Path, tmp_path: Path, subsampling: str | None
) -> None:
    """Of the real slide, RGB, and of YCbCr ones: base tiles, and those of the level above."""
    slide = real_slide
    if subsampling:
        slide, encoding = tmp_path / "a.svs", Encoding(256, 70, subsampling, rgb=False)
        forge_svs(slide, tissue=real_slide, size=(1501, 1103), levels=(1,), encoding=encoding)
    summary = convert(slide, str(tmp_path), ConvertOptions(workers=2))
    levels = sorted(Path(summary.target).parent.glob("DeepZoom_files/*"), key=lambda p: int(p.name))
    paths = [path for level in levels[:-3:-1] for path in sorted(level.iterdir())]
    paths = [path for path in paths if path.stem in ("0_0", "1_1", "2_1", "1_4")]
    jpegs = [path.read_bytes() for path in paths]
    page = chromium.new_page()
    drawn = decoded(page, jpegs)
    page.close()
    with openslide.OpenSlide(slide) as opened:
        for path, jpeg, rgba in zip(paths, jpegs, drawn, strict=True):
            rgb, opacity = rgba[..., :3].astype(int), rgba[..., 3]
            assert opacity.min() == 255
            assert np.abs(rgb - decode(jpeg)).max() <= 3, path
            if path.parent == levels[-1]:  # Pillow and Chromium might err alike
                x, y = (int(at) * summary.tile_size for at in path.stem.split("_"))
                own = opened.read_region((x, y), 0, rgb.shape[1::-1]).convert("RGB")
                assert np.abs(rgb - np.asarray(own)).mean() < 1, path
