"""The commands about what is said of all that is published: the catalog, and each slide.json."""

from __future__ import annotations

import dataclasses

import click

from vsv_pyramid import catalog
from vsv_pyramid.cli import display
from vsv_pyramid.cli.help import command
from vsv_pyramid.cli.options import PlaceType, as_json, details, print_json, private_to, time_zone
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.destination.root import open_edited
from vsv_pyramid.errors import EXIT_FAILED
from vsv_pyramid.renewal import refresh
from vsv_pyramid.runtime import signals
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.store import S3Options, open_store


@command(
    "index",
    short_help="Make the catalog of what is published anew.",
    epilog="""\b
Examples:
  vsv-pyramid index .
  vsv-pyramid index s3://bucket/prefix --json""",
)
@click.argument("target", type=PlaceType())
@store_options
@as_json
def index_command(target: str, as_json: bool, s3: S3Options) -> None:
    """Make the catalog, images/index.json, anew from the slides that are published in TARGET: the
    folder, or s3://bucket/prefix, that images/ is in. `convert` and `delete` keep it up to date.
    Use this when slides were copied or removed in another way, or when the catalog is damaged.
    """
    store = open_store(target, s3)
    rebuilt = catalog.rebuild_catalog(store)
    if as_json:
        print_json(dataclasses.asdict(rebuilt))
    else:
        for line in display.rebuilt_lines(rebuilt):
            echo(line)


@command(
    "refresh",
    short_help="Bring what is said of published slides up to date.",
    epilog="""\b
Examples:
  vsv-pyramid refresh /srv/www --dry-run
  vsv-pyramid refresh /srv/www --private-to /srv/private --details lab
  vsv-pyramid refresh s3://bucket/prefix --private-to s3://private-bucket/prefix""",
)
@click.argument("target", type=PlaceType())
@details
@time_zone
@click.option("--dry-run", is_flag=True, help="Count what would be written, and write nothing.")
@private_to
@store_options
@as_json
@click.pass_context
def refresh_command(
    context: click.Context,
    /,
    target: str,
    details: str,
    time_zone: str | None,
    dry_run: bool,
    private_to: str | None,
    as_json: bool,
    s3: S3Options,
) -> None:
    """Write each slide.json in TARGET (the folder, or s3://bucket/prefix, that images/ is in) and
    the catalog anew, in the form of this release. They are made from what is published and from
    what the private place keeps. No tile is touched. Without --details lab, details of a lab that
    are published are removed.

    Do this after an upgrade, and when you have changed --details: until then, what is published
    stays as it is. If it is interrupted, do it once more: it goes on where it ended.
    """
    store = open_edited(target, private_to, s3)

    with display.ProgressDisplay(target, "slide") as show:

        def tick(done: int, total: int) -> None:
            signals.check()
            show(Progress(done, total, 0))

        refreshed = refresh(store, details, time_zone, dry_run=dry_run, progress=tick)
    if as_json:
        print_json(dataclasses.asdict(refreshed))
    else:
        for line in display.refreshed_lines(refreshed):
            echo(line, err=line.startswith("warning"))
    if refreshed.left_out:
        context.exit(EXIT_FAILED)
