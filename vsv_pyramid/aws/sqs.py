"""Queues of SQS."""

from __future__ import annotations

from vsv_pyramid.aws import session
from vsv_pyramid.errors import QueueError, QueueUnavailable

_NUMBER = "ApproximateNumberOfMessages"


def waiting(queue: str) -> int:
    """How many messages wait in the queue at the URL, about. Raises QueueError and
    QueueUnavailable."""
    client = session.client("sqs", queue)
    try:
        found = client.get_queue_attributes(QueueUrl=queue, AttributeNames=[_NUMBER])
    except session.ERRORS as exc:
        if session.is_passing(exc):
            raise QueueUnavailable(queue, "the queue does not answer; try again") from exc
        raise QueueError(queue, f"{session.said(exc)}; check the queue and the rights") from exc
    return int(found["Attributes"][_NUMBER])
