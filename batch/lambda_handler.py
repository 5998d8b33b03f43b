"""The Lambda functions: `ingest` for slides that arrive in S3, `scan` for those on an EFS share.

Each converts what is small enough for the function's memory, time and /tmp, and hands the rest to
AWS Batch, where worker.py does the same; all of them, while many slides wait. Events come at least
once, in any order: what is published of a slide's present state is not made again, and a lease
keeps two from the same slide.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

from s3_events import Event, arrived

from vsv_pyramid.aws import costs, session, sqs
from vsv_pyramid.aws.batch import Queue
from vsv_pyramid.cli.main import options_of
from vsv_pyramid.cli.messages import Events, anonymous, called, say, sentence
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.errors import (
    HOPELESS,
    JobFailed,
    OptionError,
    SlideAccessError,
    SlideUnavailable,
    VsvPyramidError,
    exit_code,
)
from vsv_pyramid.layout import documents
from vsv_pyramid.planning import ids
from vsv_pyramid.review import failures
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.progress import unless
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.files import extent
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.slide.remote import SPARE_BYTES
from vsv_pyramid.unattended import backlog
from vsv_pyramid.unattended.manifests import is_below
from vsv_pyramid.unattended.watch import Handed, Watch, WatchEnded
from vsv_pyramid.words import IS_ODD, is_plain, one_line

_MEGABYTES_A_VCPU = 1769  # of a function's memory
_MOST_VCPUS = 6
_LAST_SECONDS = 60.0  # of the function's time, in which nothing is begun
_LOOK_SECONDS = 10.0  # between the two looks of a scan
_TOLD = 20  # slides that an audit names
_NO_LIMIT = 10**12


def ingest(event: Event, context: Any) -> dict[str, Any] | None:
    """Takes S3's events about new objects, by EventBridge, by SQS, or by EventBridge and SQS;
    {"audit": true} is for the schedule that looks for slides which were forgotten."""
    function = _Function(context)
    if event.get("audit"):
        with _anonymously():
            function.audit()
        return None
    if not any(record.get("eventSource") == "aws:sqs" for record in event.get("Records", ())):
        with _anonymously():
            function.take(event)
        return None
    again = []
    for record in event["Records"]:
        try:
            function.take(documents.read(record["body"].encode(), dict))
        except Exception as exc:  # of one message; SQS gives it once more, or to the failures
            error, message = _told(exc), record["messageId"]
            say("failed", "", id=message, error=sentence(error), exit_code=exit_code(exc))
            again.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": again}


def scan(event: Event, context: Any) -> None:
    """Looks through the share, whatever the event: a schedule, or DataSync's about a task."""
    with _anonymously():
        _Function(context).scan()


@contextlib.contextmanager
def _anonymously() -> Iterator[None]:
    """Has what is raised in the block say what an event would: Lambda logs it."""
    try:
        yield
    except VsvPyramidError as exc:
        exc.args = (anonymous(exc),)
        raise
    except OSError as exc:
        raise VsvPyramidError(anonymous(exc)) from None


class _Function:
    """One invocation: what the environment says, and how much time is left."""

    def __init__(self, context: Any) -> None:
        environment = os.environ
        self._context = context
        self._destination = environment["VSV_PYRAMID_DESTINATION"]
        self._slides = environment["VSV_PYRAMID_SLIDES"]
        self._failures = environment["VSV_PYRAMID_FAILURES"]
        self._job_names = (
            environment["VSV_PYRAMID_QUEUE"],
            environment["VSV_PYRAMID_JOB_DEFINITION"],
        )
        words = shlex.split(environment.get("VSV_PYRAMID_OPTIONS", ""))
        # Another invocation may be at a slide's former state, and would not see the present one.
        options = options_of([*words, "--update", "--if-busy", "wait"])
        self._options = ids.keyed_at(self._destination, options)
        self._most_waiting = int(environment.get("VSV_PYRAMID_MOST_WAITING") or _NO_LIMIT)
        self._most_megabytes = float(environment.get("VSV_PYRAMID_MOST_MEGABYTES") or _NO_LIMIT)
        self.say = Events(self._options)
        met.meet_folder(self._slides)

    @cached_property
    def _queue(self) -> Queue:
        return Queue(*self._job_names)

    @cached_property
    def _is_backlog(self) -> bool:
        """Whether more slides wait than functions should take: jobs are many more at a time."""
        arrivals = os.environ.get("VSV_PYRAMID_ARRIVALS")
        return bool(arrivals) and sqs.waiting(str(arrivals)) > self._most_waiting

    def take(self, event: Event) -> None:
        """Converts the slides that the event tells of, or hands them on. Raises what another
        attempt may mend, when it has been at all of them."""
        again: VsvPyramidError | OSError | None = None
        for url, size in arrived(event, Excluded(self._options.exclude)):
            if not url.startswith(f"{self._slides}/"):  # the bucket may hold other things, too
                continue
            try:
                self._check_key(url)
                self._hand_on(url, size)
            except SlideUnavailable as exc:
                again = again or exc
            except SlideAccessError as exc:  # it was removed, or moved, since
                self.say.failed(url, exc, exc.exit_code)
            except (VsvPyramidError, OSError) as exc:
                if exit_code(exc) in HOPELESS:
                    self._failed(url, exc, exit_code(exc))
                else:
                    again = again or exc
        if again:
            raise again

    def _check_key(self, url: str) -> None:
        if not (is_plain(session.object_url(url).key) and is_below(url, self._slides)):
            raise OptionError(f"{one_line(url)}: {IS_ODD}")

    def scan(self) -> None:
        def hand_on(path: Path) -> Handed:
            return self._hand_on(str(path), extent(path)[0])

        def failed(path: Path, exc: VsvPyramidError | OSError, code: int, is_final: bool) -> None:
            if is_final and not isinstance(exc, JobFailed):  # of jobs, a rule tells
                self._failed(str(path), exc, code)
            else:
                self.say.failed(str(path), exc, code)

        store = open_destination(self._destination, self._options.private_to, self._options.s3)
        store.check_keeps()  # or each scan would submit the same jobs again
        watch = Watch(
            Path(self._slides),
            store,
            hand_on,
            failed,
            interval=_LOOK_SECONDS,
            ended=self._ended,
            options=self._options,
        )
        watch.run(once=True)
        waiting = ((str(path), _hours(path)) for path in watch.waiting())
        newest = max(map(_came, watch.seen()), default=0.0)
        self._measure(failures.listed(store, dismissed=True), waiting, newest)

    def _ended(self, jobs: list[str]) -> dict[str, str | None]:
        return self._queue.ended(jobs)

    def audit(self) -> None:
        """Has those tried again of which somebody wants it, and looks for slides in S3 that were
        forgotten."""
        store = open_destination(self._destination, self._options.private_to, self._options.s3)
        noted = failures.listed(store, dismissed=True)
        for failed in noted:
            if failed.again:
                self.say.submitted(failed.slide, self._queue.submit(failed.slide))
                failures.taken_up(store, failed)
        found = backlog.find(self._slides, self._destination, self._options)
        waiting = ((str(slide.url), slide.hours) for slide in found.slides)
        self._measure(noted, waiting, found.newest)

    def _measure(
        self, noted: Iterable[Failed], waiting: Iterable[tuple[str, float]], newest: float
    ) -> None:
        """Tells CloudWatch for how many hours the oldest slide has been without a pyramid, but for
        those that are known to have failed: somebody was told. And for how many hours of working
        days no slide has come, since the newest did (Unix time)."""
        name = "FunctionName"
        metrics = [{"Name": each, "Unit": "None"} for each in ("OldestWaitingHours", "QuietHours")]
        told = {"Namespace": "vsv-pyramid", "Dimensions": [[name]], "Metrics": metrics}
        known = {failed.slide for failed in noted}
        numbers = itertools.count()
        unknown = (pair for pair in waiting if pair[0] not in known)
        pairs = (pair for pair, _ in zip(unknown, numbers, strict=False))
        oldest = heapq.nlargest(_TOLD, pairs, key=itemgetter(1))
        document = {
            "_aws": {"Timestamp": round(clock.time() * 1000), "CloudWatchMetrics": [told]},
            name: os.environ["AWS_LAMBDA_FUNCTION_NAME"],
            "OldestWaitingHours": round(oldest[0][1] if oldest else 0.0, 2),
            "QuietHours": round(clock.working_hours(newest, clock.time()), 2),
            "waiting": next(numbers),
            "oldest": [called(slide) for slide, _ in oldest],
        }
        print(json.dumps(document), flush=True)

    def _hand_on(self, place: str, size: int) -> Handed:
        self._check_time()
        if size <= self._largest() and not self._is_backlog:
            try:
                return self._converted(place)
            except WatchEnded:
                pass  # Batch goes on where it ended
        job = self._queue.submit(place)
        self.say.submitted(place, job)
        return Handed(job=job)

    def _converted(self, place: str) -> Handed:
        with self.say.progress(place, self._destination) as show:
            tick = unless(self._check_time, show)
            summary = convert(place, self._destination, self._options, progress=tick)
        self.say.done(summary)
        return Handed()

    def _check_time(self) -> None:
        if self._left() < 0:
            raise WatchEnded

    def _left(self) -> float:
        """Seconds in which something may still be begun, or gone on with."""
        return float(self._context.get_remaining_time_in_millis()) / 1000 - _LAST_SECONDS

    def _largest(self) -> float:
        """Bytes of the largest slide to convert here: twice as long as it takes must be left."""
        megabytes = float(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", _MEGABYTES_A_VCPU))
        vcpus = min(megabytes / _MEGABYTES_A_VCPU, _MOST_VCPUS)
        by_time = self._left() / 2 * vcpus * costs.SLOWEST_BYTES
        by_disk = shutil.disk_usage(tempfile.gettempdir()).free - SPARE_BYTES
        return min(by_time, by_disk, self._most_megabytes * 1e6)

    def _failed(self, slide: str, exc: VsvPyramidError | OSError, code: int) -> None:
        """Puts a slide that it is of no use to try again beside the failures, with the reason."""
        self.say.failed(slide, exc, code)
        body = {"slide": slide, "reason": str(exc), "exit_code": code}
        queue = session.client("sqs", self._failures)
        queue.send_message(QueueUrl=self._failures, MessageBody=json.dumps(body))


def _hours(path: Path) -> float:
    """Since the slide's file came here; 0 where it is gone."""
    return (clock.time() - came) / 3600 if (came := _came(path)) else 0.0


def _came(path: Path) -> float:
    """When the slide's file came here (Unix time); 0 where it is gone."""
    try:
        return path.stat().st_ctime  # copies preserve the mtime
    except OSError:
        return 0.0


def _told(exc: Exception) -> VsvPyramidError | OSError:
    """The error itself, or, of a defect, what kind it is."""
    if isinstance(exc, (VsvPyramidError, OSError)):
        return exc
    return VsvPyramidError(f"{type(exc).__name__}: {exc}")
