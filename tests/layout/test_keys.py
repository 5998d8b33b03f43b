"""The ids and the keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.geometry import TileAddress


@pytest.mark.parametrize(
    "slide_id",
    ["170782", "S-1_a.b", "x" * 128, "-", "a..b", "index", "index-1", "index.json5", "index-.json"],
)
def test_ids(slide_id: str) -> None:
    assert keys.check_id(slide_id) == slide_id
    assert keys.is_id(slide_id)


@pytest.mark.parametrize("slide_id", ["", ".", "..", ".a", "a/b", "a b", "x" * 129, "\xe4", "a\n"])
def test_what_is_no_id_is_refused_with_the_remedy(slide_id: str) -> None:
    with pytest.raises(OptionError, match="--id"):
        keys.check_id(slide_id)
    assert not keys.is_id(slide_id)


@pytest.mark.parametrize(
    "slide_id", ["index.json", "INDEX.json", "index-a.json", "Index-1.Json", "Root.json"]
)
def test_the_names_of_the_catalogs_files_are_no_ids(slide_id: str) -> None:
    with pytest.raises(OptionError, match=r"files beside the slides have such names.*--id"):
        keys.check_id(slide_id)


def test_keys() -> None:
    folder = keys.folder("170782")
    assert keys.tile_key(folder, TileAddress(12, 3, 4)) == (
        "images/170782/DeepZoom_files/12/3_4.jpeg"
    )
    assert keys.descriptor_key(folder) == "images/170782/DeepZoom.dzi"
    assert keys.catalog_key() == "images/index.json"
    assert keys.shard_name("a1", 7) == "index-a1-07.json"
    assert keys.is_shard(keys.shard_name("a1", 7))
    assert not keys.is_shard("index.json")


@given(st.from_regex(keys._ID, fullmatch=True), st.integers(0, 40), st.integers(0, 1 << 20))
def test_every_key_that_is_written_is_one(slide_id: str, level: int, at: int) -> None:
    folder = keys.folder(slide_id)
    assert keys.is_key(keys.tile_key(folder, TileAddress(level, at, at)))
    assert keys.is_key(keys.descriptor_key(folder))
    assert keys.is_key(keys.slide_json_key(folder))
    assert keys.is_key(keys.icc_key(folder))
    assert all(keys.is_key(keys.associated_key(folder, name)) for name in keys.ASSOCIATED_IMAGES)
    assert keys.is_key("images/index.json")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "images",
        "images/",
        "images/a",
        "images/a/DeepZoom.dzi/",
        "images/a/DeepZoom.dzi\n",
        "images/.a/DeepZoom.dzi",
        "images/../DeepZoom.dzi",
        "images/a/../DeepZoom.dzi",
        "images/a\\DeepZoom.dzi",
        "images/a/DeepZoom_files/01/0_0.jpeg",
        "images/a/DeepZoom_files/1/0_-1.jpeg",
        "images/a/DeepZoom_files/1/0_\u0660.jpeg",
        "images/a/DeepZoom_files/1/.0_0.jpeg.partial",
        "images/a/notes.json",
        "images/.a.lock",
        "images/index",
        ".leases/images/a",
        "index.json",
        "/images/a/DeepZoom.dzi",
    ],
)
def test_what_is_no_key(key: str) -> None:
    assert not keys.is_key(key)


@pytest.mark.parametrize(
    ("name", "is_own"),
    [
        ("DeepZoom.dzi", True),
        ("slide.json", True),
        ("label.jpeg", True),
        ("DeepZoom_files/12/3_4.jpeg", True),
        ("annotations.json", False),
        ("DeepZoom_files/vips-properties.xml", False),
        ("DeepZoom_files/9/notes.txt", False),
        ("DeepZoom_files/9/0_0.jpeg/notes.txt", False),
        ("DeepZoom_files/9/0_0.jpg", False),
        ("DeepZoom_files/09/0_0.jpeg", False),
        ("DeepZoom_files/0_0.jpeg", False),
        ("DeepZoom_files", False),
        ("DeepZoom.dzi/mine", False),
        ("mine/DeepZoom.dzi", False),
    ],
)
def test_what_is_the_programs_in_a_slides_folder(name: str, is_own: bool) -> None:
    assert keys.is_own("images/a", f"images/a/{name}") is is_own
    assert not keys.is_own("images/a", f"images/ab/{name}")


def test_tiles_are_kept_for_ever_and_descriptors_are_not() -> None:
    assert keys.http_headers("images/a/DeepZoom_files/0/0_0.jpeg") == {
        "Content-Type": "image/jpeg",
        "Cache-Control": "public, max-age=31536000, immutable",
    }
    shown = ("images/a/label.jpeg", "images/a/macro.jpeg")
    for key in ("images/a/DeepZoom.dzi", "images/a/slide.json", "images/index.json", *shown):
        assert keys.http_headers(key)["Cache-Control"] == "no-cache"
    assert keys.http_headers("images/a/notes.doc") == {}
    for key in ("private/images/a/label.jpeg", "watch/1.json"):
        assert keys.http_headers(key)["Cache-Control"] == "no-store"
