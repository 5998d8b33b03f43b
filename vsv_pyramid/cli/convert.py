"""The command that makes pyramids."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import click

from vsv_pyramid.cli.help import command
from vsv_pyramid.cli.messages import Events, Lines
from vsv_pyramid.cli.options import (
    PathType,
    PlaceType,
    as_json,
    conversion_options,
    log_options,
    plan_options,
    print_json,
    search_options,
    slide_id,
)
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import check_places, open_destination
from vsv_pyramid.errors import (
    EXIT_FAILED,
    OptionError,
    SlideIncomplete,
    VsvPyramidError,
    exit_code,
    is_environment,
)
from vsv_pyramid.layout import keys
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.ids import id_of
from vsv_pyramid.planning.options import ConvertOptions, usable_cpus
from vsv_pyramid.planning.plan import make_plan
from vsv_pyramid.runtime import signals
from vsv_pyramid.runtime.progress import unless
from vsv_pyramid.slide.excluded import Excluded
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.slide.search import find_slides, once_each
from vsv_pyramid.slide.source import find_source
from vsv_pyramid.store import is_archive
from vsv_pyramid.words import counted

_log = logging.getLogger(__name__)

_MOST_TROUBLES = 2  # one may be a slide's own after all
_SELDOM = ("busy", "left", "incomplete")


@command(
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
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace what is published under the id, also by a scan that was deleted as bad.",
)
@click.option(
    "--update",
    is_flag=True,
    help="Replace the pyramid of a former file that was in this one's place, such as a first scan. "
    "What is published of this very file is skipped, even if it was made with other options. Needs "
    "--private-to: the place of each slide's file is kept there.",
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

    A slide that is published already, from the same file and with the same options, is skipped. A
    slide that fails does not stop the others. What is no slide's fault, such as a full disk, stops
    all of them when it comes twice in a row. Folders are searched for .svs, .tif, .tiff, .ndpi,
    .vms, .vmu, .scn, .mrxs, .svslide, .bif and .czi, and for DICOM series (.dcm), of which each is
    one slide, called as its folder.
    """
    workers = usable_cpus() if workers is None else workers
    options = ConvertOptions(workers=workers, **values)
    check_places(destination, options.private_to)  # refused before anything is read
    options = ids.keyed_at(destination, options, create=not dry_run)
    if options.layout or (dry_run and not destination.startswith("s3://")):  # refused at once, too
        store = open_destination(destination, options.private_to, options.s3)
        options = dataclasses.replace(options, layout=store.layout(options.layout))
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
    doubles = once_each(found, options.id_of)
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
                    summary = convert(
                        slide, destination, options, progress=unless(signals.check, show)
                    )
                say.done(summary)
                results.append(dataclasses.asdict(summary))
            troubles = 0
        except SlideIncomplete as exc:
            if options.update:  # it comes again when the rest is there
                _log.warning("%s; it waits for the rest", exc)
                results.append({"slide": str(slide), "status": "incomplete"})
            else:
                fail(slide, exc)
        except (VsvPyramidError, OSError) as exc:
            fail(slide, exc)
            troubles = troubles + 1 if is_environment(exc) else 0
    wanted = ["planned"] if dry_run else ["converted", "skipped", "busy"]
    counts = {
        status: sum(result["status"] == status for result in results)
        for status in [*wanted, "failed", "left", "incomplete"]
    }
    if as_json:
        print_json({"slides": results, **counts})
    elif not quiet and log_format == "text":
        shown = {name: count for name, count in counts.items() if count or name not in _SELDOM}
        echo(", ".join(f"{count} {status}" for status, count in shown.items()))
    if codes:
        context.exit(codes.pop() if len(codes) == 1 else EXIT_FAILED)


def _planned(
    slide: str | Path, destination: str, options: ConvertOptions, as_json: bool
) -> dict[str, Any]:
    source = find_source(slide, options.scratch, options.s3.request_payer)
    options = dataclasses.replace(options, slide_id=id_of(source, options))
    with source.opened() as opened:
        plan = make_plan(opened, options)
    from vsv_pyramid.inspection import plan_facts  # which `convert` itself does not need

    facts = plan_facts(plan)
    shown = keys.descriptor_key(plan.folder)
    if options.layout == keys.PACKED and not is_archive(destination):
        shown = plan.folder
        facts["objects"] -= facts["tiles"]
    if not as_json:
        width, height = plan.pyramid.size
        planned = (
            f"{slide}: {width:,} x {height:,} px, {counted(len(plan.pyramid.levels), 'level')}, "
            f"{counted(facts['tiles'], 'tile')} of {plan.pyramid.tile_size} px, "
            f"{counted(facts['objects'], 'object')} -> "
            f"{destination}/{shown}"
        )
        echo(planned)
    return {"slide": str(slide), "status": "planned", **facts}
