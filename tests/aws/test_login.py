"""The login: once for all stores of a process, and anew after a refusal."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.stub import Stubber

from tests.conftest import Run
from tests.support import s3_proxy
from tests.support.s3_server import IDENTITIES, Place
from vsv_pyramid.aws import session
from vsv_pyramid.aws.batch import Queue
from vsv_pyramid.errors import QueueError, StoreRefused
from vsv_pyramid.runtime.threads import Pool
from vsv_pyramid.store import open_store

PATIENCE = 30  # s

HELPER = """\
import json, pathlib, sys
with pathlib.Path(sys.argv[1]).open("a") as asked:
    print("once", file=asked)
print(json.dumps({"Version": 1, "AccessKeyId": sys.argv[2], "SecretAccessKey": sys.argv[3]}))
"""


@pytest.fixture
def configured(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which boto3 looks for a profile, the only way to credentials."""
    path = tmp_path / "config"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path


class Helper(NamedTuple):
    """The program that gives credentials, by the file in which it notes that it was asked."""

    notes: Path

    def asked(self) -> int:
        return len(self.notes.read_text().splitlines())


@pytest.fixture
def helper(configured: Path, tmp_path: Path) -> Helper:
    program, notes = tmp_path / "helper.py", tmp_path / "asked"
    program.write_text(HELPER)
    key, secret, _ = IDENTITIES["first"]
    command = f"{sys.executable} {program} {notes} {key} {secret}"
    configured.write_text(f"[default]\ncredential_process = {command}\n")
    return Helper(notes)


def test_who_gives_credentials_is_asked_once(
    place: Place,
    proxy: s3_proxy.Proxy,
    helper: Helper,
    run: Run,
    small_slide: Path,
) -> None:
    """It may be a person with a code that is good for one time; and that something else is refused
    does not make the login a wrong one."""
    refused = f"/{place.bucket}/{place.prefix}/root.json"
    proxy.fault = s3_proxy.refusing(403, "AccessDenied", method="GET", word=refused)
    place.put("root.json", b"somebody else's")
    place.put("scans/small.svs", small_slide.read_bytes())
    outcome = run(
        *("convert", f"{place}/scans/small.svs", "--to", place, "--private-to", place.private)
    )
    assert outcome.code == 0, outcome.err
    assert helper.asked() == 1
    assert proxy.count("GET", refused)


def test_many_that_are_refused_at_once_log_in_anew_once(
    place: Place, proxy: s3_proxy.Proxy, helper: Helper
) -> None:
    store = open_store(str(place))
    store.put("k", b"1")
    together = threading.Barrier(8)

    def refused(handler: s3_proxy.Handler, _: s3_proxy.Request) -> bool:
        together.wait(PATIENCE)
        handler.refuse(400, "ExpiredToken")
        return True

    def put(number: int) -> None:
        with pytest.raises(StoreRefused, match="the login has ended"):
            store.put(f"k{number}", b"1")

    proxy.fault = refused
    with Pool(8) as pool:
        list(pool.map(put, range(8)))
    assert helper.asked() == 1
    proxy.fault = lambda *_: False
    store.put("k", b"2")
    assert helper.asked() == 2


@pytest.mark.parametrize("before", ["", "[default]\ncredential_process = /not/there\n"])
def test_credentials_may_be_configured_after_a_try_without(
    place: Place, configured: Path, before: str
) -> None:
    configured.write_text(before)
    store = open_store(str(place))
    with pytest.raises(StoreRefused):
        store.put("k", b"1")
    key, secret, _ = IDENTITIES["first"]
    configured.write_text(
        f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    )
    store.put("k", b"1")
    assert place.get("k")["Body"].read() == b"1"


def test_a_queue_outlives_the_login_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(*_: object, **__: object) -> Any:
        made = boto3.client("batch", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        stubs.append(Stubber(made))
        stubs[-1].activate()
        return made

    stubs: list[Stubber] = []
    monkeypatch.setattr(session, "client", client)
    queue = Queue("slides", "slide")
    stubs[0].add_client_error("describe_jobs", "UnrecognizedClientException", "invalid token")
    with pytest.raises(QueueError, match="invalid token"):
        queue.ended(["1"])
    with pytest.raises(QueueError, match="Unexpected API Call"):  # of another client
        queue.ended(["1"])
    assert len(stubs) == 2


def test_a_store_outlives_the_login_that_it_began_with(place: Place, configured: Path) -> None:
    key, secret, _ = IDENTITIES["first"]
    profile = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
    configured.write_text(profile.format(key, "of-yesterday"))
    store = open_store(str(place))
    with pytest.raises(StoreRefused):
        store.put("k", b"1")
    configured.write_text(profile.format(key, secret))
    store.put("k", b"1")
    assert place.get("k")["Body"].read() == b"1"
