"""The command that submits a bucket's slides to AWS Batch."""

from __future__ import annotations

from typing import Any

import click

from vsv_pyramid.aws import costs
from vsv_pyramid.cli.help import command
from vsv_pyramid.cli.messages import Lines
from vsv_pyramid.cli.options import (
    PlaceType,
    Texts,
    as_json,
    job_definition_option,
    print_json,
    private_to,
    search_options,
)
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.errors import OptionError, SlideAccessError
from vsv_pyramid.planning import ids
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.words import counted

_LIMITS = {
    "slides": "a job for each slide",
    "vCPUs": "more vCPUs (--max-vcpus) would be faster, if the account's quota allows them",
    "puts": f"S3 takes {costs.PUTS:,.0f} puts a second until it has made room for more; more vCPUs "
    "would not help, but packed slides need few puts",
}


@command(
    "submit",
    short_help="Submit a bucket's slides to AWS Batch.",
    epilog="""\b
Examples:
  vsv-pyramid submit s3://scans --to s3://bucket --dry-run
  vsv-pyramid submit s3://scans/new --to s3://bucket --queue slides --job-definition vsv-pyramid
  vsv-pyramid submit s3://bucket --pack --queue slides --job-definition vsv-pyramid""",
)
@click.argument("slides", type=PlaceType(), metavar="S3-URL")
@click.option(
    "--to",
    "destination",
    metavar="DEST",
    help="Where the job definition has its jobs publish: s3://bucket/prefix.",
)
@click.option(
    "--pack",
    is_flag=True,
    help="S3-URL is where pyramids are published: have jobs pack those that are tiles.",
)
@click.option("--queue", metavar="QUEUE", help="The Batch job queue, by name or ARN.")
@job_definition_option
@click.option(
    "--inventory",
    metavar="S3-URL",
    help="Instead of listing the bucket, read its S3 Inventory (CSV): s3://bucket/.../manifest.json.",
)
@click.option(
    "--max-vcpus",
    type=click.IntRange(min=costs.JOB_VCPUS),
    default=costs.MAX_VCPUS,
    show_default=True,
    help="For what is told beforehand: vCPUs that Spot may use, and on demand as many again.",
)
@click.option("--dry-run", is_flag=True, help="Print what it would take, and submit nothing.")
@search_options
@private_to
@store_options
@as_json
def submit_command(
    slides: str,
    destination: str | None,
    pack: bool,
    queue: str | None,
    job_definition: str | None,
    inventory: str | None,
    max_vcpus: int,
    dry_run: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Submit the slides at S3-URL and below to AWS Batch: those that are not published yet, and
    those whose file was replaced since. They go as array jobs of up to 10,000 slides. The lists of
    slides that the jobs need are put into the private place or, without one, into the slides'
    bucket.

    Jobs that are already on their way are not looked for: a slide that another job has published in
    the meantime is skipped by the second one. Give --ids as the job definition has it.

    With --pack, S3-URL is the s3://bucket/prefix that images/ is in: its pyramids that are tiles
    are packed by jobs, as `pack` does it, and new slides get that layout, too. Done again, it takes
    those that are left.
    """
    if not dry_run and not (queue and job_definition):
        raise OptionError("--queue and --job-definition are needed, or --dry-run")
    if pack == (destination is not None):
        raise OptionError("give either --to or --pack")
    if destination is None:
        _pack(slides, queue, job_definition, dry_run, as_json, ConvertOptions(**values))
        return
    if not destination.startswith("s3://"):
        raise OptionError(f"{destination!r} is no place for jobs to publish in; give s3://bucket")
    from vsv_pyramid.aws.batch import Queue
    from vsv_pyramid.unattended import backlog, sampled

    options = ids.keyed_at(destination, ConvertOptions(**values), create=not dry_run)
    found = backlog.find(slides, destination, options, inventory)
    if not (found.slides or found.published or found.archived or found.refused):
        raise SlideAccessError(slides, "there are no slides; check the bucket and the prefix")
    for sentence in found.refused:
        echo(f"Warning: {sentence}", err=True)
    if found.refused:
        echo(f"{slides}: {counted(len(found.refused), 'slide')} left out, as told", err=True)
    if found.archived:
        echo(
            f"Warning: {slides}: {counted(found.archived, 'archived slide')} left out; restore "
            "what is needed (aws s3api restore-object), then submit again",
            err=True,
        )
    say = Lines(quiet=False, as_json=as_json)
    for slide in found.slides:
        say.named(str(slide.url), options)
    cost = sampled.estimated(found.slides, options.s3, layout=found.layout, max_vcpus=max_vcpus)
    plan = costs.schedule(cost, max_vcpus)
    if not as_json:
        echo(
            f"{slides}: {len(found.slides):,} waiting, {found.published:,} published; about "
            f"{cost.gigapixels:,.2f} gigapixels, {cost.vcpu_hours:,.2f} vCPU hours, "
            f"${cost.dollars:,.4f} (${cost.compute_dollars:,.4f} on Fargate, "
            f"{cost.on_demand:.0%} of it on demand, ${cost.put_dollars:,.4f} for "
            f"{cost.objects:,} puts)"
        )
        if found.slides:
            echo(
                f"{counted(plan.jobs, 'job')} at the same time, about {plan.hours:,.1f} hours: "
                f"{_LIMITS[plan.limit]}"
            )
    jobs: list[str] = []

    def told(job: str) -> None:
        jobs.append(job)
        if not as_json:
            echo(f"submitted: {job}")

    try:
        if queue and job_definition and not dry_run:
            batch = Queue(queue, job_definition)
            backlog.submit(found.slides, destination, batch, told, options)
    finally:  # where one job is refused, others are under way
        if as_json:
            facts = {
                "slides": Texts(found.slides, lambda slide: str(slide.url)),
                "published": found.published,
                "archived": found.archived,
                "refused": Texts(found.refused, str),
                "estimate": {**cost._asdict(), "dollars": cost.dollars, **plan._asdict()},
                "jobs": jobs,
            }
            print_json(facts)


def _pack(
    root: str,
    queue: str | None,
    job_definition: str | None,
    dry_run: bool,
    as_json: bool,
    options: ConvertOptions,
) -> None:
    from vsv_pyramid.aws.batch import Queue
    from vsv_pyramid.destination.root import open_root
    from vsv_pyramid.unattended import packing

    if not root.startswith("s3://"):
        raise OptionError(f"{root!r} is no place that jobs can reach; give s3://bucket/prefix")
    open_root(root, options.s3)
    pyramids = packing.tiles_in(root, options)
    if not as_json:
        echo(f"{root}: {counted(len(pyramids), 'pyramid')} to be packed")
    jobs: list[str] = []

    def told(job: str) -> None:
        jobs.append(job)
        if not as_json:
            echo(f"submitted: {job}")

    if queue and job_definition and not dry_run:
        packing.pack(pyramids, root, Queue(queue, job_definition), told, options)
    if as_json:
        print_json({"pyramids": pyramids, "jobs": jobs})
