"""A forged slide is what it claims to be: OpenSlide and tifffile say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openslide
import pytest
from PIL import Image, ImageCms, features
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from tests.support.forge import KEYS, TILE, damage_tile, forge_svs

SIZE = (5003, 6001)  # px: no multiple of anything, and more than a period each way
PERIOD = (1920, 2880)  # px

Pixels = npt.NDArray[np.float64]


def gradient(width: int, height: int) -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")


ASSOCIATED = {
    "thumbnail": gradient(300, 401),
    "label": gradient(387, 463),
    "macro": gradient(1280, 431),
}
# Not a profile one could use: it is carried, never read.
ICC = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def forged(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forged") / "forged.svs"
    forge_svs(path, tissue=real_slide, size=SIZE, associated=ASSOCIATED, icc=ICC)
    return path


def forge(real_slide: Path, tmp_path: Path, **options: Any) -> Path:
    path = tmp_path / "slide.svs"
    forge_svs(path, **{"tissue": real_slide, "size": (700, 500), "levels": (1,), **options})
    return path


def read(
    slide: openslide.OpenSlide, at: tuple[int, int], level: int, size: tuple[int, int]
) -> Pixels:
    region = slide.read_region(at, level, size)
    assert np.asarray(region)[..., 3].min() == 255, "a part of the region is not on the slide"
    return np.asarray(region.convert("RGB"), np.float64)


def pages(path: Path) -> list[TiffPage]:
    with TiffFile(path) as tiff:
        return [page.aspage() for page in tiff.pages]


def psnr(one: Pixels, other: Pixels) -> float:
    """In dB, for 8-bit samples."""
    return float(10 * np.log10(255**2 / np.mean((one - other) ** 2)))


def test_openslide_sees_an_aperio_slide_with_its_levels(forged: Path) -> None:
    with openslide.OpenSlide(forged) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.level_dimensions == ((5003, 6001), (1250, 1500), (312, 375))
        assert slide.properties["openslide.level[2].tile-width"] == str(TILE)


@pytest.mark.parametrize(
    ("size", "levels", "dimensions"),
    [
        ((1, 1), (1,), ((1, 1),)),
        ((1, 700), (1, 4), ((1, 700), (1, 175))),
        ((480, 240), (1, 2), ((480, 240), (240, 120))),
        ((481, 241), (1, 4, 16), ((481, 241), (120, 60), (30, 15))),
        ((3000, 2000), (1, 4, 16, 32), ((3000, 2000), (750, 500), (187, 125), (93, 62))),
    ],
)
def test_sizes_need_not_fit(
    real_slide: Path,
    tmp_path: Path,
    size: tuple[int, int],
    levels: tuple[int, ...],
    dimensions: tuple[tuple[int, int], ...],
) -> None:
    path = forge(real_slide, tmp_path, size=size, levels=levels)
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == dimensions
        for level, whole in enumerate(dimensions):
            read(slide, (0, 0), level, whole)


def test_the_base_is_the_real_tissue_repeated(forged: Path, real_slide: Path) -> None:
    with openslide.OpenSlide(real_slide) as real, openslide.OpenSlide(forged) as slide:
        tissue = read(real, (0, 0), 0, PERIOD)
        assert np.array_equal(read(slide, (0, 0), 0, PERIOD), tissue)
        assert np.array_equal(read(slide, PERIOD, 0, PERIOD), tissue)
        width, height = SIZE[0] - 2 * PERIOD[0], SIZE[1] - 2 * PERIOD[1]
        corner = read(slide, (2 * PERIOD[0], 2 * PERIOD[1]), 0, (width, height))
        assert np.array_equal(corner, tissue[:height, :width])


def test_the_base_holds_the_scanners_own_bytes(forged: Path, real_slide: Path) -> None:
    ours, real = pages(forged)[0], pages(real_slide)[0]
    assert ours.jpegtables == real.jpegtables
    for name in "PhotometricInterpretation", "YCbCrSubSampling", "TileWidth", "TileLength":
        assert ours.tags[name].value == real.tags[name].value
    column, row = 17, 14  # in the third period, both ways
    with forged.open("rb") as ours_file, real_slide.open("rb") as real_file:
        ours_file.seek(ours.dataoffsets[row * -(-SIZE[0] // TILE) + column])
        index = (row % 12) * 10 + column % 8
        real_file.seek(real.dataoffsets[index])
        length = real.databytecounts[index]
        assert ours_file.read(length) == real_file.read(length)


@pytest.mark.parametrize(("level", "down"), [(1, 4), (2, 16)])
def test_lower_levels_show_the_same_picture(forged: Path, level: int, down: int) -> None:
    with openslide.OpenSlide(forged) as slide:
        size = slide.level_dimensions[level]
        lower = read(slide, (0, 0), level, size)
        base = slide.read_region((0, 0), 0, (size[0] * down, size[1] * down)).convert("RGB")
    expected = np.asarray(base.reduce(down), np.float64)
    assert psnr(lower, expected) > 38
    assert psnr(np.roll(lower, 1, axis=1), expected) < 25, "a shift of one pixel would pass, too"
    for edge in np.s_[-8:], np.s_[:, -8:]:
        assert psnr(lower[edge], expected[edge]) > 35


def test_lower_levels_are_rgb_444_with_shared_tables(forged: Path) -> None:
    tiled = [page for page in pages(forged) if page.is_tiled]
    for page in tiled[1:]:
        assert page.photometric == PHOTOMETRIC.RGB
        assert page.jpegtables
        with forged.open("rb") as file:
            file.seek(page.dataoffsets[0])
            tile = file.read(page.databytecounts[0])
        assert b"\xff\xdb" not in tile, "a tile has quantization tables of its own"
        components = tile[tile.index(b"\xff\xc0") + 9 :]
        assert components[0] == 3
        assert [components[2 + 3 * index] for index in range(3)] == [0x11, 0x11, 0x11]


def test_properties(forged: Path) -> None:
    with openslide.OpenSlide(forged) as slide:
        aperio = {key: value for key, value in slide.properties.items() if key[:7] == "aperio."}
        assert aperio == {f"aperio.{key}": value for key, value in KEYS.items()}
        assert slide.properties["openslide.mpp-x"] == "0.499"
        assert slide.properties["openslide.objective-power"] == "20"
        assert slide.properties["openslide.comment"].startswith(
            "Aperio Image Library v11.2.1 \r\n5003x6001 [0,0 5003x6001] (240x240) JPEG/RGB Q=30|"
        )


def test_keys_are_added_overridden_and_taken_away(real_slide: Path, tmp_path: Path) -> None:
    keys = {"AppMag": "40", "Title": "Mag = 40X", "User": "Zoë Ångström", "MPP": None}
    path = forge(real_slide, tmp_path, description=keys)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.objective-power"] == "40"
        assert slide.properties["aperio.Title"] == "Mag = 40X"
        assert slide.properties["aperio.User"] == "Zoë Ångström"
        assert slide.properties["aperio.ImageID"] == KEYS["ImageID"]
        assert "aperio.MPP" not in slide.properties
        assert "openslide.mpp-x" not in slide.properties


def test_associated_images(forged: Path) -> None:
    with openslide.OpenSlide(forged) as slide:
        assert set(slide.associated_images) == set(ASSOCIATED)
        for name, expected in ASSOCIATED.items():
            image = slide.associated_images[name].convert("RGB")
            assert image.size == expected.size
            error = np.abs(np.asarray(image, np.int16) - np.asarray(expected, np.int16)).max()
            assert error <= (0 if name == "label" else 4)


def test_associated_images_lie_as_aperio_puts_them(forged: Path) -> None:
    layout = [(page.is_tiled, page.subfiletype, page.compression) for page in pages(forged)]
    jpeg, lzw = COMPRESSION.JPEG, COMPRESSION.LZW
    assert layout == [
        (True, 0, jpeg),
        (False, 0, jpeg),
        (True, 0, jpeg),
        (True, 0, jpeg),
        (False, 1, lzw),
        (False, 9, jpeg),
    ]
    second_lines = [page.description.splitlines()[1] for page in pages(forged)[4:]]
    assert second_lines == ["label 387x463", "macro 1280x431"]


def test_a_slide_without_associated_images_has_none(real_slide: Path, tmp_path: Path) -> None:
    with openslide.OpenSlide(forge(real_slide, tmp_path, levels=(1, 4))) as slide:
        assert not slide.associated_images
        assert "openslide.icc-size" not in slide.properties


def test_a_label_needs_no_thumbnail_where_a_level_is_second(
    real_slide: Path, tmp_path: Path
) -> None:
    label = {"label": ASSOCIATED["label"]}
    path = forge(real_slide, tmp_path, levels=(1, 4), associated=label)
    with openslide.OpenSlide(path) as slide:
        assert set(slide.associated_images) == {"label"}


def test_profile(forged: Path) -> None:
    with TiffFile(forged) as tiff:
        assert tiff.pages.first.tags["InterColorProfile"].value == ICC
    with openslide.OpenSlide(forged) as slide:
        assert slide.properties["openslide.icc-size"] == str(len(ICC))


# Pillow-SIMD built without the headers of Little CMS has no ImageCms.
@pytest.mark.skipif(not features.check("littlecms2"), reason="Pillow is without Little CMS")
def test_openslide_understands_the_profile(real_slide: Path, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    path = forge(real_slide, tmp_path, icc=profile.tobytes())
    with openslide.OpenSlide(path) as slide:
        assert slide.color_profile is not None
        assert "sRGB" in ImageCms.getProfileDescription(slide.color_profile)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_both_kinds_of_tiff(real_slide: Path, tmp_path: Path, bigtiff: bool) -> None:
    path = forge(real_slide, tmp_path, bigtiff=bigtiff, levels=(1, 4))
    with TiffFile(path) as tiff:
        assert tiff.is_bigtiff == bigtiff
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((700, 500), (175, 125))


def test_small_slides_are_classic_tiff(forged: Path) -> None:
    with TiffFile(forged) as tiff:
        assert not tiff.is_bigtiff


def test_forging_again_gives_the_same_bytes(real_slide: Path, tmp_path: Path) -> None:
    options = {"levels": (1, 4), "associated": ASSOCIATED, "icc": ICC}
    first = forge(real_slide, tmp_path, **options).read_bytes()
    assert forge(real_slide, tmp_path, **options).read_bytes() == first


@pytest.mark.parametrize(
    "options",
    [
        {"levels": (4, 16)},
        {"levels": (1, 7)},
        {"associated": {"Label": ASSOCIATED["label"]}},
        {"associated": {"label": ASSOCIATED["label"]}},
    ],
)
def test_what_cannot_be_forged(real_slide: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"levels|associated|thumbnail"):
        forge(real_slide, tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("column", "row", "level"), [(0, 0, 0), (20, 25, 0), (3, 2, 1)])
def test_a_damaged_tile_raises_where_it_is_read(
    forged: Path, tmp_path: Path, column: int, row: int, level: int
) -> None:
    path = tmp_path / "damaged.svs"
    path.write_bytes(forged.read_bytes())
    damage_tile(path, column, row, level)
    with openslide.OpenSlide(path) as slide:
        down = (1, 4, 16)[level]
        x, y = column * TILE, row * TILE
        neighbour = (x - TILE if x else TILE) * down, y * down
        slide.read_region(neighbour, level, (9, 9))
        with pytest.raises(openslide.OpenSlideError):
            slide.read_region((x * down, y * down), level, (9, 9))
    assert path.stat().st_size == forged.stat().st_size


def test_a_tile_that_is_not_there_cannot_be_damaged(forged: Path) -> None:
    before = forged.read_bytes()
    for column, row in (21, 0), (0, 26), (-1, 0):
        with pytest.raises(ValueError, match="21 x 26 tiles"):
            damage_tile(forged, column, row)
    assert forged.read_bytes() == before
