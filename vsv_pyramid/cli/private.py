"""The commands about the place of what nobody serves."""

from __future__ import annotations

import logging

import click

from vsv_pyramid.cli.help import Group
from vsv_pyramid.cli.options import PlaceType, private_to
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.destination import moving, open_destination, tie
from vsv_pyramid.destination.root import open_root
from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.store import S3Options
from vsv_pyramid.words import counted

_log = logging.getLogger(__name__)


@click.group("private", cls=Group, short_help="Care for the private place of a destination.")
def private_command() -> None:
    """The private place of a destination: where label and macro images, all properties and the
    desk's log are kept, and nobody serves them."""


@private_command.command(
    "move",
    short_help="Move what is private out of the published folder or bucket.",
    epilog="""\b
Examples:
  vsv-pyramid private move /srv/www --private-to /srv/private
  vsv-pyramid private move s3://bucket/prefix --private-to s3://private-bucket/prefix""",
)
@click.argument("destination", type=PlaceType(), metavar="DEST")
@private_to
@store_options
def move_command(destination: str, private_to: str | None, s3: S3Options) -> None:
    """Move what earlier releases have left in DEST/.private, .watch and .manifests into the private
    place. What is interrupted goes on when it is done once more. Do it when no jobs of `submit` are
    on their way: they look for their lists of slides where these were.
    """
    place = open_destination(destination, private_to, s3)
    if place.private is None:
        raise OptionError(f"{destination}: no private place is given; give one as {tie.HOW}")
    open_root(destination, s3)
    tie.tie(place.published, place.private)
    count = 0

    def moved(_: str) -> None:
        nonlocal count
        count += 1

    stays = moving.move(place.published, place.private, moved)
    echo(f"{counted(count, 'object')} moved to {place.private}")
    for sentence in stays:
        _log.warning("%s", sentence)
    if stays:
        what = "not all of it could be moved, as said above; see to that, and do it once more"
        raise StoreError(place.published, what)
