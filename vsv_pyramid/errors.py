"""The errors a user can cause. Each names its object and ends with the remedy.

VsvPyramidError
├── OptionError          an option's value, or an id, that is refused
├── SlideError           a slide that is bad, and will be so the next time
│   ├── TileError        one tile of a slide that cannot be decoded
│   ├── SlideAccessError a slide that is not there, or may not be read
│   │   └── SlideUnavailable  one whose disk or share did not answer just now
│   ├── SlideChanged     a slide that changed while it was read
│   └── JobFailed        a slide whose job in AWS Batch failed
├── StoreError           an object of a store that cannot be read, written or replaced
│   ├── NoSuchObject     an object that is not there
│   ├── StoreUnavailable a store that did not answer for a while
│   └── StoreBusy        another process writes there
├── QueueError           a queue for jobs that refuses them
│   └── QueueUnavailable a queue that did not answer for a while
├── ReviewError        a slide that cannot be changed, deleted or sent as it is
│   └── ReviewConflict   another one changed the slide since it was looked at
├── CdrError           a clinical data repository that refuses a record
│   └── CdrUnavailable   one that did not answer for a while
├── ListenError          an address that cannot be listened at
└── DescriptorError      a DZI descriptor or a slide.json that is not what the layout demands

`exit_code` is the process's where the error ends it; docs/commands.md lists them.
"""

from __future__ import annotations

import errno

EXIT_FAILED, EXIT_WRONG_USE, EXIT_BAD_SLIDE, EXIT_TRY_AGAIN = 1, 2, 65, 75
HOPELESS = (EXIT_WRONG_USE, EXIT_BAD_SLIDE)  # the same again ends in the same way

# What a share or a machine says that is out of order for a while; not every system has them all.
_PASSING = frozenset(
    number
    for name in (
        *("EIO", "EREMOTEIO", "ESTALE", "EAGAIN", "EINTR", "EBUSY", "ETIMEDOUT", "ETIME", "ENOLCK"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ENONET", "ENOLINK"),
        *("ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "ENOTCONN", "ESHUTDOWN", "EPROTO", "ECOMM"),
        *("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENXIO", "ENODEV"),
    )
    if (number := getattr(errno, name, None)) is not None
)
# Windows' own numbers for the same (ERROR_BAD_NETPATH ... ERROR_IO_DEVICE), which are EINVAL else.
_PASSING_ON_WINDOWS = frozenset((21, 51, 53, 54, 55, 59, 64, 121, 1117, 1231, 1232, 1236, 1450))


class VsvPyramidError(Exception):
    """Root of all errors that are the input's or the environment's, not the program's."""

    exit_code = EXIT_FAILED


class OptionError(VsvPyramidError):
    """An option's value, or an id, that is refused."""

    exit_code = EXIT_WRONG_USE


class SlideError(VsvPyramidError):
    """A slide that cannot be read as it is."""

    exit_code = EXIT_BAD_SLIDE

    def __init__(self, slide: object, what: str) -> None:
        super().__init__(f"{slide}: {what}")
        self.what = what


class TileError(SlideError):
    """A tile of a slide that cannot be decoded."""


class SlideAccessError(SlideError):
    """A slide that is not there, or may not be read."""

    exit_code = EXIT_FAILED


class SlideUnavailable(SlideAccessError):
    """A slide whose disk or share did not answer just now: what the slide is, is not known."""

    exit_code = EXIT_TRY_AGAIN


class SlideChanged(SlideError):
    """A slide that changed while it was read."""

    exit_code = EXIT_TRY_AGAIN


class JobFailed(SlideError):
    """A slide whose job in AWS Batch failed, for good."""

    exit_code = EXIT_FAILED


class StoreError(VsvPyramidError):
    """An object of a store that cannot be read, written or replaced."""

    def __init__(self, place: object, what: str) -> None:
        super().__init__(f"{place}: {what}")


class NoSuchObject(StoreError):
    """An object that is not there."""

    def __init__(self, place: object) -> None:
        super().__init__(place, "there is no such object; check the path")


class StoreUnavailable(StoreError):
    """A store that did not answer, or only with errors of its own, for a while."""

    exit_code = EXIT_TRY_AGAIN


class StoreBusy(StoreError):
    """Another process writes there."""

    exit_code = EXIT_TRY_AGAIN


class QueueError(VsvPyramidError):
    """A queue for jobs that refuses them."""

    def __init__(self, queue: object, what: str) -> None:
        super().__init__(f"{queue}: {what}")


class QueueUnavailable(QueueError):
    """A queue that did not answer, or only with errors of its own, for a while."""

    exit_code = EXIT_TRY_AGAIN


class ReviewError(VsvPyramidError):
    """A slide that cannot be changed, deleted or sent as it is."""

    def __init__(self, slide_id: str, what: str) -> None:
        super().__init__(f"{slide_id}: {what}")


class ReviewConflict(ReviewError):
    """Another one changed the slide since it was looked at."""


class CdrError(VsvPyramidError):
    """A clinical data repository that refuses a record."""

    def __init__(self, url: str, what: str) -> None:
        super().__init__(f"{url}: {what}")


class CdrUnavailable(CdrError):
    """A clinical data repository that did not answer for a while, or only with errors."""

    exit_code = EXIT_TRY_AGAIN


class ListenError(VsvPyramidError):
    """An address that cannot be listened at."""


class DescriptorError(VsvPyramidError):
    """A DZI descriptor or a slide.json that is not what the layout demands."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; convert the slide again with --overwrite")


def exit_code(exc: Exception) -> int:
    """The process's where this error ends it."""
    if isinstance(exc, VsvPyramidError):
        return exc.exit_code
    return EXIT_TRY_AGAIN if passing(exc) else EXIT_FAILED


def passing(exc: BaseException | None) -> OSError | None:
    """What the system said, where the error is due to a trouble that passes, be it that a library
    made another error of it."""
    while exc is not None:
        if isinstance(exc, OSError) and (
            exc.errno in _PASSING or getattr(exc, "winerror", None) in _PASSING_ON_WINDOWS
        ):
            return exc
        exc = exc.__cause__ or exc.__context__
    return None
