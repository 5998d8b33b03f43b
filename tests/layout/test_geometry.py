"""Levels, grids, parents, children: literal tables, laws, DeepZoomGenerator as the oracle."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openslide import ImageSlide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from vsv_pyramid.layout.geometry import Level, Pyramid, Size, TileAddress

sides = st.integers(1, 3000)
tile_sizes = st.integers(4, 256).map(lambda n: 16 * n)


def test_levels() -> None:
    assert [tuple(level.size) for level in Pyramid(Size(300, 250), 254).levels] == [
        (1, 1),
        (2, 1),
        (3, 2),
        (5, 4),
        (10, 8),
        (19, 16),
        (38, 32),
        (75, 63),
        (150, 125),
        (300, 250),
    ]


def test_a_level_is_rounded_up() -> None:
    assert Pyramid(Size(50375, 47017), 256).levels[-3].size == (12594, 11755)


def test_the_grid_of_a_level() -> None:
    assert Pyramid(Size(1537, 768), 768).base == Level(11, Size(1537, 768), 3, 1)


@pytest.mark.parametrize(
    ("address", "size"),
    [((11, 0, 0), (768, 768)), ((11, 2, 0), (1, 768)), ((10, 1, 0), (1, 384))],
)
def test_dimensions(address: tuple[int, int, int], size: tuple[int, int]) -> None:
    assert Pyramid(Size(1537, 768), 768).dimensions(TileAddress(*address)) == size


def test_children() -> None:
    pyramid = Pyramid(Size(1537, 768), 768)
    assert pyramid.children(TileAddress(10, 0, 0)) == (((11, 0, 0), (11, 1, 0)),)
    assert pyramid.children(TileAddress(10, 1, 0)) == (((11, 2, 0),),)


def test_an_address_reads_as_its_path() -> None:
    assert str(TileAddress(12, 3, 4)) == "12/3_4"


@given(sides, sides, tile_sizes)
@example(1, 1, 64)
@example(1, 2049, 64)
@example(769, 768, 768)
def test_deepzoom_generator_agrees(width: int, height: int, tile_size: int) -> None:
    pyramid = Pyramid(Size(width, height), tile_size)
    oracle = DeepZoomGenerator(
        ImageSlide(Image.new("1", (width, height))), tile_size=tile_size, overlap=0
    )
    assert tuple(level.size for level in pyramid.levels) == oracle.level_dimensions
    assert tuple((level.columns, level.rows) for level in pyramid.levels) == oracle.level_tiles
    assert pyramid.tile_count == oracle.tile_count == len(set(pyramid.tiles()))
    for address in pyramid.tiles():
        expected = oracle.get_tile_dimensions(address.level, (address.column, address.row))
        assert pyramid.dimensions(address) == expected


@given(sides, sides, tile_sizes)
def test_tiles_cover_their_level_exactly_once(width: int, height: int, tile_size: int) -> None:
    pyramid = Pyramid(Size(width, height), tile_size)
    for level in pyramid.levels:
        assert sum(pyramid.dimensions(tile).pixels for tile in level.tiles()) == level.size.pixels


@given(sides, sides, tile_sizes)
def test_every_tile_is_the_child_of_one(width: int, height: int, tile_size: int) -> None:
    pyramid = Pyramid(Size(width, height), tile_size)
    for lower, upper in zip(pyramid.levels, pyramid.levels[1:], strict=False):
        children = [
            child for tile in lower.tiles() for row in pyramid.children(tile) for child in row
        ]
        assert sorted(children) == sorted(upper.tiles())


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (504, -(1 << 63)), (-1, -1)])
def test_what_is_no_picture_has_no_pyramid(size: tuple[int, int]) -> None:
    """Or it would have levels without end."""
    with pytest.raises(ValueError, match="px are no picture"):
        Pyramid(Size(*size), 256)
