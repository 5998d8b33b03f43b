"""Holds a published pyramid against its plan, and on demand against itself and against its slide."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from vsv_pyramid import dzi, record
from vsv_pyramid.convert import Progress, pixel_leaves
from vsv_pyramid.errors import DescriptorError, OptionError, StoreError
from vsv_pyramid.geometry import Pyramid, TileAddress
from vsv_pyramid.plan import ConvertOptions
from vsv_pyramid.publish import TileDigest
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.quadtree import fold
from vsv_pyramid.slide import open_slide
from vsv_pyramid.store import Store
from vsv_pyramid.store.directory import DirectoryStore

Pixels = npt.NDArray[np.uint8]

_HEADER_BYTES = 4096
_MIDDLE_REDUCTION = 4
# Luma in dB: neighbouring levels of one pyramid agree far better than this, and so do a slide and
# its own tiles; two places of one tissue do not.
_LEAST_PSNR = 24.0
_ERRORS_A_KIND = 20


@dataclass
class Report:
    """What verify found: sentences, each naming its tile. `lowest_psnr` is in dB of luma."""

    target: str
    tiles: int = 0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    compared: int = 0
    lowest_psnr: float | None = None


@dataclass
class _Check:
    """One pyramid under examination."""

    store: Store
    folder: str
    report: Report
    pyramid: Pyramid
    document: dict[str, Any]
    workers: int
    progress: Callable[[Progress], None]

    def key(self, address: TileAddress) -> str:
        return dzi.tile_key(self.folder, address)


def verify(
    target: Path,
    *,
    deep: bool = False,
    against: Path | None = None,
    workers: int = 1,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Report:
    """A report on the pyramid in the folder `target`, or of the .dzi file `target`.

    Always: descriptor, slide.json, the set of tiles, their sizes as their headers state them.
    `deep` decodes every tile and compares it with the tiles above it; `against` compares tiles of
    the base level and of one middle level with the slide's pixels. Raises StoreError where there
    is no pyramid, and what opening a slide raises.
    """
    folder = target.parent if target.suffix == ".dzi" else target
    folder = folder.resolve()
    store = DirectoryStore(folder.parent)
    report = Report(str(target))
    if store.head(dzi.descriptor_key(folder.name)) is None:
        raise StoreError(target, "no pyramid here (no DeepZoom.dzi); give the folder that holds it")
    document = _slide_json(store, folder.name, report)
    try:
        descriptor = dzi.parse(store.get(dzi.descriptor_key(folder.name)))
    except DescriptorError as exc:
        report.errors.append(str(exc))
        return report
    if descriptor.overlap or descriptor.format != dzi.FORMAT:
        report.errors.append("the descriptor states another overlap or format than this layout's")
        return report
    check = _Check(
        store, folder.name, report, descriptor.pyramid, document, workers, progress
    )
    _check_document(check)
    present = _check_keys(check)
    _check_headers(check, present)
    if deep:
        _check_deep(check, present)
    if against:
        _check_against(check, present, against)
    return report


def _slide_json(store: Store, folder: str, report: Report) -> dict[str, Any]:
    try:
        return record.parse(store.get(dzi.slide_json_key(folder)))
    except StoreError:
        report.errors.append("slide.json is missing; convert the slide again")
    except DescriptorError as exc:
        report.errors.append(str(exc))
    return {}


def _check_document(check: _Check) -> None:
    """slide.json must tell the same pyramid as the descriptor."""
    if not check.document:
        return
    size, pyramid = check.pyramid.size, check.document["pyramid"]
    expected = {
        "layout": (check.document.get("layout"), dzi.LAYOUT_VERSION),
        "size": ((check.document.get("width"), check.document.get("height")), tuple(size)),
        "tile size": (pyramid.get("tile_size"), check.pyramid.tile_size),
        "levels": (pyramid.get("levels"), record.pyramid_levels(check.pyramid)),
        "tile count": (pyramid.get("tile_count"), check.pyramid.tile_count),
    }
    check.report.errors += [
        f"slide.json and the descriptor do not agree on the {name}; convert the slide again"
        for name, (stated, planned) in expected.items()
        if stated != planned
    ]
    if check.document.get("id") != check.folder:
        check.report.warnings.append(
            f"slide.json is of the id {check.document.get('id')!r}, the folder is {check.folder!r}"
        )


def _check_keys(check: _Check) -> set[TileAddress]:
    """The planned tiles that are there; what lacks, and what is too many, is reported."""
    prefix = dzi.tiles_prefix(check.folder)
    stored = {object_.key: object_.size for object_ in check.store.keys(prefix)}
    size, present, lacking = 0, set(), []
    for address in check.pyramid.tiles():
        bytes_ = stored.pop(check.key(address), None)
        if bytes_ is None:
            lacking.append(f"tile {address} is missing")
        else:
            present.add(address)
            size += bytes_
    _add(check.report.errors, lacking)
    _add(check.report.errors, [f"{key} is not part of the pyramid" for key in sorted(stored)])
    stated = check.document.get("pyramid", {}).get("bytes", size)
    if not lacking and not stored and stated != size:
        check.report.errors.append(
            f"the tiles hold {size:,} bytes, slide.json says {stated:,}; --deep finds the tile"
        )
    known = {dzi.descriptor_key(check.folder), dzi.slide_json_key(check.folder)}
    known |= {dzi.associated_key(check.folder, name) for name in dzi.ASSOCIATED_IMAGES}
    known.add(dzi.icc_key(check.folder))
    check.report.warnings += [
        f"{object_.key} is not part of the layout"
        for object_ in check.store.keys(check.folder + "/")
        if object_.key not in known and not object_.key.startswith(prefix)
    ]
    return present


def _check_headers(check: _Check, present: set[TileAddress]) -> None:
    """Every tile's JPEG header must state the planned size."""
    wrong = []
    for address in sorted(present):
        sentence = _header_fault(check, address)
        if sentence:
            wrong.append(sentence)
        check.report.tiles += 1
    _add(check.report.errors, wrong)


def _header_fault(check: _Check, address: TileAddress) -> str | None:
    planned = check.pyramid.dimensions(address)
    header = check.store.get(check.key(address), first=_HEADER_BYTES)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(header)
    except ValueError:
        return f"tile {address} is not a JPEG"
    if (width, height) != planned:
        return f"tile {address} is {width}x{height} px, planned are {planned.width}x{planned.height}"
    return None


def _check_deep(check: _Check, present: set[TileAddress]) -> None:
    """Decodes every tile to its end, and holds it against the tile of the level below it."""
    digest = TileDigest()
    faults: list[str] = []
    visited: list[TileAddress] = []

    def visit(address: TileAddress, halves: Sequence[Sequence[Pixels | None]]) -> Pixels | None:
        visited.append(address)
        if address not in present:
            return None
        jpeg = check.store.get(check.key(address))
        digest.add(address, jpeg)
        pixels = _luma(jpeg)
        if pixels is None:
            faults.append(f"tile {address} is damaged: it cannot be decoded to its end")
            return None
        if halves:
            faults.extend(_misplaced(check, address, pixels, halves))
        return planes.box_halved(pixels)

    def tick() -> None:
        check.progress(Progress(len(visited), check.pyramid.tile_count, 0))

    fold(check.pyramid, visit, workers=check.workers, tick=tick)
    _add(check.report.errors, sorted(faults))
    stated = check.document.get("pyramid", {}).get("version")
    if not check.report.errors and stated != digest.hexdigest():
        check.report.errors.append(
            "the tiles are not the ones that slide.json was written for (version digest); "
            "convert the slide again"
        )


def _misplaced(
    check: _Check,
    address: TileAddress,
    pixels: Pixels,
    halves: Sequence[Sequence[Pixels | None]],
) -> Iterator[str]:
    """A sentence for each child whose half is not what the tile shows at the child's place."""
    for row, row_halves in zip(check.pyramid.children(address), halves, strict=True):
        for child, half in zip(row, row_halves, strict=True):
            if half is None:
                continue
            x, y = ((at - 2 * of) * check.pyramid.tile_size // 2
                    for at, of in zip(child[1:], address[1:], strict=True))
            quarter = pixels[y : y + half.shape[0], x : x + half.shape[1]]
            psnr = _psnr(quarter, half) if quarter.shape == half.shape else 0.0
            if psnr < _LEAST_PSNR:
                yield f"tile {child} does not show what tile {address} shows there ({psnr:.1f} dB)"


def _check_against(check: _Check, present: set[TileAddress], slide_path: Path) -> None:
    """Compares a sample of tiles with what OpenSlide reads at their places."""
    recorded = dict(check.document.get("options", {}))
    recorded.pop("tile_size", None)
    recorded["associated"] = tuple(recorded.get("associated", ()))
    try:
        options = ConvertOptions(**recorded)
    except (TypeError, OptionError) as exc:
        check.report.errors.append(f"slide.json states no usable options ({exc}); convert again")
        return
    stated = check.document.get("origin", {"x": 0, "y": 0})
    origin = stated["x"], stated["y"]
    with open_slide(slide_path) as slide:
        size = check.pyramid.size
        if origin == (0, 0) and size != slide.size and not options.bounds:
            check.report.errors.append(
                f"the pyramid is {size.width}x{size.height} px, the slide is "
                f"{slide.size.width}x{slide.size.height} px: not the same slide"
            )
            return
        source = check.document.get("source", {})
        if {key: source.get(key) for key in slide.fingerprint} != slide.fingerprint:
            check.report.warnings.append("the slide's file is not the one that was converted")
        leaves = pixel_leaves(slide, check.pyramid, origin, options)
        for address in _sample(check.pyramid, present):
            expected = _expected(check.pyramid, leaves.image, address)
            found = _luma(check.store.get(check.key(address)))
            check.report.compared += 1
            if found is None or found.shape != expected.shape:
                check.report.errors.append(f"tile {address} cannot be compared with the slide")
                continue
            psnr = _psnr(found, expected)
            lowest = check.report.lowest_psnr
            check.report.lowest_psnr = psnr if lowest is None else min(psnr, lowest)
            if psnr < _LEAST_PSNR:
                check.report.errors.append(
                    f"tile {address} does not show the slide at its place ({psnr:.1f} dB)"
                )


def _sample(pyramid: Pyramid, present: set[TileAddress]) -> Iterator[TileAddress]:
    """Tiles of the base and of a middle level, evenly spread, more of them on larger slides."""
    middle = max(0, pyramid.base.number - int(math.log2(_MIDDLE_REDUCTION)))
    for level in dict.fromkeys((pyramid.base, pyramid.levels[middle])):
        tiles = [address for address in level.tiles() if address in present]
        step = max(1, len(tiles) // (16 + math.isqrt(len(tiles))))
        yield from tiles[::step]


def _expected(
    pyramid: Pyramid, image: Callable[[TileAddress], Image.Image], address: TileAddress
) -> Pixels:
    """The tile's luma, made from the base level's pixels below it by plain box halving."""
    if address.level == pyramid.base.number:
        return np.asarray(image(address).convert("L"))
    rows = [
        [planes.box_halved(_expected(pyramid, image, child)) for child in row]
        for row in pyramid.children(address)
    ]
    return planes.stitched(rows)


def _luma(jpeg: bytes) -> Pixels | None:
    """The JPEG's luma, None where it is damaged or ends early."""
    try:
        gray: Pixels = simplejpeg.decode_jpeg(jpeg, "GRAY", strict=True)
    except ValueError:
        return None
    return gray[:, :, 0]


def _psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal to noise ratio in dB, 100 at the most."""
    mse = float(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2))
    return min(100.0, 10 * math.log10(255 * 255 / mse)) if mse else 100.0


def _add(errors: list[str], found: list[str]) -> None:
    """Adds sentences of one kind, and counts those past the first few."""
    errors += found[:_ERRORS_A_KIND]
    if len(found) > _ERRORS_A_KIND:
        errors.append(f"... and {len(found) - _ERRORS_A_KIND:,} more like the last one")
