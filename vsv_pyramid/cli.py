"""The command line: parse, one library call, print. Data on stdout, all else on stderr."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn

import click

from vsv_pyramid import catalog, display, dzi, ids, record, scans, signals, streams
from vsv_pyramid.cli_catalog import index_command, refresh_command
from vsv_pyramid.cli_desk import slides_command
from vsv_pyramid.cli_options import (
    PathType,
    PlaceType,
    as_json,
    confirm_removal,
    conversion_options,
    log_options,
    plan_options,
    print_json,
    private_to,
    s3_options,
    search_options,
    slide_id,
    store_options,
    workers,
)
from vsv_pyramid.cli_private import private_command
from vsv_pyramid.cli_unattended import submit_command, watch_command
from vsv_pyramid.cli_viewing import serve_command, share_command, viewer_command
from vsv_pyramid.convert import Progress, convert, id_of
from vsv_pyramid.destination import Destination, check_places, open_destination
from vsv_pyramid.errors import EXIT_FAILED, OptionError, VsvPyramidError, exit_code, is_environment
from vsv_pyramid.findings import Report
from vsv_pyramid.info import info, is_pyramid, plan_facts, published
from vsv_pyramid.plan import ConvertOptions, make_plan, usable_cpus
from vsv_pyramid.publish import own_keys, pyramid_keys
from vsv_pyramid.reports import Events, Lines, Voice, only_our_own, report, say, speak
from vsv_pyramid.root import is_root
from vsv_pyramid.slide import find_source
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.slide.search import find_slides, once_each
from vsv_pyramid.store import S3Options, Store, is_archive, open_pyramid
from vsv_pyramid.verify import verify, verify_root
from vsv_pyramid.words import counted, one_line

_log = logging.getLogger(__name__)

_MOST_TROUBLES = 2  # one may be a slide's own after all
_SELDOM = ("busy", "left")
# What a signal has left, of commands that publish no pyramid.
_AFTER_SIGNAL = dict.fromkeys(
    ("delete", "index", "refresh", "viewer"), "the same command does the rest"
)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the command, and turns errors and signals into a sentence and an exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with only_our_own(), streams.forgiving(lambda: "--json" in words) as out:
        speak(as_events=False)
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
            exc.show()
        return exc.exit_code
    except (VsvPyramidError, OSError) as exc:
        report(exc)
        return exit_code(exc)


def _refusal(exc: click.ClickException) -> str:
    """The sentence; of unexpected arguments without these, which may be parts of a path."""
    said = exc.format_message()
    are_shown = Voice.shows_paths or type(exc) is not click.UsageError
    return said if are_shown else said.partition(" (")[0]


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        for name, version in record.software().items():
            click.echo(f"{name} {version}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


@commands.command(
    "convert",
    short_help="Convert slides into published pyramids.",
    epilog="""\b
Examples:
  vsv-pyramid convert 170782.svs
  vsv-pyramid convert scans/ --to /srv/www --workers 4
  vsv-pyramid convert 170782.svs --to s3://bucket/prefix
  vsv-pyramid convert s3://scans/170782.svs --to s3://bucket
  vsv-pyramid convert 170782.svs --to 170782.zip
  vsv-pyramid convert 170782.svs --associated thumbnail,macro --dry-run""",
)
@click.argument("slides", nargs=-1, required=True, type=PlaceType(), metavar="SLIDE...")
@click.option(
    "--to",
    "destination",
    default=".",
    metavar="DEST",
    help="Where to publish, as DEST/images/ID: a folder, s3://bucket/prefix, or a .zip or .szi "
    "file for one slide; default: this folder.",
)
@slide_id
@search_options
@plan_options
@conversion_options
@click.option("--overwrite", is_flag=True, help="Replace what is published under the id.")
@click.option(
    "--update",
    is_flag=True,
    help="Replace what is published under the id of another file that was in this one's place, "
    "such as a slide's first scan, and skip what is published of this one, with whatever options.",
)
@click.option(
    "--if-busy",
    type=click.Choice(["skip", "wait"]),
    default="skip",
    show_default=True,
    help="What to do about a slide that another process is converting into the same place.",
)
@store_options
@click.option(
    "--scratch",
    type=PathType(),
    metavar="FOLDER",
    help="Where to put a slide fetched from S3 for a while; default: the system's own folder.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and make nothing.")
@log_options
@as_json
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.pass_context
def convert_command(
    context: click.Context,
    /,
    slides: tuple[str, ...],
    destination: str,
    workers: int | None,
    dry_run: bool,
    log_format: str,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Convert each SLIDE (a file, an s3:// URL, or a folder that is searched for slides) into
    DEST/images/ID/DeepZoom.dzi and its tiles.

    A slide that is published already, from the same file and with the same options, is skipped.
    One that fails does not stop the others, but what is no fault of theirs, such as a full disk,
    does when it has come twice in a row. Folders are searched for .svs, .tif, .tiff, .ndpi,
    .vms, .vmu, .scn, .mrxs, .svslide, .bif and .czi; of DICOM, name one file of the series.
    """
    workers = usable_cpus() if workers is None else workers
    options = ConvertOptions(workers=workers, **values)
    check_places(destination, options.private_to)  # refused before anything is read
    options = ids.keyed_at(destination, options, create=not dry_run)
    say = Events(options) if log_format == "json" else Lines(quiet, as_json)
    results: list[dict[str, Any]] = []
    codes: set[int] = set()

    def fail(slide: str | Path, exc: VsvPyramidError | OSError) -> None:
        code = exit_code(exc)
        codes.add(code)
        say.failed(str(slide), exc, code)
        results.append({"slide": str(slide), "status": "failed", "error": str(exc)})

    found: list[str | Path] = []
    excluded = Excluded(options.exclude)
    for place in slides:
        try:
            found += [place] if place.startswith("s3://") else find_slides(Path(place), excluded)
        except (VsvPyramidError, OSError) as exc:
            fail(place, exc)
    met.meet(found)
    doubles = once_each(found, dzi.safe_id if options.ids == "safe" else str)
    found = list(doubles)
    if options.slide_id and len(found) > 1:
        raise OptionError(f"--id {options.slide_id} is for one slide, not for {len(found)}")
    if is_archive(destination) and len(found) > 1:
        raise OptionError(f"{destination} is for one slide, not for {len(found)}; give a folder")
    for slide, other in doubles.items():
        if other:
            what = "rename one of them, or convert them one by one with --id"
            fail(slide, OptionError(f"{slide} and {other} would get the same id; {what}"))
            found.remove(slide)
        else:
            say.named(str(slide), options)
    troubles = 0  # one after the other, which are no slide's own
    for number, slide in enumerate(found):
        if troubles == _MOST_TROUBLES:
            left = found[number:]
            results += [{"slide": str(other), "status": "left"} for other in left]
            _log.warning("%d more slides are left for now; the same command takes them", len(left))
            break
        try:
            if dry_run:
                results.append(_planned(slide, destination, options, as_json))
            else:
                with say.progress(str(slide), destination) as show:
                    summary = convert(slide, destination, options, progress=_checked(show))
                say.done(summary)
                results.append(dataclasses.asdict(summary))
            troubles = 0
        except (VsvPyramidError, OSError) as exc:
            fail(slide, exc)
            troubles = troubles + 1 if is_environment(exc) else 0
    wanted = ["planned"] if dry_run else ["converted", "skipped", "busy"]
    counts = {
        status: sum(result["status"] == status for result in results)
        for status in [*wanted, "failed", "left"]
    }
    if as_json:
        print_json({"slides": results, **counts})
    elif not quiet and log_format == "text":
        shown = {name: count for name, count in counts.items() if count or name not in _SELDOM}
        click.echo(", ".join(f"{count} {status}" for status, count in shown.items()))
    if codes:
        context.exit(codes.pop() if len(codes) == 1 else EXIT_FAILED)


def options_of(words: Sequence[str]) -> ConvertOptions:
    """The options that these words are on the command line of `convert`. Raises ClickException."""
    group = click.Context(commands, **commands.context_settings)
    values = convert_command.make_context("convert", ["-", *words], parent=group).params
    names = {field.name for field in dataclasses.fields(ConvertOptions)}
    names |= {field.name for field in dataclasses.fields(S3Options)}
    given = {name: value for name, value in values.items() if name in names and value is not None}
    return ConvertOptions(s3=s3_options(given), **given)


def _checked(show: Callable[[Progress], None]) -> Callable[[Progress], None]:
    def checked(progress: Progress) -> None:
        signals.check()
        show(progress)

    return checked


def _planned(
    slide: str | Path, destination: str, options: ConvertOptions, as_json: bool
) -> dict[str, Any]:
    source = find_source(slide, options.scratch, options.s3.request_payer)
    options = dataclasses.replace(options, slide_id=id_of(source, options))
    with source.opened() as opened:
        plan = make_plan(opened, options)
    facts = plan_facts(plan)
    if not as_json:
        width, height = plan.pyramid.size
        planned = (
            f"{slide}: {width:,} x {height:,} px, {counted(len(plan.pyramid.levels), 'level')}, "
            f"{counted(facts['tiles'], 'tile')} of {plan.pyramid.tile_size} px, "
            f"{counted(facts['objects'], 'object')} -> "
            f"{destination}/{dzi.descriptor_key(plan.folder)}"
        )
        click.echo(one_line(planned))
    return {"slide": str(slide), "status": "planned", **facts}


@commands.command(
    "info",
    short_help="Show a slide's facts and its plan, or what is published.",
    epilog="""\b
Examples:
  vsv-pyramid info 170782.svs
  vsv-pyramid info 170782.svs --tile-size 1024 --json
  vsv-pyramid info s3://bucket/images/170782""",
)
@click.argument("place", type=PlaceType(), metavar="SLIDE|TARGET")
@slide_id
@plan_options
@store_options
@as_json
def info_command(place: str, as_json: bool, s3: S3Options, **values: Any) -> None:
    """Show what SLIDE is, and what its pyramid would be and cost; or what is published as TARGET
    (a pyramid's folder or its DeepZoom.dzi, by path or s3:// URL, or a .zip or .szi file).
    """
    if is_pyramid(place):
        facts, lines = published(place, s3), display.published_lines
    else:
        facts, lines = info(place, ConvertOptions(s3=s3, **values)), display.info_lines
    if as_json:
        print_json(facts)
    else:
        for line in lines(facts):
            click.echo(line)


@commands.command(
    "verify",
    short_help="Check a published pyramid.",
    epilog="""\b
Examples:
  vsv-pyramid verify images/170782
  vsv-pyramid verify images/170782 --deep --against 170782.svs
  vsv-pyramid verify s3://bucket/images/170782 --deep --sample 200
  vsv-pyramid verify /srv/www""",
)
@click.argument("target", type=PlaceType())
@click.option(
    "--deep",
    is_flag=True,
    help="Decode every tile and compare it with its neighbours in the levels above and below.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="With --deep: decode only N tiles, spread evenly, and compare none.",
)
@click.option(
    "--against",
    type=PlaceType(),
    metavar="SLIDE",
    help="Compare a sample of the tiles with the slide's pixels.",
)
@workers
@store_options
@as_json
@click.pass_context
def verify_command(
    context: click.Context,
    /,
    target: str,
    deep: bool,
    sample: int | None,
    against: str | None,
    workers: int | None,
    as_json: bool,
    s3: S3Options,
) -> None:
    """Check the pyramid TARGET (its folder or its DeepZoom.dzi, by path or s3:// URL, or a .zip or
    .szi file): descriptor, slide.json, every planned tile and no other, the size that each tile's
    JPEG header states. In S3, tiles are listed only, and looked into with --deep.

    If TARGET is the folder or s3://bucket/prefix that images/ is in: check that nothing private is
    in reach of those who may read it.
    """
    if sample is not None and not deep:
        raise OptionError("--sample needs --deep")
    if is_root(target, s3):
        if deep or against:
            raise OptionError(f"{target} is no pyramid; give {target}/images/ID")
        _tell(context, verify_root(target, s3), as_json)
        return
    threads = ConvertOptions(workers=usable_cpus() if workers is None else workers).workers
    with display.ProgressDisplay(PurePath(target).name) as show:
        report = verify(
            target,
            deep=deep,
            sample=sample,
            against=against,
            workers=threads,
            progress=show,
            s3=s3,
        )
    _tell(context, report, as_json)


def _tell(context: click.Context, report: Report, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        for line in display.report_lines(report):
            click.echo(line)
    if report.errors:
        context.exit(EXIT_FAILED)


@commands.command(
    "delete",
    short_help="Remove a published pyramid.",
    epilog="""\b
Examples:
  vsv-pyramid delete 170782
  vsv-pyramid delete 170782 --in s3://bucket --yes
  vsv-pyramid delete images/170782
  vsv-pyramid delete s3://bucket/images/170782 --yes""",
)
@click.argument("target", type=PlaceType(), metavar="ID|TARGET")
@click.option(
    "--in",
    "root",
    type=PlaceType(),
    metavar="ROOT",
    help="For an ID: the folder, or s3://bucket/prefix, that images/ is in; default: this folder.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@private_to
@store_options
def delete_command(
    target: str, root: str | None, yes: bool, private_to: str | None, s3: S3Options
) -> None:
    """Remove the pyramid of the slide ID, or TARGET (a pyramid's folder or its DeepZoom.dzi, by
    path or s3:// URL), the descriptor first, then its entry in the catalog, and what is remembered
    of the slide, even if only that is left. For a slide that is to be scanned anew there is `slides
    delete`.
    """
    store, folder = _named(target, root, private_to, s3)
    slide_id = folder.removeprefix(f"{dzi.IMAGES}/")
    private = scans.remembered(store, slide_id) if isinstance(store, Destination) else []
    found = (own_keys if private else pyramid_keys)(store, folder)
    if not yes:
        confirm_removal(f"Remove {store}/{folder}, {counted(len(found), 'object')}?")
    entries = [f"{folder.rpartition('/')[0]}/{dzi.CATALOG}".lstrip("/"), dzi.DELETED]
    store.check_rights(put=entries, delete=[*found, *private])
    if found:
        catalog.delete(store, folder)
    if private and isinstance(store, Destination):
        scans.forget(store, slide_id)
    click.echo(f"{store}/{folder}: {counted(len(found), 'object')} removed")


def _named(
    target: str, root: str | None, private_to: str | None, s3: S3Options
) -> tuple[Store | Destination, str]:
    """The store and the pyramid's folder in it; of one outside images/ nothing else is known.
    Raises OptionError and StoreError."""
    if root is None and (not dzi.is_id(target) or os.path.lexists(target)):
        store, folder = open_pyramid(target, s3)
        if not folder.startswith(f"{dzi.IMAGES}/"):
            return store, folder
        return open_destination(str(store), private_to, s3), folder
    if not dzi.is_id(target):
        raise OptionError(f"{target!r} cannot be an id; vsv-pyramid slides lists those there are")
    return open_destination(root or ".", private_to, s3), dzi.folder(target)


for command in (
    *(index_command, private_command, refresh_command, serve_command, share_command),
    *(slides_command, submit_command, viewer_command, watch_command),
):
    commands.add_command(command)
