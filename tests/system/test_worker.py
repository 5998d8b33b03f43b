"""The worker of a batch, as a process, with what its job definition sets."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import worker

from tests.conftest import Outcome
from tests.support.aws_events import notification, object_created
from tests.support.clock import until
from tests.support.s3_proxy import Proxy, slow
from tests.support.s3_server import Place
from vsv_pyramid.errors import OptionError
from vsv_pyramid.verification import verify

WORKER = Path(worker.__file__)
DESTINATION = "VSV_PYRAMID_DESTINATION"
SHARE = "/mnt/slides"


@pytest.fixture(autouse=True)
def environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compute.yaml's job definition sets."""
    monkeypatch.setenv(DESTINATION, f"{place}/to")
    monkeypatch.setenv("VSV_PYRAMID_PRIVATE", f"{place.private}/to")
    monkeypatch.setenv("VSV_PYRAMID_SLIDES", f"{place} {SHARE}")
    monkeypatch.setenv("VSV_PYRAMID_OPTIONS", "--tile-size 480")


def run(*words: str, **environment: str) -> Outcome:
    ended = subprocess.run(
        [sys.executable, str(WORKER), *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def test_a_slide(uploaded: str, place: Place) -> None:
    for status in "converted", "skipped":
        outcome = run(f"s3://images/{uploaded}")
        assert outcome.code == 0, outcome.err
        *_, last = [json.loads(line) for line in outcome.err.splitlines()]
        assert (last["event"], last["status"]) == ("done", status)
    assert verify(f"{place}/to/images/170782").errors == []
    assert {key.split("/")[1] for key in place.objects() if key.startswith("to/")} == {"images"}
    assert "to/private/images/170782/slide.private.json" in place.private.objects()


def test_what_a_lab_wants(uploaded: str, place: Place) -> None:
    outcome = run(
        f"s3://images/{uploaded}",
        VSV_PYRAMID_DETAILS="lab",
        VSV_PYRAMID_LAYOUT="packed",
        VSV_PYRAMID_IDS="opaque",
        VSV_PYRAMID_SLIDE_ID_PATTERN=r"S\d\d-\d+",
        VSV_PYRAMID_TIME_ZONE="Europe/Berlin",
    )
    assert outcome.code == 0, outcome.err
    assert "to/private/ids.json" in place.private.objects()
    (key,) = (key for key in place.objects() if key.endswith("/slide.json"))
    document = json.loads(place.get(key)["Body"].read())
    assert (document["details"], document["scanned"]) == ("lab", "2009-12-29T09:59:15+01:00")
    assert document["packed"]
    assert "170782" not in json.dumps(document)


def test_empty_parameters(uploaded: str, place: Place) -> None:
    names = ("OPTIONS", "DETAILS", "LAYOUT", "IDS", "SLIDE_ID_PATTERN", "TIME_ZONE")
    outcome = run(f"s3://images/{uploaded}", **{f"VSV_PYRAMID_{name}": "" for name in names})
    assert outcome.code == 0, outcome.err
    document = json.loads(place.get("to/images/170782/slide.json")["Body"].read())
    assert document["details"] == "none"


def test_a_child_of_an_array(uploaded: str, place: Place) -> None:
    places = [f"{place}/gone.svs", f"s3://images/{uploaded}"]
    place.private.put("to/manifests/1.json", json.dumps(places).encode())
    for index, code in ("0", 1), ("1", 0), ("2", 2):
        outcome = run(f"{place.private}/to/manifests/1.json", AWS_BATCH_JOB_ARRAY_INDEX=index)
        assert outcome.code == code, outcome.err
    assert "to/images/170782/DeepZoom.dzi" in place.objects()


@pytest.mark.parametrize(
    "body",
    [
        *(b"\xff\xfe", b"\n\n", b"", b"s3://images/a.svs\ns3://images/b.svs\n"),
        *(b"[" * 100_000, b"[]", b"{}", b'{"0": "a", "1": "b"}', b"[1, 2]", b"null"),
    ],
)
def test_what_is_no_manifest(place: Place, body: bytes) -> None:
    place.put("m.json", body)
    outcome = run(f"{place}/m.json", AWS_BATCH_JOB_ARRAY_INDEX="1")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith(f"Error: {place}/m.json: ")


@pytest.mark.parametrize(
    "given",
    [
        *("/etc/passwd.svs", "../a.svs", "a.svs", "-h", "--private-to", "s3://other/a.svs"),
        *(
            "{place}-of-others/a.svs",
            "{place}",
            "{place}/",
            "{place}/../a.svs",
            "{place}/b/./a.svs",
        ),
        *("{place}/%2e%2e/a.svs", "{place}/..%2fa.svs", "{place}/%252E%252E/a.svs"),
        *("{place}/..\\a.svs", "/mnt/slides/../a.svs", "/mnt/slides", "/mnt/slides2/a.svs"),
        *("pack s3://other/images/a", "pack {place}/to/private/a", "pack {place}/to/images/../a"),
        *("pack /etc", "pack {place}/to/images"),
    ],
)
def test_a_place_elsewhere_is_refused(
    place: Place, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it comes by itself or in a manifest."""
    word = given.format(place=place)
    with pytest.raises(OptionError, match="is not below") as refused:
        worker.arguments([word])
    assert "svs" not in str(refused.value)  # it goes to a log
    place.private.put("m.json", json.dumps([word]).encode())
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "0")
    with pytest.raises(OptionError, match="is not below"):
        worker.arguments([f"{place.private}/m.json"])


def test_an_event_of_elsewhere_is_refused() -> None:
    with pytest.raises(OptionError, match="is not below"):
        worker.arguments([json.dumps(object_created("another/a.svs", 5))])


@pytest.mark.parametrize(
    "given",
    ["{place}/a b/100%.svs", "{place}/a..b/...svs", "/mnt/slides/a/b.svs", "{place}/a//b.svs"],
)
def test_a_place_below_is_taken(place: Place, given: str) -> None:
    word = given.format(place=place)
    assert (worker.arguments([word]) or [])[:2] == ["convert", word]


@pytest.mark.parametrize("tell", [object_created, notification])
def test_an_event(uploaded: str, place: Place, tell: Callable[[str], dict[str, Any]]) -> None:
    key = quote_plus(uploaded) if tell is notification else uploaded
    outcome = run(json.dumps(tell(key)))
    assert outcome.code == 0, outcome.err
    assert "to/images/170782/DeepZoom.dzi" in place.objects()


@pytest.mark.parametrize("tell", [object_created, notification])
def test_an_empty_object_waits_for_what_follows_it(
    place: Place, tell: Callable[..., dict[str, Any]]
) -> None:
    outcome = run(json.dumps(tell("scans/170782.svs", 0)))
    assert (outcome.code, outcome.err) == (0, "")
    assert place.objects() == {}


def test_a_path_on_a_share(real_slide: Path, place: Place) -> None:
    folder = shlex.quote(str(real_slide.parent))
    assert run(str(real_slide), VSV_PYRAMID_SLIDES=folder).code == 0
    assert "to/images/CMU-1-Small-Region/DeepZoom.dzi" in place.objects()


def test_a_bad_slide(place: Place) -> None:
    place.put("scans/bad.svs", b"hello")
    assert run(f"{place}/scans/bad.svs").code == 65


def test_no_path_is_in_the_log(place: Place) -> None:
    key = "scans/Mustermann, Erika/bad.svs"
    place.put(key, b"hello")
    event = json.dumps(object_created(f"{place.prefix}/{key}", 5))
    no_slide = json.dumps(object_created("Mustermann, Erika.txt"))
    for word, code in (f"{place}/{key}", 65), (event, 65), (no_slide, 2):
        outcome = run(word)
        assert outcome.code == code
        assert "Mustermann" not in outcome.err
    assert f"{place}/{key}" in run(event, VSV_PYRAMID_OPTIONS="--log-paths").err


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        ((), {}),
        (("a.svs", "b.svs"), {}),
        (("a.svs",), {"VSV_PYRAMID_OPTIONS": "--no-such-option"}),
        (("a.svs",), {"VSV_PYRAMID_OPTIONS": "'"}),
        (("a.svs",), {"VSV_PYRAMID_DETAILS": "all"}),
        (("a.svs",), {"VSV_PYRAMID_SLIDE_ID_PATTERN": "S("}),
        (("a.svs",), {"VSV_PYRAMID_TIME_ZONE": "Europe/Atlantis"}),
        (("{",), {}),
        (('{"source": "aws.s3", "detail-type": "Object Created"}',), {}),
        ((json.dumps(object_created("notes.txt")),), {}),
        (("s3://images/m.json",), {"AWS_BATCH_JOB_ARRAY_INDEX": "one"}),
    ],
)
def test_wrong_use(words: tuple[str, ...], environment: dict[str, str]) -> None:
    outcome = run(*words, **environment)
    assert outcome.code == 2
    assert len(re.findall("^Error: ", outcome.err, re.MULTILINE)) == 1
    assert "Traceback" not in outcome.err
    assert outcome.err.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("variable", [DESTINATION, "VSV_PYRAMID_SLIDES"])
def test_without_a_place(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable)
    outcome = run("a.svs")
    assert outcome.code == 2
    assert f"{variable} is not set" in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM")
def test_sigterm_and_the_next_attempt_goes_on(uploaded: str, place: Place, proxy: Proxy) -> None:
    proxy.fault = slow(0.2)
    words = ("--tile-size", "240", "--upload-workers", "2")
    environment = os.environ | {"VSV_PYRAMID_OPTIONS": " ".join(words)}
    command = [sys.executable, str(WORKER), f"s3://images/{uploaded}"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    until(lambda: any(key.endswith(".jpeg") for key in place.objects()))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    kept = place.objects()
    assert "to/images/170782/DeepZoom.dzi" not in kept
    assert not [key for key in kept if key.startswith("to/.leases/")]
    proxy.fault = lambda *_: False
    outcome = run(f"s3://images/{uploaded}", VSV_PYRAMID_OPTIONS=" ".join(words))
    assert outcome.code == 0
    *_, last = [json.loads(line) for line in outcome.err.splitlines()]
    assert last["kept"] > 0
