"""The errors a user can cause. Each names its object and ends with the remedy.

VsvPyramidError
├── OptionError          an option's value, or an id, that is refused
├── SlideError           a slide that is bad, and will be so the next time
│   ├── TileError        one tile of a slide that cannot be decoded
│   ├── SlideAccessError a slide that is not there, or may not be read
│   │   └── SlideUnavailable  one whose disk or share did not answer just now
│   ├── SlideChanged     a slide that changed while it was read
│   ├── SlideIncomplete  a slide of several files, of which some are not there
│   └── JobFailed        a slide whose job in AWS Batch failed
├── StoreError           an object of a store that cannot be read, written or replaced
│   ├── NoSuchObject     an object that is not there
│   ├── TooLarge         an object that is larger than any of its kind
│   ├── StoreRefused     a store that is gone, full, or closed to this program
│   ├── StoreUnavailable a store that did not answer for a while
│   └── StoreBusy        another process writes there
├── QueueError           a queue for jobs that refuses them
│   └── QueueUnavailable a queue that did not answer for a while
├── ReviewError          a slide that cannot be changed, deleted or sent as it is
│   └── ReviewConflict   another one changed the slide since it was looked at
├── CdrError             a clinical data repository that refuses a record
│   └── CdrUnavailable   one that did not answer for a while
├── ListenError          an address that cannot be listened at
├── DescriptorError      a DZI descriptor or a slide.json that is not what the layout demands
└── StreamError          a JPEG stream that is damaged
    └── Unspliceable     one that may be sound, and cannot be joined losslessly

`exit_code` is the process's where the error ends it (docs/commands.md lists them), `http_status`
that of an answer which says it: CODES has both. An error of the `environment` is of what all slides
need, and says nothing about the one at hand.
"""

from __future__ import annotations

import errno

CONVERT_AGAIN = "convert the slide again with --overwrite"
STOPPED = "left, since the conversion was stopped"
EXIT_FAILED, EXIT_WRONG_USE, EXIT_BAD_SLIDE, EXIT_TRY_AGAIN = 1, 2, 65, 75
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # by a file system, of a call
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

    exit_code: int
    http_status: int
    environment = False


class OptionError(VsvPyramidError):
    """An option's value, or an id, that is refused."""


class SlideError(VsvPyramidError):
    """A slide that cannot be read as it is."""

    def __init__(self, slide: object, what: str) -> None:
        super().__init__(f"{slide}: {what}")
        self.what = what


class TileError(SlideError):
    """A tile of a slide that cannot be decoded."""


class SlideAccessError(SlideError):
    """A slide that is not there, or may not be read."""


class SlideUnavailable(SlideAccessError):
    """A slide whose disk or share did not answer just now: what the slide is, is not known."""


class SlideIncomplete(SlideError):
    """A slide of several files, not all of which are there yet."""


class SlideChanged(SlideError):
    """A slide that changed while it was read."""


class JobFailed(SlideError):
    """A slide whose job in AWS Batch failed, for good."""


class StoreError(VsvPyramidError):
    """An object of a store that cannot be read, written or replaced."""

    def __init__(self, place: object, what: str) -> None:
        super().__init__(f"{place}: {what}")
        self.what = what


class NoSuchObject(StoreError):
    """An object that is not there."""

    def __init__(
        self, place: object, what: str = "there is no such object; check the path"
    ) -> None:
        super().__init__(place, what)


class TooLarge(StoreError):
    """An object that is larger than any of its kind; it is not read."""


class StoreRefused(StoreError):
    """A store that is gone, full, or closed to this program."""

    environment = True


class StoreUnavailable(StoreError):
    """A store that did not answer, or only with errors of its own, for a while."""

    environment = True


class StoreBusy(StoreError):
    """Another process writes there."""


class QueueError(VsvPyramidError):
    """A queue for jobs that refuses them."""

    environment = True

    def __init__(self, queue: object, what: str) -> None:
        super().__init__(f"{queue}: {what}")
        self.what = what


class QueueUnavailable(QueueError):
    """A queue that did not answer, or only with errors of its own, for a while."""


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


class ListenError(VsvPyramidError):
    """An address that cannot be listened at."""


class DescriptorError(VsvPyramidError):
    """A DZI descriptor or a slide.json that is not what the layout demands."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; {CONVERT_AGAIN}")


class StreamError(VsvPyramidError):
    """A JPEG stream that is damaged.

    tile: (column, row) of the native tile within the join, None where a single stream is read.
    """

    def __init__(self, reason: str, tile: tuple[int, int] | None = None) -> None:
        self.reason = reason
        self.tile = tile
        super().__init__(reason if tile is None else f"tile ({tile[0]}, {tile[1]}): {reason}")


class Unspliceable(StreamError):
    """A JPEG stream that may be sound, but cannot be joined losslessly: decode it instead."""


# Of each error the process's exit code and an answer's HTTP status; the others have those of the
# kind that they are of.
CODES: dict[type[VsvPyramidError], tuple[int, int]] = {
    VsvPyramidError: (EXIT_FAILED, 500),
    OptionError: (EXIT_WRONG_USE, 400),
    SlideError: (EXIT_BAD_SLIDE, 404),
    SlideAccessError: (EXIT_FAILED, 404),
    SlideUnavailable: (EXIT_TRY_AGAIN, 502),
    SlideChanged: (EXIT_TRY_AGAIN, 409),
    JobFailed: (EXIT_FAILED, 404),
    StoreError: (EXIT_FAILED, 502),
    StoreUnavailable: (EXIT_TRY_AGAIN, 502),
    StoreBusy: (EXIT_TRY_AGAIN, 409),
    QueueError: (EXIT_FAILED, 502),
    QueueUnavailable: (EXIT_TRY_AGAIN, 502),
    ReviewError: (EXIT_FAILED, 404),
    ReviewConflict: (EXIT_FAILED, 409),
    CdrError: (EXIT_FAILED, 502),
    CdrUnavailable: (EXIT_TRY_AGAIN, 502),
    ListenError: (EXIT_FAILED, 500),
    DescriptorError: (EXIT_FAILED, 502),
    StreamError: (EXIT_BAD_SLIDE, 404),
}
for _error, _codes in CODES.items():
    _error.exit_code, _error.http_status = _codes
del _error, _codes


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


# What the system says where it is not about one file.
_ENVIRONMENT = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EMFILE", "ENFILE", "ENOMEM")
    if hasattr(errno, name)
)


def is_environment(exc: Exception) -> bool:
    """Whether the error is of what all slides need, and says nothing about the one at hand."""
    if isinstance(exc, VsvPyramidError):
        return exc.environment
    return isinstance(exc, OSError) and exc.errno in _ENVIRONMENT
