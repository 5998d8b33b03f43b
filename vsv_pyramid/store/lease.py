"""A lease on a folder in S3: an object that one worker holds, and renews as long as it lives."""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from vsv_pyramid.aws import retry, session
from vsv_pyramid.aws.retry import with_retries
from vsv_pyramid.errors import StoreBusy
from vsv_pyramid.runtime import clock

_RENEWALS = 4  # within the time
# after which a lease that nobody renews is anybody's: not before who was about to renew it has
# waited for the server as long as that is done, and for its answer
SECONDS = (retry.GIVE_UP_SECONDS + 30) / (1 - 1 / _RENEWALS)
_TRIED_SECONDS = 1.0  # for which the trouble that one thread had counts for the others
_TRIES = 5  # to take one that others take and release in between
_RELEASE_SECONDS = 5.0  # for which the end of all may wait for a server
_AT_ONCE = -1.0  # seconds after which one that is expired, but cannot be removed, is anybody's

_log = logging.getLogger(__name__)


class _Held(NamedTuple):
    """A lease as the server has it; its age is None where the answer does not tell."""

    owner: str
    etag: str
    age: float | None
    seconds: float

    @property
    def expired(self) -> bool:
        """Whether its holder is dead."""
        if self.age is None or not self.etag:
            raise session.NotS3("no date, or no tag")
        return self.age > self.seconds


class Lease:
    """The object at `url`, made with If-None-Match and renewed with If-Match.

    Its age is reckoned by the server's clock. That it is expired does not mean that it is lost:
    where nobody came between, it is renewed before anything else is done. A server that does not
    know such conditions is warned of, and done without.
    """

    def __init__(
        self,
        client: Any,
        url: session.S3Url,
        place: str,
        stopped: threading.Event | None = None,
    ) -> None:
        """`place` is what it is on, in words; once `stopped` is set, it is not asked for again."""
        self._stopped = stopped
        self._client = client
        self._url = url
        self._place = place
        self._owner = uuid.uuid4().hex
        self._puts = 0
        self._etag = ""
        self._refused: ClientError | None = None
        self._renewed = self._tried = 0.0
        self._lost = ""  # why
        self._trouble: Exception | None = None
        self._turn = threading.Lock()
        self._conditional = True
        self._ended = threading.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises StoreBusy where another worker holds it."""
        try:
            with_retries(self._place, self._take, logging.WARNING, self._stopped)
        except BaseException as exc:  # Ctrl-C, too, after it was put
            if self._puts:
                self._release()
            if isinstance(exc, session.ERRORS):
                server = self._client.meta.endpoint_url
                raise session.refusal(self._place, exc, server) from exc
            raise
        if not self._conditional:
            yield
            return
        thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        try:
            thread.start()  # the system may allow no more of them
            yield
        finally:
            self._ended.set()
            try:
                if thread.ident:
                    thread.join(_RELEASE_SECONDS)
            finally:  # a signal may come while it renews
                self._release()

    def check(self) -> None:
        """Raises StoreBusy where the lease is lost, and what keeps one that has expired from being
        renewed: nothing may be written then."""
        if not self._conditional:
            return
        if not self._lost and self._has_expired():
            self._renew(only_expired=True)
        if self._lost:
            raise StoreBusy(self._place, self._lost)

    def _take(self) -> None:
        try:
            if not self._write(IfNoneMatch="*"):
                self._take_over()
                return
            self._put({"IfNoneMatch": "*"})  # must fail, or the server ignores the condition
        except ClientError as exc:
            if session.is_taken(exc) and self._etag:
                return
            if not session.knows_no_conditions(exc):
                raise
        self._conditional = False
        self._release()
        _log.warning(
            "%s: this server knows no conditional writes; see to it that no two processes convert "
            "the same slide at once",
            self._place,
        )

    def _take_over(self) -> None:
        """Takes the lease of a dead worker, or of one that has just ended. Only who is seen is
        named: where nobody is, it is the server that refuses it."""
        for _ in range(_TRIES):
            held = self._look()
            if held and not held.expired:
                raise StoreBusy(self._place, "another process is writing it; wait until that ends")
            if self._write(**({"IfMatch": held.etag} if held else {"IfNoneMatch": "*"})):
                return
        assert self._refused
        raise self._refused

    def _write(self, **condition: str) -> bool:
        """Whether the lease is ours now; it is also where an attempt's answer was lost."""
        asked = clock.monotonic()
        try:
            self._etag = self._put(condition)
        except ClientError as exc:
            is_gone = "IfMatch" in condition and session.code(exc) == "NoSuchKey"
            if not (is_gone or session.is_taken(exc)):
                raise
            self._refused = exc
            held = self._look()
            if held is None or held.owner != self._owner:
                return False
            self._etag = held.etag
        self._renewed = asked
        return True

    def _put(self, condition: Mapping[str, str], seconds: float = SECONDS) -> str:
        self._puts += 1
        answer = self._client.put_object(
            Bucket=self._url.bucket,
            Key=self._url.key,
            Body=f"{self._owner} {self._puts}".encode(),  # so that the ETag is new each time
            Metadata={"owner": self._owner, "seconds": str(seconds)},
            ContentType="text/plain",
            CacheControl="no-store",
            **condition,
        )
        return str(answer["ETag"])

    def _look(self) -> _Held | None:
        try:
            answer = self._client.head_object(Bucket=self._url.bucket, Key=self._url.key)
        except ClientError as exc:
            if session.status(exc) == 404:
                return None
            raise
        about = answer.get("Metadata", {})
        try:
            now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            age: float | None = (now - answer["LastModified"]).total_seconds()
        except (KeyError, TypeError, ValueError):
            age = None
        seconds = float(about.get("seconds", SECONDS))
        return _Held(about.get("owner", ""), answer.get("ETag", ""), age, seconds)

    def _keep(self) -> None:
        while not self._lost and not clock.wait(self._ended, SECONDS / _RENEWALS):
            with contextlib.suppress(*session.ERRORS):
                self._renew()

    def _renew(self, *, only_expired: bool = False) -> None:
        """Raises what keeps it from being renewed, but for its loss."""
        with self._turn:
            if self._lost or (only_expired and not self._has_expired()):
                return
            if self._trouble and clock.monotonic() - self._tried < _TRIED_SECONDS:
                raise self._trouble
            try:
                self._renew_or_lose()
                self._trouble = None
            except session.ERRORS as exc:
                self._trouble = exc
                raise
            finally:
                self._tried = clock.monotonic()

    def _renew_or_lose(self) -> None:
        """One that is gone, and has not expired, nobody else can have had: it is made anew."""
        could_be_taken = self._has_expired()
        if self._write(IfMatch=self._etag):
            return
        if self._look():
            self._lost = "another process has taken it over; wait until that ends"
        elif self._ended.is_set():
            return
        elif could_be_taken or not self._write(IfNoneMatch="*"):
            self._lost = (
                "its lease was not renewed in time and is gone, and another process may have "
                "written there; do it again"
            )

    def _has_expired(self) -> bool:
        return clock.monotonic() - self._renewed > SECONDS

    def _release(self) -> None:
        """Lets go of it, within seconds whatever the server does; where that fails, it expires."""
        thread = threading.Thread(target=self._let_go, name="release", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system allows no more of them
            self._let_go()
        else:
            thread.join(_RELEASE_SECONDS)

    def _let_go(self) -> None:
        """Removes it, or has it be expired for all, where only that is allowed."""
        try:
            held = self._look()
            if not held or held.owner != self._owner:
                return
            try:
                self._client.delete_object(Bucket=self._url.bucket, Key=self._url.key)
            except ClientError:
                self._put({"IfMatch": held.etag}, _AT_ONCE)
        except session.ERRORS as exc:
            _log.info("%s: not released (%s)", self._url, type(exc).__name__)
            if self._etag:
                _log.warning(
                    "%s: its lease could not be removed; for %d s it may seem to be written",
                    self._place,
                    SECONDS,
                )
