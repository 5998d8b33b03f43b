"""What runs in AWS: the entry of a Batch job, and the Lambda functions."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import botocore.exceptions
import lambda_handler
import pytest
import s3_events

from tests.support.aws_events import notification, object_created
from tests.support.clock import FakeClock
from tests.support.s3_server import Place
from vsv_pyramid.aws import costs, session
from vsv_pyramid.cli.messages import Voice
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import (
    SlideError,
    SlideUnavailable,
    StoreError,
    StoreUnavailable,
    VsvPyramidError,
)
from vsv_pyramid.review import failures as told
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.store import open_store
from vsv_pyramid.unattended.attempts import PAUSES
from vsv_pyramid.verification import verify

DESTINATION = "VSV_PYRAMID_DESTINATION"
PRIVATE = "VSV_PYRAMID_PRIVATE"


class Context:
    """Lambda's, with so many seconds left."""

    def __init__(self, seconds: float = 900.0) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return round(self._seconds * 1000)


class Jobs:
    """In place of the job queue: what was submitted, and how it ended."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.outcomes: dict[str, str | None] = {}

    def __call__(self, *names: str) -> Jobs:
        assert names == ("the-queue", "the-definition")
        return self

    def submit(self, place: str) -> str:
        self.places.append(place)
        return f"job-{len(self.places)}"

    def ended(self, jobs: list[str]) -> dict[str, str | None]:
        return {job: self.outcomes[job] for job in jobs if job in self.outcomes}


class Failures:
    """In place of SQS: the slides in the queue of failures, and how many wait in the other one."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.waiting: int | Exception = 0

    def __call__(self, service: str, _: object) -> Failures:
        assert service == "sqs"
        return self

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:
        assert QueueUrl == "https://failures"
        self.bodies.append(json.loads(MessageBody))

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        assert QueueUrl == "https://arrivals"
        if isinstance(self.waiting, Exception):
            raise self.waiting
        (name,) = AttributeNames
        return {"Attributes": {name: str(self.waiting)}}


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    jobs = Jobs()
    monkeypatch.setattr(lambda_handler, "Queue", jobs)
    return jobs


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Failures:
    failures = Failures()
    monkeypatch.setattr(session, "client", failures)
    return failures


@pytest.fixture
def function(place: Place, monkeypatch: pytest.MonkeyPatch, jobs: Jobs, failures: Failures) -> None:
    """The environment that ingest.yaml sets."""
    for name, value in {
        DESTINATION: f"{place}/to",
        PRIVATE: f"{place.private}/to",
        "VSV_PYRAMID_OPTIONS": "--tile-size 480 --workers 2",
        "VSV_PYRAMID_QUEUE": "the-queue",
        "VSV_PYRAMID_JOB_DEFINITION": "the-definition",
        "VSV_PYRAMID_FAILURES": "https://failures",
        "VSV_PYRAMID_ARRIVALS": "https://arrivals",
        "VSV_PYRAMID_MOST_WAITING": "3",
        "VSV_PYRAMID_SLIDES": f"{place}/scans",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3538",
        "AWS_LAMBDA_FUNCTION_NAME": "tried",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def lab(function: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the templates' parameters can want of a conversion."""
    for name, value in {
        "VSV_PYRAMID_DETAILS": "lab",
        "VSV_PYRAMID_LAYOUT": "packed",
        "VSV_PYRAMID_IDS": "opaque",
        "VSV_PYRAMID_SLIDE_ID_PATTERN": r"S\d\d-\d+",
        "VSV_PYRAMID_TIME_ZONE": "Europe/Berlin",
    }.items():
        monkeypatch.setenv(name, value)


def published(place: Place) -> dict[str, Any]:
    """The slide.json of the only slide there is."""
    (key,) = (key for key in place.objects() if key.endswith("/slide.json"))
    document: dict[str, Any] = json.loads(place.get(key)["Body"].read())
    return document


def messages(*events: object) -> dict[str, Any]:
    """As SQS hands them to a function."""
    return {
        "Records": [
            {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps(event)}
            for number, event in enumerate(events)
        ]
    }


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (object_created("scans/a b+1.svs", 5), [("s3://images/scans/a b+1.svs", 5)]),
        (object_created("A.SVS", 5), [("s3://images/A.SVS", 5)]),
        (object_created("a.ndpi", 5), [("s3://images/a.ndpi", 5)]),
        (object_created("a.txt"), []),
        (object_created("a.mrxs"), []),
        (object_created("scans/._a.svs"), []),
        (object_created("a.svs", 5, {"source": "my.own"}), []),
        (object_created("a.svs", 5, {"detail-type": "Object Deleted"}), []),
        (notification("scans/a+b%2B1.svs"), [("s3://images/scans/a b+1.svs", 5)]),
        (notification("a.svs", name="ObjectRemoved:Delete"), []),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "images"}, []),
        ({}, []),
    ],
)
def test_the_slides_of_an_event(event: dict[str, Any], found: list[tuple[str, int]]) -> None:
    assert list(s3_events.arrived(event)) == found


@pytest.mark.usefixtures("function")
class TestIngest:
    def test_a_small_slide_is_converted(self, uploaded: str, place: Place, jobs: Jobs) -> None:
        assert lambda_handler.ingest(object_created(uploaded), Context()) is None
        assert verify(f"{place}/to/images/170782", deep=True).errors == []
        assert "to/private/images/170782/slide.private.json" in place.private.objects()
        assert not jobs.places

    def test_what_a_lab_wants(
        self, lab: None, uploaded: str, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lambda_handler.ingest(object_created(uploaded), Context())
        document = published(place)
        assert (document["details"], document["scanned"]) == ("lab", "2009-12-29T09:59:15+01:00")
        assert "170782" not in json.dumps(document)
        assert {
            "to/private/ids.json",
            "to/private/images/index.json",
        } <= place.private.objects().keys()
        lambda_handler.ingest({"audit": True}, Context())
        assert json.loads(capsys.readouterr().out)["waiting"] == 0

    def test_empty_parameters(
        self, uploaded: str, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPTIONS", "DETAILS", "LAYOUT", "IDS", "SLIDE_ID_PATTERN", "TIME_ZONE"):
            monkeypatch.setenv(f"VSV_PYRAMID_{name}", "")
        lambda_handler.ingest(object_created(uploaded), Context())
        assert (published(place)["id"], published(place)["details"]) == ("170782", "none")

    def test_a_duplicate_makes_nothing_anew(
        self, uploaded: str, place: Place, capfd: pytest.CaptureFixture[str]
    ) -> None:
        event = messages(object_created(uploaded), object_created(uploaded))
        assert lambda_handler.ingest(event, Context()) == {"batchItemFailures": []}
        events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        assert [event["status"] for event in events if event["event"] == "done"] == [
            "converted",
            "skipped",
        ]

    def test_a_replaced_slide_takes_the_place_of_the_first(
        self, uploaded: str, small_slide: Path, place: Place
    ) -> None:
        lambda_handler.ingest(object_created(uploaded), Context())
        place.put("scans/a slide+1/170782.SVS", small_slide.read_bytes())
        lambda_handler.ingest(object_created(uploaded), Context())
        document = json.loads(place.get("to/images/170782/slide.json")["Body"].read())
        assert (document["width"], document["height"]) == (1501, 1103)

    def test_another_slide_of_the_same_name_goes_to_the_failures(
        self, uploaded: str, small_slide: Path, place: Place, failures: Failures
    ) -> None:
        """Nobody may see it under the other one's address."""
        lambda_handler.ingest(object_created(uploaded), Context())
        before = place.objects()["to/images/170782/slide.json"]
        place.put("scans/another/170782.svs", small_slide.read_bytes())
        key = f"{place.prefix}/scans/another/170782.svs"
        assert lambda_handler.ingest(object_created(key), Context()) is None
        (body,) = failures.bodies
        assert body["exit_code"] == 2
        assert "is of a slide of this name in another place; rename" in body["reason"]
        assert place.objects()["to/images/170782/slide.json"] == before

    def test_it_waits_for_another_that_is_at_the_slide(
        self, uploaded: str, place: Place, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Who is at it may have read the slide as it was before the event."""
        with contextlib.ExitStack() as first:
            first.enter_context(open_store(f"{place}/to").exclusive("images/170782"))
            clock.meanwhile = first.close
            lambda_handler.ingest(object_created(uploaded), Context())
        assert "another process is writing it" in caplog.text
        assert "to/images/170782/DeepZoom.dzi" in place.objects()

    def test_a_large_slide_is_handed_to_batch(self, uploaded: str, jobs: Jobs) -> None:
        event = messages(object_created(uploaded, size=10**12))
        assert lambda_handler.ingest(event, Context()) == {"batchItemFailures": []}
        assert jobs.places == [f"s3://images/{uploaded}"]

    @pytest.mark.parametrize(("waiting", "handed_on"), [(0, 0), (3, 0), (4, 1)])
    def test_a_backlog_is_handed_to_batch(
        self,
        uploaded: str,
        place: Place,
        jobs: Jobs,
        failures: Failures,
        waiting: int,
        handed_on: int,
    ) -> None:
        failures.waiting = waiting
        lambda_handler.ingest(messages(object_created(uploaded)), Context())
        assert jobs.places == [f"s3://images/{uploaded}"] * handed_on
        assert ("to/images/170782/DeepZoom.dzi" in place.objects()) is not bool(handed_on)

    @pytest.mark.parametrize(("megabytes", "handed_on"), [("1", 1), ("2", 0), ("", 0)])
    def test_one_over_the_parameter_is_handed_to_batch(
        self,
        uploaded: str,
        jobs: Jobs,
        monkeypatch: pytest.MonkeyPatch,
        megabytes: str,
        handed_on: int,
    ) -> None:
        monkeypatch.setenv("VSV_PYRAMID_MOST_MEGABYTES", megabytes)
        lambda_handler.ingest(object_created(uploaded), Context())
        assert jobs.places == [f"s3://images/{uploaded}"] * handed_on

    @pytest.mark.parametrize(
        "error",
        [
            botocore.exceptions.EndpointConnectionError(endpoint_url="https://sqs"),
            botocore.exceptions.ClientError(
                {"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetQueueAttributes"
            ),
        ],
    )
    def test_a_queue_that_cannot_be_asked_gets_the_message_back(
        self, uploaded: str, jobs: Jobs, failures: Failures, error: Exception
    ) -> None:
        failures.waiting = error
        event = messages(object_created(uploaded))
        failed = [{"itemIdentifier": "0"}]
        assert lambda_handler.ingest(event, Context()) == {"batchItemFailures": failed}
        assert not jobs.places
        assert not failures.bodies

    def test_one_for_which_the_time_is_short_is_handed_to_batch(
        self, uploaded: str, place: Place, jobs: Jobs
    ) -> None:
        class Running(Context):
            def get_remaining_time_in_millis(self) -> int:
                self._seconds -= 5
                return super().get_remaining_time_in_millis()

        lambda_handler.ingest(object_created(uploaded), Running(85))
        assert jobs.places == [f"s3://images/{uploaded}"]
        assert "to/images/170782/DeepZoom.dzi" not in place.objects()

    def test_a_bad_slide_goes_to_the_failures(
        self, uploaded: str, place: Place, failures: Failures
    ) -> None:
        place.put("scans/bad.svs", b"hello")
        event = messages(object_created(f"{place.prefix}/scans/bad.svs"))
        assert lambda_handler.ingest(event, Context()) == {"batchItemFailures": []}
        (body,) = failures.bodies
        assert body["slide"] == f"{place}/scans/bad.svs"
        assert body["exit_code"] == 65
        assert "neither a slide" in body["reason"]

    def test_a_name_that_is_no_id_goes_to_the_failures(
        self, place: Place, real_slide: Path, failures: Failures
    ) -> None:
        place.put("scans/a b.svs", real_slide.read_bytes())
        lambda_handler.ingest(object_created(f"{place.prefix}/scans/a b.svs"), Context())
        assert [body["exit_code"] for body in failures.bodies] == [2]

    @pytest.mark.parametrize("key", ["b\n/etc/a.svs", "../a.svs", "%2e%2e/a.svs"])
    def test_a_key_that_no_job_may_have_goes_to_the_failures(
        self, key: str, place: Place, failures: Failures, jobs: Jobs
    ) -> None:
        lambda_handler.ingest(object_created(f"{place.prefix}/scans/{key}", 10**12), Context())
        (body,) = failures.bodies
        assert body["exit_code"] == 2
        assert "rename it" in body["reason"]
        assert body["reason"].isprintable()
        assert not jobs.places

    def test_one_that_is_gone_is_no_failure(
        self, place: Place, failures: Failures, jobs: Jobs
    ) -> None:
        event = messages(object_created(f"{place.prefix}/scans/gone.svs"))
        assert lambda_handler.ingest(event, Context()) == {"batchItemFailures": []}
        assert not failures.bodies
        assert not jobs.places

    def test_what_is_elsewhere_in_the_bucket_is_left_alone(
        self, place: Place, failures: Failures, jobs: Jobs
    ) -> None:
        for folder in "other", "scans-of-others":
            event = object_created(f"{place.prefix}/{folder}/a.svs", size=10**12)
            lambda_handler.ingest(event, Context())
        assert not failures.bodies
        assert not jobs.places

    def test_what_may_go_well_later_is_given_back(
        self, uploaded: str, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def sometimes(slide: str, *words: Any, **options: Any) -> Any:
            if "away" in slide:
                raise StoreUnavailable(slide, "away")
            return convert(slide, *words, **options)

        monkeypatch.setattr(lambda_handler, "convert", sometimes)
        away = object_created(f"{place.prefix}/scans/away.svs")
        event = messages("no event", away, object_created(uploaded))
        failed = [{"itemIdentifier": "0"}, {"itemIdentifier": "1"}]
        assert lambda_handler.ingest(event, Context()) == {"batchItemFailures": failed}
        assert "to/images/170782/DeepZoom.dzi" in place.objects()
        with pytest.raises(StoreUnavailable):
            lambda_handler.ingest(away, Context())

    def test_one_that_cannot_be_read_just_now_is_given_back(
        self, uploaded: str, failures: Failures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unread(slide: str, *_: Any, **__: Any) -> Any:
            raise SlideUnavailable(slide, "cannot be read just now")

        monkeypatch.setattr(lambda_handler, "convert", unread)
        event = messages(object_created(uploaded))
        failed = [{"itemIdentifier": "0"}]
        assert lambda_handler.ingest(event, Context()) == {"batchItemFailures": failed}
        assert not failures.bodies

    def test_one_that_fails_does_not_stop_the_others_of_its_message(
        self, uploaded: str, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def sometimes(slide: str, *words: Any, **options: Any) -> Any:
            if "away" in slide:
                raise StoreUnavailable(slide, "away")
            return convert(slide, *words, **options)

        monkeypatch.setattr(lambda_handler, "convert", sometimes)
        bucket = {"name": "images"}
        records = [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": bucket, "object": {"key": quote_plus(key), "size": 1}},
            }
            for key in (f"{place.prefix}/scans/away.svs", uploaded)
        ]
        with pytest.raises(StoreUnavailable):
            lambda_handler.ingest({"Records": records}, Context())
        assert "to/images/170782/DeepZoom.dzi" in place.objects()

    def test_the_audit_tells_the_age_of_the_oldest(
        self,
        uploaded: str,
        place: Place,
        capsys: pytest.CaptureFixture[str],
        clock: FakeClock,
    ) -> None:
        clock.advance(7200)
        lambda_handler.ingest({"audit": True}, Context())
        said = json.loads(capsys.readouterr().out)
        assert said["OldestWaitingHours"] == pytest.approx(2, abs=0.1)
        assert said["oldest"] == ["170782"]
        (metrics,) = said["_aws"]["CloudWatchMetrics"]
        assert metrics["Namespace"] == "vsv-pyramid"
        assert (metrics["Dimensions"], said["FunctionName"]) == ([["FunctionName"]], "tried")
        names = [metric["Name"] for metric in metrics["Metrics"]]
        assert names == ["OldestWaitingHours", "QuietHours"]
        assert 0 <= said["QuietHours"] <= 2.1
        lambda_handler.ingest(object_created(uploaded), Context())
        capsys.readouterr()
        lambda_handler.ingest({"audit": True}, Context())
        assert json.loads(capsys.readouterr().out)["OldestWaitingHours"] == 0

    @pytest.mark.parametrize("dismissed", [False, True])
    def test_who_has_failed_is_told_already(
        self,
        uploaded: str,
        place: Place,
        capsys: pytest.CaptureFixture[str],
        clock: FakeClock,
        dismissed: bool,
    ) -> None:
        store = open_destination(f"{place}/to", f"{place.private}/to")
        told.remember(store, Failed("170782", f"s3://images/{uploaded}", "is bad"))
        if dismissed:
            list(told.dismiss(store, ["170782"], "anna"))
        clock.advance(7200)
        lambda_handler.ingest({"audit": True}, Context())
        assert json.loads(capsys.readouterr().out)["waiting"] == 0

    def test_what_somebody_wants_to_be_tried_again(
        self, uploaded: str, place: Place, jobs: Jobs
    ) -> None:
        store = open_destination(f"{place}/to", f"{place.private}/to")
        url = f"s3://images/{uploaded}"
        told.remember(store, Failed("170782", url, "is bad"))
        for asks in (False, True):
            if asks:
                list(told.retry(store, ["170782"], "anna"))
            for _ in range(2):
                lambda_handler.ingest({"audit": True}, Context())
            assert jobs.places == [url] * asks


@pytest.mark.usefixtures("function")
class TestPathsInTheLog:
    """Which is CloudWatch's: there are none, but in the private message about a failure."""

    PERSON = "Mustermann, Erika"

    @pytest.fixture
    def bad(self, place: Place) -> Iterator[str]:
        """The key of a bad slide."""
        place.put(f"scans/{self.PERSON}/bad.svs", b"hello")
        yield f"{place.prefix}/scans/{self.PERSON}/bad.svs"
        place.delete(f"scans/{self.PERSON}/bad.svs")

    def test_of_a_failure(
        self, bad: str, failures: Failures, capfd: pytest.CaptureFixture[str]
    ) -> None:
        lambda_handler.ingest(messages(object_created(bad)), Context())
        start, failed = map(json.loads, capfd.readouterr().err.splitlines())
        assert (start["id"], failed["id"]) == ("bad", "bad")
        assert failed["error"].startswith("bad: neither a slide")
        assert "slide" not in failed
        assert [body["slide"] for body in failures.bodies] == [f"s3://images/{bad}"]

    def test_when_they_are_asked_for(
        self, bad: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VSV_PYRAMID_OPTIONS", "--log-paths")
        monkeypatch.setattr(Voice, "shows_paths", False)
        lambda_handler.ingest(object_created(bad), Context())
        _, failed = map(json.loads, capfd.readouterr().err.splitlines())
        assert failed["slide"] == f"s3://images/{bad}"
        lambda_handler.ingest({"audit": True}, Context())
        assert json.loads(capfd.readouterr().out)["oldest"] == [f"s3://images/{bad}"]

    @pytest.mark.parametrize(
        "error",
        [
            StoreUnavailable("s3://to", f"no answer about {PERSON}/bad.svs; try again"),
            OSError(28, "No space left on device", f"{PERSON}/bad.svs"),
        ],
    )
    def test_of_what_ends_the_function(
        self,
        bad: str,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
    ) -> None:
        def fails(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(lambda_handler, "convert", fails)
        with pytest.raises(VsvPyramidError) as raised:
            lambda_handler.ingest(object_created(bad), Context())
        lambda_handler.ingest(messages(object_created(bad)), Context())
        said = str(raised.value) + capfd.readouterr().err
        assert "bad" in said
        assert "bad.svs" not in said


class TestScan:
    @pytest.fixture(autouse=True)
    def share(
        self,
        function: None,
        clock: FakeClock,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        real_slide: Path,
    ) -> Path:
        """An EFS share with a slide."""
        share = tmp_path / "slides"
        share.mkdir()
        shutil.copy(real_slide, share / "a.svs")
        monkeypatch.setenv("VSV_PYRAMID_SLIDES", str(share))
        return share

    def test_what_is_new_is_converted(self, place: Place, jobs: Jobs) -> None:
        for _ in range(2):
            lambda_handler.scan({"source": "aws.events"}, Context())
        assert verify(f"{place}/to/images/a").errors == []
        assert not jobs.places

    def test_what_a_lab_wants(
        self, lab: None, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(2):
            lambda_handler.scan({}, Context())
        document = published(place)
        assert document["details"] == "lab"
        assert document["id"] != "a"
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["waiting"] == 0

    def test_what_is_large_is_handed_to_batch_once(
        self, share: Path, jobs: Jobs, failures: Failures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(costs, "SLOWEST_BYTES", 1.0)
        for _ in range(2):
            lambda_handler.scan({}, Context())
        assert jobs.places == [str(share / "a.svs")]
        jobs.outcomes["job-1"] = "its job failed: exit code 65"
        for _ in range(2):
            lambda_handler.scan({}, Context())
        assert jobs.places == [str(share / "a.svs")]
        assert not failures.bodies  # the rule about failed jobs tells of it

    def test_a_bad_slide_goes_to_the_failures_once(
        self, share: Path, place: Place, failures: Failures
    ) -> None:
        (share / "b.svs").write_text("hello")
        for _ in range(2):
            lambda_handler.scan({}, Context())
        assert [body["exit_code"] for body in failures.bodies] == [65]
        assert {key.split("/")[1] for key in place.objects()} == {"images"}
        assert [key for key in place.private.objects() if key.startswith("to/watch/")]

    def test_it_does_not_begin_what_it_could_not_remember(
        self, place: Place, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(PRIVATE)
        with pytest.raises(StoreError, match=f"no private place is given.*{PRIVATE}"):
            lambda_handler.scan({}, Context())
        assert not jobs.places
        assert not place.objects()

    def test_one_that_cannot_be_read_goes_to_the_failures_in_the_end(
        self, share: Path, failures: Failures, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(lambda_handler, "convert", fails)
        for pause in PAUSES:
            lambda_handler.scan({}, Context())
            assert not failures.bodies
            clock.advance(pause)
        for _ in range(2):
            lambda_handler.scan({}, Context())
        assert [body["exit_code"] for body in failures.bodies] == [1]

    def test_two_of_one_name_are_told_of_once(self, share: Path, failures: Failures) -> None:
        (share / "deep").mkdir()
        shutil.copy(share / "a.svs", share / "deep/a.svs")
        os.utime(share / "deep/a.svs", (1, 1))
        for _ in range(2):
            lambda_handler.scan({}, Context())
        assert [body["exit_code"] for body in failures.bodies] == [2, 2]

    def test_how_long_a_slide_waits(
        self,
        share: Path,
        jobs: Jobs,
        failures: Failures,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """But for those that have failed: somebody is told of them."""
        monkeypatch.setattr(costs, "SLOWEST_BYTES", 1.0)
        (share / "b.svs").write_text("hello")
        for _ in range(2):
            lambda_handler.scan({}, Context())
            said = json.loads(capsys.readouterr().out)
            assert set(said["oldest"]) == {"a"} | ({"b"} if not failures.bodies else set())
            assert 0 < said["OldestWaitingHours"] + 0.01 < 0.1
            assert 0 <= said["QuietHours"] < 0.1
        (share / "a.svs").unlink()
        (share / "b.svs").unlink()
        lambda_handler.scan({}, Context())
        said = json.loads(capsys.readouterr().out)
        assert said["oldest"] == []
        assert said["QuietHours"] > 10_000, "no slide has come, as where nothing is mounted"
        assert lambda_handler._hours(share / "b.svs") == 0

    def test_what_there_is_no_time_for_is_left(self, place: Place, jobs: Jobs) -> None:
        lambda_handler.scan({}, Context(30))
        assert not jobs.places
        assert not place.objects()


def test_a_defect_names_its_kind() -> None:
    assert "KeyError" in str(lambda_handler._told(KeyError("a")))
    error = SlideError("a.svs", "bad")
    assert lambda_handler._told(error) is error
