"""A patient's name, planted wherever a slide can carry one, is in no byte that anybody serves."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
import pytest
import zxingcpp
from PIL import Image, ImageDraw

from tests.conversion.test_conversion import WITHHELD
from tests.slide.test_icc import MATRIX, described, mluc, profile
from tests.support.destinations import keeping, opened
from tests.support.forge import forge_svs
from tests.support.site import Site, serving
from vsv_pyramid import pages
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import Destination
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import create_app

NAME = "Zebulon"
SPELLINGS = [
    spelling.encode(encoding)
    for spelling in (NAME, NAME.upper(), NAME.lower())
    for encoding in ("ascii", "utf-16-le", "utf-16-be")
]
COLOUR = (250, 10, 240)  # which no tissue has


@pytest.fixture(scope="module")
def aperio_keys(real_slide: Path) -> list[str]:
    """All Aperio keys that are known: the real slide's, and those of other scanners."""
    with openslide.OpenSlide(real_slide) as slide:
        own = [key.partition(".")[2] for key in slide.properties if key.startswith("aperio.")]
    return sorted({*own, *WITHHELD})


@pytest.fixture(scope="module")
def label() -> Image.Image:
    """The name in letters and in a barcode, on a colour by which the picture is found."""
    picture = Image.new("RGB", (400, 300), COLOUR)
    ImageDraw.Draw(picture).text((20, 20), NAME, fill=0)
    barcode = zxingcpp.create_barcode(NAME, zxingcpp.BarcodeFormat.DataMatrix)
    picture.paste(Image.fromarray(np.array(barcode.to_image(scale=5))), (60, 60))
    return picture


@pytest.fixture(scope="module", params=["copy", "reencode"])
def root(
    request: pytest.FixtureRequest,
    real_slide: Path,
    aperio_keys: list[str],
    label: Image.Image,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("private")
    slide = folder / "170782.svs"
    forge_svs(
        slide,
        tissue=real_slide,
        size=(900, 700),
        levels=(1, 4),
        description=dict.fromkeys(aperio_keys, NAME),
        associated={"label": label, "macro": label},
        icc=profile({**MATRIX, b"desc": described(NAME), b"cprt": mluc(NAME)}, pcs=b"XYZ "),
    )
    with openslide.OpenSlide(slide) as known:
        assert {f"aperio.{key}" for key in aperio_keys} <= {
            key for key, value in known.properties.items() if value == NAME
        }
    to = folder / "to"
    convert(slide, str(to), keeping(ConvertOptions(base=request.param), to))
    pages.publish(open_store(str(to)))
    Desk(opened(to), NAME).set(
        {"170782": None}, {"slide_id": "A1", "status": "BAD"}, f"{NAME} moved"
    )
    return folder / "to"


@pytest.fixture
def store(root: Path) -> Destination:
    return opened(root)


@pytest.fixture
def site(root: Path) -> Iterator[Site]:
    with serving(create_app(open_root(str(root)))) as site:
        yield site


def holds_name(data: bytes) -> bool:
    return any(spelling in data for spelling in SPELLINGS)


def test_the_name_is_there_where_nobody_serves_it(store: Destination, label: Image.Image) -> None:
    document = json.loads(store.get(keys.private_json_key("170782")))
    assert document["properties"]["aperio.User"] == NAME
    assert document["history"][1]["who"] == NAME
    assert holds_name(store.get(keys.private_json_key("170782")))
    for name in ("label", "macro"):
        kept = Image.open(io.BytesIO(store.get(keys.private_image_key("170782", name))))
        assert kept.size == label.size
        assert is_label(kept)


def is_label(picture: Image.Image) -> bool:
    """Whether some of it has the label's colour."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    return bool((np.abs(pixels - COLOUR).max(axis=2) < 40).any())


def test_no_published_byte_has_the_name(store: Destination) -> None:
    published = [found.key for found in store.keys("") if not found.key.startswith(keys.PRIVATE)]
    assert {key.split("/")[0] for key in published} == {"images", "viewer"}
    assert keys.icc_key("images/170782") in published
    for key in published:
        data = store.get(key)
        assert not holds_name(data), key
        if key.endswith(".jpeg"):
            assert not is_label(Image.open(io.BytesIO(data))), key


def test_the_barcode_that_is_a_name_is_none(store: Destination) -> None:
    assert Desk(store, "anna").record("170782").barcode == "unreadable"


def test_nothing_private_is_served(store: Destination, site: Site) -> None:
    for found in store.keys(keys.PRIVATE):
        for path in (f"/{found.key}", f"/images/../{found.key}", f"/images/%2e%2e/{found.key}"):
            answer = site.ask(path)
            assert answer.status == 404, path
    for path in ("/desk/", "/desk/api/slides", "/desk/images/170782/label.jpeg"):
        assert site.ask(path).status == 404
    for name in ("DeepZoom.dzi", "slide.json", "icc.icc", "thumbnail.jpeg"):
        answer = site.ask(f"/images/170782/{name}")
        assert answer.status == 200
        assert not holds_name(answer.body)
