"""The command that nobody sits beside: watch a folder."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from pathlib import Path
from typing import Any

import click
from platformdirs import user_state_path

from vsv_pyramid.cli.help import command
from vsv_pyramid.cli.messages import Events, Lines
from vsv_pyramid.cli.options import (
    PathType,
    conversion_options,
    job_definition_option,
    log_options,
    plan_options,
    search_options,
)
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import Destination, open_destination
from vsv_pyramid.errors import EXIT_FAILED, OptionError, StoreError, StoreUnavailable
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.options import ConvertOptions, usable_cpus
from vsv_pyramid.runtime import clock
from vsv_pyramid.runtime.progress import unless
from vsv_pyramid.slide.files import normal
from vsv_pyramid.slide.pseudonyms import met
from vsv_pyramid.store import is_archive
from vsv_pyramid.unattended.watch import INTERVAL, Handed, Watch, WatchEnded

_log = logging.getLogger(__name__)


def _number(_: click.Context, __: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("that is no number.")
    return value


def _keyed(options: ConvertOptions, store: Destination, interval: float | None) -> ConvertOptions:
    """The options by which ids can be made. A destination that does not answer is asked again at
    each interval (s), as the watch does it, if there is one."""
    told = False
    while True:
        try:
            return ids.keyed(options, store)
        except StoreUnavailable as exc:
            if interval is None:
                raise
            if not told:
                _log.warning("%s", exc)
            told = True
            clock.sleep(interval)


@command(
    "watch",
    short_help="Convert the slides that arrive in a folder.",
    epilog="""\b
Examples:
  vsv-pyramid watch /mnt/scanner --to /srv/www
  vsv-pyramid watch /mnt/scanner --to s3://bucket --jobs 2 --log-format json
  vsv-pyramid watch /mnt/scanner --to s3://bucket --once
  vsv-pyramid watch /mnt/scanner --to s3://bucket --submit slides --job-definition convert \\
    --seen-as /mnt/slides""",
)
@click.argument("folder", type=PathType())
@click.option(
    "--to",
    "destination",
    required=True,
    metavar="DEST",
    help="Where to publish, as DEST/images/ID: a folder or s3://bucket/prefix.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Slides at the same time.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 86400),
    callback=_number,
    default=INTERVAL,
    show_default=True,
    metavar="SECONDS",
    help="Between looks; a slide that is the same for so long, and complete, has settled.",
)
@click.option(
    "--once", is_flag=True, help="Convert what has settled, and end: for cron. Looks twice."
)
@click.option("--retry", is_flag=True, help="Try again what was set aside.")
@click.option(
    "--submit",
    "queue",
    metavar="QUEUE",
    help="Submit jobs to this queue of AWS Batch instead of converting. The job definition says "
    "how they convert, and where to; give the same as --to.",
)
@job_definition_option
@click.option(
    "--seen-as",
    metavar="PLACE",
    help="With --submit: what FOLDER is to the jobs, a path or an s3:// URL; default: FOLDER.",
)
@click.option(
    "--state",
    type=PathType(),
    envvar="VSV_PYRAMID_STATE",
    metavar="FOLDER",
    help="Where failures are remembered if there is no --private-to; default: a folder of your "
    "account's own.",
)
@search_options
@plan_options
@conversion_options
@store_options
@log_options
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.pass_context
def watch_command(
    context: click.Context,
    /,
    folder: Path,
    destination: str,
    jobs: int,
    interval: float,
    once: bool,
    retry: bool,
    queue: str | None,
    job_definition: str | None,
    seen_as: str | None,
    state: Path | None,
    workers: int | None,
    log_format: str,
    quiet: bool,
    **values: Any,
) -> None:
    """Convert the slides in FOLDER and in all folders below, and each slide that arrives there.
    Ctrl-C ends it.

    A slide is taken when it is complete: its files are the same at two looks, and a TIFF has all of
    its data, or nothing has come for 15 minutes.

    A slide that fails is tried again after 1, 5, 30 and 120 minutes. Then it is set aside until its
    file changes. A damaged slide is set aside at once. So is one whose job failed: AWS Batch has
    tried that again already. While a disk, a share or the network fails, slides wait, and none is
    set aside. What failed, and why, is remembered in the private place, or in the folder of
    --state; another watch goes on from there.

    A slide that is replaced under its name gets a new pyramid in the place of the old one. A slide
    that is renamed is a new slide: the pyramid of its old name stays. So does the pyramid of a
    slide that is removed. `delete` removes pyramids; do it when the slide is gone, or it is
    converted again. Two slides of the same id are not taken until one of them is renamed.
    """
    workers = max(1, usable_cpus() // jobs) if workers is None else workers
    state = state or user_state_path("vsv-pyramid", appauthor=False)
    options = ConvertOptions(workers=workers, update=True, state=state, **values)
    met.meet_folder(folder)
    if "" in (queue, job_definition):
        raise OptionError("--submit and --job-definition need names; what was given is empty")
    if (queue is None) != (job_definition is None):
        raise OptionError("--submit and --job-definition go together; give both or none")
    if seen_as and not queue:
        raise OptionError("--seen-as needs --submit")
    if is_archive(destination):
        raise OptionError(f"{destination} is for one slide; give a folder or s3://bucket/prefix")
    if not folder.is_dir():
        raise OptionError(f"{folder} is no folder; give the one that the scanner writes to")
    folder = normal(folder)  # by which the destination remembers its slides
    stop = threading.Event()
    store = open_destination(destination, options.private_to, options.s3, stop, state=state)
    options = _keyed(options, store, None if once else interval)
    if options.layout:
        with contextlib.suppress(StoreError):  # which is waited for
            store.layout(options.layout)
    say = Events(options) if log_format == "json" else Lines(quiet, as_json=False)

    def check() -> None:
        if stop.is_set():
            raise WatchEnded

    def converted(path: Path) -> Handed:
        say.named(str(path), options)
        with say.unwatched(str(path), destination) as show:
            tick = unless(check, show)
            summary = convert(path, destination, options, progress=tick, stop=stop)
        if summary.status == "busy":
            return Handed(busy=True)
        say.done(summary)
        return Handed()

    hand_on, ended = converted, None
    if queue and job_definition:
        from vsv_pyramid.aws.batch import Queue

        batch = Queue(queue, job_definition)
        ended = batch.ended
        root = str(seen_as or folder).rstrip("/")

        def submitted(path: Path) -> Handed:
            job = batch.submit(f"{root}/{path.relative_to(folder).as_posix()}")
            say.submitted(str(path), job)
            return Handed(job=job)

        hand_on = submitted
    watch = Watch(
        folder,
        store,
        hand_on,
        lambda path, exc, code, _: say.failed(str(path), exc, code),
        jobs=jobs,
        interval=interval,
        ended=ended,
        stop=stop,
        options=options,
    )
    if not once:
        say.watching(folder, options)
    watch.run(once=once, retry=retry)
    if watch.failures:
        context.exit(EXIT_FAILED)
