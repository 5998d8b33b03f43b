"""Which page of a TIFF is the slide, and what a file that is not all there is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.forge_tiffs import LABEL, PICTURE, PLACES, Row, Stored, beyond_the_end
from vsv_pyramid.slide.pages import stated_planes, stated_shape
from vsv_pyramid.slide.tiff import tiff_base

OME = '<OME><Image><Pixels SizeC="{}" SizeT="{}" SizeZ="{}" Type="uint8"/></Image></OME>'


@pytest.mark.parametrize(
    ("description", "samples", "planes"),
    [
        ("", 1, 1),
        ("ImageJ=1.53t\nimages=12\nslices=12\n", 1, 12),
        ("ImageJ=1.53t\nunit=micron\n", 1, 1),
        ("images=12", 1, 1),
        (OME.format(3, 1, 1), 3, 1),
        (OME.format(3, 1, 1), 1, 3),
        (OME.format(3, 2, 5), 3, 10),
        ("<OME></OME>", 3, 1),
    ],
)
def test_planes_that_a_description_states(description: str, samples: int, planes: int) -> None:
    assert stated_planes(description, samples) == planes


@pytest.mark.parametrize(
    ("description", "count"),
    [
        ('{"shape": [5, 150, 200]}', 150_000),
        ('{"shape": "large"}', 0),
        ('{"shape": null}', 0),
        ("[1, 2]", 0),
        ("Aperio", 0),
        ("[" * 100_000, 0),
    ],
)
def test_samples_that_a_description_states(description: str, count: int) -> None:
    assert stated_shape(description) == count


@pytest.mark.parametrize(("cut", "patch"), [(False, lambda path: None), (True, beyond_the_end(1))])
def test_a_label_that_is_not_all_there_is_told(cut: bool, patch: object, tmp_path: Path) -> None:
    """A slide that is still being written waits for it, and one that ends there does not."""
    assert callable(patch)
    pages = [Stored(PICTURE, PLACES["tiles"]), Stored(LABEL, PLACES["strips"])]
    base = tiff_base(Row("", pages, patch=patch).write(tmp_path / "a.tif"))
    assert base is not None
    assert base.cut == cut
