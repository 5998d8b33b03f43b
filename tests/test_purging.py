"""A slide that is purged: nothing of it is left, in no version, and nothing of any other goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support.destinations import private_of
from tests.support.forge import forge_svs
from tests.support.s3_server import Place
from tests.support.versioned import kept_by, versions
from vsv_pyramid import purging, repacking
from vsv_pyramid.cli import pyramids
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import failures, records, rescans
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.review.history import Record

OPTIONS = ConvertOptions(tile_size=256, workers=1, overwrite=True)
NAMES = ("a", "indexed")  # the second begins as the catalog's files do


def marks(place: Place) -> set[tuple[str, str]]:
    """That something was deleted."""
    found = place.server.client().list_object_versions(Bucket=place.bucket)
    return {(one["Key"], one["VersionId"]) for one in found.get("DeleteMarkers", ())}


def is_its(key: str) -> bool:
    return "images/a/" in key or key.endswith(("/images/a", "places/a", "failed/a.json"))


def worked(real_slide: Path, folder: Path, target: str, private: str) -> None:
    """Slides that were converted twice, edited, packed and unpacked."""
    for name in NAMES:
        slide = folder / f"{name}.svs"
        forge_svs(slide, tissue=real_slide, size=(500, 300), levels=(1,))
        for quality in (80, 90):
            convert(slide, target, replace(OPTIONS, quality=quality, private_to=private))
    store = open_destination(target, private)
    Desk(store, "anna").set(dict.fromkeys(NAMES), {"status": "GOOD", "slide_id": "S1"})
    repacking.pack(store.published, keys.folder("a"))
    repacking.unpack(store.published, keys.folder("a"))


def tied(real_slide: Path, folder: Path) -> tuple[str, str]:
    """A destination and its private place, with a slide that was scanned anew as another."""
    target, private = str(folder / "to"), private_of(folder / "to")
    store = open_destination(target, private)
    desk = Desk(store, "anna")
    for name, width in (("former", 500), ("later", 520)):
        slide = folder / f"{name}.svs"
        forge_svs(slide, tissue=real_slide, size=(width, 300), levels=(1,))
        convert(slide, target, replace(OPTIONS, private_to=private))
        desk.set({name: None}, {"slide_id": "S1"})
        if name == "former":
            desk.delete({name: None})
    rescans.link(store, records.record(store, "later"))
    return target, private


def test_in_a_folder(real_slide: Path, tmp_path: Path, run: Run) -> None:
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    worked(real_slide, tmp_path, target, private)
    others = {path for path in tmp_path.rglob("*") if "indexed" in str(path)}
    note = {"slide": "in/a.svs", "look": {"size": 1, "mtime_ns": 1}, "attempts": 1}
    failures.remember(open_destination(target, private), Failed("a", "in/a.svs", "is cut off"))
    notes = Path(private, "watch")
    notes.mkdir(exist_ok=True)
    for name, slide in (("0123", "in/a.svs"), ("4567", "in/b.svs")):
        (notes / f"{name}.json").write_text(json.dumps({**note, "slide": slide}))
    where = ("--in", target, "--private-to", private)
    shown = run("delete", "a", *where, "--purge", "--dry-run")
    assert shown.code == 0
    assert "objects" in shown.out
    assert (Path(target) / "images/a/DeepZoom.dzi").exists()
    words = ("--purge", "--yes", "--receipt", "receipt.json")
    ended = run("delete", "a", *where, *words)
    assert (ended.code, ended.err) == (0, "")
    assert "a: nothing is left" in ended.out
    assert "CDN" not in ended.out
    receipt = Path("receipt.json")
    made = json.loads(receipt.read_text())
    assert set(made) == {"by", "bytes", "former_versions", "id", "objects", "places", "purged_at"}
    assert made["id"] == "a"
    assert made["objects"] > 5
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".svs"]
    assert not [path for path in left if path.parent.name == "a" or path.name == "0123.json"]
    documents = [path for path in left if path.suffix == ".json" and path.name != receipt.name]
    assert not [path for path in documents if '"a"' in path.read_text()]
    assert {path for path in tmp_path.rglob("*") if "indexed" in str(path)} == others
    assert (notes / "4567.json").exists()
    assert run("verify", target, "--purged", "a", "--private-to", private).code == 0
    other = run("delete", "indexed", *where, *words)
    assert other.code == 2
    assert_one_sentence(other.err, "receipt.json is there already; give another name")
    again = run("delete", "a", *where, "--purge", "--yes")
    assert again.code == 1
    assert_one_sentence(again.err, "there is nothing of it; check the id")


def test_no_version_is_left(real_slide: Path, tmp_path: Path, versioned: Place, run: Run) -> None:
    places = versioned, kept_by(versioned)
    target, private = map(str, places)
    worked(real_slide, tmp_path, target, private)
    note = json.dumps({"slide": "in/a.svs"}).encode()
    kept_by(versioned).put("private/failed/a.json", note)
    kept_by(versioned).delete("private/failed/a.json")
    kept_by(versioned).put("watch/0123.json", note)
    lists = json.dumps([f"{target}/a.svs", "pack s3://images/images/a", "s3://scans/b.svs"])
    kept_by(versioned).put("manifests/89ab.json", lists.encode())
    kept_by(versioned).put("watch/4567.json", note)
    kept_by(versioned).delete("watch/4567.json")  # since it was converted after all
    before = {place: versions(place) for place in places}
    checked = run("verify", target, "--purged", "a", "--private-to", private)
    assert checked.code == 1
    assert "former versions left" in checked.out
    words = ("--purge", "--yes", "--receipt", "receipt.json")
    ended = run("delete", "a", "--in", target, "--private-to", private, *words)
    assert ended.code == 0, ended.err
    assert "create-invalidation" in ended.out
    assert "'/images/a/*' '/images/a.dzi*' '/images/a_files/*' '/images/index*'" in ended.out
    made = json.loads(Path("receipt.json").read_text())
    assert made["former_versions"] > made["objects"] > 5
    client = versioned.server.client()
    for place in places:
        after = versions(place)
        assert not [key for key, _ in after if is_its(key)]
        others = [one for one in before[place] if "indexed" in one[0]]
        assert [one for one in after if "indexed" in one[0]] == others
        for key, version in after:
            is_text = key.endswith(".json") and (key, version) not in marks(place)
            if is_text and "indexed/" not in key:
                found = client.get_object(Bucket=place.bucket, Key=key, VersionId=version)
                text = found["Body"].read().decode()
                assert '"a"' not in text, key
                assert "a.svs" not in text, key
    kept = json.loads(kept_by(versioned).get("manifests/89ab.json")["Body"].read())
    assert kept == [None, None, "s3://scans/b.svs"]
    assert run("verify", target, "--purged", "a", "--private-to", private).code == 0


RULE = {"ID": "FormerVersions", "Status": "Enabled"}
ENDS = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}


@pytest.mark.parametrize(
    ("rule", "is_told"),
    [
        (None, True),
        ({**RULE, **ENDS, "Filter": {"Prefix": ""}}, False),
        ({**RULE, **ENDS, "Filter": {"Prefix": "elsewhere/"}}, True),
        ({**RULE, **ENDS, "Filter": {"Prefix": ""}, "Status": "Disabled"}, True),
        ({**RULE, "Expiration": {"Days": 30}, "Filter": {"Prefix": "x/"}}, True),
    ],
)
def test_versions_that_never_end_are_told(
    small_slide: Path, versioned: Place, run: Run, rule: dict[str, Any] | None, is_told: bool
) -> None:
    target, private = str(versioned), str(kept_by(versioned))
    convert(small_slide, target, replace(OPTIONS, private_to=private))
    client = versioned.server.client()
    if rule:
        client.put_bucket_lifecycle_configuration(
            Bucket=versioned.bucket, LifecycleConfiguration={"Rules": [rule]}
        )
    outcome = run("verify", target)
    assert outcome.code == 0
    assert ("keeps versions for ever" in outcome.out + outcome.err) is is_told


def test_of_a_bucket_without_versions_nothing_is_told(
    small_slide: Path, place: Place, run: Run
) -> None:
    convert(small_slide, str(place), OPTIONS)
    outcome = run("verify", place)
    assert (outcome.code, "versions" in outcome.out + outcome.err) == (0, False)


def test_what_was_deleted_before(
    real_slide: Path, tmp_path: Path, versioned: Place, run: Run
) -> None:
    """Nothing is to be seen of it, and it is all there."""
    target, private = str(versioned), str(kept_by(versioned))
    worked(real_slide, tmp_path, target, private)
    where = ("--in", target, "--private-to", private)
    assert run("delete", "a", *where, "--yes").code == 0
    assert [key for key, _ in versions(versioned) if is_its(key)]
    assert run("verify", target, "--purged", "a", "--private-to", private).code == 1
    assert run("delete", "a", *where, "--purge", "--yes").code == 0
    assert not [key for key, _ in versions(versioned) if is_its(key)]
    assert run("verify", target, "--purged", "a", "--private-to", private).code == 0


@pytest.mark.parametrize("ids", ["safe", "opaque", "given"])
def test_lists_of_jobs_do_not_name_it_any_more(
    real_slide: Path, tmp_path: Path, run: Run, ids: str
) -> None:
    slide = tmp_path / "Anna B\u00e4r.svs"
    slide.write_bytes(real_slide.read_bytes())
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    words = ("--id", "given") if ids == "given" else ("--ids", ids)
    where = ("--private-to", private)
    assert run("convert", slide, "--to", target, *where, *words).code == 0
    (slide_id,) = (path.name for path in Path(target, "images").iterdir() if path.is_dir())
    lists = Path(private, "manifests")
    lists.mkdir()
    (lists / "1.json").write_text(json.dumps([str(slide), "in/other.svs"]))
    (lists / "2.json").write_text(json.dumps(["in/other.svs"]))
    (lists / "3.json").write_text("[1]")
    shown = run("delete", slide_id, "--in", target, *where, "--purge", "--dry-run")
    assert "manifests/1.json" in shown.out
    assert run("delete", slide_id, "--in", target, *where, "--purge", "--yes").code == 0
    left = [json.loads(path.read_text()) for path in sorted(lists.iterdir())]
    assert left == [[None, "in/other.svs"], ["in/other.svs"], [1]]
    assert run("verify", target, "--purged", slide_id, *where).code == 0


def test_a_slide_whose_file_has_its_id_as_its_name_is_another(
    real_slide: Path, tmp_path: Path, run: Run
) -> None:
    """The id of in/a.svs is a, and that of in/a.svs.svs is a.svs."""
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    slide = tmp_path / "a.svs.svs"
    slide.write_bytes(real_slide.read_bytes())
    convert(slide, target, replace(OPTIONS, private_to=private))
    note = {"slide": "in/a.svs", "look": {"size": 1, "mtime_ns": 1}, "attempts": 1}
    for name, content in (("manifests/1.json", ["in/a.svs"]), ("watch/0123.json", note)):
        path = Path(private, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    assert (
        run("delete", "a.svs", "--in", target, "--private-to", private, "--purge", "--yes").code
        == 0
    )
    assert json.loads(Path(private, "manifests/1.json").read_text()) == ["in/a.svs"]
    assert Path(private, "watch/0123.json").exists()


@pytest.mark.parametrize("pair", [("former", "later"), ("later", "former")])
def test_the_other_scan_does_not_name_it_any_more(
    real_slide: Path, tmp_path: Path, run: Run, pair: tuple[str, str]
) -> None:
    target, private = tied(real_slide, tmp_path)
    store = open_destination(target, private)
    desk = Desk(store, "anna")
    gone, stays = pair
    assert gone in str(records.record(store, stays).history[-1])
    assert desk.awaited() == []
    where = ("--in", target, "--private-to", private)
    assert run("delete", gone, *where, "--purge", "--yes").code == 0
    assert not [path for path in Path(private).rglob("*.json") if f'"{gone}"' in path.read_text()]
    assert records.record(store, stays).lab_id == "S1"
    assert desk.awaited() == []


@pytest.mark.parametrize("damaged", ["former", "later"])
def test_a_damaged_record_keeps_nothing(
    real_slide: Path, tmp_path: Path, run: Run, damaged: str
) -> None:
    target, private = tied(real_slide, tmp_path)
    record = Path(private, keys.private_json_key(damaged))
    record.write_text("{")
    where = ("--in", target, "--private-to", private)
    assert run("delete", "former", *where, "--purge", "--yes").code == 0
    assert run("verify", target, "--purged", "former", "--private-to", private).code == 0
    assert not Path(private, keys.private_folder("former")).exists()
    assert record.exists() == (damaged == "later")


def test_a_legal_hold_is_respected_and_told(
    real_slide: Path, tmp_path: Path, versioned: Place, run: Run
) -> None:
    target, private = str(versioned), str(kept_by(versioned))
    worked(real_slide, tmp_path, target, private)
    held = f"{versioned.prefix}/images/a/slide.json"
    hold = versioned.server.client().put_object_legal_hold
    hold(Bucket=versioned.bucket, Key=held, LegalHold={"Status": "ON"})
    words = ("delete", "a", "--in", target, "--private-to", private, "--purge", "--yes")
    outcome = run(*words)
    assert outcome.code == 1
    assert_one_sentence(outcome.err, "images/a/slide.json: cannot be removed")
    assert "legal hold" in outcome.err
    assert "(AccessDenied)" in outcome.err
    its = {key for key, _ in versions(versioned) if is_its(key)}
    assert held in its
    hold(
        Bucket=versioned.bucket,
        Key=held,
        VersionId=next(one for key, one in versions(versioned) if key == held),
        LegalHold={"Status": "OFF"},
    )
    assert run(*words).code == 0
    assert not [key for key, _ in versions(versioned) if is_its(key)]


def test_the_scanned_file_goes_too(real_slide: Path, tmp_path: Path, run: Run) -> None:
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    worked(real_slide, tmp_path, target, private)
    words = ("delete", "a", "--in", target, "--private-to", private, "--purge", "--source")
    assert f"{tmp_path}/a.svs: 1 object" in run(*words, "--dry-run").out.replace("\\", "/")
    scan = (tmp_path / "a.svs").read_bytes()
    (tmp_path / "a.svs").write_bytes(scan + b"of another scan")
    refused = run(*words, "--yes")
    assert refused.code == 1
    assert_one_sentence(refused.err, "is another scan by now; look at it first")
    assert (tmp_path / "to/images/a/DeepZoom.dzi").exists()
    (tmp_path / "a.svs").unlink()  # as an interruption leaves it
    ended = run(*words, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert (tmp_path / "indexed.svs").exists()
    unknown = run(*words, "--yes")
    assert "where its scanned file is, is not known" in unknown.err
    assert "there is nothing of it" in unknown.err


def test_a_scan_that_comes_while_somebody_is_asked_stays(
    real_slide: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    worked(real_slide, tmp_path, target, private)
    scan = tmp_path / "a.svs"

    def asked(_: str) -> None:
        scan.write_bytes(scan.read_bytes() + b"of another scan")

    monkeypatch.setattr(pyramids, "confirm", asked)
    words = ("delete", "a", "--in", target, "--private-to", private, "--purge", "--source")
    refused = run(*words)
    assert refused.code == 1
    assert_one_sentence(refused.err, "is another scan by now; look at it first")
    assert scan.exists()


@pytest.mark.parametrize(
    ("link", "told"),
    [
        (Path.symlink_to, ("is a link to", "delete both yourself")),
        (Path.hardlink_to, ("has 2 names (hard links)", "delete all of them yourself")),
    ],
)
def test_of_a_link_nothing_is_removed(
    link: Callable[[Path, Path], None],
    told: tuple[str, ...],
    real_slide: Path,
    tmp_path: Path,
    run: Run,
) -> None:
    """Or the slide would be there after nothing is left."""
    other = tmp_path / "other"
    other.write_bytes(real_slide.read_bytes())
    link(tmp_path / "a.svs", other)
    to = ("--to", "to", "--private-to", "private")
    assert run("convert", tmp_path / "a.svs", *to).code == 0
    words = ("delete", "a", "--in", "to", "--private-to", "private", "--purge", "--yes")
    refused = run(*words, "--source")
    assert refused.code == 1
    assert_one_sentence(refused.err, *told)
    assert Path("to/images/a/DeepZoom.dzi").exists()
    assert run(*words).code == 0


@pytest.mark.parametrize("is_there", [False, True])
def test_a_share_that_is_away_is_not_a_file_that_is_gone(
    real_slide: Path, tmp_path: Path, run: Run, is_there: bool
) -> None:
    """Or nobody would know any more where the file is."""
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    share = tmp_path / "share"
    share.mkdir()
    worked(real_slide, share, target, private)
    share.rename(tmp_path / "elsewhere")
    if is_there:  # the folder that it was mounted at
        share.mkdir()
    words = ("delete", "a", "--in", target, "--private-to", private, "--purge", "--yes")
    refused = run(*words, "--source")
    assert refused.code == 1
    assert_one_sentence(refused.err, f"{share} is empty or not there")
    assert (tmp_path / "to/images/a/DeepZoom.dzi").exists()
    assert run(*words).code == 0


def test_a_slide_of_several_objects_is_for_its_owner(versioned: Place, run: Run) -> None:
    """Also where only former versions of them are left."""
    target, private = str(versioned), str(kept_by(versioned))
    store = open_destination(target, private)
    source = {"location": f"{target}/scans/a", "size": 1, "etag": "x"}

    def scanned(present: Record) -> Record:
        return replace(present, source=source).logged("converted", "x", {"status": "NEW"})

    records.changed(store, "a", scanned)
    versioned.put("scans/a/1.dcm", b"1")
    versioned.delete("scans/a/1.dcm")
    words = ("delete", "a", "--in", target, "--private-to", private, "--purge", "--yes")
    refused = run(*words, "--source")
    assert refused.code != 0
    assert_one_sentence(refused.err, "is a slide of several files; delete them yourself")
    assert run(*words).code == 0


def test_all_versions_of_the_scanned_file_go(
    real_slide: Path, tmp_path: Path, versioned: Place, run: Run
) -> None:
    target, private = str(versioned), str(kept_by(versioned))
    forge_svs(tmp_path / "a.svs", tissue=real_slide, size=(500, 300), levels=(1,))
    slide = (tmp_path / "a.svs").read_bytes()
    versioned.put("scans/a.svs", b"a scan that was cut off")
    for name in ("a.svs", "a.svs.txt"):
        versioned.put(f"scans/{name}", slide)
    convert(f"{target}/scans/a.svs", target, replace(OPTIONS, private_to=private))
    words = ("delete", "a", "--in", target, "--private-to", private, "--purge", "--source", "--yes")
    ended = run(*words, "--receipt", "receipt.json")
    assert ended.code == 0, ended.err
    assert f"{target}/scans/a.svs: 1 object and 1 former version" in ended.out
    assert f"{target}/scans" in json.loads(Path("receipt.json").read_text())["places"]
    left = [key for key, _ in versions(versioned) if "/scans/" in key]
    assert left == [f"{versioned.prefix}/scans/a.svs.txt"]


@pytest.mark.parametrize("words", [("--dry-run",), ("--receipt", "x.json"), ("--source",)])
def test_what_needs_a_purge(run: Run, words: tuple[str, ...]) -> None:
    outcome = run("delete", "a", *words)
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "--dry-run, --receipt and --source need --purge")


def test_who_does_not_answer_keeps_all(real_slide: Path, tmp_path: Path, run: Run) -> None:
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    worked(real_slide, tmp_path, target, private)
    before = purging.left(open_destination(target, private), "a")
    outcome = run("delete", "a", "--in", target, "--private-to", private, "--purge")
    assert outcome.code == 1
    assert "nothing was removed" in outcome.err
    after = purging.left(open_destination(target, private), "a")
    assert [one.key for one in after] == [one.key for one in before]


def test_a_private_place_is_for_a_purge(run: Run) -> None:
    outcome = run("verify", "images/a", "--private-to", "kept")
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "--private-to needs --purged here")
    outcome = run("verify", "here", "--purged", "a", "--deep")
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "--purged looks at no pyramid")
    Path("empty").mkdir()
    for nothing in "nowhere", "empty", "a.zip":  # of which nothing could be proved
        outcome = run("verify", nothing, "--purged", "a")
        assert outcome.code != 0
        assert_one_sentence(outcome.err, nothing)
    outcome = run("verify", "here", "--purged", "../a")
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "'../a' cannot be an id")


def test_what_is_private_is_not_left_out(real_slide: Path, tmp_path: Path, run: Run) -> None:
    target, private = str(tmp_path / "to"), private_of(tmp_path / "to")
    worked(real_slide, tmp_path, target, private)
    for words in (
        ("delete", "a", "--in", target, "--purge", "--yes"),
        ("verify", target, "--purged", "a"),
    ):
        outcome = run(*words)
        assert outcome.code != 0
        assert_one_sentence(outcome.err, "--private-to")
    assert purging.left(open_destination(target, private), "a")
