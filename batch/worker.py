"""The entry of a Batch job: converts one slide as the environment says, and ends with one of the
exit codes that README.md lists.

    worker.py PLACE

PLACE is a slide: an s3:// URL, or a path on a file system that the job mounts. In a child of an
array job it is the s3:// URL of a manifest, and the slide is in the line of the child's index.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import NoReturn

from vsv_pyramid.cli import main
from vsv_pyramid.errors import EXIT_WRONG_USE, VsvPyramidError
from vsv_pyramid.submit import manifest_line


def arguments(place: str) -> list[str]:
    """The command line that converts the slide there.

    It waits for another worker: that may be dead, and this the attempt which is to go on.
    """
    index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX")
    slide = place if index is None else manifest_line(place, int(index))
    return [
        *("convert", slide, "--to", os.environ["VSV_PYRAMID_DESTINATION"]),
        *("--update", "--if-busy", "wait", "--log-format", "json"),
        *shlex.split(os.environ.get("VSV_PYRAMID_OPTIONS", "")),
    ]


def work(words: list[str]) -> NoReturn:
    try:
        (place,) = words
        command = arguments(place)
    except VsvPyramidError as exc:
        sys.exit(_ended(f"Error: {exc}", exc.exit_code))
    except (KeyError, ValueError) as exc:
        sys.exit(_ended(f"Error: worker.py: {exc!r}; {__doc__}", EXIT_WRONG_USE))
    main(command)


def _ended(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    work(sys.argv[1:])
