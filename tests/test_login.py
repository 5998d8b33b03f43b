"""The login: once for all stores of a process, and anew after a refusal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support import s3_proxy
from tests.support.s3_server import IDENTITIES, Place
from vsv_pyramid.errors import StoreRefused
from vsv_pyramid.store import open_store

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


def test_who_gives_credentials_is_asked_once(
    place: Place,
    configured: Path,
    proxy: s3_proxy.Proxy,
    run: Run,
    small_slide: Path,
    tmp_path: Path,
) -> None:
    """It may be a person with a code that is good for one time; and that something else is refused
    does not make the login a wrong one."""
    refused = f"/{place.bucket}/{place.prefix}/root.json"
    proxy.fault = s3_proxy.refusing(403, "AccessDenied", method="GET", word=refused)
    (tmp_path / "helper.py").write_text(HELPER)
    asked = tmp_path / "asked"
    key, secret, _ = IDENTITIES["first"]
    command = f"{sys.executable} {tmp_path / 'helper.py'} {asked} {key} {secret}"
    configured.write_text(f"[default]\ncredential_process = {command}\n")
    place.put("root.json", b"somebody else's")
    place.put("scans/small.svs", small_slide.read_bytes())
    outcome = run(
        *("convert", f"{place}/scans/small.svs", "--to", place, "--private-to", place.private)
    )
    assert outcome.code == 0, outcome.err
    assert asked.read_text() == "once\n"
    assert proxy.count("GET", refused)


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
