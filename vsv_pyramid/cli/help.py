"""The help of a command: the options that most people need, then all others by what they are of."""

from __future__ import annotations

import functools

import click

FIRST = "Options"
# Each is there where a command has its first option, and has them in this order.
GROUPS = {
    "Which slides, under which ids": ("--ids", "--id", "--exclude", "--yes-this-is-a-slide"),
    "How tiles are made": (
        *("--quality", "--subsampling", "--tile-size", "--lane", "--base", "--color", "--bounds"),
        *("--background", "--on-error", "--max-gigapixels", "--workers"),
    ),
    "What is published of a slide, and kept of it": (
        *("--details", "--associated", "--layout", "--time-zone", "--slide-id-pattern", "--state"),
    ),
    "Signed links": ("--signed", "--public-key", "--key-id"),
    "The technician's desk": ("--edit", "--cdr", "--by", "--token-file"),
    "AWS Batch": ("--job-definition", "--submit", "--queue", "--seen-as"),
    "S3": (
        *("--storage-class", "--sse", "--kms-key", "--checksum", "--request-payer"),
        *("--expected-bucket-owner", "--max-put-rate", "--upload-workers", "--scratch"),
    ),
    "What is printed": ("--log-format", "--log-paths", "--json", "--quiet"),
}


class _Command(click.Command):
    """A command whose help has its options in these groups."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = {
            max(param.opts, key=len): record
            for param in self.get_params(context)
            if isinstance(param, click.Option) and (record := param.get_help_record(context))
        }
        groups = {
            name: [rows.pop(option) for option in options if option in rows]
            for name, options in GROUPS.items()
            if options[0] in rows
        }
        for name, records in {FIRST: list(rows.values()), **groups}.items():
            with formatter.section(name):
                formatter.write_dl(records)


class Group(click.Group):
    """A command of commands whose help is made so."""

    command_class = _Command


command = functools.partial(click.command, cls=_Command)
