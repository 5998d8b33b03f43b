"""The command line: parse, one library call, print. Data on stdout, all else on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from vsv_pyramid import display, dzi, record
from vsv_pyramid.convert import Progress, checked_plan, convert
from vsv_pyramid.errors import OptionError, VsvPyramidError
from vsv_pyramid.info import info, plan_facts
from vsv_pyramid.lanes import LANES
from vsv_pyramid.plan import ConvertOptions, usable_cpus
from vsv_pyramid.pyramid.planes import FACTORS
from vsv_pyramid.slide import open_slide
from vsv_pyramid.slide.search import check_ids, find_slides
from vsv_pyramid.store import open_store
from vsv_pyramid.verify import verify

EXIT_FAILED, EXIT_WRONG_USE = 1, 2
_EXIT_SIGNALLED = 128  # plus the signal's number, as shells have it
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the command, and turns errors and signals into a sentence and an exit code."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it sees, our errors say
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be in any encoding
    sys.unraisablehook = _Stopped.unraisable
    _Stopped.by = None
    for number in _SIGNALS:
        signal.signal(number, _Stopped.handler)
    try:
        code = commands.main(argv, prog_name="vsv-pyramid", standalone_mode=False)
        _Stopped.check()
        if sys.stdout:
            sys.stdout.flush()  # here, where a full disk can still be told
    except click.ClickException as exc:
        exc.show()
        code = exc.exit_code
    except (VsvPyramidError, OSError) as exc:
        _report(exc)
        if isinstance(exc, OSError) and sys.stdout:
            # or what stdout could not take would be tried, and complained of, once more at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_WRONG_USE if isinstance(exc, OptionError) else EXIT_FAILED
    except _Stopped as exc:
        for number in _SIGNALS:  # or a late one would end the interpreter in its last moments
            signal.signal(number, signal.SIG_IGN)
        click.echo("Stopped: nothing half-made is left.", err=True)
        code = _EXIT_SIGNALLED + exc.number
    sys.exit(code or 0)


class _Stopped(BaseException):
    """A signal: unwinds the stack, as KeyboardInterrupt does."""

    by: int | None = None

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def handler(cls, number: int, _: object) -> None:
        """Raises once: a second signal would only disturb the tidying up after the first."""
        if cls.by is None:
            cls.by = number
            raise cls(number)

    @classmethod
    def check(cls) -> None:
        """Raises again what a destructor, or C code that called back, has swallowed."""
        if cls.by is not None:
            raise cls(cls.by)

    @classmethod
    def unraisable(cls, swallowed: sys.UnraisableHookArgs) -> None:
        """Leaves to `check` what a destructor has swallowed, instead of a traceback on stderr."""
        if swallowed.exc_type is not cls:
            sys.__unraisablehook__(swallowed)


def _report(exc: Exception) -> None:
    if isinstance(exc, OSError):
        reason = exc.strerror or str(exc)
        click.echo(f"Error: {exc.filename or 'output'}: {reason}; check the path", err=True)
    else:
        click.echo(f"Error: {exc}", err=True)


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


class _Path(click.ParamType[Path]):
    """Any path but none: an unset variable must not mean this folder."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        if not str(value):
            self.fail("an empty path; give a file or a folder", param, ctx)
        return Path(value)


def _tile_size(_: click.Context, __: click.Parameter, value: str) -> int | None:
    if value == "auto":
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a number of px.") from None


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    if value in ("", "none"):
        return ()
    return tuple(name.strip() for name in value.split(","))


def _plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that both the plan and the conversion depend on."""
    for option in (
        click.option(
            "--bounds", is_flag=True, help="Only the scanned bounds, for slides that state them."
        ),
        click.option(
            "--background",
            default="white",
            show_default=True,
            metavar="COLOR",
            help="Colour of transparent areas: a name or #rrggbb.",
        ),
        click.option(
            "--color",
            type=click.Choice(["none", "srgb"]),
            default="none",
            show_default=True,
            help="srgb applies the slide's ICC profile; none keeps the scanner's numbers and "
            "publishes the profile as icc.icc.",
        ),
        click.option(
            "--associated",
            default="thumbnail",
            show_default=True,
            metavar="LIST",
            callback=_names,
            help="Images to publish beside the tiles: thumbnail, label, macro, or none. Label and "
            "macro can show a patient's name.",
        ),
        click.option(
            "--quality",
            type=int,
            default=80,
            show_default=True,
            metavar="1..100",
            help="JPEG quality of encoded tiles.",
        ),
        click.option(
            "--tile-size",
            default="auto",
            show_default=True,
            metavar="auto|N",
            callback=_tile_size,
            help="Tile size in px: a multiple of 16 from 64 to 4096. auto joins three of the "
            "slide's own tiles in each direction where they are small.",
        ),
        click.option(
            "--lane",
            type=click.Choice(LANES),
            default="auto",
            show_default=True,
            help="How base tiles are made: lossless joins the slide's own JPEG tiles, pixels "
            "decodes and encodes; auto takes the first wherever it can.",
        ),
        click.option(
            "--base",
            type=click.Choice(["copy", "reencode"]),
            default="copy",
            show_default=True,
            help="reencode encodes what the lossless lane would copy, small rather than exact.",
        ),
        click.option(
            "--subsampling",
            type=click.Choice(list(FACTORS)),
            default="420",
            show_default=True,
            help="Chroma subsampling of encoded tiles.",
        ),
        click.option("--id", "slide_id", metavar="ID", help="The id; default: the file's stem."),
    ):
        command = option(command)
    return command


_as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_workers = click.option(
    "--workers", type=int, metavar="N", help="Threads; default: the CPUs this process may use."
)


@commands.command(
    "convert",
    short_help="Convert slides into published pyramids.",
    epilog="""\b
Examples:
  vsv-pyramid convert 170782.svs
  vsv-pyramid convert scans/ --to /srv/www --workers 4
  vsv-pyramid convert 170782.svs --associated thumbnail,macro --dry-run""",
)
@click.argument("slides", nargs=-1, required=True, type=_Path(), metavar="SLIDE...")
@click.option(
    "--to",
    "destination",
    default=".",
    metavar="DEST",
    help="Folder to publish in, as DEST/images/ID; default: this folder.",
)
@_plan_options
@_workers
@click.option(
    "--on-error",
    type=click.Choice(["fail", "blank"]),
    default="fail",
    show_default=True,
    help="What to do about a tile that cannot be decoded: fail, or paint it in the background "
    "colour and count it in slide.json.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is published under the id.")
@click.option("--dry-run", is_flag=True, help="Print the plan and make nothing.")
@_as_json
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.pass_context
def convert_command(
    context: click.Context,
    /,
    slides: tuple[Path, ...],
    destination: str,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Convert each SLIDE (a file, or a folder that is searched for slides) into
    DEST/images/ID/DeepZoom.dzi and its tiles.

    A slide that is published already, from the same file and with the same options, is skipped.
    One that fails does not stop the others. Folders are searched for .svs, .tif, .tiff, .ndpi,
    .vms, .vmu, .scn, .mrxs, .svslide, .bif and .czi; of DICOM, name one file of the series.
    """
    options = ConvertOptions(workers=usable_cpus() if workers is None else workers, **values)
    open_store(destination)  # refuses what cannot be one before anything is read
    results: list[dict[str, Any]] = []
    found: list[Path] = []
    for path in slides:
        try:
            found += find_slides(path)
        except (VsvPyramidError, OSError) as exc:
            _report(exc)
            results.append({"slide": str(path), "status": "failed", "error": str(exc)})
    found = list(dict.fromkeys(found))
    if options.slide_id and len(found) > 1:
        raise OptionError(f"--id {options.slide_id} is for one slide, not for {len(found)}")
    check_ids(found)
    for slide in found:
        try:
            if dry_run:
                results.append(_planned(slide, destination, options, as_json))
            else:
                results.append(_converted(slide, destination, options, as_json, quiet))
        except (VsvPyramidError, OSError) as exc:
            _report(exc)
            results.append({"slide": str(slide), "status": "failed", "error": str(exc)})
    counts = {
        status: sum(result["status"] == status for result in results)
        for status in (["planned"] if dry_run else ["converted", "skipped"]) + ["failed"]
    }
    if as_json:
        _print_json({"slides": results, **counts})
    elif not quiet:
        click.echo(", ".join(f"{count} {status}" for status, count in counts.items()))
    if counts["failed"]:
        context.exit(EXIT_FAILED)


def _planned(
    slide: Path, destination: str, options: ConvertOptions, as_json: bool
) -> dict[str, Any]:
    with open_slide(slide) as opened:
        plan = checked_plan(opened, options)
    facts = plan_facts(plan)
    if not as_json:
        width, height = plan.pyramid.size
        click.echo(
            f"{slide}: {width:,} x {height:,} px, {len(plan.pyramid.levels)} levels, "
            f"{facts['tiles']:,} tiles of {plan.pyramid.tile_size} px, "
            f"{facts['objects']:,} objects -> {destination}/{dzi.descriptor_key(plan.folder)}"
        )
    return {"slide": str(slide), "status": "planned", **facts}


def _converted(
    slide: Path, destination: str, options: ConvertOptions, as_json: bool, quiet: bool
) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        bar = None if quiet else stack.enter_context(display.ProgressDisplay(slide.name))

        def show(progress: Progress) -> None:
            _Stopped.check()
            if bar:
                bar(progress)

        summary = convert(slide, destination, options, progress=show)
    if not quiet:
        for note in summary.notes:
            click.echo(f"{slide}: {note}", err=True)
        if not as_json:
            click.echo(display.summary_line(summary))
    return dataclasses.asdict(summary)


@commands.command(
    "info",
    short_help="Show a slide's facts and its plan.",
    epilog="""\b
Examples:
  vsv-pyramid info 170782.svs
  vsv-pyramid info 170782.svs --tile-size 1024 --json""",
)
@click.argument("slide", type=_Path())
@_plan_options
@_as_json
def info_command(slide: Path, as_json: bool, **values: Any) -> None:
    """Show what SLIDE is, and what its pyramid would be and cost."""
    facts = info(slide, ConvertOptions(**values))
    if as_json:
        _print_json(facts)
    else:
        for line in display.info_lines(facts):
            click.echo(line)


@commands.command(
    "verify",
    short_help="Check a published pyramid.",
    epilog="""\b
Examples:
  vsv-pyramid verify images/170782
  vsv-pyramid verify images/170782 --deep --against 170782.svs""",
)
@click.argument("target", type=_Path())
@click.option(
    "--deep",
    is_flag=True,
    help="Decode every tile and compare it with its neighbours in the levels above and below.",
)
@click.option(
    "--against",
    type=_Path(),
    metavar="SLIDE",
    help="Compare a sample of the tiles with the slide's pixels.",
)
@_workers
@_as_json
@click.pass_context
def verify_command(
    context: click.Context,
    /,
    target: Path,
    deep: bool,
    against: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Check the pyramid TARGET (its folder or its DeepZoom.dzi): descriptor, slide.json, every
    planned tile and no other, the size that each tile's JPEG header states.
    """
    threads = ConvertOptions(workers=usable_cpus() if workers is None else workers).workers
    with display.ProgressDisplay(target.name) as show:
        report = verify(target, deep=deep, against=against, workers=threads, progress=show)
    if as_json:
        _print_json(dataclasses.asdict(report))
    else:
        for line in display.report_lines(report):
            click.echo(line)
    if report.errors:
        context.exit(EXIT_FAILED)


def _print_json(document: object) -> None:
    click.echo(json.dumps(document, indent=2))
