"""Holds a published pyramid against its plan, its own levels and its slide."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import simplejpeg

from vsv_pyramid import slide_json
from vsv_pyramid.errors import CONVERT_AGAIN, DescriptorError, OptionError, StoreError
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.descriptor import FORMAT, Descriptor
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.packed.published import key_in
from vsv_pyramid.packed.reading import PackedStore, with_tiles
from vsv_pyramid.publication import TileDigest
from vsv_pyramid.pyramid.quadtree import fold
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.store import S3Options, Store, open_pyramid
from vsv_pyramid.store.base import Reader
from vsv_pyramid.store.zipped import Zipped
from vsv_pyramid.verification import coding, comparison
from vsv_pyramid.verification.comparison import Picture
from vsv_pyramid.verification.document import check_document, check_images
from vsv_pyramid.verification.findings import Check, Report
from vsv_pyramid.verification.links import check_links
from vsv_pyramid.verification.packed import check_places
from vsv_pyramid.verification.reach import report_astray
from vsv_pyramid.verification.reference import hold_against

_HEADER_BYTES = 4096
_MOST_LACKING = 1_000_000  # tiles, each of which is looked for: a descriptor can state any number


def verify(
    target: str | Path,
    *,
    deep: bool = False,
    sample: int | None = None,
    against: str | Path | None = None,
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
    s3: S3Options | None = None,
) -> Report:
    """A report on the pyramid `target`: its folder or its descriptor, by path or s3:// URL, or its
    .zip or .szi file.

        report = verify("www/images/170782", deep=True, against="170782.svs")
        print(report.errors or f"{report.tiles} tiles are right")

    Always: descriptor, slide.json, the set of tiles, their sizes in bytes as listed and, unless the
    store is remote, those in px as their headers state them. `deep` decodes every tile and compares
    it with the level below, or decodes a `sample` of so many tiles; `against` compares tiles of the
    base level and of one middle level with the slide's pixels. Raises OptionError for options that
    cannot be, StoreError where there is no pyramid, and what opening a slide raises.
    """
    if sample is not None and not (deep and sample > 0):
        raise OptionError("a sample needs deep, and has one tile at least")
    if workers < 1:
        raise OptionError(f"{workers} workers are refused; give 1 or more")
    published, folder = open_pyramid(str(target), s3)
    store = with_tiles(published, folder)
    report = Report(str(target))
    if store.head(keys.descriptor_key(folder)) is None:
        raise StoreError(target, _why_none(published, folder))
    # Of one that is far away, all of the file would be read to know where each member begins.
    packed = store.as_szi() if isinstance(store, Zipped) and (deep or not store.remote) else None
    is_said = store.head(keys.slide_json_key(folder)) is not None
    is_anothers = packed is not None and packed.index_data is None and not is_said
    document = None if is_anothers else _slide_json(store, folder, report)
    try:
        descriptor = Descriptor.parse(store.get(keys.descriptor_key(folder)))
    except DescriptorError as exc:
        report.errors.append(str(exc))
        return report
    if is_anothers:
        report.warnings.append("another program has made it, and it says little of the slide")
    if descriptor.overlap or descriptor.format != FORMAT:
        report.errors.append(
            "the tiles overlap, or are no JPEGs; such as other programs make are not looked into"
            if is_anothers
            else "the descriptor states another overlap or format than this layout's"
        )
        return report
    if isinstance(store, PackedStore) and any(published.keys(keys.tiles_prefix(folder))):
        report.warnings.append(
            "tiles lie beside it that nothing shows; vsv-pyramid pack removes them"
        )
    check = Check(store, folder, report, descriptor.pyramid, document)
    check_links(check, published)
    check_document(check)
    check_images(check)
    _check_astray(check, published)
    present = _check_keys(check)
    if present is None:
        return report
    if packed:
        check_places(check, packed)
    if not store.remote:
        _check_headers(check, sorted(present))
    report.tiles = len(present)
    if deep and sample is not None:
        _check_headers(check, _spread(present, sample), whole=True)
    elif deep:
        _check_deep(check, present, workers, progress or (lambda _: None))
    if against:
        hold_against(check, present, against, s3.request_payer if s3 else None)
    return report


def _why_none(store: Store, folder: str) -> str:
    found = store.tagged(keys.slide_json_key(folder))
    with contextlib.suppress(DescriptorError):
        if found and (key := key_in(slide_json.parse(found.data), folder)):
            return f"{key.rpartition('/')[2]} is missing, which slide.json names; {CONVERT_AGAIN}"
    names = (found.key.rpartition("/")[2] for found in store.keys(f"{folder}/"))
    if unnamed := next(filter(keys.is_packed, names), None):
        return f"{unnamed} is there, and slide.json does not name it; {CONVERT_AGAIN}"
    return "no pyramid here (no DeepZoom.dzi); give the folder that holds it"


def _slide_json(store: Reader, folder: str, report: Report) -> dict[str, Any] | None:
    try:
        return slide_json.parse(store.get(keys.slide_json_key(folder)))
    except StoreError as exc:
        if store.head(keys.slide_json_key(folder)) is None:
            report.wrong("slide.json is missing")
        else:
            report.errors.append(str(exc))
    except DescriptorError as exc:
        report.errors.append(str(exc))
    return None


def _check_keys(check: Check) -> set[TileAddress] | None:
    """The planned tiles that are there; what lacks, and what is too many, is reported. None where
    far more are planned than can be looked for."""
    stored = {
        found.key: found.size
        for found in check.store.keys(keys.tiles_prefix(check.folder))
        if keys.is_own(check.folder, found.key)
    }
    present: set[TileAddress] = set()
    lacking: list[str] = []
    total = 0
    if check.pyramid.tile_count > len(stored) + _MOST_LACKING:
        check.report.wrong(
            f"{len(stored):,} of the {check.pyramid.tile_count:,} tiles are there that the "
            "descriptor states"
        )
        return None
    for address in check.pyramid.tiles():
        size = stored.pop(keys.tile_key(check.folder, address), None)
        if size is None:
            lacking.append(f"tile {address} is missing")
        else:
            present.add(address)
            total += size
    check.report.add(lacking)
    check.report.add([f"{key} is not part of the pyramid" for key in sorted(stored)])
    stated = check.document["pyramid"].get("bytes") if check.document else total
    if not lacking and stated != total:
        check.report.errors.append(
            f"the tiles hold {total:,} bytes, slide.json says {stated}; --deep finds the tile"
        )
    return present


def _check_astray(check: Check, published: Store) -> None:
    """What is none of the layout's, in the slide's folder or its archive, must not be private."""
    beside = [
        one.key
        for one in check.store.keys("" if isinstance(published, Zipped) else f"{check.folder}/")
        if not keys.is_own(check.folder, one.key) and one.key != keys.catalog_key()
    ]
    check.report.warnings += [f"{key} is not part of the layout" for key in beside]
    if isinstance(check.store, Zipped):
        beside += check.store.strangers()
        if check.document and not check.store.is_plain():
            check.report.errors.append(
                f"{check.store}: has a comment, or bytes around its members; {CONVERT_AGAIN}"
            )
    report_astray(check.report, published, beside)


def _spread(present: set[TileAddress], count: int) -> list[TileAddress]:
    """So many of the tiles, spread evenly over levels, columns and rows."""
    ordered = sorted(present)
    count = min(count, len(ordered))
    return [ordered[i * len(ordered) // count] for i in range(count)]


def _check_headers(check: Check, addresses: Sequence[TileAddress], *, whole: bool = False) -> None:
    """Each tile's JPEG header must state the planned size; a `whole` tile must be decodable."""
    faults = (_header_fault(check, address, whole) for address in addresses)
    check.report.add([fault for fault in faults if fault])


def _header_fault(check: Check, address: TileAddress, whole: bool) -> str | None:
    planned = check.pyramid.dimensions(address)
    jpeg = check.tile(address, first=None if whole else _HEADER_BYTES)
    try:
        header = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError:
        return f"tile {address} is not a JPEG"
    if whole and comparison.picture(jpeg) is None:
        return f"tile {address} is damaged: it cannot be decoded to its end"
    height, width = header[:2]
    if (width, height) != planned:
        return f"tile {address} is {width}x{height} px instead of {planned.width}x{planned.height}"
    return coding.fault(check, address, jpeg, whole=whole)


def _check_deep(
    check: Check,
    present: set[TileAddress],
    workers: int,
    progress: Callable[[Progress], None],
) -> None:
    """Decodes every tile to its end, and holds its half against the tile of the level below."""
    digest = TileDigest()
    faults: list[str] = []
    visited: list[TileAddress] = []

    def visit(address: TileAddress, halves: Sequence[Sequence[Picture | None]]) -> Picture | None:
        visited.append(address)
        if address not in present:
            return None
        jpeg = check.tile(address)
        digest.add(address, jpeg)
        shown = comparison.picture(jpeg)
        if shown is None:
            faults.append(f"tile {address} is damaged: it cannot be decoded to its end")
            return None
        if odd := coding.fault(check, address, jpeg):
            faults.append(odd)
        if halves:
            faults.extend(comparison.misplaced(check.pyramid, address, shown, halves))
        return shown.halved()

    def tick() -> None:
        progress(Progress(len(visited), check.pyramid.tile_count, 0))

    fold(check.pyramid, visit, workers=workers, tick=tick)
    check.report.add(sorted(faults))
    stated = check.document and check.document["pyramid"].get("version")
    if check.document and not check.report.errors and stated != digest.hexdigest():
        check.report.wrong("slide.json is of other tiles than these (version digest)")
