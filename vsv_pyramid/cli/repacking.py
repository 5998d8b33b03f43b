"""The commands that give pyramids their other layout, and clear up after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from vsv_pyramid import removal, repacking
from vsv_pyramid.aws import costs
from vsv_pyramid.catalog import ids_among
from vsv_pyramid.cli.display import ProgressDisplay
from vsv_pyramid.cli.help import command
from vsv_pyramid.cli.messages import say_error
from vsv_pyramid.cli.options import Command, PlaceType, confirm
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.destination import layouts
from vsv_pyramid.destination.root import is_root, open_root
from vsv_pyramid.errors import EXIT_FAILED, VsvPyramidError, exit_code, is_environment
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published, packed_key
from vsv_pyramid.runtime import signals
from vsv_pyramid.runtime.progress import unless
from vsv_pyramid.slide_json import parse
from vsv_pyramid.store import S3Options, Store, open_pyramid
from vsv_pyramid.words import counted


@dataclass(frozen=True)
class _Way:
    """From one layout into the other: what is done, and what follows from it for viewers."""

    layout: str
    verb: str
    done: str
    follows: str


_PACK = _Way(
    keys.PACKED,
    "Pack",
    "packed",
    "The addresses of DeepZoom.dzi and of all tiles end: other viewers than this program's find "
    "nothing there any more.",
)
_UNPACK = _Way(
    keys.TILES,
    "Unpack",
    "unpacked",
    "Each tile becomes an object of its own, and any viewer opens DeepZoom.dzi.",
)


_targets = click.argument("targets", nargs=-1, required=True, type=PlaceType(), metavar="TARGET...")


def _options(made: Command) -> Command:
    made = store_options(made)
    made = click.option("--yes", is_flag=True, help="Do not ask.")(made)
    return _targets(made)


@command(
    "pack",
    short_help="Put the tiles of published pyramids into one object each.",
    epilog="""\b
Examples:
  vsv-pyramid pack images/170782
  vsv-pyramid pack /srv/www
  vsv-pyramid pack s3://bucket/prefix --yes""",
)
@_options
@click.pass_context
def pack_command(context: click.Context, targets: Sequence[str], yes: bool, s3: S3Options) -> None:
    """Put all tiles of each pyramid TARGET (its folder or its DeepZoom.dzi, by path or s3:// URL)
    into one object. The slide is not needed, and the tiles stay the same, byte by byte. This
    program's viewer shows the pyramid all the time.

    If TARGET is the folder, or s3://bucket/prefix, that images/ is in: do it with all pyramids
    there, and with all that are converted from now on. What is interrupted, the same command goes
    on with.
    """
    _run(context, _PACK, targets, yes, s3)


@command(
    "unpack",
    short_help="Make each tile of packed pyramids an object again.",
    epilog="""\b
Examples:
  vsv-pyramid unpack images/170782
  vsv-pyramid unpack /srv/www
  vsv-pyramid unpack s3://bucket/prefix --yes""",
)
@_options
@click.pass_context
def unpack_command(
    context: click.Context, targets: Sequence[str], yes: bool, s3: S3Options
) -> None:
    """Make each tile of the packed pyramid TARGET (its folder, by path or s3:// URL) an object, and
    DeepZoom.dzi, which any viewer opens. The tiles stay the same, byte by byte.

    If TARGET is the folder, or s3://bucket/prefix, that images/ is in: do it with all pyramids
    there, and with all that are converted from now on. What is interrupted, the same command goes
    on with.
    """
    _run(context, _UNPACK, targets, yes, s3)


@command(
    "tidy",
    short_help="Remove packed pyramids that newer ones have replaced.",
    epilog="""\b
Examples:
  vsv-pyramid tidy images/170782
  vsv-pyramid tidy /srv/www
  vsv-pyramid tidy s3://bucket/prefix --dry-run""",
)
@_targets
@click.option("--dry-run", is_flag=True, help="List them, and remove nothing.")
@store_options
@click.pass_context
def tidy_command(
    context: click.Context, targets: Sequence[str], dry_run: bool, s3: S3Options
) -> None:
    """Remove, of the packed pyramid TARGET (its folder, by path or s3:// URL), the objects that
    another one has replaced a day ago or before: nobody looks at them any more.

    If TARGET is the folder, or s3://bucket/prefix, that images/ is in: do it with all pyramids
    there.
    """
    count, size, codes = 0, 0, []
    for store, folder in [each for target in targets for each in _pyramids(target, s3)]:
        try:
            former = removal.tidy(store, folder, dry_run=dry_run)
        except VsvPyramidError as exc:
            if is_environment(exc):
                raise
            say_error(exc)
            codes.append(exit_code(exc))
            continue
        for each in former:
            echo(f"{each.key}: {each.size / 1e6:,.1f} MB")
        count += len(former)
        size += sum(each.size for each in former)
    done = "to be removed" if dry_run else "removed"
    echo(f"{counted(count, 'object')} {done}, {size / 1e6:,.1f} MB; {len(codes)} failed")
    _exit(context, codes)


def _exit(context: click.Context, codes: Sequence[int]) -> None:
    if codes:
        context.exit(codes[0] if len(set(codes)) == 1 else EXIT_FAILED)


def _run(
    context: click.Context, way: _Way, targets: Sequence[str], yes: bool, s3: S3Options
) -> None:
    roots = [open_root(target, s3) for target in targets if is_root(target, s3)]
    found = [each for target in targets for each in _pyramids(target, s3)]
    left = [(store, folder) for store, folder in found if _is_left(way, store, folder)]
    if not yes and left:
        confirm(_question(way, left), way.done, f"{way.verb.lower()}s")
    changed, gone, codes = 0, 0, []
    for store, folder in found:
        name = folder.rpartition("/")[2]
        try:
            with ProgressDisplay(name) as show:
                act = repacking.pack if way is _PACK else repacking.unpack
                is_new = act(store, folder, unless(signals.check, show))
        except VsvPyramidError as exc:
            if is_environment(exc):
                raise
            if roots and not removal.own_keys(store, folder):
                gone += 1
                echo(f"{name}: was deleted meanwhile")
                continue
            say_error(exc)
            codes.append(exit_code(exc))
            continue
        changed += is_new
        echo(f"{name}: {way.done if is_new else f'is {way.done} already'}")
    if not codes or len(codes) < len(found):
        for root in roots:
            layouts.remember(root, way.layout, instead=True)
    failed = len(codes)
    already = len(found) - changed - gone - failed
    echo(f"{changed} {way.done}, {already} already, {failed} failed")
    _exit(context, codes)


def _is_left(way: _Way, store: Store, folder: str) -> bool:
    """Whether there is something to be done, so that somebody is to be asked."""
    is_done = (packed_key(store, folder) is not None) == (way is _PACK)
    return not is_done and next(store.keys(f"{folder}/"), None) is not None


def _pyramids(target: str, s3: S3Options) -> Iterator[tuple[Store, str]]:
    if not is_root(target, s3):
        yield open_pyramid(target, s3)
        return
    store = open_root(target, s3)
    for slide_id in sorted(ids_among(store.names(keys.IMAGES))):
        if is_published(store, keys.folder(slide_id)):
            yield store, keys.folder(slide_id)


def _question(way: _Way, found: Sequence[tuple[Store, str]]) -> str:
    """What is going to be done, what it costs, and what ends by it."""
    tiles, dollars = 0, 0.0
    for store, folder in found:
        try:
            said = parse(store.get(keys.slide_json_key(folder)))["pyramid"]
            count, size = int(said["tile_count"]), int(said["bytes"])
        except (VsvPyramidError, KeyError, TypeError, ValueError):
            continue  # which is told when it is its turn
        tiles += count
        as_tiles, as_one = (costs.keeping(form, count, size) for form in costs.FORMS[:2])
        read, put = (as_tiles, as_one) if way is _PACK else (as_one, as_tiles)
        if store.remote:
            dollars += read.verification + put.put
    cost = f"It costs about ${dollars:.2f} for requests to S3. " if dollars else ""
    slides = counted(len(found), "slide")
    return f"{slides}, {counted(tiles, 'tile')}. {way.follows} {cost}{way.verb} {slides}?"
