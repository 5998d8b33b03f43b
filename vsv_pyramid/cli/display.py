"""What the command line shows: progress on stderr, and results as lines of text."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from vsv_pyramid.layout import keys
from vsv_pyramid.review import history
from vsv_pyramid.review.history import IDS, Record
from vsv_pyramid.runtime import clock
from vsv_pyramid.words import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tqdm import tqdm

    from vsv_pyramid.catalog import Rebuilt
    from vsv_pyramid.conversion.summary import Summary
    from vsv_pyramid.purging import Left
    from vsv_pyramid.renewal import Refreshed
    from vsv_pyramid.review.failures import Failed
    from vsv_pyramid.runtime.progress import Progress
    from vsv_pyramid.verification.findings import Report

FIRST_SECONDS = 1.0
_LINE_SECONDS = 8.0


class ProgressDisplay:
    """Shows the Progress it is called with: a bar on a terminal, else a line every few seconds, the
    first one soon, be it that the slide is still being opened."""

    def __init__(self, slide_id: str, unit: str = "tile") -> None:
        self._id = one_line(slide_id)
        self._unit = unit
        self._start = self._last_line = clock.monotonic()
        self._bar = _bar(self._id, unit) if sys.stderr and sys.stderr.isatty() else None
        self._said = "is opened and looked at"
        self._ended = threading.Event()

    def __enter__(self) -> ProgressDisplay:
        if self._bar is None and sys.stderr:
            with contextlib.suppress(RuntimeError):  # there is a limit to threads
                threading.Thread(target=self._begin, name="progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.close()

    def __call__(self, progress: Progress) -> None:
        now = clock.monotonic()
        speed = f"{progress.base_pixels / 1e9 / max(now - self._start, 1e-3):.3f} gigapixels/s"
        if self._bar is not None:
            self._bar.total = progress.total
            self._bar.set_postfix_str(speed if progress.base_pixels else "", refresh=False)
            self._bar.update(progress.tiles - self._bar.n)
            return
        self._said = f"{progress.tiles:,} of {counted(progress.total, self._unit)}"
        if progress.base_pixels:
            self._said += f", {speed}"
        if now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self._say()

    def _begin(self) -> None:
        if not clock.wait(self._ended, FIRST_SECONDS):
            self._say()

    def _say(self) -> None:
        if sys.stderr:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                print(f"{self._id}: {self._said}", file=sys.stderr, flush=True)


def _bar(slide_id: str, unit: str) -> tqdm[NoReturn]:
    from tqdm import tqdm  # late: its import takes a tenth of the start

    return tqdm(desc=slide_id, unit=f" {unit}s")


def summary_line(summary: Summary) -> str:
    """What became of one slide."""
    if summary.status == "skipped" and not summary.target:
        return f"{summary.id}: skipped, it awaits a rescan"
    if summary.status == "skipped":
        return f"{summary.id}: skipped, the same is published as {summary.target}"
    if summary.status == "busy":
        return f"{summary.id}: left to another process that converts it"
    speed = summary.width * summary.height / 1e9 / max(summary.seconds, 0.01)
    kept = f", {counted(summary.kept, 'object')} there already" if summary.kept else ""
    return (
        f"{summary.id}: {counted(summary.tiles, 'tile')}, {summary.bytes / 1e6:,.1f} MB in "
        f"{summary.seconds:.1f} s ({speed:.3f} gigapixels/s{kept}) -> {summary.target}"
    )


def slide_lines(slides: list[dict[str, Any]]) -> list[str]:
    """A table of the catalog's entries, and how many there are; a slide ID that was only read off
    the label has a question mark."""
    rows: list[tuple[str, ...]] = [("ID", "STATUS", "SLIDE ID", "CASE ID", "SCANNED", "REVISION")]
    for slide in slides:
        review = slide["review"]
        scanned = str(slide["scanned"] or slide.get("year") or "")[:10]
        said = (review["status"], _lab_id(review, "?"), review["case_id"], scanned)
        rows.append((slide["id"], *map(_or_none, said), str(review["revision"])))
    return [*_table(rows), _count(slides)]


def awaited_lines(slides: list[dict[str, Any]]) -> list[str]:
    """A table of the slides that await a rescan, and how many there are."""
    rows: list[tuple[str, ...]] = [("ID", "SLIDE ID", "CASE ID", "DELETED BY", "AT")]
    for slide in slides:
        said = (_lab_id(slide, "?"), slide["case_id"], slide["who"], slide["when"])
        rows.append((slide["id"], *map(_or_none, said)))
    return [*_table(rows), f"{_count(slides)} awaiting a rescan"]


def failed_lines(failed: Sequence[Failed]) -> list[str]:
    """A table of the slides that could not be converted, and how many there are."""
    rows: list[tuple[str, ...]] = [("ID", "FAILED AT", "TRIED AGAIN", "WHY")]
    for one in failed:
        rows.append(
            (one.id, one.failed_at, "asked for" if one.again else "-", one_line(one.reason))
        )
    return [*_table(rows), f"{counted(len(failed), 'slide')} could not be converted"]


def review_line(record: Record) -> str:
    """A slide's status and IDs."""
    ids = ", ".join(f"{name} {_or_none(record.value(key))}" for key, name in IDS.items())
    return f"{record.id}: {record.value('status')}, {ids}"


def record_facts(record: Record) -> dict[str, Any]:
    """A slide's private record, and what it comes to, as JSON has it."""
    return {**json.loads(history.write(record)), "review": record.review()}


def record_lines(record: Record) -> list[str]:
    """A slide's private record without the properties: what it comes to, and the log."""
    rows = {
        "Slide": record.id,
        "Status": record.value("status"),
        "Slide ID": _or_none(_lab_id(record.review(), " (not confirmed)")),
        "Case ID": _or_none(record.value("case_id")),
        "Barcode": _or_none(record.barcode),
        "Scanned file": _or_none(record.source.get("location")),
        "Revision": record.revision,
    }
    log = [f"  {event.when}  {event}" for event in record.history]
    return [*(f"{name + ':':<19}{value}" for name, value in rows.items()), "Log:", *log]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    shown = [tuple(map(one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]


def _count(slides: list[dict[str, Any]]) -> str:
    return counted(len(slides), "slide")


def _lab_id(said: dict[str, Any], mark: str) -> str:
    """The slide ID if it is known, with the mark where it is not confirmed."""
    lab_id = said[history.LAB_ID] or ""
    return lab_id + mark if lab_id and not said.get("confirmed") else lab_id


def _or_none(value: str | None) -> str:
    return value or "-"


def published_lines(facts: dict[str, Any]) -> list[str]:
    """The facts of a published pyramid, a line each."""
    rows = {
        "Pyramid": facts["target"],
        "State": facts["state"],
        "Stored": f"{counted(facts['objects'], 'object')}, {facts['tiles']:,} "
        f"{'tiles in one of them' if facts['layout'] == keys.PACKED else 'of them tiles'}; "
        f"{facts['bytes'] / 1e6:,.1f} MB",
    }
    if facts["slide"]:
        rows |= {
            "Slide": facts["slide"],
            "Size": f"{facts['width']:,} x {facts['height']:,} px"
            if facts["width"] and facts["height"]
            else None,
            "Tiles": f"{facts['tile_size']} px"
            + (f", {facts['lane']} lane" if facts["lane"] else ", made by another program"),
            "Version": facts["version"],
            "Created": facts["created"],
        }
    return [f"{name + ':':<19}{value}" for name, value in rows.items() if value]


def info_lines(facts: dict[str, Any]) -> list[str]:
    """The facts of `info`, a line each."""

    def said(value: object, unit: str = "") -> str:
        return "not stated" if value is None else f"{value}{unit}"

    plan, mpp, native = facts["plan"], facts["mpp"], facts["native_tile"]
    gigapixels = facts["width"] * facts["height"] / 1e9
    looks = ", ".join(f"{one['looks']:,}" for one in plan["s3_ten_years"][0]["looks"])
    rows = {
        "Slide": facts["slide"],
        "Size": f"{facts['width']:,} x {facts['height']:,} px ({gigapixels:.3f} gigapixels)",
        "Levels": ", ".join(f"{level['width']}x{level['height']}" for level in facts["levels"]),
        "Container": facts["container"],
        "Tiles": f"{native['width']}x{native['height']} px" if native else "none",
        "Compression": said(facts["compression"]),
        "Colour": said(facts["photometric"]),
        "Read by": facts["read_by"],
        "Magnification": "not stated"
        if facts["objective_power"] is None
        else f"{facts['objective_power']:g}x",
        "Microns per pixel": f"{said(mpp['x'])} x {said(mpp['y'])}",
        "Scanner": f"{said(facts['scanner'])} (vendor {said(facts['vendor'])})",
        "Scanned": said(facts["scanned"]),
        "Associated images": ", ".join(facts["associated_images"]) or "none",
        "Left out": ", ".join(facts["left_out"]) or "nothing",
        "ICC profile": said(facts["icc_profile_bytes"], " bytes"),
        "Plan": f"{counted(len(plan['levels']), 'level')}, {counted(plan['tiles'], 'tile')} of "
        f"{plan['tile_size']} px, {counted(plan['objects'], 'object')}, {plan['lane']} lane "
        f"({plan['lane_reason']})",
        "Estimated size": f"{plan['estimated_bytes'] / 1e6:,.1f} MB",
        "On S3": f"${plan['s3_put_dollars']:.2g} to put, "
        f"${plan['s3_month_dollars']:.2g} a month to store",
        "Kept ten years": f"{_kept(plan['s3_ten_years'][0])} (looked at {looks} times)",
        "Or as one file": _kept(plan["s3_ten_years"][-1]),
    }
    return [f"{name + ':':<19}{value}" for name, value in rows.items()]


def _kept(form: dict[str, Any]) -> str:
    """What a form of the pyramid costs to keep, by the times it is looked at."""
    dollars = ", ".join(f"${looked['dollars']:.2g}" for looked in form["looks"])
    return f"{dollars} in {form['storage_class']}"


def rebuilt_lines(rebuilt: Rebuilt) -> list[str]:
    """What is left out of the catalog, and what is in it last."""
    lines = [f"warning: {sentence}" for sentence in rebuilt.warnings]
    held = f"{counted(rebuilt.slides, 'slide')} in {counted(rebuilt.documents, 'document')}"
    lines.append(f"{rebuilt.target}: {held}, {rebuilt.left_out} left out")
    return lines


def refreshed_lines(refreshed: Refreshed) -> list[str]:
    """Why slides are left as they are, and what was done last."""
    lines = [f"warning: {sentence}" for sentence in refreshed.warnings]
    would = "would be " if refreshed.dry_run else ""
    done = f"{refreshed.changed:,} {would}written anew, {refreshed.left_out:,} left out"
    lines.append(f"{refreshed.target}: {counted(refreshed.slides, 'slide')}, {done}")
    return lines


def report_lines(report: Report) -> list[str]:
    """The report's sentences, and the verdict last."""
    lines = [f"error: {sentence}" for sentence in report.errors]
    lines += [f"warning: {sentence}" for sentence in report.warnings]
    verdict = counted(len(report.errors), "error") if report.errors else "good"
    looked = (
        "its pyramids were not looked into"
        if report.tiles is None
        else f"{counted(report.tiles, 'tile')} checked"
    )
    lines.append(f"{report.target}: {verdict}, {looked}")
    if report.reader and report.lowest_psnr is not None:
        others = [
            f"{name} ({n:,})" for name, n in report.compared_by.items() if name != report.reader
        ]
        readers = ", or by ".join([report.reader, *others])
        lines[-1] += (
            f", {report.compared:,} compared with the slide as read by {readers} "
            f"(lowest PSNR {report.lowest_psnr:.1f} dB, of chroma "
            f"{report.lowest_chroma_psnr:.1f} dB)"
        )
    return lines


def left_lines(found: Sequence[Left]) -> list[str]:
    """What there is of a slide, a line for each folder or document."""
    places: dict[str, list[Left]] = {}
    for one in found:
        parts = one.key.split("/")
        folder = "/".join(parts[: parts.index(keys.IMAGES) + 2] if keys.IMAGES in parts else parts)
        places.setdefault(f"{one.store}/{folder}", []).append(one)
    lines = []
    for place, its in places.items():
        former = sum(one.is_former for one in its)
        objects = len({one.key for one in its if not one.is_former})
        what = [counted(objects, "object")] if objects else []
        what += [counted(former, "former version")] if former else []
        lines.append(f"{place}: {' and '.join(what)}")
    return lines
