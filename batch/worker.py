"""The entry of a Batch job: converts, or packs, one slide as the environment says, and ends with
one of the exit codes that docs/commands.md lists.

    worker.py PLACE

PLACE is a slide: an s3:// URL, or a path on a file system that the job mounts. Or it is an event of
S3 about a new slide, as JSON, where a rule of EventBridge makes the job; or it is "pack" and the
URL of a pyramid, whose tiles are put into one object. In a child of an array job it is the s3://
URL of a manifest, a JSON list of places, of which the child takes the one of its index.

Only slides below VSV_PYRAMID_SLIDES are converted, which names one place or several, as words of a
command line; and only pyramids at VSV_PYRAMID_DESTINATION are packed.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import NoReturn

import click
from s3_events import Arrived, told_of

from vsv_pyramid.cli.main import main, options_of
from vsv_pyramid.cli.messages import say_error
from vsv_pyramid.errors import OptionError, VsvPyramidError
from vsv_pyramid.layout import documents, keys
from vsv_pyramid.unattended.manifests import PACK, is_below, place_in


def arguments(words: list[str]) -> list[str] | None:
    """The command line that converts the slide at the one place given; None where that is an event
    of an empty object, whose content is told of by the next one, or a slide that was purged since.
    Raises OptionError.

    It waits for another worker: that may be dead, and this the attempt which is to go on.
    """
    if len(words) != 1:
        raise OptionError("worker.py takes one place: a slide, S3's event, or a job's manifest")
    (slide,) = words
    options, roots = _words("VSV_PYRAMID_OPTIONS"), _words("VSV_PYRAMID_SLIDES")
    destination = os.environ.get("VSV_PYRAMID_DESTINATION")
    if not destination:
        raise OptionError("VSV_PYRAMID_DESTINATION is not set; give s3://bucket/prefix")
    if slide.startswith("{"):
        found = _told_of(slide)
        if not found.size:
            return None
        slide = found.url
    index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX")
    if index is not None:
        if not index.isdecimal():
            raise OptionError(f"AWS_BATCH_JOB_ARRAY_INDEX={index} is no number; Batch sets it")
        place = place_in(slide, int(index), options_of(options).s3)
        if place is None:
            return None
        slide = place
    if slide.startswith(PACK):
        pyramid = slide.removeprefix(PACK)
        _check_below(pyramid, [f"{destination.rstrip('/')}/{keys.IMAGES}"])
        return ["pack", pyramid, "--yes"]
    if not roots:
        raise OptionError("VSV_PYRAMID_SLIDES is not set; say where slides are: s3://bucket")
    _check_below(slide, roots)
    return [
        *("convert", slide, "--to", destination),
        *("--update", "--if-busy", "wait", "--log-format", "json"),
        *options,
    ]


def _words(variable: str) -> list[str]:
    try:
        return shlex.split(os.environ.get(variable, ""))
    except ValueError as exc:
        raise OptionError(f"{variable}: {exc}; write it as on a command line") from exc


def _check_below(place: str, roots: list[str]) -> None:
    """The sentence goes to a log, and so does not name the place."""
    if not any(is_below(place, root) for root in roots):
        raise OptionError(
            f"the job's place is not below {' or '.join(roots)}; submit what is there, or change "
            "the job definition"
        )


def _told_of(event: str) -> Arrived:
    """The slide that the event tells of."""
    try:
        (slide,) = told_of(documents.read(event.encode(), dict))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise OptionError(
            "what was given is no event about one new slide in S3; check the rule that sends it"
        ) from exc
    return slide


def work(words: list[str]) -> NoReturn:
    try:
        command = arguments(words)
    except VsvPyramidError as exc:
        say_error(exc)
        sys.exit(exc.exit_code)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    if command is None:
        sys.exit(0)
    main(command)


if __name__ == "__main__":
    work(sys.argv[1:])
