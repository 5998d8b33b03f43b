"""The policy of docs/s3.md, on a real server that holds to it: it is enough for every command, and
it is no more than they need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Run
from tests.support import s3_server
from tests.support.s3_server import BUCKET, PRIVATE_BUCKET, Place, Server

DOCUMENT = Path(__file__).parents[2] / "docs/s3.md"
CLERK = "arn:aws:iam::000000000000:user/clerk"
PREFIX = "team/a"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One whose bucket allows the clerk what the document says, and nothing else."""
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = (block for block in blocks if "Statement" in block)
    policy: dict[str, Any] = json.loads(
        text.replace("my-bucket", BUCKET).replace("pathology", PREFIX)
    )
    for statement in policy["Statement"]:  # of the bucket, and not of the clerk
        statement["Principal"] = {"AWS": CLERK}
    with s3_server.running() as server:
        text = json.dumps(policy)
        for bucket in BUCKET, PRIVATE_BUCKET:
            of_it = text.replace(f":::{BUCKET}", f":::{bucket}")
            server.client().put_bucket_policy(Bucket=bucket, Policy=of_it)
        yield server


@pytest.fixture
def clerk(server: Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment("clerk").items():
        monkeypatch.setenv(name, value)
    place = Place(server, PREFIX)
    monkeypatch.setenv("VSV_PYRAMID_PRIVATE", str(place.private))
    return place


def test_it_is_enough(run: Run, small_slide: Path, clerk: Place) -> None:
    clerk.put("scans/small.svs", small_slide.read_bytes())
    to = ("--to", clerk)
    for words in (
        ("convert", small_slide, *to),
        ("convert", small_slide, *to, "--tile-size", 480, "--overwrite"),
        ("viewer", *to),
        ("verify", f"{clerk}/images/small", "--deep"),
        ("info", f"{clerk}/images/small"),
        ("index", clerk),
        ("slides", clerk),
        ("slides", "set", "small", "--in", clerk, "--slide-id", "S-1", "--case-id", "S"),
        ("refresh", clerk, "--details", "lab"),
        ("slides", "send", "small", "--in", clerk, "--cdr", f"{clerk.private}/cdr"),
        ("slides", "delete", "small", "--in", clerk, "--yes"),
        ("submit", f"{clerk}/scans", *to, "--dry-run"),
        ("convert", f"{clerk}/scans/small.svs", *to),
        ("pack", clerk, "--yes"),
        ("convert", small_slide, *to, "--id", "packed"),
        ("verify", f"{clerk}/images/packed", "--deep"),
        ("tidy", clerk),
        ("unpack", clerk, "--yes"),
        ("delete", f"{clerk}/images/small", "--yes"),
        ("convert", small_slide, *to, "--ids", "opaque", "--details", "lab", "-q"),
    ):
        outcome = run(*words)
        assert (outcome.code, outcome.err) == (0, ""), words


def test_it_is_no_more(run: Run, small_slide: Path, clerk: Place, server: Server) -> None:
    elsewhere = f"s3://{BUCKET}/team/b"
    server.client().put_object(Bucket=BUCKET, Key="team/b/images/x/slide.json", Body=b"{}")
    for words in (
        ("convert", small_slide, "--to", elsewhere),
        ("viewer", "--to", elsewhere),
        ("slides", elsewhere),
        ("delete", f"{elsewhere}/images/x", "--yes"),
    ):
        outcome = run(*words)
        assert outcome.code == 1, words
        assert "access is refused (403): s3:" in outcome.err
    with pytest.raises(ClientError, match="403"):
        server.client("clerk").head_bucket(Bucket=BUCKET)
