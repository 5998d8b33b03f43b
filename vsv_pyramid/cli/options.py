"""The options and the types of arguments that commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from vsv_pyramid.cli.messages import Voice, say, speak
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.errors import EXIT_FAILED
from vsv_pyramid.facts import zone_of
from vsv_pyramid.jpeg.planes import FACTORS
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import DETAILS, LANES, MAX_GIGAPIXELS
from vsv_pyramid.words import one_line

Command = Callable[..., None]
Item = TypeVar("Item")


class PlaceType(click.ParamType[str]):
    """Any path or URL but none: an unset variable must not mean this folder."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if not str(value):
            self.fail("an empty path; give a file or a folder", param, ctx)
        return str(value)


class PathType(click.ParamType[Path]):
    """Any path but none."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        return Path(PlaceType().convert(value, param, ctx))


def _tile_size(_: click.Context, __: click.Parameter, value: str) -> int | None:
    if value == "auto":
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a number of px.") from None


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    if value in ("", "none"):
        return ()
    return tuple(name.strip() for name in value.split(","))


def plan_options(command: Command) -> Command:
    """The options that both the plan and the conversion depend on."""
    for option in (
        click.option(
            "--bounds", is_flag=True, help="Only the scanned bounds, for slides that state them."
        ),
        click.option(
            "--max-gigapixels",
            type=float,
            default=MAX_GIGAPIXELS,
            show_default=True,
            metavar="N",
            help="Refuse slides that state more than this.",
        ),
        click.option(
            "--background",
            default="white",
            show_default=True,
            metavar="COLOR",
            help="Colour of transparent areas: a name or #rrggbb.",
        ),
        click.option(
            "--color",
            type=click.Choice(["none", "srgb"]),
            default="none",
            show_default=True,
            help="srgb applies the slide's ICC profile; none keeps the scanner's numbers and "
            "publishes the profile, without its texts, as icc.icc.",
        ),
        click.option(
            "--associated",
            default="thumbnail",
            show_default=True,
            metavar="LIST",
            callback=_names,
            help="Images to publish beside the tiles: thumbnail, label, macro, or none. Label and "
            "macro can show a patient's name.",
        ),
        click.option(
            "--quality",
            type=int,
            default=80,
            show_default=True,
            metavar="1..100",
            help="JPEG quality of encoded tiles.",
        ),
        click.option(
            "--tile-size",
            default="auto",
            show_default=True,
            metavar="auto|N",
            callback=_tile_size,
            help="Tile size in px: a multiple of 16 from 64 to 4096. auto joins three of the "
            "slide's own tiles in each direction where they are small.",
        ),
        click.option(
            "--lane",
            type=click.Choice(LANES),
            default="auto",
            show_default=True,
            help="How base tiles are made: lossless joins the slide's own JPEG tiles, pixels "
            "decodes and encodes; auto takes the first wherever it can.",
        ),
        click.option(
            "--base",
            type=click.Choice(["copy", "reencode"]),
            default="copy",
            show_default=True,
            help="reencode encodes the slide's own JPEG tiles anew: smaller, with loss.",
        ),
        click.option(
            "--yes-this-is-a-slide",
            "is_slide",
            is_flag=True,
            help="Take also a file that is named as a label or another picture of the glass, as "
            "4711_label.tif.",
        ),
        click.option(
            "--subsampling",
            type=click.Choice(list(FACTORS)),
            default="420",
            show_default=True,
            help="Chroma subsampling of encoded tiles.",
        ),
    ):
        command = option(command)
    return command


def _speak(_: click.Context, __: click.Parameter, value: str) -> str:
    speak(as_events=value == "json")
    return value


def _show_paths(_: click.Context, __: click.Parameter, value: bool) -> None:
    Voice.shows_paths = value


workers = click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Threads for a slide; default: the CPUs this process may use, shared by watch's --jobs.",
)


def log_options(command: Command) -> Command:
    """How the run says what happens; the command gets `log_format`."""
    for option in (
        click.option(
            "--log-paths",
            envvar="VSV_PYRAMID_LOG_PATHS",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_paths,
            help="Write paths and file names into JSON events. They can be names of patients. "
            "Without it, slides are called by their ids.",
        ),
        click.option(
            "--log-format",
            is_eager=True,  # an error in another option is told in this format, too
            callback=_speak,
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="json writes events to stderr, one JSON line each.",
        ),
    ):
        command = option(command)
    return command


private_to = click.option(
    "--private-to",
    envvar="VSV_PYRAMID_PRIVATE",
    type=PlaceType(),
    metavar="PLACE",
    help="The private place of what is published: a folder, or s3://bucket/prefix, that nobody "
    "serves. Label and macro images, all properties and the desk's log are kept there. Without "
    "one, they are kept nowhere.",
)


def _zone(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        return value if value is None or zone_of(value) else None
    except ValueError as exc:
        raise click.BadParameter(f"{exc}; give one such as Europe/Berlin or +01:00.") from exc


time_zone = click.option(
    "--time-zone",
    callback=_zone,
    envvar="VSV_PYRAMID_TIME_ZONE",
    metavar="ZONE",
    help="The time zone of scanners that state none: a name such as Europe/Berlin, or an offset.",
)
details = click.option(
    "--details",
    envvar="VSV_PYRAMID_DETAILS",
    type=click.Choice(DETAILS),
    default="none",
    show_default=True,
    help="lab publishes slide ID, case ID, status, and the day and time of the scan, too: for "
    "slides that are only seen behind a login.",
)


def search_options(command: Command) -> Command:
    """How slides are looked for, and named."""
    for option in (
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave out files and folders of this name, as 'old*', or, if it has a slash, of "
            "this path below the folder, as 'incoming/*'. It can be given several times. Always "
            "left out are hidden files, bins and snapshots of shares and desktops, and files that "
            "are still on their way, such as *.part.",
        ),
        click.option(
            "--ids",
            envvar="VSV_PYRAMID_IDS",
            type=click.Choice(["strict", "safe", "opaque"]),
            default="strict",
            show_default=True,
            help="The id is public. It is the file's name without its ending. strict refuses a "
            "name that cannot be an id, such as 'HE 12-345 A1.svs'. safe makes an id of it, always "
            "the same one. opaque makes ids from which nobody can tell the name (needs "
            "--private-to).",
        ),
    ):
        command = option(command)
    return command


def conversion_options(command: Command) -> Command:
    """The options of a conversion that do not change its plan."""
    for option in (
        click.option(
            "--on-error",
            type=click.Choice(["fail", "blank"]),
            default="fail",
            show_default=True,
            help="What to do about a damaged tile: fail, or leave it blank and count it in "
            "slide.json.",
        ),
        click.option(
            "--slide-id-pattern",
            "lab_id_pattern",
            envvar="VSV_PYRAMID_SLIDE_ID_PATTERN",
            metavar="REGEX",
            help="What the lab's slide IDs look like, as 'S\\d\\d-\\d{4,6}-[A-Z]\\d+': what is "
            "read off a label, and is one as a whole, needs no technician to confirm it.",
        ),
        click.option(
            "--layout",
            envvar="VSV_PYRAMID_LAYOUT",
            type=click.Choice(keys.LAYOUTS),
            help="tiles publishes each tile as an object, for any viewer; packed publishes all of "
            "a slide's in one object (.szi), for ours: it costs a fifth to keep. A destination has "
            "one layout, that of its first slide. Default: the destination's, or tiles.",
        ),
        time_zone,
        details,
        private_to,
        workers,
    ):
        command = option(command)
    return command


slide_id = click.option("--id", "slide_id", metavar="ID", help="The id; default: the file's stem.")
job_definition_option = click.option(
    "--job-definition",
    metavar="NAME",
    help="The Batch job definition, by name or ARN, that the jobs are made by.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class Texts(list[str], Generic[Item]):
    """What `print_json` takes for a list of texts, of which each is made when it is printed."""

    def __init__(self, items: Collection[Item], text: Callable[[Item], str]) -> None:
        self._items = items
        self._text = text

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return map(self._text, self._items)


def print_json(document: object) -> None:
    said = json.JSONEncoder(indent=2).iterencode(document)
    while some := "".join(islice(said, 1000)):
        click.echo(some, nl=False)
    click.echo()


def confirm(question: str, done: str = "removed", does: str = "removes") -> None:
    """Asks, and ends the command unless the answer is yes."""
    said = f"nothing was {done}"
    try:
        # There is no stdin, or nothing comes from it, where a program has called.
        answer = click.confirm(one_line(question), err=True) if sys.stdin else None
    except (click.Abort, OSError, ValueError):
        echo(err=True)
        answer = None
    if answer is None:
        said += f", since nobody has answered; --yes {does} without asking"
    if not answer:
        say("stopped", f"Stopped: {said}.", message=said)
        click.get_current_context().exit(EXIT_FAILED)
