"""The Lambda function `report`: takes what the queue of failures tells, remembers it in the private
place, and tells somebody by mail which slides could not be converted, why, and what to do.

There are messages of our own functions; events of AWS Batch about jobs that failed for good; events
of S3, and of schedules, that a function has failed with often enough.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from s3_events import told_of

from vsv_pyramid.aws import session
from vsv_pyramid.aws.batch import reason
from vsv_pyramid.cli.main import options_of
from vsv_pyramid.cli.messages import Events, say, sentence
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.errors import EXIT_FAILED, OptionError, StoreError, exit_code
from vsv_pyramid.layout import keys
from vsv_pyramid.planning import ids
from vsv_pyramid.review import failures
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.runtime import clock
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.slide.series import stem_of
from vsv_pyramid.unattended.manifests import PACK, place_in
from vsv_pyramid.words import counted, one_line

_GIVEN_UP = "the function failed each time it was tried; its log says why"
_NAMED = 20  # slides that a mail names
_SUBJECT = 100  # characters, by SNS
_LONGEST = 1000  # characters of a reason: SNS takes 256 KB in all
_LINES = 20  # of a job's log, of which one says why


class Told(NamedTuple):
    """`place` is the slide's, or in an array job that of its manifest, in which it is at `child`;
    empty where no slide is told of. `log` is the name of the job's log stream."""

    place: str
    reason: str
    exit_code: int | None = None
    job: str = ""
    child: int | None = None
    log: str = ""


def report(event: Mapping[str, Any], _: Any) -> dict[str, Any]:
    """Takes SQS records; those that could not be remembered come once more."""
    reporter = _Reporter()
    found: list[Failed] = []
    again = []
    for record in event["Records"]:
        try:
            found += reporter.remembered(record)
        except (StoreError, ValueError, TypeError, KeyError, AttributeError) as exc:
            name = record.get("messageId", "")
            told = sentence(exc) if isinstance(exc, StoreError) else "no message of ours"
            code = exit_code(exc) if isinstance(exc, StoreError) else EXIT_FAILED
            say("failed", "", id=name, error=told, exit_code=code)
            again.append({"itemIdentifier": name})
    if found:
        reporter.mail(found)
        _measure(len(found))
    return {"batchItemFailures": again}


def told_by(record: Mapping[str, Any]) -> Iterator[Told]:
    """What an SQS record tells: nothing where others tell it, too. Raises ValueError for what is
    none of these messages."""
    body = json.loads(record["body"])
    if not isinstance(body, dict):
        raise ValueError("no message of ours")
    if {"slide", "reason"} <= body.keys():
        yield Told(str(body["slide"]), str(body["reason"]), body.get("exit_code"))
    elif body.get("source") == "aws.batch":
        yield from _of_job(body["detail"])
    else:
        error = record.get("messageAttributes", {}).get("ErrorMessage", {}).get("stringValue", "")
        slides = list(told_of(body))
        for slide in slides:
            yield Told(slide.url, _GIVEN_UP)
        if not slides:
            which = "the audit of waiting slides" if body.get("audit") else "the scan of the share"
            yield Told("", f"{which} failed{error and f' ({error})'}; its log says why")


def _of_job(job: Mapping[str, Any]) -> Iterator[Told]:
    array = job.get("arrayProperties") or {}
    index = array.get("index")
    if array.get("size") and index is None:
        return  # its children tell it
    container = job.get("container") or {}
    yield Told(
        str((job.get("parameters") or {}).get("place", "")),
        reason(dict(job)) or "its job failed",
        container.get("exitCode"),
        str(job.get("jobId", "")),
        index,
        str(container.get("logStreamName") or ""),
    )


class _Reporter:
    """One invocation."""

    def __init__(self) -> None:
        environment = os.environ
        self._destination = environment["VSV_PYRAMID_DESTINATION"]
        self._slides = environment["VSV_PYRAMID_SLIDES"]
        self._topic = environment["VSV_PYRAMID_TOPIC"]
        self._log = environment["VSV_PYRAMID_JOB_LOG"]
        self._options = ids.keyed_at(self._destination, options_of([]))
        Events(self._options)
        met.meet_folder(self._slides)

    @cached_property
    def _store(self) -> Destination:
        return open_destination(self._destination, self._options.private_to, self._options.s3)

    def remembered(self, record: Mapping[str, Any]) -> list[Failed]:
        """What the record tells, once it is remembered. Raises StoreError, and ValueError for no
        message of ours."""
        found = []
        for told in told_by(record):
            failed = self._failed(told)
            if failed.id:
                failures.remember(self._store, failed)
            found.append(failed)
        return found

    def _failed(self, told: Told) -> Failed:
        place, said = told.place, self._said(told.log) or told.reason
        if told.child is not None:
            try:
                place = place_in(place, told.child, self._options.s3) or ""
            except (StoreError, OptionError):
                said += f" (child {told.child} of an array job, whose list of slides is gone)"
                place = ""
        said = one_line(said)
        if place.startswith(PACK):  # the slide is published, and stays so
            return Failed("", "", f"{place.removeprefix(PACK)} could not be packed: {said}")
        if place:
            met.meet([place])
            slide_id = self._id_of(place)
        else:
            slide_id = keys.safe_id(f"job-{told.job}") if told.job else ""
        return Failed(slide_id, place, said, exit_code=told.exit_code, job=told.job)

    def _id_of(self, place: str) -> str:
        """The slide's id, or the nearest to a name that cannot be one."""
        try:
            return self._options.id_of(stem_of(place))
        except OptionError:
            return keys.safe_id(stem_of(place))

    def _said(self, stream: str) -> str:
        """What the job itself has said last of why it failed; nothing where it was ended."""
        if not stream:
            return ""
        try:
            answer = session.client("logs", self._log).get_log_events(
                logGroupName=self._log, logStreamName=stream, limit=_LINES, startFromHead=False
            )
        except session.ERRORS:
            return ""
        for one in reversed(answer["events"]):
            try:
                line = json.loads(one["message"])
                if line["event"] in ("failed", "error"):
                    return str(line["error"])
            except (ValueError, TypeError, KeyError):
                continue
        return ""

    def mail(self, found: list[Failed]) -> None:
        """Tells of them all in one mail. Raises StoreError."""
        try:
            session.client("sns", self._topic).publish(
                TopicArn=self._topic,
                Subject=f"vsv-pyramid: {_subject(found)}"[:_SUBJECT],
                Message="\n\n".join(self._paragraphs(found)),
            )
        except session.ERRORS as exc:
            raise session.refusal(self._topic, exc) from exc

    def _paragraphs(self, found: list[Failed]) -> Iterator[str]:
        environment = os.environ
        private = f"--private-to {self._options.private_to}"
        for failed in found[:_NAMED]:
            said, name = met.sentence(failed.reason)[:_LONGEST], _name(failed)
            yield said if said.startswith(name) else f"{name}: {said}"
            if failed.slide and name == failed.id:
                yield f"    vsv-pyramid slides retry {failed.id} --in {self._destination} {private}"
        if len(found) > _NAMED:
            yield f"And {len(found) - _NAMED:,} more."
        if any(failed.id and not failed.slide for failed in found):
            yield "Slides that are not named here, and have no pyramid, are found and submitted by"
            yield (
                f"    vsv-pyramid submit {self._slides} --to {self._destination} {private} --queue "
                f"{environment['VSV_PYRAMID_QUEUE']} --job-definition "
                f"{environment['VSV_PYRAMID_JOB_DEFINITION']}"
            )
        yield "A slide whose file is damaged has to be scanned or copied again. All that failed:"
        yield f"    vsv-pyramid slides {self._destination} {private} --failed"


def _name(failed: Failed) -> str:
    """What a mail may call it: where the file's name can be no id, it may be a person's."""
    return met.called(failed.slide) if failed.slide else failed.id


def _subject(found: list[Failed]) -> str:
    slides = [_name(failed) for failed in found if failed.id]
    if not slides:
        return "something failed"
    which = slides[0] if len(slides) == 1 else counted(len(slides), "slide")
    return f"{which} could not be converted"


def _measure(count: int) -> None:
    """Tells CloudWatch how many there were."""
    metric = {"Name": "Failures", "Unit": "Count"}
    metrics = {"Namespace": "vsv-pyramid", "Dimensions": [[]], "Metrics": [metric]}
    stamp = {"Timestamp": round(clock.time() * 1000), "CloudWatchMetrics": [metrics]}
    print(json.dumps({"_aws": stamp, "Failures": count}), flush=True)
