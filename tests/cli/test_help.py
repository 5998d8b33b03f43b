"""The help of all commands: each option once, in a group that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from tests.conftest import Run
from vsv_pyramid.cli.help import GROUPS
from vsv_pyramid.cli.main import commands


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(commands, **commands.context_settings)
    for name in commands.list_commands(context):
        found = commands.get_command(context, name)
        assert found
        yield name, found
        if isinstance(found, click.Group):
            yield from ((f"{name} {below}", each) for below, each in found.commands.items())


COMMANDS = dict(all_commands())


def options_of(command: click.Command) -> set[str]:
    return {max(param.opts, key=len) for param in command.params if isinstance(param, click.Option)}


def help_of(name: str) -> str:
    """As the program prints it: a command keeps the help option that it was asked with first."""
    context = click.Context(COMMANDS[name], info_name=name, **commands.context_settings)
    return COMMANDS[name].get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_shown_once(name: str) -> None:
    _, _, rows = help_of(name).partition("\nOptions:\n")
    shown = re.findall(r"^  (?:-\w, )?(--[\w-]+)", rows, re.MULTILINE)
    assert sorted(shown) == sorted({*options_of(COMMANDS[name]), "--help"})


def test_each_option_of_a_group_is_somewhere() -> None:
    there = set().union(*map(options_of, COMMANDS.values()))
    listed = [option for options in GROUPS.values() for option in options]
    assert set(listed) <= there
    assert len(listed) == len(set(listed))


def test_what_most_people_need_comes_first() -> None:
    text = help_of("convert")
    first = text[text.index("Options:") : text.index(f"{next(iter(GROUPS))}:")]
    assert {"--to", "--overwrite", "--dry-run"} <= set(re.findall(r"--[\w-]+", first))
    assert len(first.splitlines()) < 30


@pytest.mark.parametrize(
    "name", ["", *(name for name, each in COMMANDS.items() if isinstance(each, click.Group))]
)
def test_a_group_without_a_command_is_explained(run: Run, name: str) -> None:
    outcome = run(*name.split())
    if name == "slides":  # which lists
        assert "Usage" not in outcome.err
        return
    assert outcome.code == 2
    assert outcome.err.startswith(f"Usage: {' '.join(('vsv-pyramid', *name.split()))} [OPTIONS]")
    assert "\n  -h, --help" in outcome.err
    assert "\\n" not in outcome.err
