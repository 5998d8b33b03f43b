"""The signals that end a process: the first one unwinds it, so that it tidies up, and a second one
ends it at once, whatever it is at.

What a process that ended at once has left is cleared by the next conversion of that slide.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading

from vsv_pyramid.runtime import clock

EXIT_SIGNALLED = 128  # plus the signal's number, as shells have it
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last is Windows'
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
# One press of Ctrl-C comes twice where a program in between passes on what the terminal has sent to
# both, and a session that ends sends SIGTERM and SIGHUP together. No hand is as fast.
_ECHO_SECONDS = 0.3
_AT_ONCE = b"Stopped at once: what is half-made is cleared by the slide's next conversion.\n"
_TELL_SECONDS = 0.2  # for which the end may wait for a stderr that takes nothing


class Stopped(BaseException):
    """A signal: unwinds the stack, as KeyboardInterrupt does."""

    def __init__(self, number: int) -> None:
        self.number = number


_MAIN = threading.main_thread()
_by: int | None = None  # the first signal
_first: float | None = None  # when it came
_waker: int | None = None


def begin() -> None:
    """Raises Stopped in this thread, the main one, at the first signal from now on."""
    global _by, _first
    _by = _first = None
    sys.unraisablehook = _unraisable
    for number in heeded():
        signal.signal(number, _handle)
    signal.set_wakeup_fd(_watched(), warn_on_full_buffer=False)


def heeded() -> list[int]:
    """The signals that end the process: not those that whoever started it has had ignored, as
    nohup does with SIGHUP, and a shell with SIGINT for what it runs in the background."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def end() -> None:
    """Leaves the signals to the system: there is nothing to unwind any more."""
    for number in heeded():
        signal.signal(number, signal.SIG_DFL)


def unwound() -> None:
    """Keeps what comes late from ending the process without its exit code; not where a thread is
    left that could hold it up for ever. Nothing is to be told from now on: it could be as well."""
    if all(thread.daemon for thread in threading.enumerate() if thread is not _MAIN):
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def check() -> None:
    """Raises again what a destructor, or C code that called back, has swallowed."""
    if _by is not None:
        raise Stopped(_by)


def _handle(number: int, _: object) -> None:
    global _by
    if _by is None:
        _by = number
        raise Stopped(number)


def _watched() -> int:
    """The descriptor that Python writes each signal's number to as it comes, to be read in a
    thread: the main one may be in a call that does not end, in which two signals are one to it."""
    global _waker
    if _waker is None:
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        _waker = writer.detach()  # it stays open until the process ends
        threading.Thread(target=_insist, args=(reader,), name="signals", daemon=True).start()
    return _waker


def _insist(reader: socket.socket) -> None:
    """Ends the process at the second signal."""
    global _first
    while numbers := reader.recv(1):
        now = clock.monotonic()
        if numbers[0] not in _SIGNALS:
            continue
        if _first is None:
            _first = now
        elif now - _first > _ECHO_SECONDS:
            with contextlib.suppress(RuntimeError):  # there is a limit to threads
                teller = threading.Thread(target=_tell, daemon=True)
                teller.start()
                teller.join(_TELL_SECONDS)
            os._exit(EXIT_SIGNALLED + numbers[0])


def _tell() -> None:
    """A pipe that is full, and that nobody reads, holds it for ever."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), _AT_ONCE)  # past all buffers


def _unraisable(swallowed: sys.UnraisableHookArgs) -> None:
    """Leaves to `check` what a destructor has swallowed, instead of a traceback on stderr."""
    if swallowed.exc_type is not Stopped:
        sys.__unraisablehook__(swallowed)
