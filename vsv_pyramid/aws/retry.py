"""Patience with Amazon: what passes is tried again."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TypeVar

from vsv_pyramid.aws import exchanges
from vsv_pyramid.aws.s3_errors import ERRORS, case_of, is_passing, refusal, status
from vsv_pyramid.errors import STOPPED, StoreError
from vsv_pyramid.runtime import clock

GIVE_UP_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


def with_retries(
    place: object,
    action: Callable[[], Result],
    level: int = logging.INFO,
    stopped: threading.Event | None = None,
) -> Result:
    """The action's result; what passes is tried again, with growing pauses, for GIVE_UP_SECONDS or
    until `stopped` is set, and is logged at that level.

    Raises StoreUnavailable and StoreError then, and any other of ERRORS as it comes.
    """
    end = clock.monotonic() + GIVE_UP_SECONDS
    pause = _FIRST_PAUSE
    while True:
        try:
            return action()
        except ERRORS as exc:
            if not is_passing(exc):
                raise
            wait = random.uniform(0, pause)
            if clock.monotonic() + wait > end:
                raise refusal(place, exc) from exc
            about = {"event": "retry", "status": status(exc)}
            _log.log(level, "%s: %s; trying again", place, case_of(exc).cause, extra=about)
            if clock.sleep(wait, stopped):
                raise StoreError(place, STOPPED) from exc
            pause = min(2 * pause, _LONGEST_PAUSE)
        except BaseException:
            exchanges.forget()
            raise
