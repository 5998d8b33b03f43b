"""Documents of any content, wherever one is read: a sentence, or what it says; never a traceback.

All is played on a copy of what release 0.1.0 has published and kept.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.support.destinations import opened, private_of
from tests.support.hostile import descriptors, json_documents
from tests.support.site import HOST, serving
from vsv_pyramid import catalog_json, places, slide_json
from vsv_pyramid.cli import display
from vsv_pyramid.errors import VsvPyramidError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.documents import to_json
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import cdr, failures, history, records, rescans
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.history import Record
from vsv_pyramid.review.search import found
from vsv_pyramid.store import open_store
from vsv_pyramid.unattended.attempts import Attempts
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.people import Owner

RELEASE = Path(__file__).parent / "fixtures/release-0.1.0"
KEPT = RELEASE / "kept"
SLIDE = "170782"
FOLDER = f"images/{SLIDE}"
NOTE = f"{keys.WATCHED}/0123456789abcdef.json"
WRITTEN = {  # which that release has not left
    f"private/{keys.IDS_KEY}": {"version": 1, "key": "ab" * 32},
    f"private/{NOTE}": {
        "slide": f"/srv/scans/{SLIDE}.svs",
        "look": {"size": 1, "mtime_ns": 2},
        "attempts": 1,
        "reason": "damaged",
        "due": 1.5,
        "job": "",
    },
    f"private/{keys.failed_key(SLIDE)}": {
        "slide": f"/srv/scans/{SLIDE}.svs",
        "reason": "damaged",
        "failed_at": "2026-11-27T10:00:00+00:00",
        "exit_code": 65,
        "job": "",
    },
}
PUBLISHED, OWN = f"www/{FOLDER}/slide.json", f"private/{keys.private_json_key(SLIDE)}"
CATALOG, DELETED = f"www/{keys.catalog_key()}", f"private/{keys.DELETED}"
ROOTS = (f"www/{keys.root_key()}", f"private/{keys.ROOT}")


def honest(name: str) -> bytes:
    if name in WRITTEN:
        return to_json(WRITTEN[name])
    return (KEPT / name).read_bytes()


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """With www and www-private, as the other tests have them."""
    shutil.copytree(KEPT / "www", tmp_path / "www")
    shutil.copytree(KEPT / "private", tmp_path / "www-private")
    return tmp_path


def put(world: Path, name: str, data: bytes) -> None:
    top, _, key = name.partition("/")
    path = world / {"www": "www", "private": "www-private"}[top] / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def read_slide(data: bytes) -> None:
    document = slide_json.parse(data)
    with contextlib.suppress(VsvPyramidError):
        catalog_json.write([catalog_json.entry(document)])
    kept = slide_json.Kept(None, None, None, {})
    with contextlib.suppress(VsvPyramidError):
        to_json(slide_json.renewed(document, "lab", kept, "Europe/Berlin"))
    with contextlib.suppress(VsvPyramidError):
        to_json(slide_json.lasting(document))
    slide_json.is_look(document["source"], 1, 1)
    slide_json.is_of(document, {"size": 1})
    slide_json.packed_name(document["source"], document["options"], document["software"])


def read_record(data: bytes) -> None:
    record = history.parse(data)
    assert history.parse(history.write(record)) == record
    display.record_lines(record)
    json.dumps([display.record_facts(record), record.published(), record.is_deleted, record.made])
    record.logged("set", "anna", {"status": "GOOD"}, "seen")
    records._kept(record)
    facts = {"mpp": {"x": 0.5}, "objective_power": 20, "width": 1, "height": 1}
    json.dumps(cdr.metadata_record(facts, record, "Europe/Berlin"))


def read_catalog(data: bytes) -> None:
    slides, shards = catalog_json.parse(data)
    catalog_json.write(slides.values())
    assert slides.keys() == set(filter(keys.is_id, slides))
    assert all(map(keys.is_shard, shards))


PARSED: dict[str, Callable[[bytes], None]] = {
    PUBLISHED: read_slide,
    OWN: read_record,
    CATALOG: read_catalog,
}


@pytest.mark.parametrize("name", PARSED)
def test_what_is_parsed(name: str) -> None:
    refused = 0
    variants = list(json_documents(honest(name), most=400))
    for what, data in variants:
        try:
            PARSED[name](data)
        except (VsvPyramidError, ValueError) as exc:
            assert not isinstance(exc, UnicodeError), what
            assert str(exc).isprintable(), what
            refused += 1
    assert 0.3 < refused / len(variants) < 0.95
    PARSED[name](honest(name))


def of_store(world: Path) -> None:
    """All that reads what a destination has of a slide and of all, by the functions behind the
    commands; each on its own."""
    store = opened(world / "www")
    desk = Desk(store, "anna")
    options = ConvertOptions(ids="opaque")
    document: dict[str, Any] = {"source": {}}
    for read in (
        lambda: display.slide_lines(found(desk.slides(), search="a", since="2020")),
        lambda: display.awaited_lines(desk.awaited()),
        lambda: desk.record(SLIDE),
        lambda: records.deleted(store),
        lambda: display.failed_lines(failures.listed(store, dismissed=True)),
        lambda: list(failures.retry(store, [SLIDE], "anna")),
        lambda: rescans.remembered(store, SLIDE),
        lambda: rescans.link(store, Record("170783", source={"size": 1})),
        lambda: records.renew(store, SLIDE, "lab", "Europe/Berlin", dry_run=True),
        lambda: places.known(store, SLIDE, document),
        lambda: ids.keyed(options, store, create=False),
        lambda: store.layout(None),
    ):
        with contextlib.suppress(VsvPyramidError):
            read()
    assert store.private
    attempts = Attempts(store, Path("/srv"), lambda path: path.stem)
    with contextlib.suppress(VsvPyramidError):
        attempts.read()
    json.dumps([str(attempt) for _, attempt in attempts])


@pytest.mark.parametrize("name", [DELETED, *ROOTS, *WRITTEN, CATALOG, OWN])
def test_what_a_destination_has(world: Path, name: str, thorough: bool) -> None:
    for _, data in json_documents(honest(name), most=80 if thorough else 20):
        put(world, name, data)
        of_store(world)


def commands(world: Path) -> Iterator[list[object]]:
    root, slide = world / "www", world / "www" / FOLDER
    private = "--private-to", private_of(root)
    yield from (["verify", slide], ["info", slide], ["verify", root], ["index", root])
    yield ["slides", "list", root, *private]
    yield ["slides", "list", root, "--status", "awaiting", *private]
    yield ["slides", "show", SLIDE, "--in", root, *private]
    yield ["slides", root, "--failed", *private]
    yield ["refresh", root, "--dry-run", "--details", "lab", *private]
    yield ["delete", SLIDE, "--in", root, "--purge", "--dry-run", *private]
    yield ["convert", RELEASE / f"scans/{SLIDE}.svs", "--to", root, "--dry-run", *private]


DESCRIPTOR = f"www/{FOLDER}/{keys.DESCRIPTOR}"


@pytest.mark.parametrize("name", [PUBLISHED, OWN, CATALOG, DELETED, *ROOTS, *WRITTEN, DESCRIPTOR])
def test_the_commands_say_a_sentence(world: Path, run: Run, name: str, thorough: bool) -> None:
    """Each of the variants meets another command, unless all meet all."""
    variants = list(descriptors() if name == DESCRIPTOR else json_documents(honest(name), 1, 90))
    words = list(commands(world))
    pairs = (
        itertools.product(variants, words)
        if thorough
        else zip(variants[::3], itertools.cycle(words), strict=False)
    )
    for (what, data), command in pairs:
        put(world, name, data)
        outcome = run(*command)
        assert outcome.code in (0, 1, 2, 65, 75), (what, command)
        assert "Traceback" not in outcome.err, (what, command)
        assert outcome.out + outcome.err, (what, command)


@pytest.mark.parametrize("name", [PUBLISHED, OWN, CATALOG, DELETED])
def test_the_server_and_the_desk_say_a_sentence(
    world: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    owner = Owner("anna")
    app = create_app(opened(world / "www"), entrance=Entrance(owner), hosts=[HOST])
    with serving(app) as outside:
        site = outside.entered(owner.key)
        for what, data in list(json_documents(honest(name), 2, 90))[::5]:
            put(world, name, data)
            for path in (
                f"/{FOLDER}/slide.json",
                "/images/index.json",
                "/desk/api/slides",
                f"/desk/api/slides/{SLIDE}",
            ):
                answer = site.ask(path)
                assert answer.status in (200, 404, 502), (what, path)
                assert answer.body or not data, (what, path)
    assert "Traceback" not in capfd.readouterr().err


def test_a_catalog_is_made_of_what_is_sound(world: Path) -> None:
    """As the server does where there is none."""
    (world / "www" / keys.catalog_key()).unlink()
    with serving(create_app(open_store(str(world / "www")))) as site:
        for _, data in list(json_documents(honest(PUBLISHED), 3, 90))[::3]:
            put(world, PUBLISHED, data)
            answer = site.ask("/images/index.json")
            assert answer.status == 200
            assert "170783" in {slide["id"] for slide in json.loads(answer.body)["slides"]}
