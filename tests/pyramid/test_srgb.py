"""sRGB as LittleCMS has it, to the last step, for slides whose profile is another one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features
from tifffile import imwrite

from tests.slide.test_icc import PROFILES
from tests.support.forge import forge_svs
from vsv_pyramid.conversion import convert
from vsv_pyramid.inspection import info
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.pyramid import srgb
from vsv_pyramid.pyramid.srgb import NO_WAY, WAY, ToSrgb
from vsv_pyramid.verification import verify

if not features.check("littlecms2"):
    pytest.skip("this Pillow has no LittleCMS", allow_module_level=True)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def by_littlecms(pixels: Pixels, profile: bytes) -> Pixels:
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        ImageCms.Intent.PERCEPTUAL,
        ImageCms.Flags.NOOPTIMIZE,
    )
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))


@pytest.mark.parametrize("name", ["matrix", "LUT of 16 bits"])
@pytest.mark.parametrize("with_kernel", [True, False])
def test_every_colour_is_exact(
    name: str, with_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_kernel:
        monkeypatch.setattr(srgb, "kernel", None)
    pixels = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
    expected = by_littlecms(pixels, PROFILES[name])
    to_srgb = ToSrgb(PROFILES[name])
    for part in pixels[:120], pixels, pixels[::-1]:  # with colours that were met, and others
        made = to_srgb(part)
        assert np.array_equal(made, by_littlecms(np.ascontiguousarray(part), PROFILES[name]))
    assert np.array_equal(to_srgb(pixels), expected)
    assert not to_srgb.changes_nothing


def converted(real_slide: Path, folder: Path, profile: bytes | None) -> dict[str, object]:
    slide = folder / "a.svs"
    forge_svs(slide, tissue=real_slide, size=(900, 700), levels=(1,), icc=profile)
    options = ConvertOptions(color="srgb", workers=2)
    summary = convert(slide, str(folder), options)
    assert verify(summary.target, deep=True, against=slide).errors == []
    document = json.loads(Path(summary.target).with_name("slide.json").read_text())
    assert info(slide, options)["plan"]["lane"] == document["pyramid"]["lane"]
    told = "the slide has no ICC profile: its colours are as they were" in summary.notes
    assert told == (profile is None)
    return {
        "lane": document["pyramid"]["lane"],
        "by": document["pyramid"]["decoded_by"],
        "state": document["icc_profile"],
        "way": document["icc_profile_way"],
    }


def test_a_profile_that_changes_colours_is_applied(real_slide: Path, tmp_path: Path) -> None:
    assert converted(real_slide, tmp_path, PROFILES["matrix"]) == {
        "lane": "pixels",
        "by": "simplejpeg",
        "state": "applied",
        "way": WAY,
    }


@pytest.mark.parametrize(
    ("profile", "state", "way"), [(None, None, None), (SRGB, "applied", NO_WAY)]
)
def test_what_is_srgb_already_is_copied(
    real_slide: Path, tmp_path: Path, profile: bytes | None, state: str | None, way: str | None
) -> None:
    assert converted(real_slide, tmp_path, profile) == {
        "lane": "lossless",
        "by": None,
        "state": state,
        "way": way,
    }


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_the_background_is_srgb_already(tmp_path: Path, name: str) -> None:
    slide, data = tmp_path / name, PROFILES["matrix"]
    red, clear = (150, 60, 90, 255), (10, 20, 30, 0)
    pixels = np.full((100, 200, 4), red, np.uint8)
    pixels[:, 100:] = clear
    if name == "a.png":
        Image.fromarray(pixels).save(slide, icc_profile=data)
    else:
        imwrite(slide, pixels, photometric="rgb", tile=(64, 64), extrasamples=[2], iccprofile=data)
    options = ConvertOptions(color="srgb", background="#808080", quality=95)
    summary = convert(slide, str(tmp_path), options)
    base = Image.open(Path(summary.target).with_name("DeepZoom_files") / "8/0_0.jpeg")
    shown = np.asarray(base.convert("RGB")).astype(int)
    expected = by_littlecms(np.full((1, 1, 3), red[:3], np.uint8), data)[0, 0]
    assert np.abs(shown[50, 20] - expected).max() < 4
    assert np.abs(shown[50, 180] - 128).max() < 4
    assert verify(summary.target, deep=True, against=slide).errors == []
