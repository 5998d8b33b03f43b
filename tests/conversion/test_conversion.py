"""Whole conversions: what is published, of which slides, with which options."""

from __future__ import annotations

import hashlib
import json
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
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import OptionError, SlideError, StoreError, TileError
from vsv_pyramid.inspection import info
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.planning.plan import auto_tile_size, make_plan
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.slide.files import fingerprint
from vsv_pyramid.slide.icc import published_profile
from vsv_pyramid.slide.pixels import Slide, open_slide
from vsv_pyramid.slide.search import find_slides
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


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    slide = tmp_path / "a.jpg"
    Image.new("RGB", (90, 60)).save(slide, exif=exif)
    summary = convert(slide, str(tmp_path), OPTIONS)
    assert (summary.width, summary.height) == (60, 90)


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
        ("a.dcm", "named as a DICOM file, and does not begin as one"),
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
    for side, value in (("width", "9000"), ("width", "-1"), ("height", "-9e99"), ("x", "-1")):
        said.update({f"openslide.bounds-{one}": bounds[one] for one in bounds})
        said[f"openslide.bounds-{side}"] = value
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


def test_parts_of_a_pyramid_are_named(small_slide: Path, tmp_path: Path) -> None:
    summary = convert(small_slide, tmp_path, ConvertOptions(workers=1))
    Path(summary.target).unlink()
    with pytest.raises(StoreError, match="holds parts of a pyramid, and no DeepZoom"):
        convert(small_slide, tmp_path, ConvertOptions(workers=1))
    assert convert(small_slide, tmp_path, ConvertOptions(overwrite=True)).status == "converted"
