"""What a browser shows: Chromium draws tiles in the colours that Pillow decodes."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image

from tests.forge import Encoding, forge_svs
from tests.tiles import Pixels, decode
from vsv_pyramid.convert import convert
from vsv_pyramid.plan import ConvertOptions

NAMES = ("chromium", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--force-color-profile=srgb",
)
# The DOM is dumped when the load event is over: a canvas's PNG is exact, and text.
SCRIPT = """<script>
onload = () => {
  document.body.textContent = [...document.images].map((image) => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
  }).join(" ");
};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no Chromium")
    return str(found)


def drawn(chromium: str, jpegs: Sequence[bytes], folder: Path) -> list[Pixels]:
    """The pixels, RGBA, that a page's canvas has after drawing each JPEG."""
    images = (f'<img src="data:;base64,{base64.b64encode(jpeg).decode()}">' for jpeg in jpegs)
    page = folder / "page.html"
    page.write_text("".join(images) + SCRIPT)
    command = [chromium, *FLAGS, f"--user-data-dir={folder}/profile", "--dump-dom", page.as_uri()]
    # Under a sanitizer's library, meant for the kernel, Chromium never comes up.
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    dump = subprocess.run(
        command, env=plain, capture_output=True, text=True, timeout=300, check=True
    ).stdout
    pngs = re.findall(r"data:image/png;base64,([\w+/=]+)", dump)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]


@pytest.mark.parametrize("subsampling", [None, "4:4:4", "4:2:2", "4:2:0"])
def test_tiles_are_drawn_in_the_colours_of_the_slide(
    chromium: str, real_slide: Path, tmp_path: Path, subsampling: str | None
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
    with openslide.OpenSlide(slide) as opened:
        for path, jpeg, rgba in zip(paths, jpegs, drawn(chromium, jpegs, tmp_path), strict=True):
            rgb, opacity = rgba[..., :3].astype(int), rgba[..., 3]
            assert opacity.min() == 255
            assert np.abs(rgb - decode(jpeg)).max() <= 3, path
            if path.parent == levels[-1]:  # Pillow and Chromium might err alike
                x, y = (int(at) * summary.tile_size for at in path.stem.split("_"))
                own = opened.read_region((x, y), 0, rgb.shape[1::-1]).convert("RGB")
                assert np.abs(rgb - np.asarray(own)).mean() < 1, path
