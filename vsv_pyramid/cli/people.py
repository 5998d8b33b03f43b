"""The commands about who may work at the desk."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vsv_pyramid.cli.help import Group
from vsv_pyramid.cli.options import PathType
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.errors import OptionError


@click.group("desk", cls=Group, short_help="Say who may work at the desk.")
def desk_command() -> None:
    """Who may work at the desk of `serve --edit --token-file FILE`."""


@desk_command.command(
    "add-user",
    short_help="Give a person a token for the desk.",
    epilog="""\b
Examples:
  vsv-pyramid desk add-user anna --token-file desk-people
  vsv-pyramid desk add-user "Dr. Ben Sommer" --role send --token-file desk-people""",
)
@click.argument("name", metavar="NAME")
@click.option(
    "--token-file",
    "path",
    required=True,
    type=PathType(),
    metavar="FILE",
    help="The file for `serve --edit`; it is made where there is none.",
)
@click.option(
    "--role",
    type=click.Choice(["view", "edit", "send"]),
    default="edit",
    show_default=True,
    help="view sees all that is at the desk; edit may set and delete, too; send may also send "
    "records to the CDR.",
)
@click.option(
    "--stdin",
    "reads",
    is_flag=True,
    help="Read the token from stdin, its first line, instead of making a new one.",
)
def add_user_command(name: str, path: Path, role: str, reads: bool) -> None:
    """Give the person NAME a line in FILE, with a role and a hash of a new token; the token is
    printed this once, and kept nowhere. What NAME does at the desk is logged under this name. A
    line that NAME had before is replaced: this changes role and token, and the former token is no
    longer good. To keep somebody out, remove the line. A desk that runs heeds the file at once.
    """
    from vsv_pyramid.web import people  # late, as argon2

    token, had = people.add(path, name, role, _read() if reads else None)
    former = "; the former token is no longer good" if had else ""
    shown = "" if reads else "; the token is shown only now:"
    echo(f"{name} has the role {role}{former}{shown}", err=True)
    if not reads:
        echo(token)


def _read() -> str:
    try:
        return sys.stdin.readline().rstrip("\r\n") if sys.stdin else ""
    except (OSError, ValueError) as exc:  # it is closed, or gives no text
        raise OptionError("no token can be read from stdin; give it as a line of text") from exc
