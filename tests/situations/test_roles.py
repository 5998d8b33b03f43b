"""The policies of cloudformation/compute.yaml and ingest.yaml, on a real server that holds to them:
jobs, the scan and the desk can do all of their work, and nothing else."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import reporter
from botocore.exceptions import ClientError

from tests.conftest import Run
from tests.situations.test_policy import CLERK
from tests.support import cloudformation, s3_server
from tests.support.cloudformation import EVERYTHING
from tests.support.cloudformation_rules import as_list, statements
from tests.support.s3_server import BUCKET, PRIVATE_BUCKET, Place, Server
from vsv_pyramid import catalog
from vsv_pyramid.aws import session
from vsv_pyramid.destination import Destination
from vsv_pyramid.layout import keys
from vsv_pyramid.review.records import Kept
from vsv_pyramid.unattended.manifests import place_in

SLIDES_BUCKET = "slides"
GIVEN = {
    "SlidesBucket": SLIDES_BUCKET,
    "SlidesPrefix": "scans/",
    "ImagesBucket": BUCKET,
    "PrivateBucket": PRIVATE_BUCKET,
}
# The policies of whoever works there: (template, resource).
ROLES = {
    "jobs": [("compute", "ConvertPolicy")],
    "scan": [("compute", "ConvertPolicy"), ("ingest", "ScanRole")],
    "desk": [("compute", "DeskPolicy")],
    "reporter": [("ingest", "ReportRole")],
}
DOCUMENT = "private/images/a/slide.private.json"
LABEL = "private/images/a/label.jpeg"
LIST = "private/images/index.json"
IDS_KEY = "private/ids.json"
OF_A_LAB = ("--ids", "opaque", "--details", "lab", "--time-zone", "Europe/Berlin")


def allowed(role: str, prefix: str) -> list[Any]:
    """What the role's policies say of S3."""
    found = []
    for template, resource in ROLES[role]:
        given = EVERYTHING[template] | GIVEN | {"ImagesPrefix": f"{prefix}/"}
        made = cloudformation.resources(cloudformation.load(template), given)
        found += [
            statement
            for _, statement in statements({resource: made[resource]})
            if as_list(statement["Action"])[0].startswith("s3:")
        ]
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with s3_server.running() as server:
        server.client().create_bucket(Bucket=SLIDES_BUCKET)
        yield server


@dataclass(frozen=True)
class Work:
    """Where the clerk works, in one role after another."""

    server: Server
    images: Place
    private: Place

    def be(self, role: str) -> None:
        """Gives the clerk this role's rights, and no others."""
        for bucket in (SLIDES_BUCKET, BUCKET, PRIVATE_BUCKET):
            own = f"arn:aws:s3:::{bucket}"
            told = [
                {**one, "Principal": {"AWS": CLERK}, "Resource": places}
                for one in allowed(role, self.images.prefix)
                if (
                    places := [
                        place
                        for place in as_list(one["Resource"])
                        if place == own or place.startswith(f"{own}/")
                    ]
                )
            ]
            nothing = {
                "Effect": "Deny",
                "Principal": {"AWS": CLERK},
                "Action": "s3:*",
                "Resource": f"{own}/*",
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": told or [nothing]})
            # It knows no IfExists; without, less is allowed.
            policy = policy.replace("StringLikeIfExists", "StringLike")
            self.server.client().put_bucket_policy(Bucket=bucket, Policy=policy)


@pytest.fixture
def work(server: Server, monkeypatch: pytest.MonkeyPatch) -> Work:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment("clerk").items():
        monkeypatch.setenv(name, value)
    images = Place(server, f"team/{uuid.uuid4().hex[:12]}")
    monkeypatch.setenv("VSV_PYRAMID_PRIVATE", str(images.private))
    return Work(server, images, images.private)


@pytest.fixture
def slides(server: Server) -> Place:
    return Place(server, "scans", SLIDES_BUCKET)


def assert_denied(work: Work, *calls: tuple[str, Place, str]) -> None:
    """Each is a call of S3's, about what is there."""
    for call, place, key in calls:
        body = {"Body": b""} if call == "put_object" else {}
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(work.server.client("clerk"), call)(
                Bucket=place.bucket, Key=f"{place.prefix}/{key}", **body
            )


def test_jobs(work: Work, run: Run, real_slide: Path, small_slide: Path, slides: Place) -> None:
    work.be("jobs")
    slides.put("a.svs", real_slide.read_bytes())
    convert = ("convert", f"{slides}/a.svs", "--to", work.images)
    assert run(*convert).code == 0
    assert {"root.json", DOCUMENT, LABEL} <= work.private.objects().keys()
    slides.put("a.svs", small_slide.read_bytes())  # it has no label
    outcome = run(*convert, "--overwrite")
    assert (outcome.code, outcome.err) == (0, "")
    assert DOCUMENT in work.private.objects()
    assert LABEL not in work.private.objects()
    work.private.put("manifests/1.json", json.dumps([f"{slides}/a.svs"]).encode())
    assert place_in(f"{work.private}/manifests/1.json", 0) == f"{slides}/a.svs"
    work.private.put("watch/1.json", b"{}")
    work.private.put(IDS_KEY, b"{}")
    work.private.put("private/images/index-1/slide.private.json", b"{}")  # of a slide named so
    work.images.put(".private/images/a/label.jpeg", b"of a former release")
    assert_denied(
        work,
        ("delete_object", work.private, DOCUMENT),
        ("delete_object", work.private, LIST),
        ("delete_object", work.private, IDS_KEY),
        ("delete_object", work.private, "private/images/index-1/slide.private.json"),
        ("delete_object", work.private, "root.json"),
        ("delete_object", work.private, "manifests/1.json"),
        ("put_object", work.private, "manifests/1.json"),
        ("get_object", work.private, "watch/1.json"),
        ("put_object", work.private, "x"),
        ("get_object", work.images, ".private/images/a/label.jpeg"),
        ("put_object", work.images, "viewer/index.html"),
        ("put_object", slides, "a.svs"),
    )


def test_a_job_that_is_not_the_first_to_split_the_list(
    work: Work, run: Run, small_slide: Path, slides: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has put of its own it can remove."""
    work.be("jobs")
    monkeypatch.setattr(catalog, "MOST_SLIDES", 1)
    monkeypatch.setattr(catalog, "SHARDS", 2)
    put_if = Destination.put_if
    others = iter([lambda store: Kept(store).rebuild()])
    removed = []

    def second(store: Destination, key: str, data: bytes, tag: str | None) -> bool:
        if key == LIST and b"shards" in data and (other := next(others, None)):
            removed.extend(parts(work))
            other(store)
        return put_if(store, key, data, tag)

    monkeypatch.setattr(Destination, "put_if", second)
    for name in "abc":
        slides.put(f"{name}.svs", small_slide.read_bytes())
        outcome = run("convert", f"{slides}/{name}.svs", "--to", work.images)
        assert (outcome.code, outcome.err) == (0, "")
    assert len(removed) == 2
    kept = json.loads(work.private.get(LIST)["Body"].read())["shards"]
    assert parts(work) == sorted(kept)
    assert not set(kept) & set(removed)


def parts(work: Work) -> list[str]:
    """The documents that the list of what is private is spread over."""
    folder, _, _ = LIST.rpartition("/")
    names = (key.removeprefix(f"{folder}/") for key in work.private.objects())
    return sorted(filter(keys.is_shard, names))


def test_the_scan(work: Work, run: Run, small_slide: Path, tmp_path: Path) -> None:
    work.be("scan")
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(small_slide, folder / "a.svs")
    (folder / "bad.svs").write_bytes(b"hello")
    watch = ("watch", folder, "--to", work.images, "--once", "--interval", "0.1")

    def notes() -> list[str]:
        return [key for key in work.private.objects() if key.startswith("watch/")]

    outcome = run(*watch)
    assert "is not remembered" not in outcome.err
    assert len(notes()) == 1
    assert "private/failed/bad.json" in work.private.objects()
    assert "images/a/DeepZoom.dzi" in work.images.objects()
    shutil.copy(small_slide, folder / "bad.svs")
    outcome = run(*watch)
    assert outcome.code == 0
    assert f"set aside: {folder / 'bad.svs'}" in outcome.err  # it was remembered
    assert notes() == []
    assert "private/failed/bad.json" not in work.private.objects()
    assert_denied(
        work,
        ("delete_object", work.private, "private/images/a/slide.private.json"),
        ("put_object", work.images, "watch/1.json"),
    )


def test_the_desk(work: Work, run: Run, real_slide: Path, slides: Place) -> None:
    slides.put("a.svs", real_slide.read_bytes())
    work.be("jobs")
    assert run("convert", f"{slides}/a.svs", "--to", work.images).code == 0
    work.be("desk")
    for words in (
        ("slides", work.images),
        ("slides", "set", "a", "--in", work.images, "--slide-id", "S-1", "--case-id", "S"),
        ("slides", "show", "a", "--in", work.images),
        ("slides", "delete", "a", "--in", work.images, "--yes"),
        ("delete", f"{work.images}/images/a", "--yes"),
    ):
        outcome = run(*words)
        assert (outcome.code, outcome.err) == (0, ""), words
    assert not any(key.startswith("images/a/") for key in work.images.objects())
    work.private.put("private/failed/b.json", b'{"slide": "s3://slides/b.svs"}')
    assert run("slides", work.images, "--failed").out.startswith("ID ")
    for action in ("retry", "dismiss"):
        outcome = run("slides", action, "b", "--in", work.images)
        assert (outcome.code, outcome.err) == (0, "")
    work.private.put("manifests/1.json", b"")
    work.private.put("watch/1.json", b"{}")
    assert_denied(
        work,
        ("put_object", work.private, "root.json"),
        ("delete_object", work.private, "root.json"),
        ("get_object", work.private, "manifests/1.json"),
        ("get_object", work.private, "watch/1.json"),
        ("put_object", work.images, "viewer/index.html"),
        ("get_object", slides, "a.svs"),
        ("delete_object", slides, "a.svs"),
    )


@pytest.mark.parametrize("ids", ["strict", "opaque"])
def test_the_reporter(work: Work, slides: Place, monkeypatch: pytest.MonkeyPatch, ids: str) -> None:
    """Also of the first slide there ever is."""
    mails: list[str] = []

    class Topic:
        def publish(self, **mail: str) -> None:
            mails.append(mail["Subject"])

    work.be("reporter")
    monkeypatch.setattr(session, "client", lambda *_: Topic())
    for name, value in {
        "DESTINATION": str(work.images),
        "PRIVATE": str(work.private),
        "SLIDES": str(slides),
        "IDS": ids,
        "TOPIC": "topic",
        "JOB_LOG": "log",
        "QUEUE": "queue",
        "JOB_DEFINITION": "definition",
    }.items():
        monkeypatch.setenv(f"VSV_PYRAMID_{name}", value)
    work.private.put(
        "manifests/1.json", json.dumps([f"{slides}/a.svs", f"{slides}/b.svs"]).encode()
    )
    job = {
        "jobId": "job-7:1",
        "status": "FAILED",
        "arrayProperties": {"index": 1},
        "parameters": {"place": f"{work.private}/manifests/1.json"},
    }
    for body in (
        {"slide": f"{slides}/bad.svs", "reason": "is bad", "exit_code": 65},
        {"source": "aws.batch", "detail": job},
    ):
        record = {"messageId": "1", "body": json.dumps(body)}
        assert reporter.report({"Records": [record]}, None) == {"batchItemFailures": []}
    assert len(mails) == 2
    failed = [key for key in work.private.objects() if key.startswith("private/failed/")]
    if ids == "strict":
        assert failed == ["private/failed/b.json", "private/failed/bad.json"]
    assert len(failed) == 2
    assert_denied(
        work,
        ("delete_object", work.private, failed[0]),
        ("get_object", work.private, DOCUMENT),
        ("put_object", work.private, DOCUMENT),
        ("get_object", work.images, "images/a/slide.json"),
        ("put_object", work.images, "images/a/slide.json"),
        ("get_object", slides, "a.svs"),
    )


def test_slides_of_a_lab(
    work: Work, run: Run, real_slide: Path, small_slide: Path, slides: Place, tmp_path: Path
) -> None:
    """Their ids do not tell their names, and what is published of them changes with the review."""
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(small_slide, folder / "b.svs")
    slides.put("a.svs", real_slide.read_bytes())

    def listed() -> list[dict[str, Any]]:
        outcome = run("slides", work.images, "--json")
        assert (outcome.code, outcome.err) == (0, "")
        found: list[dict[str, Any]] = json.loads(outcome.out)["slides"]
        return found

    def reviews() -> list[str | None]:
        index = json.loads(work.images.get("images/index.json")["Body"].read())
        return [slide.get("review", {}).get("slide_id") for slide in index["slides"]]

    work.be("jobs")
    for _ in range(2):  # the second one finds the key, and the slide
        outcome = run("convert", f"{slides}/a.svs", "--to", work.images, *OF_A_LAB, "-q")
        assert (outcome.code, outcome.err) == (0, "")
    assert {LIST, IDS_KEY} <= work.private.objects().keys()
    assert not any(key.startswith("images/a/") for key in work.images.objects())
    work.be("scan")
    watch = ("watch", folder, "--to", work.images, "--once", "--interval", "0.1", *OF_A_LAB)
    assert run(*watch).code == 0
    work.be("desk")
    for slide in listed():
        words = ("slides", "set", slide["id"], "--in", work.images, "--slide-id", "S-1")
        assert run(*words).code == 0
    assert reviews() == ["S-1", "S-1"]
    for details, published in (("none", None), ("lab", "S-1")):
        outcome = run("refresh", work.images, "--details", details)
        assert (outcome.code, outcome.err) == (0, "")
        assert reviews() == [published, published]


@pytest.mark.parametrize("role", ROLES)
def test_nobody_reads_beside_the_prefix(work: Work, run: Run, role: str) -> None:
    work.be(role)
    elsewhere = f"s3://{BUCKET}/team/b"
    outcome = run("slides", elsewhere, "--private-to", f"s3://{PRIVATE_BUCKET}/team/b")
    assert outcome.code == 1
    assert "access is refused (403): s3:" in outcome.err
