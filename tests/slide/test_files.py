"""Which files are a slide's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vsv_pyramid.slide.files import extent


@pytest.mark.parametrize("stem", ["a", "a**b", "a[1]", "[a]", "a?"])
@pytest.mark.parametrize("suffix", [".vms", ".vmu"])
def test_the_others_begin_as_the_slide_does(tmp_path: Path, stem: str, suffix: str) -> None:
    for name in (f"{stem}{suffix}", f"{stem}.jpg", f"{stem}_map.jpg", "b1.jpg", "axb.jpg"):
        (tmp_path / name).write_bytes(b"1")
    size, _ = extent(tmp_path / f"{stem}{suffix}")
    assert size == 3 + (stem == "a")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
@pytest.mark.parametrize(("name", "other"), [("a.vms", "a.jpg"), ("a.mrxs", "a/Slidedat.ini")])
def test_a_link_that_leads_nowhere_does_not_hide_the_slide(
    tmp_path: Path, name: str, other: str
) -> None:
    path, link = tmp_path / name, tmp_path / other
    path.write_bytes(b"1")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to("nowhere")
    size, _ = extent(path)
    assert size == 1
