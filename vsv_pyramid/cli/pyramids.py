"""The commands about one pyramid: look, check, remove."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import click
from click.core import ParameterSource

from vsv_pyramid import deletion, purging
from vsv_pyramid.cli import display
from vsv_pyramid.cli.help import command
from vsv_pyramid.cli.options import (
    PathType,
    PlaceType,
    as_json,
    confirm,
    plan_options,
    print_json,
    private_to,
    slide_id,
    workers,
)
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.destination.root import is_root
from vsv_pyramid.errors import EXIT_FAILED, OptionError, StoreError
from vsv_pyramid.inspection import info, is_pyramid, published
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions, usable_cpus
from vsv_pyramid.review.desk import user_name
from vsv_pyramid.store import S3Options, Store, open_pyramid
from vsv_pyramid.verification import verify
from vsv_pyramid.verification.findings import Report
from vsv_pyramid.verification.reach import verify_root
from vsv_pyramid.words import counted


@command(
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
    """Show what SLIDE is, and what its pyramid would be and cost. Or show what is published as
    TARGET: a pyramid's folder or its DeepZoom.dzi, by path or s3:// URL, or a .zip or .szi file.
    """
    if is_pyramid(place):
        facts, lines = published(place, s3), display.published_lines
    else:
        facts, lines = info(place, ConvertOptions(s3=s3, **values)), display.info_lines
    if as_json:
        print_json(facts)
    else:
        for line in lines(facts):
            echo(line)


@command(
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
@click.option(
    "--purged",
    metavar="ID",
    help="For the folder, or s3://bucket/prefix, that images/ is in: check that nothing is left of "
    "this slide.",
)
@private_to
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
    purged: str | None,
    private_to: str | None,
    workers: int | None,
    as_json: bool,
    s3: S3Options,
) -> None:
    """Check the pyramid TARGET: its folder or its DeepZoom.dzi, by path or s3:// URL, or a .zip or
    .szi file. Looked at are the descriptor, slide.json, the images beside the tiles, whether each
    planned tile is there and no other, and the size in each tile's header. In S3, tiles are only
    listed; --deep reads them.

    If TARGET is the folder, or s3://bucket/prefix, that images/ is in: check that nothing private
    is in reach of those who may read it.
    """
    if sample is not None and not deep:
        raise OptionError("--sample needs --deep")
    if purged is not None:
        if deep or against:
            raise OptionError("--purged looks at no pyramid; leave --deep and --against out")
        if not keys.is_id(purged):
            raise OptionError(f"{purged!r} cannot be an id; give the slide's")
        if not is_root(target, s3):
            raise OptionError(
                f"{target} has no images/ in it; give the folder, or s3://bucket/prefix, that has"
            )
        store = open_destination(target, private_to, s3)
        report = Report(str(store), tiles=None)
        report.errors += [
            f"{line} left" for line in display.left_lines(purging.left(store, purged))
        ]
        _tell(context, report, as_json)
        return
    if context.get_parameter_source("private_to") is ParameterSource.COMMANDLINE:
        raise OptionError("--private-to needs --purged here")
    if is_root(target, s3):
        if deep or against:
            raise OptionError(f"{target} is no pyramid; give {target}/images/ID")
        with display.ProgressDisplay(target, "slide") as show:
            report = verify_root(target, s3, show)
        _tell(context, report, as_json)
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
            echo(line)
    if report.errors:
        context.exit(EXIT_FAILED)


@command(
    "delete",
    short_help="Remove a published pyramid.",
    epilog="""\b
Examples:
  vsv-pyramid delete 170782
  vsv-pyramid delete 170782 --in s3://bucket --yes
  vsv-pyramid delete images/170782
  vsv-pyramid delete s3://bucket/images/170782 --yes
  vsv-pyramid delete 170782 --in s3://bucket --private-to s3://private --purge""",
)
@click.argument("target", type=PlaceType(), metavar="ID|TARGET")
@click.option(
    "--in",
    "root",
    type=PlaceType(),
    metavar="ROOT",
    help="For an ID: the folder, or s3://bucket/prefix, that images/ is in; default: this folder.",
)
@click.option(
    "--purge",
    is_flag=True,
    help="Leave nothing of the slide, as where a patient asks for it: no former version in a "
    "bucket, no note of a failure.",
)
@click.option(
    "--source", is_flag=True, help="With --purge: remove the scanned file, too, in all versions."
)
@click.option("--dry-run", is_flag=True, help="With --purge: list it, and remove nothing.")
@click.option(
    "--receipt",
    type=PathType(),
    metavar="FILE",
    help="With --purge: write down what was removed, when and by whom (JSON).",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@private_to
@store_options
def delete_command(
    target: str,
    root: str | None,
    purge: bool,
    source: bool,
    dry_run: bool,
    receipt: Path | None,
    yes: bool,
    private_to: str | None,
    s3: S3Options,
) -> None:
    """Remove the pyramid of the slide ID, or the pyramid TARGET (its folder or its DeepZoom.dzi, by
    path or s3:// URL). Its entry in the catalog is removed, too, and all that is remembered of the
    slide. If only that is left, it is removed as well.

    For a slide that is to be scanned anew, use `slides delete`.
    """
    store, folder = _named(target, root, private_to, s3)
    if (dry_run or receipt or source) and not purge:
        raise OptionError("--dry-run, --receipt and --source need --purge")
    if purge:
        if not isinstance(store, Destination):
            raise OptionError(f"{target} is not in images/; give the slide's id, and --in ROOT")
        slide_id = folder.rpartition("/")[2]

        def scanned() -> list[purging.Left]:
            return purging.scanned(store, slide_id, s3) if source else []

        _purge(store, folder, scanned, dry_run=dry_run, receipt=receipt, yes=yes)
        return
    found = deletion.find(store, folder)
    count = counted(len(found.published), "object")
    if not yes:
        confirm(f"Remove {store}/{folder}, {count}?")
    deletion.remove(store, folder, found)
    echo(f"{store}/{folder}: {count} removed")


def _purge(
    store: Destination,
    folder: str,
    scanned: Callable[[], list[purging.Left]],
    *,
    dry_run: bool,
    receipt: Path | None,
    yes: bool,
) -> None:
    slide_id = folder.rpartition("/")[2]
    found = [*scanned(), *purging.left(store, slide_id)]
    if not found:
        raise StoreError(f"{store}/{folder}", "there is nothing of it; check the id")
    for line in display.left_lines(found):
        echo(line)
    if dry_run:
        return
    if not yes:
        confirm(f"Remove all of this, for good, and former versions of lists that name {slide_id}?")
    if receipt:  # or nothing would tell what was removed
        if receipt.exists():
            raise OptionError(f"{receipt} is there already; give another name")
        receipt.touch()
    try:
        gone = purging.purge(store, slide_id, scanned())  # another one may be there since
    except BaseException:
        if receipt:
            receipt.unlink()
        raise
    echo(f"{slide_id}: nothing is left")
    if receipt:
        made = purging.receipt(slide_id, gone, user_name())
        receipt.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    if store.remote:
        paths = (f"/{folder}/*", f"/{folder}.dzi*", f"/{folder}_files/*", f"/{keys.IMAGES}/index*")
        echo(
            "A CDN may have kept what it gave out. For CloudFront: aws cloudfront "
            f"create-invalidation --distribution-id ID --paths {shlex.join(paths)}"
        )


def _named(
    target: str, root: str | None, private_to: str | None, s3: S3Options
) -> tuple[Store | Destination, str]:
    """The store and the pyramid's folder in it; of one outside images/ nothing else is known.
    Raises OptionError and StoreError."""
    if root is None and (not keys.is_id(target) or os.path.lexists(target)):
        store, folder = open_pyramid(target, s3)
        if not folder.startswith(f"{keys.IMAGES}/"):
            return store, folder
        return open_destination(str(store), private_to, s3), folder
    if not keys.is_id(target):
        raise OptionError(f"{target!r} cannot be an id; vsv-pyramid slides lists those there are")
    return open_destination(root or ".", private_to, s3), keys.folder(target)
