"""Whole conversions: what is published, of which slides, with which options."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import simplejpeg
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image, ImageCms, ImageDraw, features
from tifffile import TiffWriter

from tests.support.forge import damage_tile, forge_svs
from vsv_pyramid import slide_json
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import OptionError, SlideError, StoreError, TileError
from vsv_pyramid.inspection import info
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.planning.plan import auto_tile_size, make_plan
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.slide.files import fingerprint
from vsv_pyramid.slide.icc import published_profile
from vsv_pyramid.slide.pixels import Slide, open_slide
from vsv_pyramid.slide.search import find_slides
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.slide_json import ALGORITHM
from vsv_pyramid.store import directory, moves
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.verification import verify

OPTIONS = ConvertOptions(workers=2)


def objects(root: Path) -> dict[str, str]:
    """All files below the root that are not private, with digests of their bytes."""
    return {
        key: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
        and not (key := path.relative_to(root).as_posix()).startswith(keys.PRIVATE)
    }


def stated(summary: Summary) -> dict[str, Any]:
    document = json.loads(Path(summary.target).with_name("slide.json").read_text())
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="session")
def forged(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small slide with thumbnail, label and macro, and an ICC profile."""
    path = tmp_path_factory.mktemp("forged") / "forged.svs"
    label = Image.new("RGB", (120, 80), "white")
    ImageDraw.Draw(label).text((10, 10), "170782", fill="black")
    images = {
        "thumbnail": Image.new("RGB", (100, 80), "pink"),
        "label": label,
        "macro": Image.new("RGB", (300, 100), "gray"),
    }
    forge_svs(path, tissue=real_slide, size=(701, 503), levels=(1,), associated=images, icc=ICC)
    return path


ICC = (
    ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if features.check("littlecms2")
    else None
)


def test_the_real_slide(real_slide: Path, tmp_path: Path) -> None:
    summary = convert(real_slide, str(tmp_path), OPTIONS)
    with openslide.OpenSlide(real_slide) as slide:
        oracle = DeepZoomGenerator(slide, tile_size=720, overlap=0)
        tiles = {
            f"images/CMU-1-Small-Region/DeepZoom_files/{level}/{column}_{row}.jpeg":
            oracle.get_tile_dimensions(level, (column, row))
            for level, (columns, rows) in enumerate(oracle.level_tiles)
            for row in range(rows)
            for column in range(columns)
        }  # fmt: skip
    others = {
        f"images/CMU-1-Small-Region/{name}"
        for name in ("DeepZoom.dzi", "slide.json", "thumbnail.jpeg")
    }
    assert set(objects(tmp_path)) == set(tiles) | others | {keys.catalog_key()}
    for key, size in tiles.items():
        height, width, _, subsampling = simplejpeg.decode_jpeg_header((tmp_path / key).read_bytes())
        assert (width, height) == size
        base = f"/{len(oracle.level_tiles) - 1}/" in key
        assert subsampling == ("444" if base else "420") or min(size) <= 2
    assert summary.status == "converted"
    assert (summary.tiles, summary.width, summary.height) == (len(tiles), 2220, 2967)
    report = verify(Path(summary.target), deep=True, against=real_slide, workers=2)
    assert report.errors == report.warnings == []


def test_slide_json(real_slide: Path, tmp_path: Path) -> None:
    document = stated(convert(real_slide, str(tmp_path), OPTIONS))
    assert (document["version"], document["layout"]) == (2, 1)
    assert document["id"] == "CMU-1-Small-Region"
    assert document["source"].keys() == {"file", "digest"}
    assert (document["width"], document["height"]) == (2220, 2967)
    assert document["mpp"] == {"x": 0.499, "y": 0.499}
    assert document["objective_power"] == 20
    assert document["vendor"] == "aperio"
    assert (document["scanner"], document["year"]) == (None, 2009)
    assert (document["details"], document["scanned"], document["created"]) == ("none", None, None)
    assert document.keys().isdisjoint({"image_id", "properties", "review"})
    assert document["associated_images"] == {
        "published": ["thumbnail"],
        "withheld": ["label", "macro"],
    }
    pyramid = document["pyramid"]
    assert pyramid["levels"][-1] == {
        "level": 12,
        "width": 2220,
        "height": 2967,
        "columns": 4,
        "rows": 5,
    }
    assert (pyramid["tile_size"], pyramid["tile_count"], pyramid["quality"]) == (720, 38, 80)
    assert (pyramid["lane"], pyramid["base"]) == ("lossless", "copied")
    assert pyramid["chroma_subsampling"] == "4:2:0"
    assert pyramid["fallback_tiles"] == {}
    tiles = list((tmp_path / "images/CMU-1-Small-Region/DeepZoom_files").rglob("*.jpeg"))
    assert pyramid["bytes"] == sum(path.stat().st_size for path in tiles)
    assert {"vsv-pyramid", "openslide", "simplejpeg"} < set(document["software"])
    assert "encoder" not in document["software"]


def test_the_details_of_a_lab(real_slide: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, details="lab", time_zone="Europe/Berlin")
    document = stated(convert(real_slide, str(tmp_path), options))
    assert (document["details"], document["year"]) == ("lab", 2009)
    assert document["scanned"] == "2009-12-29T09:59:15+01:00"
    assert datetime.fromisoformat(document["created"]).tzinfo
    # Without the private place there is no review.
    assert document.keys().isdisjoint({"image_id", "properties", "review"})
    assert not document["kept"]


WITHHELD = [
    *("User", "Title", "Patient", "PatientName", "Accession", "AccessionNumber", "Filename"),
    *("Barcode", "Slide Label", "Comment", "Case", "Parmset", "AppMag", "MPP", "StripeWidth"),
    *("ImageID", "Date", "Time", "Time Zone", "Focus Offset", "ICC Profile", "DSR ID"),
]


def test_no_name_is_published_from_any_key(real_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "170782.svs"
    described = {key: f"Doe-{number}^Jane" for number, key in enumerate(WITHHELD)}
    forge_svs(slide, tissue=real_slide, size=(300, 200), levels=(1,), description=described)
    with open_slide(slide) as opened:
        assert sum("^Jane" in text for text in opened.properties.values()) >= len(WITHHELD)
    convert(slide, str(tmp_path / "to"), OPTIONS)
    for key in objects(tmp_path / "to"):
        published = (tmp_path / "to" / key).read_bytes()
        assert b"Doe" not in published and b"Jane" not in published, key


def test_the_same_again_is_skipped(small_slide: Path, tmp_path: Path) -> None:
    first = convert(small_slide, str(tmp_path), OPTIONS)
    before = objects(tmp_path)
    again = convert(small_slide, str(tmp_path), ConvertOptions(workers=1))
    assert (again.status, again.tiles, again.bytes) == ("skipped", first.tiles, first.bytes)
    assert objects(tmp_path) == before


def test_the_same_again_has_the_same_bytes(small_slide: Path, tmp_path: Path) -> None:
    for folder, workers in (("1", 1), ("2", 2), ("7", 7)):
        convert(small_slide, str(tmp_path / folder), ConvertOptions(tile_size=64, workers=workers))
    made = [objects(tmp_path / folder) for folder in ("1", "2", "7")]
    for one in made:
        one.pop("images/small/slide.json")  # says when, and how long it took
        one.pop(keys.catalog_key())
    assert made[0] == made[1] == made[2]


def test_the_version_changes_with_the_tiles_only(small_slide: Path, tmp_path: Path) -> None:
    def version(folder: str, **options: Any) -> str:
        summary = convert(small_slide, str(tmp_path / folder), ConvertOptions(**options))
        return str(stated(summary)["pyramid"]["version"])

    versions = [
        version("a", quality=80),
        version("b", quality=80, associated=()),
        version("c", quality=81),
        version("d", quality=80, tile_size=256),
    ]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def test_something_else_is_replaced_only_when_told_to(small_slide: Path, tmp_path: Path) -> None:
    convert(small_slide, str(tmp_path), OPTIONS)
    before = objects(tmp_path)
    other = ConvertOptions(quality=50, tile_size=256, workers=2)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), other)
    assert objects(tmp_path) == before
    options = ConvertOptions(quality=50, tile_size=256, workers=2, overwrite=True)
    summary = convert(small_slide, str(tmp_path), options)
    assert summary.status == "converted"
    assert verify(Path(summary.target), deep=True).errors == []
    assert convert(small_slide, str(tmp_path), other).status == "skipped"


def test_what_another_process_publishes_meanwhile_is_not_replaced(
    small_slide: Path, real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing = DirectoryStore.replacing

    def late(self: DirectoryStore, folder: str) -> Any:
        monkeypatch.setattr(DirectoryStore, "replacing", replacing)
        convert(real_slide, str(tmp_path), ConvertOptions(slide_id="small"))
        return replacing(self, folder)

    monkeypatch.setattr(DirectoryStore, "replacing", late)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), OPTIONS)
    document = json.loads((tmp_path / "images/small/slide.json").read_text())
    assert slide_json.is_of(document, find_source(real_slide).fingerprint)


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    slide = tmp_path / "a.jpg"
    Image.new("RGB", (90, 60)).save(slide, exif=exif)
    summary = convert(slide, str(tmp_path), OPTIONS)
    assert (summary.width, summary.height) == (60, 90)


def test_a_changed_slide_is_not_the_same(small_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(small_slide.read_bytes())
    convert(slide, str(tmp_path), OPTIONS)
    os.utime(slide, (1, 1))
    with pytest.raises(StoreError, match="--overwrite"):
        convert(slide, str(tmp_path), OPTIONS)


class TestUpdate:
    """Where slides lie is remembered in the private place, or else in the folder of state."""

    @pytest.fixture(params=["private_to", "state"])
    def options(self, request: pytest.FixtureRequest, tmp_path: Path) -> ConvertOptions:
        folder = tmp_path / "remembered"
        given: dict[str, Any] = {"private_to": str(folder), "state": folder}
        place = {request.param: given[request.param]}
        return ConvertOptions(tile_size=256, workers=2, update=True, **place)

    @pytest.fixture
    def to(self, tmp_path: Path) -> str:
        return str(tmp_path / "to")

    @pytest.fixture
    def paths(self, small_slide: Path, tmp_path: Path) -> list[Path]:
        """Two of one name."""
        paths = [tmp_path / folder / "a.svs" for folder in ("one", "two")]
        for number, path in enumerate(paths):
            path.parent.mkdir()
            path.write_bytes(small_slide.read_bytes())
            os.utime(path, (number, number))
        return paths

    def test_it_replaces_what_is_of_another_file_only(
        self, paths: list[Path], to: str, options: ConvertOptions
    ) -> None:
        convert(paths[0], to, options)
        other = replace(options, quality=50)
        assert convert(paths[0], to, other).status == "skipped"
        os.utime(paths[0], (9, 9))
        assert convert(paths[0], to, other).status == "converted"
        assert convert(paths[0], to, other).status == "skipped"

    def test_it_does_not_replace_another_slide_of_the_same_name(
        self, paths: list[Path], to: str, options: ConvertOptions
    ) -> None:
        convert(paths[0], to, options)
        with pytest.raises(
            OptionError, match=r"two/a\.svs: .*images/a is of a slide of this name in an"
        ):
            convert(paths[1], to, options)
        assert convert(paths[0], to, options).status == "skipped"
        os.utime(paths[1], (0, 0))  # the same slide, moved
        assert convert(paths[1], to, options).status == "skipped"

    def test_what_others_have_published_of_it_is_remembered(
        self, paths: list[Path], to: str, options: ConvertOptions
    ) -> None:
        convert(paths[0], to, OPTIONS)
        assert convert(paths[0], to, options).status == "skipped"
        with pytest.raises(OptionError, match="in another place"):
            convert(paths[1], to, options)
        os.utime(paths[0], (9, 9))
        assert convert(paths[0], to, options).status == "converted"

    def test_a_folder_of_state_that_takes_nothing_is_told(
        self, paths: list[Path], to: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        state = tmp_path / "state"
        state.write_text("no folder")
        options = ConvertOptions(tile_size=256, update=True, state=state)
        assert convert(paths[0], to, options).status == "converted"
        assert "a: the place of its file is not remembered" in caplog.text
        assert convert(paths[0], to, options).status == "skipped"
        os.utime(paths[0], (9, 9))
        with pytest.raises(OptionError, match="not known here"):
            convert(paths[0], to, options)

    def test_of_which_place_it_is_nobody_knows(self, paths: list[Path], to: str) -> None:
        options = ConvertOptions(tile_size=256, update=True)
        assert convert(paths[0], to, options).status == "converted"
        assert convert(paths[0], to, options).status == "skipped"
        os.utime(paths[0], (9, 9))
        with pytest.raises(OptionError, match=r"not known here; .*--private-to.*--overwrite"):
            convert(paths[0], to, options)


@pytest.mark.parametrize(
    ("section", "name", "value", "is_current"),
    [
        ("software", "vsv-pyramid", "0.0.1", True),
        ("software", "openslide", "3.4.1", True),
        ("pyramid", "algorithm", ALGORITHM, True),
        ("pyramid", "algorithm", None, True),  # as it was before there was one
        ("pyramid", "algorithm", 0, False),
        ("options", "subsampling", None, True),  # as before there was that option
        ("options", "subsampling", "444", False),
        ("options", "sharpened", True, False),
    ],
)
def test_what_decides_on_what_is_current(
    small_slide: Path, tmp_path: Path, section: str, name: str, value: Any, is_current: bool
) -> None:
    summary = convert(small_slide, str(tmp_path), OPTIONS)
    path = Path(summary.target).with_name("slide.json")
    document = json.loads(path.read_text())
    document[section][name] = value
    if value is None:
        del document[section][name]
    path.write_text(json.dumps(document))
    if is_current:
        assert convert(small_slide, str(tmp_path), OPTIONS).status == "skipped"
    else:
        with pytest.raises(StoreError, match="--overwrite"):
            convert(small_slide, str(tmp_path), OPTIONS)


NO_COUNTS = json.dumps({"source": {}, "origin": {}, "pyramid": {}, "options": {}, "software": {}})


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pyramid": 1}', NO_COUNTS])
def test_a_folder_that_is_no_whole_pyramid_is_not_taken_for_one(
    small_slide: Path, tmp_path: Path, text: str
) -> None:
    summary = convert(small_slide, str(tmp_path), OPTIONS)
    Path(summary.target).with_name("slide.json").write_text(text)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), OPTIONS)
    Path(summary.target).unlink()
    with pytest.raises(StoreError, match="--overwrite"):
        convert(small_slide, str(tmp_path), OPTIONS)


def test_associated_images(forged: Path, tmp_path: Path) -> None:
    options = ConvertOptions(associated=("label", "macro", "thumbnail"), workers=2)
    summary = convert(forged, str(tmp_path), options)
    folder = Path(summary.target).parent
    sizes = {}
    for path in folder.glob("*.jpeg"):
        with Image.open(path) as image:
            sizes[path.stem] = image.size
    assert sizes == {"label": (120, 80), "macro": (300, 100), "thumbnail": (701, 503)}
    assert stated(summary)["associated_images"] == {
        "published": ["label", "macro", "thumbnail"],
        "withheld": [],
    }


def test_label_and_macro_stay_behind_unless_asked_for(forged: Path, tmp_path: Path) -> None:
    summary = convert(forged, str(tmp_path), ConvertOptions(associated=(), workers=2))
    assert not list(Path(summary.target).parent.glob("*.jpeg"))
    withheld = stated(summary)["associated_images"]["withheld"]
    assert withheld == ["label", "macro", "thumbnail"]


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [
        ("4711_label.svs", True),
        ("4711_macro.svs", True),
        ("label.svs", True),
        ("4711 Label image.svs", True),
        ("4711-MACRO.svs", True),
        ("4711.label.svs", True),
        ("labelled.svs", False),
        ("unlabel.svs", False),
        ("label-free.svs", False),
        ("4711_label_2.svs", False),
    ],
)
def test_what_is_named_as_a_label_is_not_taken_for_a_slide(
    small_slide: Path, tmp_path: Path, name: str, is_refused: bool
) -> None:
    slide = tmp_path / name
    slide.write_bytes(small_slide.read_bytes())
    options = replace(OPTIONS, ids="safe")
    to = str(tmp_path / "to")
    if is_refused:
        with pytest.raises(SlideError, match=r"is named as a .* picture.*--yes-this-is-a-slide"):
            convert(slide, to, options)
        with pytest.raises(SlideError, match="is named as a"):
            info(slide, options)
    assert convert(slide, to, replace(options, is_slide=True)).status == "converted"


def test_what_a_slide_lacks_is_noted(small_slide: Path, tmp_path: Path) -> None:
    options = ConvertOptions(associated=("label",), color="srgb", bounds=True, workers=2)
    assert convert(small_slide, str(tmp_path), options).notes == (
        "the slide has no label image",
        "the slide has no ICC profile: its colours are as they were",
        "the slide states no scanned bounds: all of it was converted",
    )


@pytest.mark.skipif(not ICC, reason="this Pillow has no LittleCMS")
def test_the_icc_profile_is_published(forged: Path, tmp_path: Path) -> None:
    summary = convert(forged, str(tmp_path), OPTIONS)
    published = Path(summary.target).with_name("icc.icc").read_bytes()
    assert ICC and published == published_profile(ICC) != ICC
    assert stated(summary)["icc_profile"] == "published"
    assert verify(summary.target).errors == []


def test_a_damaged_icc_profile_is_withheld(tmp_path: Path) -> None:
    slide = tmp_path / "a.png"
    Image.new("RGB", (9, 9)).save(slide, icc_profile=b"Doe, Jane")
    with open_slide(slide) as opened:
        planned = make_plan(opened, OPTIONS).object_count
    summary = convert(slide, str(tmp_path / "to"), OPTIONS)
    assert stated(summary)["icc_profile"] == "withheld"
    assert summary.notes == (
        "the slide's ICC profile was withheld: it is damaged, or of an unknown kind",
    )
    assert not Path(summary.target).with_name("icc.icc").exists()
    assert len(objects(tmp_path / "to")) == planned + 1  # the catalog
    assert verify(summary.target).errors == []


@pytest.mark.skipif(not ICC, reason="this Pillow has no LittleCMS")
def test_the_icc_profile_is_applied(tmp_path: Path) -> None:
    """The picture's numbers are linear light; sRGB's are not."""
    picture = Image.linear_gradient("L").convert("RGB")
    profile = linear_profile()
    slide = tmp_path / "a.png"
    picture.save(slide, icc_profile=profile)
    summary = convert(slide, str(tmp_path), ConvertOptions(color="srgb", quality=95, workers=2))
    assert stated(summary)["icc_profile"] == "applied"
    assert not Path(summary.target).with_name("icc.icc").exists()
    base = Path(summary.target).parent / "DeepZoom_files/8/0_0.jpeg"
    found = np.asarray(Image.open(base).convert("L"), float)[:, 128]
    linear = np.arange(256) / 255
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(found - 255 * srgb)[8:].max() < 6


TONE_CURVES = (bytearray(b"rTRC"), bytearray(b"gTRC"), bytearray(b"bTRC"))


def linear_profile() -> bytes:
    """sRGB's profile with its three tone curves replaced by straight ones."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    for entry in range(132, 132 + 12 * count, 12):
        if profile[entry : entry + 4] in TONE_CURVES:
            offset = int.from_bytes(profile[entry + 4 : entry + 8], "big")
            profile[offset : offset + 12] = b"curv" + bytes(8)  # no entries: the identity
            profile[entry + 8 : entry + 12] = (12).to_bytes(4, "big")
    return bytes(profile)


def test_a_profile_of_no_use_is_said(tmp_path: Path) -> None:
    slide = tmp_path / "a.png"
    Image.new("RGB", (9, 9)).save(slide, icc_profile=b"no profile")
    with pytest.raises((SlideError, OptionError), match=r"--color"):
        convert(slide, str(tmp_path), ConvertOptions(color="srgb"))


def test_without_littlecms_srgb_is_refused(
    forged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    monkeypatch.setattr(Slide, "icc_profile", b"profile")
    with pytest.raises(OptionError, match="LittleCMS"):
        convert(forged, str(tmp_path), ConvertOptions(color="srgb"))


def test_transparent_areas_show_the_background(tmp_path: Path) -> None:
    slide = tmp_path / "a.png"
    image = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 100, 100))
    image.save(slide)
    summary = convert(slide, str(tmp_path), ConvertOptions(background="#0000ff", quality=95))
    base = Image.open(Path(summary.target).parent / "DeepZoom_files/8/0_0.jpeg").convert("RGB")
    assert np.abs(np.asarray(base)[50, 20].astype(int) - (255, 0, 0)).max() < 5
    assert np.abs(np.asarray(base)[50, 180].astype(int) - (0, 0, 255)).max() < 5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_plain_images(tmp_path: Path, mode: str) -> None:
    slide = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.linear_gradient("L").convert(mode).save(slide)
    summary = convert(slide, str(tmp_path), OPTIONS)
    assert summary.tiles == 9
    assert verify(Path(summary.target), deep=True, against=slide).errors == []


APERIO = b"Aperio Image Library v10\r\n700x500 (256x256) J2K/KDU Q=70|AppMag = 40|MPP = 0,2526"


@pytest.mark.parametrize(
    ("vendor", "compression", "settings"),
    [
        ("aperio", "aperio_jp2000_rgb", {"description": APERIO}),
        ("generic-tiff", "jpeg", {}),
        ("generic-tiff", "deflate", {"bigtiff": True, "byteorder": ">"}),
    ],
)
def test_tiled_tiff(
    real_slide: Path, tmp_path: Path, vendor: str, compression: str, settings: dict[str, Any]
) -> None:
    with openslide.OpenSlide(real_slide) as real:
        pixels = np.asarray(real.read_region((800, 600), 0, (700, 500)).convert("RGB"))
    slide = tmp_path / "a.tif"
    kind = {name: settings.pop(name) for name in ("bigtiff", "byteorder") if name in settings}
    with TiffWriter(slide, **kind) as tiff:
        settings.update(compression=compression, metadata=None, software=False)
        tiff.write(pixels, photometric="rgb", tile=(256, 256), **settings)
    summary = convert(slide, str(tmp_path), ConvertOptions(quality=95, workers=2))
    assert (summary.width, summary.height, summary.tile_size) == (700, 500, 768)
    document = stated(summary)
    assert document["vendor"] == vendor
    assert document["mpp"]["x"] == (0.2526 if vendor == "aperio" else None)
    base = Path(summary.target).parent / "DeepZoom_files/10/0_0.jpeg"
    with Image.open(base) as image:
        assert np.abs(np.asarray(image).astype(float) - pixels).mean() < 6
    assert verify(Path(summary.target), deep=True, against=slide).errors == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.svs", "OpenSlide does not know it as an Aperio slide"),
        ("a.mrxs", "data are in a folder of the same name"),
        ("a.VSI", "data are in .ets files"),
        ("a.ndpis", "convert the .ndpi files that it names"),
        ("a.vms", "an index of a Hamamatsu slide"),
        ("a.scn", "named as a Leica slide"),
        ("a.bif", "named as a Ventana slide"),
        ("a.czi", "a Zeiss file"),
        ("a.dcm", "a DICOM file"),
        ("a.isyntax", "a format of one scanner's maker"),
    ],
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
def test_a_picture_named_as_a_scanners_file_is_none(
    tmp_path: Path, name: str, words: str, format_: str
) -> None:
    slide = tmp_path / name
    Image.new("RGB", (300, 400)).save(slide, format=format_)
    with pytest.raises(SlideError, match=words):
        convert(slide, str(tmp_path), OPTIONS)
    assert not (tmp_path / "images").exists()


def test_what_has_no_scanners_name_is_a_plain_image(tmp_path: Path) -> None:
    slide = tmp_path / "a.png"
    Image.new("RGB", (1, 1)).save(slide)
    assert convert(slide, str(tmp_path), OPTIONS).tiles == 1


def test_only_the_bounds(
    small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No format that states bounds can be forged here: the properties are planted."""
    bounds = {"x": "100", "y": "50", "width": "601", "height": "403"}
    said = {f"openslide.bounds-{side}": value for side, value in bounds.items()}
    init = Slide.__init__

    def with_bounds(self: Slide, path: Path) -> None:
        init(self, path)
        self.properties = {**self.properties, **said}

    monkeypatch.setattr(Slide, "__init__", with_bounds)
    summary = convert(small_slide, str(tmp_path), ConvertOptions(bounds=True, workers=2))
    assert (summary.width, summary.height) == (601, 403)
    assert stated(summary)["origin"] == {"x": 100, "y": 50}
    assert verify(Path(summary.target), deep=True, against=small_slide).errors == []
    said["openslide.bounds-width"] = "9000"
    with pytest.raises(SlideError, match="without --bounds"):
        convert(small_slide, str(tmp_path), ConvertOptions(bounds=True, slide_id="b"))


@pytest.mark.parametrize(
    ("native", "chosen"),
    [
        ((240, 240), 720),
        ((256, 256), 768),
        ((192, 192), 576),
        ((400, 400), 1200),
        ((176, 176), 768),
        ((416, 416), 768),
        ((512, 512), 512),
        ((1024, 1024), 1024),
        ((4096, 4096), 4096),
        ((8192, 8192), 768),
        ((512, 8), 768),
        (None, 768),
    ],
)
def test_auto_tile_size(native: tuple[int, int] | None, chosen: int) -> None:
    assert auto_tile_size(native and Size(*native)) == chosen


def test_the_plan_is_what_is_published(forged: Path, tmp_path: Path) -> None:
    options = ConvertOptions(associated=("thumbnail", "macro"), workers=2)
    with open_slide(forged) as slide:
        plan = make_plan(slide, options)
    convert(forged, str(tmp_path), options)
    planned = list(plan.keys())
    assert sorted([*planned, keys.catalog_key()]) == sorted(objects(tmp_path))
    assert plan.object_count == len(planned)
    assert planned[-1] == keys.descriptor_key(plan.folder)


def test_the_estimate_of_bytes(real_slide: Path, tmp_path: Path) -> None:
    made = convert(real_slide, str(tmp_path), OPTIONS).bytes
    facts = info(real_slide, OPTIONS)
    assert facts["plan"]["estimated_bytes"] == pytest.approx(made, rel=0.2)
    assert facts["plan"]["objects"] == 41
    assert facts["plan"]["s3_put_dollars"] == pytest.approx(41 * 0.005 / 1000)


def test_the_estimate_of_a_single_pixel(tmp_path: Path) -> None:
    slide = tmp_path / "a.png"
    Image.new("RGB", (1, 1)).save(slide)
    made = convert(slide, str(tmp_path), OPTIONS).bytes
    assert info(slide, OPTIONS)["plan"]["estimated_bytes"] == made


def test_progress(small_slide: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    convert(small_slide, str(tmp_path), OPTIONS, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == Progress(seen[-1].total, seen[-1].total, 1501 * 1103)


@pytest.fixture
def damaged(real_slide: Path, tmp_path: Path) -> Path:
    path = tmp_path / "damaged.svs"
    forge_svs(path, tissue=real_slide, size=(1500, 1100), levels=(1,))
    damage_tile(path, 1, 1)
    damage_tile(path, 5, 4)
    return path


@pytest.mark.parametrize("lane", ["pixels", "lossless"])
def test_a_damaged_tile_fails_the_slide_and_is_named(
    damaged: Path, tmp_path: Path, lane: str
) -> None:
    options = ConvertOptions(tile_size=240, workers=2, lane=lane)
    with pytest.raises(TileError, match=r"damaged\.svs: tile 11/(1_1|5_4) cannot.*--on-error"):
        convert(damaged, str(tmp_path / "to"), options)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("lane", "background", "color"),
    [("pixels", "#00ff00", (0, 255, 0)), ("lossless", "white", (255, 255, 255))],
)
def test_a_damaged_tile_is_left_blank_when_told_to(
    damaged: Path, tmp_path: Path, lane: str, background: str, color: tuple[int, int, int]
) -> None:
    options = ConvertOptions(
        tile_size=240, workers=2, on_error="blank", background=background, lane=lane
    )
    summary = convert(damaged, str(tmp_path / "to"), options)
    assert summary.notes == ("2 damaged tiles were left blank, the first is 11/1_1",)
    assert stated(summary)["pyramid"]["blank_tiles"] == 2
    files = Path(summary.target).parent / "DeepZoom_files/11"
    blank = {
        path.stem
        for path in files.iterdir()
        if np.abs(np.asarray(Image.open(path)).astype(int) - color).max() < 9
    }
    assert blank == {"1_1", "5_4"}


def test_a_slide_that_grows_is_not_published(small_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(small_slide.read_bytes())

    def grow(_: Progress) -> None:
        with slide.open("ab") as file:
            file.write(b"more")

    with pytest.raises(SlideError, match="changed while it was read"):
        convert(slide, str(tmp_path / "to"), OPTIONS, progress=grow)
    assert not (tmp_path / "to").exists()


def test_a_slide_that_vanishes_is_not_published(small_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(small_slide.read_bytes())
    with pytest.raises(SlideError, match="changed while it was read"):
        convert(
            slide,
            str(tmp_path / "to"),
            OPTIONS,
            progress=lambda _: slide.unlink(missing_ok=True),
        )
    assert not (tmp_path / "to").exists()


def test_a_reader_sees_the_old_or_the_new_pyramid(small_slide: Path, tmp_path: Path) -> None:
    """While one replaces the other, the descriptor and its last tile always belong together."""
    large = ConvertOptions(tile_size=512, workers=1, overwrite=True)
    small = ConvertOptions(tile_size=256, workers=1, overwrite=True)
    folder = Path(convert(small_slide, str(tmp_path), large).target).parent
    done = threading.Event()
    sizes: set[int] = set()
    wrong: list[str] = []

    def read() -> None:
        while not done.wait(0.001):
            before = Descriptor.parse((folder / "DeepZoom.dzi").read_bytes())
            *_, last = before.pyramid.tiles()
            there = (folder / f"DeepZoom_files/{last}.jpeg").exists()
            after = Descriptor.parse((folder / "DeepZoom.dzi").read_bytes())
            sizes.add(after.tile_size)
            if before == after and not there:
                wrong.append(str(before))

    reader = threading.Thread(target=read)
    reader.start()
    for options in (small, large, small, large):
        convert(small_slide, str(tmp_path), options)
    done.set()
    reader.join()
    assert wrong == []
    assert sizes == {256, 512}


def test_folders_are_searched(tmp_path: Path) -> None:
    for name in ("b.svs", "a/c.NDPI", "a/d.txt", "._b.svs", ".snapshot/b.svs", "e.svs/f.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_slides(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "b.svs",
        "a/c.NDPI",
        "e.svs/f.tif",
    ]
    (tmp_path / "empty").mkdir()
    assert find_slides(tmp_path / "b.svs") == [tmp_path / "b.svs"]
    with pytest.raises(SlideError, match="without slides"):
        find_slides(tmp_path / "empty")


def test_the_files_of_a_slide_in_several_count_as_one(tmp_path: Path) -> None:
    slide = tmp_path / "a.mrxs"
    slide.write_bytes(b"1234")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/Data0000.dat").write_bytes(b"567")
    before = fingerprint(slide)
    assert before["size"] == 7
    (tmp_path / "a/Data0000.dat").write_bytes(b"5678")
    assert fingerprint(slide) != before


class Died(BaseException):
    """What kill -9 would do at this point."""


def test_what_died_amid_the_moves_is_brought_to_its_end(
    real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it had moved around somebody's own files by then; not only with --overwrite."""
    scans = [tmp_path / f"{height}.svs" for height in (200, 240)]
    for scan, height in zip(scans, (200, 240), strict=True):
        forge_svs(scan, tissue=real_slide, size=(300, height), levels=(1,))
    slide = tmp_path / "a.svs"
    move = moves._move
    state = tmp_path / "state"
    options = ConvertOptions(workers=1, tile_size=256, update=True, state=state)
    died = True
    at = 0
    while died:
        at += 1
        root = tmp_path / str(at)
        mine = root / "images/a/annotations.json", root / "images/a/DeepZoom_files/0/notes.txt"
        shutil.copy(scans[0], slide)
        convert(slide, root, options)
        for path in mine:
            path.write_text("mine")
        shutil.copy(scans[1], slide)
        calls = itertools.count(1)

        def dies(path: Path, to: Path) -> None:
            if next(calls) == at:  # noqa: B023
                raise Died
            move(path, to)

        with monkeypatch.context() as patch:
            patch.setattr(moves, "_move", dies)
            patch.setattr(directory, "settle", settled_before(moves.settle))
            try:
                convert(slide, root, options)
                died = False
            except Died:
                pass
        convert(slide, root, options)
        assert verify(root / "images/a", deep=True, against=slide).errors == []
        assert [path.read_text() for path in mine] == ["mine", "mine"]
        assert {path.name for path in (root / "images").iterdir()} <= {"a", "index.json", ".a.lock"}
    assert at > 10


def settled_before(settle: Callable[..., None]) -> Callable[..., None]:
    """Settles what was found, and not what is left."""

    def settled(target: Path, *, made_here: bool = False) -> None:
        if not (made_here and sys.exc_info()[0] is Died):
            settle(target, made_here=made_here)

    return settled


def test_parts_of_a_pyramid_are_named(small_slide: Path, tmp_path: Path) -> None:
    summary = convert(small_slide, tmp_path, ConvertOptions(workers=1))
    Path(summary.target).unlink()
    with pytest.raises(StoreError, match="holds parts of a pyramid, and no DeepZoom"):
        convert(small_slide, tmp_path, ConvertOptions(workers=1))
    assert convert(small_slide, tmp_path, ConvertOptions(overwrite=True)).status == "converted"
