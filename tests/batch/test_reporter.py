"""The function that takes the queue of failures: what it remembers, and what it mails."""

from __future__ import annotations

import json
from typing import Any

import pytest
import reporter
from botocore.exceptions import ClientError

from tests.support.aws_events import notification, object_created
from tests.support.s3_server import Place
from vsv_pyramid.aws import session
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import StoreError
from vsv_pyramid.review import failures
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.store import open_store
from vsv_pyramid.unattended.manifests import handed_to
from vsv_pyramid.words import digest

JOB = {
    "jobId": "job-7",
    "status": "FAILED",
    "statusReason": "Essential container in task exited",
    "container": {"exitCode": 65, "logStreamName": "convert/7"},
}


class Services:
    """In place of SNS and CloudWatch: the mails, and what is in the log of a job."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []
        self.lines: dict[str, list[str]] = {}
        self.refuses = False

    def __call__(self, service: str, place: object) -> Services:
        assert (service, place) in (("sns", "the-topic"), ("logs", "the-log"))
        return self

    def publish(self, *, TopicArn: str, Subject: str, Message: str) -> None:
        if self.refuses:
            raise ClientError({"Error": {"Code": "NotFound", "Message": "no topic"}}, "Publish")
        self.mails.append((Subject, Message))

    def get_log_events(self, *, logStreamName: str, limit: int, **_: object) -> Any:
        if logStreamName not in self.lines:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetLogEvents")
        return {"events": [{"message": line} for line in self.lines[logStreamName][-limit:]]}


@pytest.fixture
def services(place: Place, monkeypatch: pytest.MonkeyPatch) -> Services:
    """And the environment that monitor.yaml sets."""
    for name, value in {
        "VSV_PYRAMID_DESTINATION": f"{place}/to",
        "VSV_PYRAMID_PRIVATE": f"{place.private}/to",
        "VSV_PYRAMID_SLIDES": f"{place}/scans",
        "VSV_PYRAMID_TOPIC": "the-topic",
        "VSV_PYRAMID_JOB_LOG": "the-log",
        "VSV_PYRAMID_QUEUE": "the-queue",
        "VSV_PYRAMID_JOB_DEFINITION": "the-definition",
    }.items():
        monkeypatch.setenv(name, value)
    services = Services()
    monkeypatch.setattr(session, "client", services)
    return services


def message(body: object, **attributes: str) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    told = {name: {"stringValue": value} for name, value in attributes.items()}
    return {"messageId": f"m-{abs(hash(text))}", "body": text, "messageAttributes": told}


def failed_job(place: str, **changed: Any) -> dict[str, Any]:
    detail = {**JOB, "parameters": {"place": place}, **changed}
    return {"source": "aws.batch", "detail-type": "Batch Job State Change", "detail": detail}


def reported(*messages: dict[str, Any]) -> list[str]:
    """The ids of the messages that come once more."""
    answer = reporter.report({"Records": list(messages)}, None)
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def remembered(place: Place) -> list[Failed]:
    return failures.listed(open_destination(f"{place}/to", f"{place.private}/to"))


def test_a_bad_slide(place: Place, services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{place}/scans/Jane Doe/170782.svs"
    assert not reported(
        message({"slide": url, "reason": f"{url}: is cut off; copy it again", "exit_code": 65})
    )
    (failed,) = remembered(place)
    assert (failed.id, failed.slide, failed.exit_code) == ("170782", url, 65)
    assert failed.reason == f"{url}: is cut off; copy it again"
    ((subject, text),) = services.mails
    assert subject == "vsv-pyramid: 170782 could not be converted"
    assert text.startswith("170782: is cut off; copy it again\n")
    assert (
        f"vsv-pyramid slides retry 170782 --in {place}/to --private-to {place.private}/to" in text
    )
    assert "Jane" not in text
    measured = json.loads(capsys.readouterr().out)
    assert measured["Failures"] == 1


def test_why_a_job_failed_is_in_its_log(place: Place, services: Services) -> None:
    services.lines["convert/7"] = [
        json.dumps({"event": "start", "id": "170782"}),
        json.dumps({"event": "failed", "id": "170782", "error": "170782: is cut off"}),
        "Traceback",
        "[]",
    ]
    assert not reported(message(failed_job(f"{place}/scans/170782.svs")))
    (failed,) = remembered(place)
    assert (failed.reason, failed.exit_code, failed.job) == ("170782: is cut off", 65, "job-7")


@pytest.mark.parametrize("lines", [None, [], ["no line of ours"]])
def test_a_job_that_was_ended(place: Place, services: Services, lines: list[str] | None) -> None:
    if lines is not None:
        services.lines["convert/7"] = lines
    ended = {"exitCode": 137, "logStreamName": "convert/7", "reason": "OutOfMemoryError"}
    assert not reported(message(failed_job(f"{place}/scans/a.svs", container=ended)))
    (failed,) = remembered(place)
    assert failed.reason == (
        "its job failed: Essential container in task exited, OutOfMemoryError, exit code 137"
    )


def test_a_job_that_never_began(place: Place, services: Services) -> None:
    why = "Canceled by JobStateTimeLimit action"
    told = failed_job(f"{place}/scans/a.svs", container={}, statusReason=why)
    assert not reported(message(told))
    (failed,) = remembered(place)
    assert (failed.reason, failed.exit_code) == (f"its job failed: {why}", None)


class _Queue:
    def submit(self, place: str, children: int = 1) -> str:
        self.place = place
        return "job"


def test_a_child_of_an_array_job(place: Place, services: Services) -> None:
    queue: Any = _Queue()
    slides = [f"{place}/scans/{name}.svs" for name in "abc"]
    handed_to(slides, open_store(f"{place.private}/to"), queue, lambda _: None)
    parent = failed_job(queue.place, arrayProperties={"size": 3}, container={})
    child = failed_job(queue.place, arrayProperties={"index": 1}, jobId="job-7:1")
    assert not reported(message(parent), message(child))
    (failed,) = remembered(place)
    assert (failed.id, failed.slide) == ("b", slides[1])
    ((subject, _),) = services.mails
    assert subject == "vsv-pyramid: b could not be converted"


def test_a_child_whose_list_is_gone(place: Place, services: Services) -> None:
    gone = f"{place.private}/to/manifests/gone.json"
    child = failed_job(gone, arrayProperties={"index": 1}, jobId="job-7:1")
    assert not reported(message(child))
    (failed,) = remembered(place)
    assert failed.slide == ""
    assert "child 1 of an array job, whose list of slides is gone" in failed.reason
    ((_, text),) = services.mails
    assert f"vsv-pyramid submit {place}/scans --to {place}/to" in text
    assert "--queue the-queue --job-definition the-definition" in text
    assert "slides retry" not in text


@pytest.mark.parametrize("event", [object_created, notification])
def test_an_event_that_was_tried_often_enough(place: Place, services: Services, event: Any) -> None:
    assert not reported(message(event("scans/170782.svs")))
    (failed,) = remembered(place)
    assert (failed.id, failed.slide) == ("170782", "s3://images/scans/170782.svs")
    assert "its log says why" in failed.reason


def test_a_pyramid_that_could_not_be_packed(place: Place, services: Services) -> None:
    """It is there as it was, and no slide has failed."""
    pyramid = f"{place}/to/images/170782"
    services.lines["convert/7"] = [json.dumps({"event": "error", "error": "it is being converted"})]
    assert not reported(message(failed_job(f"pack {pyramid}")))
    assert not remembered(place)
    ((subject, text),) = services.mails
    assert subject == "vsv-pyramid: something failed"
    assert text.startswith(f"{pyramid} could not be packed: it is being converted\n")
    assert "slides retry" not in text
    assert "vsv-pyramid submit" not in text


def test_no_slide_failed_but_the_audit(place: Place, services: Services) -> None:
    assert not reported(message({"audit": True}, ErrorMessage="no such bucket"))
    assert not remembered(place)
    ((subject, text),) = services.mails
    assert subject == "vsv-pyramid: something failed"
    assert text.startswith("the audit of waiting slides failed (no such bucket)")


def test_many_are_one_mail(place: Place, services: Services) -> None:
    told = [
        message({"slide": f"{place}/scans/{number}-a.svs", "reason": "is bad", "exit_code": 65})
        for number in range(25)
    ]
    assert not reported(*told)
    assert len(remembered(place)) == 25
    ((subject, text),) = services.mails
    assert subject == "vsv-pyramid: 25 slides could not be converted"
    assert text.count("slides retry") == 20
    assert "And 5 more." in text


def test_a_reason_without_end_is_told(place: Place, services: Services) -> None:
    """SNS takes 256 KB, and what it refuses would come again and again."""
    told = [
        message({"slide": f"{place}/scans/{number}-a.svs", "reason": "x" * 100_000})
        for number in range(20)
    ]
    assert not reported(*told)
    ((_, text),) = services.mails
    assert len(text) < 100_000
    assert len(remembered(place)[0].reason) == 100_000


def test_a_name_that_cannot_be_an_id(place: Place, services: Services) -> None:
    """It may be a person's, and a mail does not tell it."""
    url = f"{place}/scans/DOE Jane\x1b[31m.svs"
    assert not reported(
        message({"slide": url, "reason": f"{url}: cannot be an id\nBcc: x", "exit_code": 2})
    )
    (failed,) = remembered(place)
    assert failed.id.startswith("DOE-Jane-31m-")
    ((subject, text),) = services.mails
    assert subject == f"vsv-pyramid: slide {digest(url)} could not be converted"
    assert text.startswith(f"slide {digest(url)}: cannot be an id")
    for part in ("\x1b", "\nBcc", "DOE", "Jane"):
        assert part not in subject + text


def test_ids_that_do_not_tell_names(
    place: Place, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSV_PYRAMID_IDS", "opaque")
    url = f"{place}/scans/Jane-Doe.svs"
    assert not reported(message({"slide": url, "reason": f"{url}: is bad", "exit_code": 65}))
    (failed,) = remembered(place)
    assert len(failed.id) == 24
    ((subject, text),) = services.mails
    assert "Jane" not in subject + text


@pytest.mark.parametrize("body", ["no json", "[1]", '"text"', '{"source": "aws.batch"}'])
def test_no_message_of_ours_comes_once_more(place: Place, services: Services, body: str) -> None:
    sound = message({"slide": f"{place}/scans/a.svs", "reason": "is bad", "exit_code": 65})
    odd = message(body)
    assert reported(odd, sound) == [odd["messageId"]]
    assert [failed.id for failed in remembered(place)] == ["a"]


def test_a_mail_that_cannot_be_sent(place: Place, services: Services) -> None:
    """All messages come once more."""
    services.refuses = True
    with pytest.raises(StoreError, match="the-topic"):
        reported(message({"slide": f"{place}/scans/a.svs", "reason": "is bad", "exit_code": 65}))


def test_a_private_place_that_does_not_answer(
    place: Place, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("s3://private", "is not allowed")

    monkeypatch.setattr(failures, "remember", refuse)
    told = message({"slide": f"{place}/scans/a.svs", "reason": "is bad", "exit_code": 65})
    assert reported(told) == [told["messageId"]]
    assert not services.mails
