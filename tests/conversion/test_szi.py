"""A .szi file: SZI's names and the index in front, read by others; and those of others, read."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import Run
from tests.support.site import serving
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.errors import StoreError
from vsv_pyramid.inspection import published
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.index import Index
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import open_store
from vsv_pyramid.store.archive import ArchiveStore
from vsv_pyramid.verification import verify
from vsv_pyramid.web.app import create_app

OPTIONS = ConvertOptions(tile_size=240, workers=1, slide_id="170782")


@pytest.fixture(scope="module")
def file(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("szi") / "any name.szi"
    convert(real_slide, path, OPTIONS)
    return path


@pytest.fixture(scope="module")
def tiles(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same pyramid in a folder, by the names in an SZI."""
    root = tmp_path_factory.mktemp("folder")
    convert(real_slide, root, OPTIONS)
    place = root / "images/170782/DeepZoom_files"
    return {
        f"170782/170782_files/{path.relative_to(place).as_posix()}": path.read_bytes()
        for path in place.rglob("*.jpeg")
    }


def test_it_is_of_the_same_tiles(file: Path, tiles: dict[str, bytes], real_slide: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        names = archive.namelist()
        assert names[:6] == [
            f"170782/{name}"
            for name in (
                "tiles.index",
                "170782.dzi",
                "slide.json",
                "associated_images/thumbnail.jpg",
                "scan-properties.xml",
                "170782_files/0/0_0.jpeg",
            )
        ]
        assert {name: archive.read(name) for name in names if name in tiles} == tiles
        assert len(names) == len(tiles) + 5
        image = ElementTree.fromstring(archive.read("170782/scan-properties.xml"))
        said = {item[0].text: item[1].text for item in image[0]}
        assert (said["ImageWidth"], said["ImageHeight"]) == ("2220", "2967")
        assert said["MicronsPerPixelX"] == said["MicronsPerPixelY"] == "0.499"
        data = file.read_bytes()
        index = Index.parse("170782", archive.read(names[0]))
        for address in index.pyramid.tiles():
            start, end = index.span(address)
            assert data[start:end] == tiles[f"170782/170782_files/{address}.jpeg"]
    report = verify(file, deep=True, against=real_slide)
    assert (report.errors, report.warnings) == ([], [])


def test_two_workers_make_the_same_file(file: Path, real_slide: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.szi"
    convert(real_slide, other, ConvertOptions(tile_size=240, workers=2, slide_id="170782"))
    made = []
    for path in file, other:
        with zipfile.ZipFile(path) as archive:
            made.append([(item.filename, item.CRC) for item in archive.infolist()][5:])
    assert made[0] == made[1]
    assert list(tmp_path.iterdir()) == [other]


def test_it_is_served_under_the_layouts_names(file: Path, tiles: dict[str, bytes]) -> None:
    with serving(create_app(open_root(file))) as site:
        for name, data in tiles.items():
            tile = name.removeprefix("170782/170782_files/")
            assert site.ask(f"/images/170782/DeepZoom_files/{tile}").body == data
        for name in "DeepZoom.dzi", "slide.json", "thumbnail.jpeg":
            assert site.ask(f"/images/170782/{name}").status == 200
        (entry,) = json.loads(site.ask("/images/index.json").body)["slides"]
        assert entry["id"] == "170782"
        assert site.ask("/images/170782/tiles.index").status == 404


def test_it_is_converted_again_where_the_options_say_so(file: Path, real_slide: Path) -> None:
    assert convert(real_slide, file, OPTIONS).status == "skipped"
    with pytest.raises(StoreError, match="is for one slide"):
        convert(real_slide, file, ConvertOptions(slide_id="another"))


@pytest.mark.parametrize("data", [b'{"mine": 1}', b"mine", b"[]"])
@pytest.mark.parametrize("suffix", ["zip", "szi"])
def test_a_file_in_the_catalogs_place_stays(
    suffix: str, data: bytes, real_slide: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images/index.json", data)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"holds images/index\.json, which is no catalog"):
        convert(real_slide, path, ConvertOptions(slide_id="170782", overwrite=True))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_others_put_into_it_stays(file: Path, real_slide: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.szi"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("170782/notes.txt", b"mine")
        archive.writestr("170782/für mich.txt", b"mine, too")
        archive.writestr("170782/170782_files/vips-properties.xml", b"<image/>")
    convert(real_slide, path, ConvertOptions(slide_id="170782", overwrite=True))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("170782/notes.txt") == b"mine"
        assert archive.read("170782/für mich.txt") == b"mine, too"
        assert len(set(archive.namelist())) == len(archive.namelist())
    assert verify(path, deep=True).errors == []


@pytest.mark.parametrize("name", ["readme.txt", "other/a.txt", "170782.txt"])
def test_what_others_put_beside_it_stays(
    file: Path, real_slide: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "a.szi"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"mine")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"holds {name}, and is for one slide"):
        convert(real_slide, path, ConvertOptions(slide_id="170782", overwrite=True))
    assert path.read_bytes() == before


def test_what_is_large_and_anothers_is_not_loaded(
    file: Path, real_slide: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.szi"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("170782/large", bytes(100_000_000))
    before = path.read_bytes()
    with pytest.raises(StoreError, match="170782/large, which is large and not the slide's"):
        convert(real_slide, path, ConvertOptions(slide_id="170782", overwrite=True))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_what_is_compressed_oddly_and_anothers_is_told(
    file: Path, real_slide: Path, tmp_path: Path, kind: int
) -> None:
    path = tmp_path / "a.szi"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a", kind) as archive:
        archive.writestr("170782/notes.txt", b"mine")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"170782/notes\.txt, which is compressed oddly; move it"):
        convert(real_slide, path, ConvertOptions(slide_id="170782", overwrite=True))
    assert path.read_bytes() == before


def test_the_form_of_earlier_releases_is_read(
    tiles: dict[str, bytes], file: Path, real_slide: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.szi"
    store = ArchiveStore(file)
    with zipfile.ZipFile(path, "w") as archive:
        for found in store.keys(""):
            archive.writestr(found.key, store.get(found.key))
    assert verify(path, deep=True, against=real_slide).errors == []
    assert published(path)["state"] == "complete"
    assert convert(real_slide, path, OPTIONS).status == "skipped"
    convert(real_slide, path, ConvertOptions(tile_size=240, slide_id="170782", overwrite=True))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "170782/tiles.index"


def test_a_killed_conversion_leaves_the_file_as_it_was(
    file: Path, real_slide: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.szi"
    path.write_bytes(file.read_bytes())

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(real_slide, path, ConvertOptions(overwrite=True, slide_id="170782"), progress=stop)
    assert path.read_bytes() == file.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def anothers(path: Path, tiles: dict[str, bytes], descriptor: bytes) -> Path:
    """An SZI as libvips writes it, as far as it matters."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in tiles.items():
            archive.writestr(name, data)
        archive.writestr("170782/170782_files/vips-properties.xml", b"<image/>")
        archive.writestr("170782/170782.dzi", descriptor)
        archive.writestr("170782/scan-properties.xml", b"<image/>")
    return path


def test_another_programs_is_read(
    file: Path, tiles: dict[str, bytes], real_slide: Path, tmp_path: Path, run: Run
) -> None:
    descriptor = ArchiveStore(file).get("images/170782/DeepZoom.dzi")
    path = anothers(tmp_path / "a.szi", tiles, descriptor)
    report = verify(path, deep=True, against=real_slide)
    assert report.errors == []
    assert report.warnings == ["another program has made it, and it says little of the slide"]
    assert report.tiles == len(tiles)
    facts = published(path)
    assert (facts["state"], facts["width"], facts["tiles"]) == ("complete", 2220, len(tiles))
    assert "made by another program" in run("info", path).out
    tiles = dict(list(tiles.items())[:-1])
    assert verify(anothers(tmp_path / "b.szi", tiles, descriptor)).errors
    overlapping = descriptor.replace(b'Overlap="0"', b'Overlap="1"')
    (said,) = verify(anothers(tmp_path / "c.szi", tiles, overlapping)).errors
    assert "such as other programs make" in said


def with_index(change: Callable[[bytearray], None]) -> Callable[[bytearray], None]:
    def changed(data: bytearray) -> None:
        start = 30 + len("170782/tiles.index")
        size = struct.unpack_from("<I", data, 22)[0]
        index = data[start : start + size]
        change(index)
        struct.pack_into("<I", index, 32, zlib.crc32(index[36:]))
        data[start : start + size] = index
        at = data.rindex(b"PK\1\2", 0, data.rindex(b"170782/tiles.index"))
        struct.pack_into("<I", data, 14, zlib.crc32(index))
        struct.pack_into("<I", data, at + 16, zlib.crc32(index))

    return changed


def swap(index: bytearray) -> None:
    index[36:39], index[39:42] = index[39:42], index[36:39]


def width(index: bytearray) -> None:
    struct.pack_into("<I", index, 12, 2221)


def compress(data: bytearray) -> None:
    at = data.rindex(b"PK\1\2", 0, data.rindex(b"/9/0_0.jpeg"))
    struct.pack_into("<H", data, at + 10, 8)


def encrypt(data: bytearray) -> None:
    at = data.rindex(b"PK\1\2", 0, data.rindex(b"/9/0_0.jpeg"))
    struct.pack_into("<H", data, at + 8, 1)


def no_text(data: bytearray) -> None:
    """Has the directory say that a name is UTF-8, which it is not."""
    at = data.rindex(b"PK\1\2", 0, data.rindex(b"/9/0_0.jpeg"))
    struct.pack_into("<H", data, at + 8, 0x800)
    data[data.rindex(b"/9/0_0.jpeg") + 1] = 0x80


def compress_index(data: bytearray) -> None:
    """By LZMA, whose errors are of a kind of their own."""
    at = data.rindex(b"PK\1\2", 0, data.rindex(b"170782/tiles.index"))
    struct.pack_into("<H", data, at + 10, zipfile.ZIP_LZMA)


def enlarge(data: bytearray) -> None:
    at = data.rindex(b"PK\1\2", 0, data.rindex(b"/9/0_0.jpeg"))
    struct.pack_into("<2I", data, at + 20, 0x7FFFFFFF, 0x7FFFFFFF)


def overlap(data: bytearray) -> None:
    """Has the member of one tile lie where another one's is, name and all."""
    one, other = (
        data.rindex(b"PK\1\2", 0, data.rindex(b"_files/%d/0_0.jpeg" % level)) for level in (8, 9)
    )
    data[other + 42 : other + 46] = data[one + 42 : one + 46]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (overlap, "lies in the bytes of|no whole zip file"),
        (with_index(swap), "in another place"),
        (with_index(width), "another pyramid than its descriptor"),
        (with_index(lambda index: struct.pack_into("<I", index, 28, 1)), "index is damaged"),
        (with_index(lambda index: struct.pack_into("<H", index, 4, 9)), "of version 9"),
        (compress, "is compressed"),
        (compress_index, "tiles.index is compressed"),
        (no_text, "no whole zip file"),
        (encrypt, "encrypted"),
        (enlarge, "DeepZoom_files/9/0_0.jpeg|no whole zip file|slide.json says"),
        (lambda data: data.__delitem__(slice(len(data) // 2, None)), "no whole zip file"),
        (lambda data: data.__delitem__(slice(0, 100)), "no whole zip file|damaged|another place"),
    ],
)
def test_a_file_that_lies_is_told(
    change: Callable[[bytearray], None], said: str, file: Path, tmp_path: Path, run: Run
) -> None:
    data = bytearray(file.read_bytes())
    change(data)
    path = tmp_path / "a.szi"
    path.write_bytes(data)
    outcome = run("verify", path, "--deep")
    assert outcome.code == 1
    assert any(part in outcome.out + outcome.err for part in said.split("|")), outcome
    assert "Traceback" not in outcome.err


def test_a_file_of_two_pyramids_is_told(file: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.szi"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("another/another.dzi", b"<Image/>")
    for command in "info", "verify":
        outcome = run(command, path)
        assert outcome.code == 1
        assert "a.szi: holds more than one pyramid (170782 and another);" in outcome.err


def test_hostile_names_reach_nothing(file: Path, tiles: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.szi"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../a/../../a.dzi", b"<Image/>")
        archive.writestr("../x/../x.dzi", b"<Image/>")
        archive.writestr("/etc/passwd", b"x")
        archive.writestr("a/a.dzi", b"<Image/>")
        archive.writestr("a/a_files/../../../b.jpeg", b"x")
    assert [found.key for found in open_store(path).keys("")] == ["images/a/DeepZoom.dzi"]
    assert keys.is_key("images/a/DeepZoom.dzi")
