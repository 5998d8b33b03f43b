"""Ten thousand slides at once: the handlers as they are, between queues and a converter that only
keep count."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import lambda_handler
import pytest
import s3_events

from tests.batch.test_batch import Context
from tests.batch.test_batch import messages as queued
from tests.support.aws_events import object_created
from vsv_pyramid.aws import session
from vsv_pyramid.cli import messages
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.errors import EXIT_BAD_SLIDE, SlideError, StoreUnavailable, VsvPyramidError

SLIDES = 10_000
DUPLICATES, BAD, AWAY, LATE, LARGE = 0.05, 0.01, 0.01, 0.05, 0.1
RECEIVES = ATTEMPTS = 5  # as ingest.yaml and compute.yaml have it
THREADS = 8


@dataclass
class Cloud:
    """What becomes of slides whose names say how they behave: bad ones, some for which the store is
    always away, some for which it is so at first, and large ones."""

    converted: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    jobs: deque[str] = field(default_factory=deque)
    under_way: set[str] = field(default_factory=set)
    lock: threading.Condition = field(default_factory=threading.Condition)

    def convert(self, slide: str, *_: object, progress: object = None) -> Summary:
        with self.lock:
            self.lock.wait_for(lambda: slide not in self.under_way)
            if slide in self.converted:
                return Summary(slide, "", "skipped", "")
            self.under_way.add(slide)
            self.tried[slide] += 1
        try:
            if "bad" in slide:
                raise SlideError(slide, "bad")
            if "away" in slide or ("late" in slide and self.tried[slide] < 3):
                raise StoreUnavailable(slide, "away")
            with self.lock:
                self.converted[slide] += 1
            return Summary(slide, "", "converted", "")
        finally:
            with self.lock:
                self.under_way.remove(slide)
                self.lock.notify_all()

    def submit(self, place: str) -> str:
        self.jobs.append(place)
        return "job"

    def send_message(self, **message: str) -> None:
        self.failures[json.loads(message["MessageBody"])["slide"]] += 1

    def run_job(self, slide: str) -> None:
        """As compute.yaml has Batch do it."""
        for _ in range(ATTEMPTS):
            try:
                self.convert(slide)
                return
            except VsvPyramidError as exc:
                if exc.exit_code == EXIT_BAD_SLIDE:
                    break
        self.failures[slide] += 1


def deliver(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Has SQS hand the events to the function, ten at a time, until they are done. Those that end
    among the failures."""
    waiting = deque((event, 1) for event in events)
    dead: list[dict[str, Any]] = []

    def work() -> None:
        while True:
            some: list[tuple[dict[str, Any], int]] = []
            with contextlib.suppress(IndexError):  # another thread took the last one
                while len(some) < 10:
                    some.append(waiting.popleft())
            if not some:
                return
            answer = lambda_handler.ingest(queued(*(event for event, _ in some)), Context())
            assert answer
            for failed in answer["batchItemFailures"]:
                event, receives = some[int(failed["itemIdentifier"])]
                if receives < RECEIVES:
                    waiting.append((event, receives + 1))
                else:
                    dead.append(event)

    while waiting:
        with ThreadPoolExecutor(THREADS) as pool:
            for future in [pool.submit(work) for _ in range(THREADS)]:
                future.result()
    return dead


@pytest.mark.crowd
def test_each_is_converted_once_or_is_among_the_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(1)
    cloud = Cloud()
    monkeypatch.setattr(lambda_handler, "convert", cloud.convert)
    monkeypatch.setattr(lambda_handler, "Queue", lambda *_: cloud)
    monkeypatch.setattr(session, "client", lambda *_: cloud)
    monkeypatch.setattr(messages, "_event", lambda *_, **__: None)
    for variable in "DESTINATION", "SLIDES", "FAILURES", "QUEUE", "JOB_DEFINITION":
        monkeypatch.setenv(f"VSV_PYRAMID_{variable}", "s3://images")

    def name(number: int) -> str:
        fate = dice.random()
        for kind, part in ("bad", BAD), ("away", AWAY), ("late", LATE):
            if fate < part:
                return f"{number}-{kind}.svs"
            fate -= part
        return f"{number}.svs"

    events = [
        object_created(name(number), 10**12 if dice.random() < LARGE else 10**9)
        for number in range(SLIDES)
    ]
    events += dice.sample(events, round(SLIDES * DUPLICATES))
    dice.shuffle(events)
    slides = {url for event in events for url, _ in s3_events.arrived(event)}
    assert len(slides) == SLIDES

    dead = deliver(events)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(cloud.run_job, cloud.jobs))
    failed = {url for event in dead for url, _ in s3_events.arrived(event)}
    failed |= cloud.failures.keys()

    assert set(cloud.converted.values()) == {1}
    assert not cloud.converted.keys() & failed
    assert cloud.converted.keys() | failed == slides
    assert failed == {slide for slide in slides if "bad" in slide or "away" in slide}
    assert not cloud.under_way
    assert SLIDES * LARGE * 0.8 < len(cloud.jobs) < SLIDES * LARGE * 1.3
    assert SLIDES * (BAD + AWAY) * 0.7 < len(failed) < SLIDES * (BAD + AWAY) * 1.3
