"""What slide.json says must be possible, and true."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.slide.test_icc import PROFILES
from tests.support.forge import forge_svs
from tests.verification.test_verification import edit_json, tile
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.verification import verify


@pytest.fixture
def folder(published: Summary) -> Path:
    return Path(published.target).parent


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"mpp": {"x": 0.0, "y": 0.5}}, "mpp"),
    ({"mpp": {"x": 0.5, "y": -0.5}}, "mpp"),
    ({"mpp": {"x": None, "y": 0.5}}, "mpp"),
    ({"objective_power": 0}, "objective_power"),
    ({"objective_power": -20}, "objective_power"),
    ({"objective_power": 5000}, "objective_power"),
    ({"icc_profile": "applied"}, "icc_profile"),
    ({"pyramid": {"quality": 90}}, "quality"),
    ({"pyramid": {"chroma_subsampling": "4:4:4"}}, "chroma_subsampling"),
    ({"pyramid": {"base": "copied"}}, "base"),
    ({"pyramid": {"lane": "lossless"}}, "base"),
    ({"pyramid": {"blank_tiles": 1}}, "blank_tiles"),
    ({"pyramid": {"blank_tiles": -1}}, "blank_tiles"),
    ({"pyramid": {"fallback_tiles": {"a reason": 1000}}}, "fallback_tiles"),
    ({"options": {"lane": "lossless"}}, "lane"),
    ({"options": {"quality": 90}}, "quality"),
]


def changed(document: dict[str, Any], change: dict[str, Any]) -> None:
    for name, value in change.items():
        if name in ("pyramid", "options"):
            document[name].update(value)
        else:
            document[name] = value


@pytest.mark.parametrize(("change", "name"), IMPOSSIBLE)
def test_what_cannot_be(folder: Path, change: dict[str, Any], name: str) -> None:
    edit_json(folder, lambda document: changed(document, change))
    said = f"{name} in slide.json cannot be, or contradicts the rest of it; "
    assert any(error.startswith(said) for error in verify(folder).errors)


OTHER: list[tuple[str, object]] = [
    ("mpp", {"x": 4.99, "y": 4.99}),
    ("mpp", {"x": 0.499, "y": 0.25}),
    ("objective_power", 40.0),
    ("vendor", "hamamatsu"),
    ("year", 1999),
]


@pytest.mark.parametrize(("name", "value"), OTHER)
def test_another_slides_facts(folder: Path, small_slide: Path, name: str, value: object) -> None:
    edit_json(folder, lambda document: document.update({name: value}))
    assert verify(folder).errors == []
    errors = verify(folder, against=small_slide).errors
    assert len(errors) == 1
    assert errors[0].startswith(f"slide.json says {name} {value}, the slide ")


@pytest.mark.parametrize("name", ["mpp", "objective_power"])
def test_what_no_slide_says(tmp_path: Path, name: str) -> None:
    slide = tmp_path / "a.png"
    Image.new("RGB", (100, 80), "red").save(slide)
    folder = Path(convert(slide, str(tmp_path), ConvertOptions(workers=1)).target).parent
    assert verify(folder, against=slide).errors == []
    edit_json(
        folder,
        lambda document: document.update({name: {"x": 0.5, "y": 0.5} if name == "mpp" else 20}),
    )
    (error,) = verify(folder, against=slide).errors
    assert error.startswith(f"slide.json says {name} ")


@pytest.mark.parametrize("name", ["mpp", "objective_power", "scanner", "year"])
def test_what_is_not_said_is_no_contradiction(folder: Path, small_slide: Path, name: str) -> None:
    nothing = {"x": None, "y": None} if name == "mpp" else None
    edit_json(folder, lambda document: document.update({name: nothing}))
    assert verify(folder, against=small_slide).errors == []


def test_the_thumbnail_is_its_tile(folder: Path) -> None:
    shutil.copy(tile(folder, "10/1_1"), folder / "thumbnail.jpeg")
    (error,) = verify(folder).errors
    assert error.startswith("the thumbnail is not tile 8/0_0; convert the slide again")


@pytest.mark.parametrize("name", ["label", "macro"])
def test_published_images_are_the_slides(real_slide: Path, tmp_path: Path, name: str) -> None:
    options = ConvertOptions(slide_id="a", associated=("label", "macro"), workers=2)
    folder = Path(convert(real_slide, tmp_path, options).target).parent
    assert verify(folder, against=real_slide).errors == []
    other = {"label": "macro", "macro": "label"}[name]
    shutil.copy(folder / f"{other}.jpeg", folder / f"{name}.jpeg")
    assert verify(folder).errors == []
    (error,) = verify(folder, against=real_slide).errors
    assert error.startswith(f"the {name} image does not show the slide")


def test_the_profile_is_the_slides(real_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    forge_svs(slide, tissue=real_slide, size=(600, 400), levels=(1,), icc=PROFILES["matrix"])
    folder = Path(convert(slide, tmp_path, ConvertOptions(workers=1)).target).parent
    assert verify(folder, against=slide).errors == []
    (folder / "icc.icc").write_bytes(b"no profile")
    (error,) = verify(folder, against=slide).errors
    assert error.startswith("the ICC profile is not the slide's; convert the slide again")
