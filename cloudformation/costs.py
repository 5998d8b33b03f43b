"""The tables of README.md, out of the figures in vsv_pyramid/aws/costs.py and the prices beside it.

python cloudformation/costs.py
"""

from __future__ import annotations

from vsv_pyramid.aws import costs, prices

GIGAPIXELS = 4.0  # of a slide: 15 x 15 mm at 40x
SCANNING_HOURS = 8  # of a day, in which all of its slides arrive
DAYS = 250  # of a year, on which there is scanning

ALARMS, ENDPOINTS, IMAGE_GB = 3, 2, 0.2
LAMBDA_GB, LAMBDA_VCPUS = 3008 / 1024, 3008 / 1769
SCANS, SCAN_SECONDS = 12 * 24 * 365 / 12, 11.0  # a month; between its two looks it waits


def table(head: list[str], rows: list[list[str]]) -> str:
    """In Markdown, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in [head, *rows]
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in [lines[0], rule, *lines[1:]])


def one_slide() -> str:
    """What a slide costs, once and by the month."""
    taken = costs.estimate(1, GIGAPIXELS)
    seconds = GIGAPIXELS * costs.CPU_SECONDS / LAMBDA_VCPUS
    stored = GIGAPIXELS * costs.PYRAMID_BYTES / 1e9
    rows = [
        ["puts", f"{taken.objects:,}", f"${taken.put_dollars:.4f}"],
        [
            "converted by Batch, Fargate Spot",
            f"{taken.vcpu_hours * 3600:.0f} vCPU s",
            f"${taken.compute_dollars:.4f}",
        ],
        [
            "or on demand",
            f"{taken.vcpu_hours * 3600:.0f} vCPU s",
            f"${costs.estimate(1, GIGAPIXELS, on_demand=1).compute_dollars:.4f}",
        ],
        ["the job's address, disk and log", "", f"${taken.job_dollars:.4f}"],
        [
            "fetched from S3, in the same region",
            f"{GIGAPIXELS * costs.SLIDE_BYTES / 1e9:.1f} GB",
            f"${taken.get_dollars:.4f}",
        ],
        [
            "or by Lambda",
            f"{seconds * LAMBDA_GB:.0f} GB s",
            f"${seconds * LAMBDA_GB * prices.LAMBDA_GB_SECOND:.4f}",
        ],
        ["stored, a month", f"{stored:.1f} GB", f"${stored * prices.STANDARD.gb_month:.4f}"],
    ]
    return table([f"a slide of {GIGAPIXELS:.0f} gigapixels", "", "dollars"], rows)


def years() -> str:
    """What it takes to keep up, by slides a year."""
    rows = []
    for slides in 10_000, 100_000, 1_000_000:
        taken = costs.estimate(slides, slides * GIGAPIXELS)
        working = DAYS * SCANNING_HOURS * 3600
        stored = slides * GIGAPIXELS * costs.PYRAMID_BYTES / 1e9
        rows.append(
            [
                f"{slides:,}",
                f"{slides / DAYS:,.0f}",
                f"{taken.objects / working:,.0f}",
                f"{taken.vcpu_hours * 3600 / working:,.1f}",
                f"${taken.compute_dollars + taken.job_dollars:,.0f}",
                f"${taken.get_dollars + taken.put_dollars:,.0f}",
                f"${prices.tiered(stored, prices.STANDARD_TIERS):,.0f}",
            ]
        )
    head = ["slides a year", "a day", "puts a second", "vCPUs"]
    return table([*head, "Batch", "gets and puts", "a month to store them"], rows)


def looked_at() -> str:
    """What CloudFront asks for, by the looks at slides in a month."""
    rows = []
    for looks in 1_000, 100_000, 1_000_000, 10_000_000:
        gigabytes = looks * costs.LOOK_BYTES / 1e9
        requests = looks * costs.LOOK_TILES
        rows.append(
            [
                f"{looks:,}",
                f"{gigabytes:,.0f}",
                f"${prices.tiered(gigabytes, prices.CLOUDFRONT_TIERS):,.2f}",
                f"${requests * prices.CLOUDFRONT_REQUEST:,.2f}",
                f"${requests * prices.STANDARD.get:,.2f}",
            ]
        )
    return table(["looks a month", "GB", "CloudFront, by the GB", "its requests", "gets"], rows)


def kept() -> str:
    """What a slide costs to keep, as tiles and as one object, and the slide itself."""
    some = costs.LOOKS[1]
    objects, size = round(GIGAPIXELS * costs.OBJECTS), GIGAPIXELS * costs.PYRAMID_BYTES
    rows = []
    for form in costs.FORMS:
        kept = costs.keeping(form, objects, size)
        rows.append(
            [
                str(form),
                f"${kept.put:.4f}",
                *(f"${kept.dollars(looks):.2f}" for looks in costs.LOOKS),
                f"${kept.dollars(some, costs.YEARS):.2f}",
            ]
        )
    for storage in costs.SLIDE_CLASSES:
        dollars = costs.slide_dollars(storage, GIGAPIXELS * costs.SLIDE_BYTES)
        rows.append([f"the slide itself, {storage.name}", "", f"${dollars:.2f}", "", "", ""])
    head = [f"{costs.YEARS} years of a slide of {GIGAPIXELS:.0f} gigapixels", "to put"]
    looked = [f"{looks:,} looks" for looks in costs.LOOKS]
    return table([*head, *looked, f"{some}, and verified each year"], rows)


def idle() -> str:
    """What it costs to have, by the month, before any slide."""
    scans = SCANS * SCAN_SECONDS * LAMBDA_GB * prices.LAMBDA_GB_SECOND
    rows = [
        [f"{ALARMS} alarms", f"${ALARMS * prices.ALARM:.2f}"],
        ["the image in ECR", f"${IMAGE_GB * prices.IMAGE_GB:.2f}"],
        [f"with EFS: {ENDPOINTS} endpoints", f"${ENDPOINTS * prices.ENDPOINT:.2f}"],
        ["with EFS: an alarm, a scan every five minutes", f"${prices.ALARM + scans:.2f}"],
        ["queues, functions, Batch, CloudFront", "$0.00"],
    ]
    return table(["idle, a month", "dollars"], rows)


if __name__ == "__main__":
    print(idle(), one_slide(), kept(), years(), looked_at(), sep="\n", end="")
