"""Slides as jobs of AWS Batch: each a job of its own, or a child of an array job."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from vsv_pyramid.aws import login, session
from vsv_pyramid.errors import QueueError, QueueUnavailable

_DESCRIBED = 100  # jobs a call


class Queue:
    """A job queue (name or ARN), and the job definition that its jobs are made by.

    A job's parameter `place` is a slide, by URL or by its path in the container, or for an array
    job the URL of a manifest, a JSON list of places.
    """

    def __init__(self, queue: str, definition: str) -> None:
        self._queue = queue
        self._definition = definition
        _ = self._client  # at once, for what is wrong with it

    @cached_property
    def _client(self) -> Any:
        return session.client(
            "batch", self._queue, attempts=10
        )  # 50 submissions a second are taken

    def submit(self, place: str, children: int = 1) -> str:
        """The id of a new job. Raises QueueError and QueueUnavailable."""
        array = {"arrayProperties": {"size": children}} if children > 1 else {}
        stem = re.sub("[^A-Za-z0-9_-]", "_", PurePosixPath(place).stem)
        try:
            answer = self._client.submit_job(
                jobName=f"slide-{stem}"[:128],
                jobQueue=self._queue,
                jobDefinition=self._definition,
                parameters={"place": place},
                **array,
            )
        except session.ERRORS as exc:
            raise self._refusal(exc) from exc
        return str(answer["jobId"])

    def ended(self, jobs: Iterable[str]) -> dict[str, str | None]:
        """Why jobs failed, None for those that went well; without those that have not ended."""
        ended: dict[str, str | None] = {}
        for some in _parts(list(jobs), _DESCRIBED):
            try:
                known = self._client.describe_jobs(jobs=some)["jobs"]
            except session.ERRORS as exc:
                raise self._refusal(exc) from exc
            ended |= {job["jobId"]: reason(job) for job in known if job["status"] in _ENDS}
            lost = set(some) - {job["jobId"] for job in known}
            ended |= dict.fromkeys(lost, "its job is known no longer")
        return ended

    def _refusal(self, exc: Exception) -> QueueError:
        """Where it is of the credentials, the next call is by those that there are then."""
        if session.is_login(exc):
            login.forget()
            self.__dict__.pop("_client", None)
        if session.is_passing(exc):
            return QueueUnavailable(self._queue, "the queue does not answer; try again")
        remedy = "check the job queue, the job definition and the credentials"
        return QueueError(self._queue, f"{session.said(exc)}; {remedy}")


_ENDS = ("SUCCEEDED", "FAILED")


def reason(job: dict[str, Any]) -> str | None:
    """Why a job of describe_jobs, or of an event "Batch Job State Change", failed, else None."""
    if job["status"] != "FAILED":
        return None
    container = job.get("container", {})
    code = container.get("exitCode")
    said = [
        job.get("statusReason"),
        container.get("reason"),
        code is not None and f"exit code {code}",
    ]
    return "its job failed: " + ", ".join(filter(None, said))


def _parts(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
