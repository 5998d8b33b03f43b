"""The commands of the technician: slides, and what is done to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from datetime import datetime

import click

from vsv_pyramid.cli import display
from vsv_pyramid.cli.help import Group
from vsv_pyramid.cli.messages import say_error
from vsv_pyramid.cli.options import (
    PlaceType,
    as_json,
    confirm,
    print_json,
    private_to,
    time_zone,
)
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.destination.root import open_edited
from vsv_pyramid.errors import EXIT_FAILED, OptionError, exit_code
from vsv_pyramid.review import failures
from vsv_pyramid.review.desk import Desk, user_name
from vsv_pyramid.review.history import GIVEN, STATUSES
from vsv_pyramid.review.outcome import Outcome
from vsv_pyramid.review.search import found
from vsv_pyramid.store import S3Options

AWAITING = "AWAITING"


class _Slides(Group):
    """A group whose command `list` needs no naming."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


_in = click.option(
    "--in",
    "target",
    default=".",
    type=PlaceType(),
    metavar="TARGET",
    help="The folder, or s3://bucket/prefix, that images/ is in; default: this folder.",
)
_by = click.option(
    "--by",
    "who",
    default=user_name,
    metavar="NAME",
    help="Who does it, for the log; default: the name of your account.",
)
_ids = click.argument("ids", nargs=-1, required=True, metavar="ID...")
_revision = click.option(
    "--revision",
    type=int,
    metavar="N",
    help="Only if the slide is still at this revision, as `slides --json` told it.",
)


@click.group(
    "slides",
    cls=_Slides,
    short_help="Find, check, correct, delete and send slides.",
    epilog="""\b
Examples:
  vsv-pyramid slides --status new
  vsv-pyramid slides s3://bucket/prefix --search S26 --since 2026-11-01 --json
  vsv-pyramid slides --failed
  vsv-pyramid slides set 170782 --slide-id S26-1041-A1 --case-id S26-1041
  vsv-pyramid slides delete 170783 --source
  vsv-pyramid slides send 170782 170784 --cdr https://cdr.example.org/slides
  vsv-pyramid slides retry 170785""",
)
def slides_command() -> None:
    """What a technician does to published slides: find the new ones, check them, correct their IDs,
    delete those that have to be scanned anew, send the others' records to the clinical data
    repository, and have those tried again that could not be converted. Without a command's name,
    `slides [TARGET]` lists. The same in a browser: `vsv-pyramid serve --edit`.
    """


@slides_command.command("list", short_help="List slides; needs no naming.")
@click.argument("target", default=".", type=PlaceType())
@click.option(
    "--status",
    type=click.Choice([*STATUSES, AWAITING], case_sensitive=False),
    help="Only slides of this status; awaiting: those deleted for a rescan.",
)
@click.option(
    "--search",
    default="",
    metavar="TEXT",
    help="Only slides that have each of these words in their id, slide ID, case ID, file, "
    "scanner or scan date.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Only slides scanned (or, where they do not say, published) since then: 2026-11-23; of "
    "those that await a rescan, deleted.",
)
@click.option(
    "--failed",
    "is_of_failed",
    is_flag=True,
    help="Instead, the slides that `watch`, a function or a job could not convert, and why.",
)
@private_to
@store_options
@as_json
def list_command(
    target: str,
    status: str | None,
    search: str,
    since: datetime | None,
    is_of_failed: bool,
    as_json: bool,
    private_to: str | None,
    s3: S3Options,
) -> None:
    """List the slides in TARGET, the folder or s3://bucket/prefix that images/ is in."""
    if is_of_failed:
        if status or search or since:
            raise OptionError("--failed lists all that failed; give it without another filter")
        _list_failed(open_destination(target, private_to, s3), as_json)
        return
    desk = Desk(open_edited(target, private_to, s3), user_name())
    listed, wanted = (desk.awaited(), None) if status == AWAITING else (desk.slides(), status)
    date = since.date().isoformat() if since else ""
    slides = found(listed, status=wanted, search=search, since=date)
    if as_json:
        print_json({"slides": slides})
    else:
        lines = display.awaited_lines if status == AWAITING else display.slide_lines
        for line in lines(slides):
            echo(line)


def _list_failed(store: Destination, as_json: bool) -> None:
    store.check_keeps()
    failed = failures.listed(store)
    if as_json:
        print_json({"failed": [dataclasses.asdict(one) for one in failed]})
    else:
        for line in display.failed_lines(failed):
            echo(line)


@slides_command.command("show", short_help="Show a slide's IDs, status and log.")
@click.argument("slide_id", metavar="ID")
@_in
@private_to
@store_options
@as_json
def show_command(
    slide_id: str, target: str, private_to: str | None, as_json: bool, s3: S3Options
) -> None:
    """Show what is known of the slide ID: status, IDs, barcode, scanned file, and the log of who
    changed what and when. This is private: no such thing is published.
    """
    record = Desk(open_edited(target, private_to, s3), user_name()).record(slide_id)
    if as_json:
        print_json(display.record_facts(record))
    else:
        for line in display.record_lines(record):
            echo(line)


@slides_command.command("set", short_help="Set slides' IDs and status.")
@_ids
@click.option("--slide-id", metavar="S", help="The slide ID; '' takes it away.")
@click.option("--case-id", metavar="C", help="The case ID; '' takes it away.")
@click.option("--status", type=click.Choice(GIVEN, case_sensitive=False), help="What it is.")
@click.option("--note", default="", metavar="TEXT", help="A note for the log, which is private.")
@_revision
@_in
@_by
@private_to
@store_options
@as_json
@click.pass_context
def set_command(
    context: click.Context,
    /,
    ids: tuple[str, ...],
    note: str,
    revision: int | None,
    target: str,
    who: str,
    as_json: bool,
    private_to: str | None,
    s3: S3Options,
    **values: str | None,
) -> None:
    """Set the status and the IDs of each slide, and note something about it. With --revision this
    is done only if nobody has changed the slide since you looked; else you are told what was
    changed.
    """
    changes = {name: value for name, value in values.items() if value is not None}
    if not changes and not note:
        raise OptionError("there is nothing to set; give --slide-id, --case-id, --status or --note")
    desk = Desk(open_edited(target, private_to, s3), who, s3)
    outcomes = desk.set(dict.fromkeys(ids, revision), changes, note)
    if changes.get("slide_id"):
        for slide_id, other in desk.doubles(ids).items():
            echo(f"Warning: {slide_id} and {other} have the same slide ID.", err=True)
    _tell(context, outcomes, as_json, _review_line)


@slides_command.command("delete", short_help="Delete slides that have to be scanned anew.")
@_ids
@click.option("--source", is_flag=True, help="Delete the scanned files, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_revision
@_in
@_by
@private_to
@store_options
@as_json
@click.pass_context
def delete_command(
    context: click.Context,
    /,
    ids: tuple[str, ...],
    source: bool,
    yes: bool,
    revision: int | None,
    target: str,
    who: str,
    as_json: bool,
    private_to: str | None,
    s3: S3Options,
) -> None:
    """Delete the pyramid of each slide ID, the descriptor first. The slide is remembered as
    awaiting its rescan: that same file is not converted again, and the next one under the same id,
    or whose barcode is the same slide ID, is tied to it and takes over its IDs. To give up a
    rescan: vsv-pyramid delete TARGET/images/ID.
    """
    desk = Desk(open_edited(target, private_to, s3), who, s3)
    if not yes:
        for slide_id in ids:
            file = desk.record(slide_id).source.get("location", "unknown")
            echo(f"{slide_id}, scanned as {file}{', which is deleted, too' * source}", err=True)
        confirm(f"Delete what is published of {', '.join(ids)}?")
    outcomes = desk.delete(dict.fromkeys(ids, revision), source=source)
    _tell(context, outcomes, as_json, lambda one: f"{one.id}: deleted, awaits its rescan")


@slides_command.command("send", short_help="Send slides' records to the CDR.")
@_ids
@click.option(
    "--cdr",
    required=True,
    metavar="URL",
    help="The clinical data repository: https://host/path, which gets a POST a slide (with the "
    "token in VSV_PYRAMID_CDR_TOKEN, if set), or s3://bucket/prefix.",
)
@time_zone
@_revision
@_in
@_by
@private_to
@store_options
@as_json
@click.pass_context
def send_command(
    context: click.Context,
    /,
    ids: tuple[str, ...],
    cdr: str,
    time_zone: str | None,
    revision: int | None,
    target: str,
    who: str,
    as_json: bool,
    private_to: str | None,
    s3: S3Options,
) -> None:
    """Send the metadata record of each slide ID, be it GOOD or NEW. One that was sent there as it
    is, is left out; one without slide ID or case ID, or that is BAD, is not sent.
    """
    desk = Desk(open_edited(target, private_to, s3), who, s3, time_zone)
    outcomes = desk.send(dict.fromkeys(ids, revision), cdr)
    _tell(context, outcomes, as_json, _review_line)


def _about_failed(
    name: str,
    act: Callable[[Destination, Iterable[str], str], Iterable[Outcome]],
    what: str,
    *,
    short_help: str,
    help: str,
) -> None:
    """A command about slides that could not be converted."""

    @slides_command.command(name, short_help=short_help, help=help)
    @_ids
    @_in
    @_by
    @private_to
    @store_options
    @as_json
    @click.pass_context
    def command(
        context: click.Context,
        /,
        ids: tuple[str, ...],
        target: str,
        who: str,
        as_json: bool,
        private_to: str | None,
        s3: S3Options,
    ) -> None:
        outcomes = list(act(open_destination(target, private_to, s3), ids, who))
        _tell(context, outcomes, as_json, lambda outcome: f"{outcome.id}: {what}")


_about_failed(
    "retry",
    failures.retry,
    "will be tried again",
    short_help="Have slides that failed tried again.",
    help="Have each slide ID, which could not be converted, tried again: by `watch` within a "
    "minute, in AWS within an hour. A slide whose file is damaged will fail again: scan or copy it "
    "anew instead.",
)
_about_failed(
    "dismiss",
    failures.dismiss,
    "dismissed",
    short_help="Take slides off the list of those that failed.",
    help="Take each slide ID off the list of those that could not be converted. Nothing is done to "
    "the slide. If it fails once more, it is on the list again.",
)


def _tell(
    context: click.Context,
    outcomes: list[Outcome],
    as_json: bool,
    line: Callable[[Outcome], str],
) -> None:
    """Prints what became of the slides, and ends with the exit code of those that failed."""
    codes = set()
    for outcome in outcomes:
        if outcome.error:
            codes.add(exit_code(outcome.error))
            say_error(outcome.error)
        elif not as_json:
            echo(line(outcome))
    if as_json:
        print_json({"slides": [outcome.facts() for outcome in outcomes]})
    if codes:
        context.exit(codes.pop() if len(codes) == 1 else EXIT_FAILED)


def _review_line(outcome: Outcome) -> str:
    assert outcome.record, "what was done has a record"
    return display.review_line(outcome.record)
