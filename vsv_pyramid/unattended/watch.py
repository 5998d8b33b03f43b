"""The slides in a folder, looked at again and again: each one that has settled is handed on, once
more after a failure, and set aside in the end.

What is known of them outlives the process in the destination: a pyramid's slide.json says which
file it was made of, and an attempt (attempts.py) what was begun, what failed and why, or which job
has the slide.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import (
    EXIT_BAD_SLIDE,
    EXIT_TRY_AGAIN,
    EXIT_WRONG_USE,
    HOPELESS,
    JobFailed,
    OptionError,
    QueueError,
    SlideAccessError,
    SlideError,
    SlideUnavailable,
    StoreError,
    StoreUnavailable,
    VsvPyramidError,
    exit_code,
    is_environment,
)
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.threads import Pool
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.files import extent, normal
from vsv_pyramid.slide.search import slides_in
from vsv_pyramid.unattended.attempts import PAUSES, Attempt, Attempts
from vsv_pyramid.unattended.events import listening
from vsv_pyramid.unattended.looks import Look, is_unfinished, look_at
from vsv_pyramid.unattended.outage import Outage
from vsv_pyramid.unattended.published import Published
from vsv_pyramid.words import counted

INTERVAL = 10.0  # s, for which a slide must have stayed the same
_LONGEST_GRACE = 60.0  # for which, in an outage, one that failed is left to the others
_WOKEN_SECONDS = 1.0  # between looks, however often the system tells of changes
_ASKED_SECONDS = 60.0  # between questions for the jobs' ends, and for what people want tried again

_log = logging.getLogger(__name__)

Failure = VsvPyramidError | OSError


class WatchEnded(Exception):
    """The watch ends, and what is under way with it."""


class Handed(NamedTuple):
    """What became of a slide: a job has it, another process is at it, or else it is published."""

    job: str = ""
    busy: bool = False


class _Seen(NamedTuple):
    look: Look
    since: float


class Watch:
    """The slides in a folder and below, to be published in a store.

    `hand_on` gets each slide's path in one of `jobs` threads; of what it raises, `failed` is told
    with the exit code, and whether nothing more is tried. `ended` gives the reasons why jobs
    failed, None for those that went well, and leaves out those that have not ended. Once `stop` is
    set, nothing more is handed on. Of the options, it takes how ids are made, and what is excluded.

    What is no slide's own trouble holds up all of them until it is over: `failed` is told once, of
    the first slide that it came with, and none is set aside for it.
    """

    def __init__(
        self,
        folder: Path,
        store: Destination,
        hand_on: Callable[[Path], Handed],
        failed: Callable[[Path, Failure, int, bool], None],
        *,
        jobs: int = 1,
        interval: float = INTERVAL,
        ended: Callable[[list[str]], Mapping[str, str | None]] | None = None,
        stop: threading.Event | None = None,
        options: ConvertOptions | None = None,
    ) -> None:
        self._folder = normal(folder)
        self._store = store
        self._hand_on = hand_on
        self._failed = failed
        self._jobs = jobs
        self._interval = interval
        self._ended = ended
        self._stop = stop or threading.Event()
        self._options = options or ConvertOptions()
        self._excluded = Excluded(self._options.exclude)
        self._wake = threading.Event()
        self._seen: dict[Path, _Seen] = {}
        self._done: dict[Path, Look] = {}
        self._published = Published(store, self._options)
        self._attempts = Attempts(store, self._folder, self._published.id_of)
        self._under_way: set[Path] = set()
        self._pending: set[Future[None]] = set()
        self._told: set[Path] = set()
        self._skipped: Mapping[Path, str] = {}
        self._outage = Outage(min(interval, _LONGEST_GRACE) + 1)
        self._trouble = ""
        self._asked = float("-inf")
        self.failures = 0

    def run(self, *, once: bool = False, retry: bool = False) -> None:
        """Looks until something is raised in this thread; with `once` twice, and until what had
        settled by then is done. `retry` forgets what failed before.

        Raises SlideAccessError for a folder that cannot be read at the first look, and StoreError
        for a destination that refuses it; one that does not answer is waited for, unless `once`.
        """
        looks = self._looks()
        with listening(self._folder, self._wake), Pool(self._jobs, "watch") as pool:
            try:
                self._begin(looks, retry=retry, waits=not once)
                self._hand_out(looks, pool)
                while not self._stop.is_set():
                    self._rest(woken=not once)
                    self._look_again(pool)
                    if once:
                        break
                # A signal may come meanwhile, which stops those under way. That it interrupts the
                # join of a thread, Python takes for the thread's end (before 3.13).
                wait(self._pending.copy())
            except BaseException:
                self._stop.set()
                raise

    def waiting(self) -> list[Path]:
        """The slides that were there at the last look, and are not published."""
        return [path for path, seen in self._seen.items() if self._done.get(path) != seen.look]

    def seen(self) -> list[Path]:
        """The slides that were there at the last look."""
        return list(self._seen)

    def _begin(self, looks: Mapping[Path, Look], *, retry: bool, waits: bool) -> None:
        """Goes on from what the destination remembers."""
        while not self._stop.is_set():
            try:
                self._done = self._published.in_catalog(looks)
                self._attempts.read()
                break
            except StoreUnavailable as exc:
                if not waits:
                    raise
                self._tell_once(exc)
                self._rest(woken=False)
        for path, attempt in self._attempts:
            is_gone = looks and path not in looks and self._is_gone(path)
            if is_gone or path in self._done or (retry and not attempt.job):
                self._attempts.remove(path)
            elif attempt.is_set_aside:
                _log.warning("set aside: %s", attempt.reason)

    def _rest(self, *, woken: bool) -> None:
        """Waits for an interval, or less where the system tells of a change."""
        if not woken:
            clock.sleep(self._interval)
        elif clock.wait(self._wake, self._interval):
            clock.sleep(min(self._interval, _WOKEN_SECONDS), self._stop)
        self._wake.clear()

    def _look_again(self, pool: Pool) -> None:
        is_time = clock.monotonic() - self._asked > _ASKED_SECONDS
        try:
            if is_time:
                self._asked = clock.monotonic()
                self._attempts.take_up()
            self._hand_out(self._looks(), pool)
            if is_time:
                self._ask_for_jobs()
            self._trouble = ""
        except (SlideAccessError, StoreError, QueueError) as exc:
            self._tell_once(exc)  # what is away for a while

    def _tell_once(self, exc: VsvPyramidError) -> None:
        """Unless it was the last to be told, and nothing went well since."""
        if self._trouble != str(exc):
            self._trouble = str(exc)
            _log.warning("%s", exc)

    def _looks(self) -> dict[Path, Look]:
        found = slides_in(self._folder, self._excluded, itself=False)
        looks = {}
        for path in (*found.slides, *found.damaged):
            try:
                looks[path] = Look(*extent(path))
            except FileNotFoundError:
                continue  # it vanished in between
            except (OSError, SlideUnavailable):  # of the share; the slide is as it was
                if seen := self._seen.get(path):
                    looks[path] = seen.look
            except SlideAccessError as exc:
                found.skipped[path] = exc.what
        for place in found.skipped.keys() - self._skipped.keys():
            _log.warning("%s: skipped, %s", place, found.skipped[place])
        self._skipped = found.skipped
        return looks

    def _hand_out(self, looks: Mapping[Path, Look], pool: Pool) -> None:
        now = clock.monotonic()
        if looks:  # a share that is not mounted is an empty folder
            for path in filter(self._is_gone, self._seen.keys() - looks.keys() - self._under_way):
                del self._seen[path]
                self._done.pop(path, None)
                self._told.discard(path)
                self._attempts.remove(path)
        by_id = defaultdict(list)
        for path in looks:
            by_id[self._published.id_of(path)].append(path)
        for path, look in looks.items():
            seen = self._seen.get(path)
            if seen is None or seen.look != look:
                self._seen[path] = _Seen(look, now)
            elif now - seen.since >= self._interval and self._is_due(path, look):
                self._under_way.add(path)
                doubles = [other for other in by_id[self._published.id_of(path)] if other != path]
                future = pool.submit(self._handle, path, look, doubles)
                self._pending.add(future)
                future.add_done_callback(self._pending.discard)
                future.add_done_callback(_report)

    def _is_gone(self, path: Path) -> bool:
        """Of what no look has found: whether it cannot be where none could be had."""
        return self._skipped.keys().isdisjoint((path, *path.parents))

    def _is_due(self, path: Path, look: Look) -> bool:
        if path in self._under_way or self._done.get(path) == look:
            return False
        attempt = self._attempts.get(path)
        return attempt is None or attempt.look != look or attempt.is_due

    def _handle(self, path: Path, look: Look, doubles: list[Path]) -> None:
        """Hands the slide on unless it is published; the doubles would be so under the same id."""
        try:
            if self._stop.is_set() or not self._outage.admits(path):
                return
            if not self._published.has(path, look):
                if doubles:
                    self._tell_of_double(path, look, doubles[0])
                    return
                if is_unfinished(path):
                    if path not in self._told:
                        self._told.add(path)
                        _log.warning("%s is not complete yet; it waits for the rest", path)
                    return
                if look_at(path) != look:
                    return  # it was written to since; an end that is there now may not be the last
                if not self._ended:  # a queue takes it in no time
                    self._attempts.begin(path, look)
                handed = self._hand_on(path)
                if handed.busy:
                    return
                if self._outage.ends(path):
                    _log.warning("%s went well; the trouble is over, and all slides go on", path)
                if handed.job:
                    self._attempts.put(path, Attempt(str(path), look, job=handed.job))
                    return
            self._done[path] = look
            self._attempts.remove(path)
        except WatchEnded:
            pass
        except (VsvPyramidError, OSError) as exc:
            if self._stop.is_set() or not self._folder.is_dir():
                return  # it was left for that, or the share is away
            if self._outage.is_cause(path, exc):
                self._hold_up(path, exc)
            else:
                self._fail(path, look, exc, exit_code(exc))
        except Exception as exc:  # a defect of ours must not keep the other slides waiting
            _log.exception("%s", path)
            what = f"the program failed ({type(exc).__name__}: {exc}); please report it"
            self._fail(path, look, SlideError(path, what), EXIT_BAD_SLIDE)
        finally:
            self._outage.left(path)
            with suppress(StoreError):
                self._attempts.leave(path)
            self._under_way.discard(path)

    def _tell_of_double(self, path: Path, look: Look, other: Path) -> None:
        """Once, and yet it is due all the time: either may be renamed or removed."""
        error = OptionError(f"{path} and {other} would get the same id; rename one of them")
        attempt = self._attempts.get(path)
        if attempt is None or attempt.reason != str(error):
            self._attempts.put(
                path, Attempt(str(path), look, 0, str(error), 0.0, "", EXIT_WRONG_USE)
            )
            self.failures += 1
            self._failed(path, error, EXIT_WRONG_USE, True)

    def _hold_up(self, path: Path, exc: Failure) -> None:
        """Has all slides wait, but for one now and then that shows whether it is over."""
        if self._outage.goes_on(path, exc):
            self.failures += 1
            self._failed(path, exc, exit_code(exc), False)
            _log.warning("no slide is handed on until this is over; one is tried now and then")

    def _fail(self, path: Path, look: Look, exc: Failure, code: int) -> None:
        before = self._attempts.get(path)
        failed = before.attempts if before and before.look == look else 0
        lasts = code == EXIT_TRY_AGAIN or is_environment(exc)
        is_final = code in HOPELESS or (failed >= len(PAUSES) and not lasts)
        self.failures += 1
        self._failed(path, exc, code, is_final)
        if is_final:
            self._attempts.put(path, Attempt(str(path), look, failed + 1, str(exc), exit_code=code))
            _log.warning("%s is set aside until it changes, or until watch --retry", path)
        else:
            pause = PAUSES[min(failed, len(PAUSES) - 1)]
            self._attempts.put(
                path, Attempt(str(path), look, failed + 1, str(exc), clock.time() + pause)
            )
            _log.warning("%s is tried again in %s", path, counted(round(pause / 60), "minute"))

    def _has(self, path: Path, look: Look) -> bool:
        """Whether it is published after all, as far as it can have an id."""
        with suppress(OptionError):
            return self._published.has(path, look)
        return False

    def _ask_for_jobs(self) -> None:
        jobs = {attempt.job: path for path, attempt in self._attempts if attempt.job}
        if not jobs or not self._ended:
            return
        for job, reason in self._ended(list(jobs)).items():
            path = jobs[job]
            attempt = self._attempts.get(path)
            if attempt is None or attempt.job != job:
                continue  # another attempt has come between
            if reason is None or self._has(path, attempt.look):
                self._done[path] = attempt.look
                self._attempts.remove(path)
            else:
                error = JobFailed(path, reason)
                self.failures += 1
                self._failed(path, error, error.exit_code, True)
                self._attempts.put(
                    path,
                    Attempt(attempt.slide, attempt.look, 1, str(error), exit_code=error.exit_code),
                )
                _log.warning("%s is set aside until it changes, or until watch --retry", path)


def _report(future: Future[None]) -> None:
    """Logs what the caller's own functions have raised: nobody else would see it."""
    if not future.cancelled() and (exc := future.exception()):
        _log.error("%s: %s", type(exc).__name__, exc, exc_info=exc)
