"""The pyramid that all tests of stores compare with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions

OPTIONS = ConvertOptions(tile_size=240, workers=2)


@pytest.fixture(scope="session")
def on_disk(small_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The MD5 of every object of the small slide's pyramid, but for slide.json and the catalog."""
    root = tmp_path_factory.mktemp("on_disk")
    convert(small_slide, str(root), OPTIONS)
    return {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in root.glob("images/**/*")
        if path.is_file() and path.name not in ("slide.json", "index.json")
    }
