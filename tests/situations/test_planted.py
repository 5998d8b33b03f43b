"""Names planted wherever a file has room for one, each one that is nowhere else: through all that
publishes, none of them is in what anybody may read."""

from __future__ import annotations

import base64
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import openslide
import pytest

from tests.conftest import Outcome, Run
from tests.support.destinations import private_of
from tests.support.planted import (
    ACCESSION,
    BARCODES,
    BIRTHS,
    MTIME_NS,
    SSN,
    TIME,
    TIMES,
    YEAR,
    Planted,
    forge,
    forge_barcodes,
    found,
    has_colour,
    label,
    leaks,
)
from tests.support.s3_server import Place
from tests.support.site import Answer, serving
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.layout import keys
from vsv_pyramid.review.barcode import read_barcode
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.web.app import create_app

FORMATS = ("svs", "tiff", "ome", "philips", "leica", "dicom", "png", "jpeg")
NOT_SEARCHED = ("png", "jpeg")  # which folders are not searched for
LEAST = 191
WORD, NUMBER = "Zq017Roe", "4711017203171"
TECHNICIAN, NOTE = "Zq901Roe, Jane", "as Zq902Roe said, 4711903203171"
SCANNED = ("2019-07-23", TIME)  # as a lab's details have it

Objects = dict[str, bytes]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scans")


@pytest.fixture(scope="module")
def planted(scans: Path) -> dict[str, Planted]:
    return forge(scans)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Planted]:
    return forge_barcodes(tmp_path_factory.mktemp("labelled") / "scans")


# What is published, and what is answered.


def in_folder(root: Path) -> Objects:
    """All files below, hidden ones, too."""
    files = [path for path in root.rglob("*") if path.is_file()]
    assert not any(path.stat().st_mtime_ns == MTIME_NS for path in files)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def in_archive(path: Path) -> Objects:
    """Its members, and its own bytes, in which are their names and what is said of each."""
    with zipfile.ZipFile(path) as archive:
        assert not any(member.date_time[0] == YEAR for member in archive.infolist())
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    return {**members, "the archive": path.read_bytes()}


def in_bucket(place: Place) -> Objects:
    """Its objects, each with what a HEAD says of it."""
    objects = {}
    for key in place.objects():
        where = {"Bucket": place.bucket, "Key": f"{place.prefix}/{key}"}
        head = place.server.client().head_object(**where)
        objects[key] = place.get(key)["Body"].read()
        objects[f"HEAD {key}"] = repr(head).encode()
    return objects


def answered(answer: Answer) -> bytes:
    return str(answer.headers).encode() + answer.body


def served(root: Path) -> Objects:
    """The answers of `serve` for all that is published, and for what is not."""
    published = [key for key in in_folder(root) if key.startswith(("images/", "viewer/"))]
    suffix = f"/{keys.DESCRIPTOR}"
    older = [f"{key.removesuffix(suffix)}.dzi" for key in published if key.endswith(suffix)]
    others = ["", "desk/", "nothing", "images/", "private/images/", *older]
    with serving(create_app(open_root(str(root)))) as site:
        return {
            f"{method} /{key}": answered(site.ask(f"/{key}", method))
            for method in ("GET", "HEAD")
            for key in dict.fromkeys([*published, *others])
        }


def without(ids: Iterable[str], objects: Mapping[str, bytes]) -> Objects:
    """The objects, of which nothing is an id any more."""

    def cleared(text: bytes) -> bytes:
        for number, slide_id in enumerate(sorted(ids, key=len, reverse=True)):
            text = text.replace(slide_id.encode(), b"slide-%d" % number)
        return text

    return {cleared(key.encode()).decode(): cleared(data) for key, data in objects.items()}


def pictures(objects: Mapping[str, bytes]) -> list[str]:
    """The keys of JPEGs that show some of a label."""
    jpegs = {key: data for key, data in objects.items() if key.endswith((".jpeg", ".jpg"))}
    assert jpegs
    return [key for key, data in jpegs.items() if data[:2] == b"\xff\xd8" and has_colour(data)]


def facts(objects: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Of each slide what is published of it."""
    is_document = re.compile(r"(?:images/)?[^/]+/slide\.json").fullmatch
    return [json.loads(data) for key, data in objects.items() if is_document(key)]


def ids_in(objects: Mapping[str, bytes]) -> set[str]:
    return {str(document["id"]) for document in facts(objects)}


def succeeded(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome.err
    return outcome.out


def slides_of(planted: dict[str, Planted], scans: Path) -> list[Path]:
    """As they are given on a command line: the folder, and what is not looked for there."""
    return [scans, *(planted[name].path for name in NOT_SEARCHED)]


# That the tests can fail.


def test_there_are_enough(planted: dict[str, Planted]) -> None:
    files = planted.values()
    places = [*(file.inside for file in files), *(file.around for file in files)]
    assert sum(map(len, places)) == len({marker for each in places for marker in each}) > LEAST
    assert len(planted["svs"].inside) > LEAST


@pytest.mark.parametrize("name", FORMATS)
def test_each_marker_is_in_the_file(planted: dict[str, Planted], name: str) -> None:
    file = planted[name]
    assert file.inside.keys() <= found(file.path.read_bytes())
    assert file.around.keys() == found(str(file.path).encode()) - {*BIRTHS}
    assert file.path.stat().st_mtime_ns == MTIME_NS


@pytest.mark.parametrize("name", BARCODES)
def test_each_barcode_is_on_its_label(labelled: dict[str, Planted], name: str) -> None:
    with open_slide(labelled[name].path) as slide:
        assert read_barcode(slide.associated("label")).lab_id == labelled[name].barcode
    assert found(labelled[name].barcode.encode()) >= set(labelled[name].around)


def test_openslide_reads_them(planted: dict[str, Planted]) -> None:
    for name, least in ("svs", 48), ("tiff", 3), ("ome", 15), ("dicom", 35), ("philips", 6):
        with openslide.OpenSlide(planted[name].path) as slide:
            said = found("\n".join(slide.properties.values()).encode())
            assert len(said & set(planted[name].inside)) >= least, name


HIDDEN: dict[str, Callable[[str], bytes]] = {
    "ASCII": lambda text: b"|User = %s|" % text.encode(),
    "capitals": lambda text: text.upper().encode(),
    "small letters": lambda text: text.lower().encode(),
    "UTF-16-LE": lambda text: f"\ufeff{text}".encode("utf-16-le"),
    "UTF-16-BE": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32-le"),
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: b"0" + text.encode("utf-16-le").hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, one behind": lambda text: base64.b64encode(b"^" + text.encode() + b"^Jane"),
    "base64, two behind": lambda text: base64.b64encode(b"M^" + text.encode() + b"^Jane"),
    "base64 amid letters": lambda text: b"abc" + base64.b64encode(b"-----" + text.encode() + b"-"),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(b"\xff\xfe\xfb" + text.encode()),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")),
    "deflated": lambda text: b"iCCP" + zlib.compress(text.encode() * 3),
    "deflated in base64": lambda text: base64.b64encode(zlib.compress(text.encode())),
    "a tile's comment": lambda text: b"\xff\xd8\xff\xfe\0\x12" + text.encode() + bytes(99),
}


@pytest.mark.parametrize("way", HIDDEN)
@pytest.mark.parametrize("text", [WORD, NUMBER, TIMES[0], TIMES[3], *BIRTHS, SSN, ACCESSION])
def test_what_is_there_is_found(text: str, way: str) -> None:
    assert found(HIDDEN[way](text)) == {text.lower()}


@pytest.mark.parametrize("text", ["Zq17Roe", "Zq017Ro", "471117203171", "S26-1041-A2", "07/23/18"])
def test_what_is_not_there_is_not_found(text: str) -> None:
    assert not any(found(hide(text)) for hide in HIDDEN.values())


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("images/a/slide.json", b'{"id": "a", "Rack": 4711017203171.0}'),
        (f"images/{WORD}/DeepZoom.dzi", b"<Image/>"),
        ("HEAD images/a/slide.json", f"{{'Metadata': {{'patient': '{WORD}'}}}}".encode()),
    ],
)
def test_what_leaks_is_told(key: str, data: bytes) -> None:
    assert leaks({"images/index.json": b"{}", key: data}).keys() == {key}


def test_an_id_hides_nothing_else() -> None:
    objects = {f"images/HE-{WORD}-1/slide.json": f'"HE-{WORD}-1", "{WORD}"'.encode()}
    assert leaks(without([f"HE-{WORD}-1"], objects)) == {"images/slide-0/slide.json": {"zq017roe"}}
    assert not leaks(without([f"HE-{WORD}-1"], {"a": f"HE-{WORD}-1".encode()}))


def test_a_label_is_seen(tmp_path: Path) -> None:
    label().save(tmp_path / "a.jpeg", quality=50)
    assert pictures(in_folder(tmp_path)) == ["a.jpeg"]


def test_a_members_name_is_looked_at(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("images/a/slide.json", "{}")
        archive.comment = WORD.encode()
    assert leaks(in_archive(tmp_path / "a.zip")).keys() == {"the archive"}


# Through all that publishes.


def test_a_folder_alone(run: Run, planted: dict[str, Planted], scans: Path, tmp_path: Path) -> None:
    """Ids that are made of names hold what they are made of, and nothing else does."""
    root = tmp_path / "www"
    slides = slides_of(planted, scans)
    succeeded(run("convert", *slides, "--to", root, "--ids", "safe", "--workers", 1))
    succeeded(run("viewer", "--to", root))
    succeeded(run("index", root))
    objects = in_folder(root)
    ids = ids_in(objects)
    lanes = {document["pyramid"]["lane"] for document in facts(objects)}
    assert (len(ids), lanes) == (len(FORMATS), {"lossless", "pixels"})
    assert not any(document["pyramid"]["fallback_tiles"] for document in facts(objects))
    assert {document["year"] for document in facts(objects)} == {YEAR, None}
    assert leaks(without(ids, objects)) == {}
    made_of = found(planted["dicom"].path.parent.name.encode())  # of DICOM, the folder is the slide
    made_of |= {m for file in planted.values() for m in file.around}
    assert found(" ".join(ids).encode()) <= made_of
    assert pictures(objects) == []
    assert leaks(without(ids, served(root))) == {}

    told = [run("verify", root)]
    for slide_id in ids:
        told.append(run("info", root / "images" / slide_id, "--json"))
        told.append(run("verify", root / "images" / slide_id, "--json"))
    said = {f"answer {n}": succeeded(outcome).encode() for n, outcome in enumerate(told)}
    assert leaks(without(ids, said)) == {}


def test_what_was_published_before_is_not_any_more(
    run: Run, planted: dict[str, Planted], tmp_path: Path
) -> None:
    """`refresh` looks at an earlier release's slide.json as at the slide's file."""
    root = tmp_path / "www"
    succeeded(run("convert", planted["svs"].path, "--to", root, "--id", "170782"))
    path = root / keys.slide_json_key(keys.folder("170782"))
    former = json.loads(path.read_bytes())
    former |= {"objective_power": float(NUMBER), "scanner": WORD, "scanned": f"2019-07-23T{TIME}"}
    former["source"] |= {"name": f"{WORD}.svs", "mtime_ns": MTIME_NS}
    former |= {"version": 1, "image_id": NUMBER, "properties": {"aperio.Rack": WORD}}
    path.write_text(json.dumps(former))
    succeeded(run("index", root))
    assert leaks(in_folder(root)).keys() == {f"images/170782/{keys.SLIDE_JSON}"}
    succeeded(run("refresh", root))
    assert leaks(in_folder(root)) == {}
    (document,) = facts(in_folder(root))
    assert (document["year"], document["kept"]) == (YEAR, False)


def test_a_folder_with_a_private_place(
    run: Run, planted: dict[str, Planted], scans: Path, tmp_path: Path
) -> None:
    """Ids of which none tells a name, tiles that are encoded, and the desk's commands."""
    root, private = tmp_path / "www", private_of(tmp_path / "www")
    kept = ("--private-to", private)
    to = ("--to", root, "--ids", "opaque", "--lane", "pixels", "--workers", 1)
    slides = slides_of(planted, scans)
    succeeded(run("convert", *slides, *to, *kept))
    objects = in_folder(root)
    ids = sorted(ids_in(objects))
    assert len(ids) == len(FORMATS)
    assert leaks(objects) == {}
    assert pictures(objects) == []

    by = ("--in", root, *kept, "--by", TECHNICIAN)
    said = ("--slide-id", "S26-7", "--case-id", "S26", "--status", "good", "--note", NOTE)
    succeeded(run("slides", "set", ids[0], *said, *by))
    assert leaks(in_folder(root)) == {}
    succeeded(run("refresh", root, "--details", "lab", *kept))
    objects = in_folder(root)
    assert leaks(objects, allowed=SCANNED) == {}
    assert "S26-7" in objects["images/index.json"].decode()
    assert any(document["scanned"] for document in facts(objects))
    succeeded(run("index", root))
    assert leaks(in_folder(root), allowed=SCANNED) == {}
    assert leaks(served(root), allowed=SCANNED) == {}
    succeeded(run("refresh", root, *kept))
    succeeded(run("viewer", "--to", root))
    assert leaks(in_folder(root)) == {}
    assert "S26-7" not in str(in_folder(root))
    assert leaks(served(root)) == {}
    succeeded(run("slides", "delete", ids[1], "--yes", *by))
    assert leaks(in_folder(root)) == {}

    inside = {marker for file in planted.values() for marker in file.inside}
    known = found(b"".join(in_folder(Path(private)).values()))
    assert len(known & inside) > 100  # they were read, and are where nobody serves them
    assert known >= found(f"{TECHNICIAN} {NOTE}".encode())


@pytest.mark.parametrize("name", ["svs", "png", "jpeg"])
@pytest.mark.parametrize(
    ("suffix", "options", "icc"),
    [
        (".zip", ("--color", "srgb", "--associated", "thumbnail"), "applied"),
        (".szi", ("--base", "reencode", "--associated", "none"), "published"),
    ],
)
def test_an_archive(
    run: Run,
    planted: dict[str, Planted],
    name: str,
    suffix: str,
    options: tuple[str, ...],
    icc: str,
    tmp_path: Path,
) -> None:
    target = tmp_path / f"170782{suffix}"
    to = ("--to", target, "--id", "170782", "--workers", 1)
    succeeded(run("convert", planted[name].path, *to, *options))
    objects = in_archive(target)
    assert [document["icc_profile"] for document in facts(objects)] == [icc]
    assert leaks(objects) == {}
    assert pictures(objects) == []
    said = (run("info", target, "--json"), run("verify", target, "--json"))
    assert leaks({str(n): succeeded(out).encode() for n, out in enumerate(said)}) == {}


def test_a_bucket_alone(run: Run, planted: dict[str, Planted], scans: Path, place: Place) -> None:
    slides = slides_of(planted, scans)
    succeeded(run("convert", *slides, "--to", place, "--ids", "safe", "--workers", 1))
    objects = in_bucket(place)
    ids = ids_in(objects)
    assert len(ids) == len(FORMATS)
    assert leaks(without(ids, objects)) == {}
    assert pictures(objects) == []


def test_a_bucket_with_a_private_one(run: Run, planted: dict[str, Planted], place: Place) -> None:
    """From an object that has names in its key and in what is said of it, into another bucket."""
    kept = ("--private-to", place.private)
    source = Place(place.server, f"scans-of-{place.prefix}", place.bucket)
    slide = planted["svs"].path
    source.put(f"Zq904Roe/{slide.name}", slide.read_bytes(), patient="Zq905Roe")
    url = f"{source}/Zq904Roe/{slide.name}"
    lab = ("--details", "lab", "--workers", 1)
    succeeded(run("convert", url, "--to", place, "--ids", "opaque", *kept, *lab))
    succeeded(run("viewer", "--to", place))
    (slide_id,) = ids_in(in_bucket(place))
    by = ("--in", place, *kept, "--by", TECHNICIAN)
    ids = ("--slide-id", "S26-7", "--case-id", "S26", "--note", NOTE)
    succeeded(run("slides", "set", slide_id, *ids, *by))
    succeeded(run("slides", "send", slide_id, "--cdr", f"{place.private}/cdr", *by))
    objects = in_bucket(place)
    assert leaks(objects, allowed=SCANNED) == {}
    assert [document["review"]["status"] for document in facts(objects)] == ["SENT"]
    succeeded(run("refresh", place, *kept))
    succeeded(run("index", place))
    objects = in_bucket(place)
    assert leaks(objects) == {}
    assert pictures(objects) == []
    said = (run("info", f"{place}/images/{slide_id}", "--json"), run("verify", place, "--json"))
    assert leaks({str(n): succeeded(out).encode() for n, out in enumerate(said)}) == {}
    assert found(repr(in_bucket(place.private)).encode()) >= {"zq901roe", "zq902roe"}


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_watch(
    run: Run, planted: dict[str, Planted], scans: Path, is_kept: bool, tmp_path: Path
) -> None:
    root = tmp_path / "www"
    kept = ("--private-to", private_of(root), "--ids", "opaque") if is_kept else ("--ids", "safe")
    options = ("--details", "lab", "--interval", 0.1, "--workers", 1)
    succeeded(run("watch", scans, "--to", root, "--once", *options, *kept))
    objects = in_folder(root)
    ids = ids_in(objects)
    assert len(ids) == len(FORMATS) - len(NOT_SEARCHED)
    assert is_kept == (leaks(objects, allowed=SCANNED) == {})
    assert leaks(without(ids, objects), allowed=SCANNED) == {}
    assert pictures(objects) == []


# What is read off labels.


def reviewed(file: Planted) -> list[str]:
    """Where a slide's ID is published."""
    return ["images/index.json", keys.slide_json_key(keys.folder(file.path.stem))]


def test_no_barcode_is_published(run: Run, labelled: dict[str, Planted], tmp_path: Path) -> None:
    """By default; and of a lab's details none, before a technician has confirmed it."""
    root = tmp_path / "www"
    folder = next(iter(labelled.values())).path.parent
    kept = ("--private-to", private_of(root))
    succeeded(run("convert", folder, "--to", root, *kept, "--workers", 1))
    assert len(facts(in_folder(root))) == len(BARCODES)
    assert leaks(in_folder(root)) == {}
    succeeded(run("refresh", root, "--details", "lab", *kept))
    assert leaks(in_folder(root)) == {}
    for name, file in labelled.items():
        private = json.loads(
            succeeded(run("slides", "show", file.path.stem, "--in", root, *kept, "--json"))
        )
        assert file.barcode in str(private), name
    sure = labelled["accession number"]
    confirm = ("--slide-id", sure.barcode, "--in", root, *kept, "--by", TECHNICIAN)
    succeeded(run("slides", "set", sure.path.stem, *confirm))
    shown = leaks(in_folder(root))
    assert shown == {key: {ACCESSION.lower()} for key in reviewed(sure)}
    assert leaks(served(root), allowed=[ACCESSION]) == {}
    succeeded(run("refresh", root, *kept))
    assert leaks(in_folder(root)) == {}


def test_what_fits_the_labs_pattern_is(
    run: Run, labelled: dict[str, Planted], tmp_path: Path
) -> None:
    root = tmp_path / "www"
    folder = next(iter(labelled.values())).path.parent
    lab = ("--private-to", private_of(root), "--details", "lab", "--workers", 1)
    pattern = r"S\d\d-\d+-[A-Z]\d|[0-9]{4}|PID:|.*ROE"  # which begins, or ends, others
    succeeded(run("convert", folder, "--to", root, *lab, "--slide-id-pattern", pattern))
    shown = leaks(in_folder(root))
    assert shown == {key: {ACCESSION.lower()} for key in reviewed(labelled["accession number"])}
