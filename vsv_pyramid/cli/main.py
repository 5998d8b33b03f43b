"""The command line: a command's module is imported when the command is asked for, and what ends it
becomes a sentence and an exit code."""

from __future__ import annotations

import dataclasses
import importlib
import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from vsv_pyramid.cli import streams
from vsv_pyramid.cli.messages import Voice, only_our_own, say, say_error, speak
from vsv_pyramid.errors import EXIT_FAILED, VsvPyramidError, exit_code
from vsv_pyramid.runtime import signals
from vsv_pyramid.words import one_line

if TYPE_CHECKING:
    from vsv_pyramid.planning.options import ConvertOptions

# Commands by the modules they are in, as NAME_command.
_MODULES = {
    "convert": ("convert",),
    "pyramids": ("delete", "info", "verify"),
    "catalog": ("index", "refresh"),
    "desk": ("slides",),
    "people": ("desk",),
    "private": ("private",),
    "repacking": ("pack", "tidy", "unpack"),
    "backlog": ("submit",),
    "unattended": ("watch",),
    "viewing": ("serve", "share", "viewer"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
# What a signal has left, of commands that publish no pyramid.
_AFTER_SIGNAL = dict.fromkeys(
    ("delete", "index", "pack", "refresh", "tidy", "unpack", "viewer"),
    "the same command does the rest",
)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the command, and turns errors and signals into a sentence and an exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with only_our_own(), streams.forgiving(lambda: "--json" in words) as out:
        speak(as_events=False)
        load(words)  # before signals are exceptions, which must not come amid an import
        try:
            signals.begin()
            code = _exit_code(words)
            signals.end()
        except signals.Stopped as exc:
            said = _AFTER_SIGNAL.get(words[0] if words else "", "nothing half-made is published")
            say("stopped", f"Stopped: {said}.", message=said)
            code = signals.EXIT_SIGNALLED + exc.number
    if code > signals.EXIT_SIGNALLED:
        signals.unwound()
    sys.exit(code or (EXIT_FAILED if out.has_lost else 0))


def _exit_code(words: list[str]) -> int:
    """Runs the command, and tells what has ended it."""
    try:
        code: int | None = commands.main(words, prog_name="vsv-pyramid", standalone_mode=False)
        signals.check()
        return code or 0
    except click.Abort:
        say("stopped", "Stopped.", message="stopped")
        return EXIT_FAILED
    except click.ClickException as exc:
        if Voice.as_events:
            say("error", "", error=_refusal(exc), exit_code=exc.exit_code)
        else:
            _show(exc)
        return exc.exit_code
    except (VsvPyramidError, OSError) as exc:
        say_error(exc)
        return exit_code(exc)


def _show(exc: click.ClickException) -> None:
    """As click does, on several lines; but what was given is on one of them."""
    shown = io.StringIO()
    exc.show(shown)
    text = shown.getvalue()
    if not isinstance(exc, click.exceptions.NoArgsIsHelpError):  # which are our own lines
        text = text.replace(exc.message, one_line(exc.message))
    click.echo(text, nl=False, err=True)


def _refusal(exc: click.ClickException) -> str:
    """The sentence; of unexpected arguments without these, which may be parts of a path."""
    said = exc.format_message()
    are_shown = Voice.shows_paths or type(exc) is not click.UsageError
    return said if are_shown else said.partition(" (")[0]


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from vsv_pyramid.versions import software

        for name, version in software().items():
            click.echo(f"{name} {version}")
        context.exit()


class _Commands(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(_MODULE_OF)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        return load([name])

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, words)
        except click.NoSuchCommand as exc:  # which suggests none that is not imported
            name = exc.command_name
            is_path = "/" in name or "." in name
            said = f"{name!r} is no command; to convert a slide, put convert before it."
            raise click.NoSuchCommand(
                name, said if is_path else None, _MODULE_OF, context
            ) from None


def load(words: Sequence[str]) -> click.Command | None:
    """The command that these words are, its module imported; None where there is none."""
    if not words or words[0] not in _MODULE_OF:
        return None
    module = importlib.import_module(f"vsv_pyramid.cli.{_MODULE_OF[words[0]]}")
    command: click.Command = getattr(module, f"{words[0]}_command")
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the versions of this program and of the libraries it found.",
)
def commands() -> None:
    """Whole slide images as static DeepZoom pyramids."""


def options_of(words: Sequence[str]) -> ConvertOptions:
    """The options that these words are on the command line of `convert`. Raises ClickException."""
    from vsv_pyramid.cli.convert import convert_command
    from vsv_pyramid.cli.store_options import s3_options
    from vsv_pyramid.planning.options import ConvertOptions
    from vsv_pyramid.store import S3Options

    group = click.Context(commands, **commands.context_settings)
    values = convert_command.make_context("convert", ["-", *words], parent=group).params
    names = {field.name for field in dataclasses.fields(ConvertOptions)}
    names |= {field.name for field in dataclasses.fields(S3Options)}
    given = {name: value for name, value in values.items() if name in names and value is not None}
    return ConvertOptions(s3=s3_options(given), **given)
