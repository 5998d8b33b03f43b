"""The help of a command: the options that most people need, then all others by what they are of."""

from __future__ import annotations

import functools
from collections import defaultdict

import click

FIRST = "Options"
GROUPS = {
    "Which slides, under which ids": ("--id", "--ids", "--exclude", "--yes-this-is-a-slide"),
    "How tiles are made": (
        *("--quality", "--subsampling", "--tile-size", "--lane", "--base", "--color", "--bounds"),
        *("--background", "--on-error", "--workers"),
    ),
    "What is published of a slide, and kept of it": (
        *("--associated", "--details", "--time-zone", "--slide-id-pattern", "--state"),
    ),
    "Signed links": ("--signed", "--public-key", "--key-id"),
    "The technician's desk": ("--edit", "--cdr", "--by", "--token-file"),
    "AWS Batch": ("--submit", "--queue", "--job-definition", "--seen-as"),
    "S3": (
        *("--storage-class", "--sse", "--kms-key", "--checksum", "--request-payer"),
        *("--expected-bucket-owner", "--max-put-rate", "--upload-workers", "--scratch"),
    ),
    "What is printed": ("--log-format", "--log-paths", "--json", "--quiet"),
}
_GROUP_OF = {option: group for group, options in GROUPS.items() for option in options}


class _Command(click.Command):
    """A command whose help has its options in these groups."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = defaultdict(list)
        for param in self.get_params(context):
            record = param.get_help_record(context)
            if record and isinstance(param, click.Option):
                rows[_GROUP_OF.get(max(param.opts, key=len), FIRST)].append(record)
        for group in (FIRST, *GROUPS):
            if group in rows:
                with formatter.section(group):
                    formatter.write_dl(rows[group])


class Group(click.Group):
    """A command of commands whose help is made so."""

    command_class = _Command


command = functools.partial(click.command, cls=_Command)
