"""A slide's pixels: which picture of the file they are, and who reads them right."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import openslide
from PIL import Image

from vsv_pyramid.containers.codecs import (
    APERIO_YCBCR,
    is_jpeg_2000_ycbcr,
    states_jpeg_2000_of_8_bits,
)
from vsv_pyramid.containers.dicom import DicomBase, dicom_base, miscoded
from vsv_pyramid.containers.instances import is_dicom, properties_of
from vsv_pyramid.containers.pages import JPEG, focal_planes, left_out, rival
from vsv_pyramid.containers.raw import JPEG as JPEG_NAME
from vsv_pyramid.containers.raw import RawTiles, StoredLevel
from vsv_pyramid.containers.reading import check_readable, twice
from vsv_pyramid.containers.tiff import TiffBase, check_tiles, libtiff_takes, spare_bytes, tiff_base
from vsv_pyramid.errors import SlideAccessError, SlideError
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.handles import OpenSlideReader
from vsv_pyramid.slide.icc import mismatch, published_profile
from vsv_pyramid.slide.metadata import Metadata, metadata, native_tile
from vsv_pyramid.slide.plain import PlainImage, check_name
from vsv_pyramid.slide.samples import (
    openslide_decodes,
    openslide_is_faster,
    openslide_shows,
    refusal,
    tiles_decode,
)
from vsv_pyramid.slide.series import series_at
from vsv_pyramid.slide.tiles import NativeTiles, dicom_tiles, false_colours, tiff_tiles, unreadable

# Where OpenSlide knows no maker, whose driver would know the slide from its label. Aperio's tells
# them apart, but takes the first page for the slide.
_ANYBODYS = (None, "generic-tiff")
# These drivers have the tiles decoded as the TIFF's tags say, and place them themselves.
_TAGGED = ("leica", "philips", "trestle", "ventana")
_SWAPPING = (5, 6, 7, 8)  # Orientation tags by which rows are shown as columns


class Reader(Protocol):
    """What pixels and facts are read with; `name` is the library's."""

    name: str
    size: Size
    properties: Mapping[str, str]

    @property
    def icc_profile(self) -> bytes | None: ...

    @property
    def level_sizes(self) -> tuple[Size, ...]: ...

    @property
    def associated_sizes(self) -> Mapping[str, Size]: ...

    def associated(self, name: str) -> Image.Image: ...

    def read(self, x: int, y: int, size: Size) -> Pixels: ...

    def close(self) -> None: ...


class Slide:
    """An open slide. `read` is safe from several threads. `left_out` says in words what the file
    shows besides the slide, and is not published.
    """

    def __init__(self, path: Path) -> None:
        """Raises SlideError where the file is missing, damaged, or no slide that is read right."""
        self.path = path
        self.tiff: TiffBase | None = tiff_base(path)
        self._facts, self._pixels = twice(
            lambda: _readers(path, self.tiff), SlideError, lambda: check_readable(path)
        )
        self.size = self._pixels.size
        self.properties = self._facts.properties

    def __enter__(self) -> Slide:
        return self

    def __exit__(self, *_: object) -> None:
        self._facts.close()
        self._pixels.close()

    @cached_property
    def metadata(self) -> Metadata:
        if self.tiff is None:
            return metadata(self.properties)
        is_shown_so = isinstance(self._pixels, NativeTiles | PlainImage)
        swapped = is_shown_so and self.tiff.page.orientation in _SWAPPING
        return metadata(self.properties, self.tiff.size, swapped=swapped)

    @property
    def all_properties(self) -> dict[str, str]:
        """Whatever the file says, of which `properties` are what is asked for. Raises
        SlideUnavailable."""
        is_series = isinstance(self.stored, DicomBase)
        return {**(properties_of(self.path) if is_series else {}), **self.properties}

    @property
    def stored(self) -> StoredLevel | None:
        """How its container stores the base level; None of what is no TIFF and no DICOM."""
        return self._pixels.base if isinstance(self._pixels, NativeTiles) else self.tiff

    @property
    def is_on_one_grid(self) -> bool:
        """Whether the tiles of `stored` are all of the slide."""
        return isinstance(self._pixels, NativeTiles)

    @property
    def container(self) -> str:
        """What kind of file the slide is, in a word."""
        if isinstance(self.stored, DicomBase):
            return "DICOM"
        return "TIFF" if self.tiff else self.metadata.vendor or "image"

    @property
    def native_tile(self) -> Size | None:
        """The tile size of level 0 in px, None where it is not tiled."""
        stated, stored = native_tile(self.properties), self.stored
        is_known = self.is_on_one_grid and stored is not None and stored.tiled
        return stated or (stored.tile_size if stored and is_known else None)

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        return self._facts.level_sizes

    @property
    def reader(self) -> str:
        """The name of what the pixels are read with."""
        return self._pixels.name

    @property
    def other(self) -> Reader | None:
        """What else reads the slide's pixels, if not always in their true colours."""
        return None if self._facts is self._pixels else self._facts

    @property
    def left_out(self) -> tuple[str, ...]:
        if isinstance(self._pixels, PlainImage) and self._pixels.left_out:
            return self._pixels.left_out
        if isinstance(self.stored, DicomBase):
            return self.stored.left_out
        if self.tiff is None:
            return ()
        vendor = self.metadata.vendor
        if vendor not in (*_ANYBODYS, "aperio"):
            return focal_planes(vendor, self.tiff.page, self.tiff.pages)
        return left_out(self.tiff.page, self.tiff.pages, set(self._facts.associated_sizes.values()))

    @cached_property
    def icc_profile(self) -> bytes | None:
        """The ICC profile of the pixels as the slide holds it."""
        return self._facts.icc_profile

    @cached_property
    def published_icc(self) -> bytes | None:
        """The ICC profile as it may be published with RGB tiles, None where there is none such."""
        if self.icc_profile is None or self.icc_mismatch:
            return None
        return published_profile(self.icc_profile)

    @property
    def icc_mismatch(self) -> str | None:
        """Why the ICC profile describes no RGB tiles, in words; None where it does."""
        return mismatch(self.icc_profile) if self.icc_profile else None

    @property
    def associated_names(self) -> tuple[str, ...]:
        return tuple(self._facts.associated_sizes)

    def associated(self, name: str) -> Image.Image:
        """The associated image, RGBA. Raises SlideError where it cannot be decoded."""
        return self._facts.associated(name)

    def read(self, x: int, y: int, size: Size) -> Pixels:
        """The region at (x, y) of level 0, in slide px, of `size`, as RGB or RGBA.

        Raises openslide.OpenSlideError where it cannot be decoded, and SlideUnavailable where it
        cannot be read just now; later reads are not affected.
        """
        return self._pixels.read(x, y, size)


def open_slide(path: Path) -> Slide:
    """The slide or plain image at `path`, opened; of DICOM, `path` may be the folder. Raises
    SlideError."""
    series = series_at(path)
    return Slide(series.base if series else path)


def _readers(path: Path, tiff: TiffBase | None) -> tuple[Reader, Reader]:
    """What the slide's facts and what its pixels are read with: the one place that decides whether
    a file is read right, and by whom. Raises SlideError."""
    if is_dicom(path):
        return _both(_of_series(path))
    vendor = _vendor(path, tiff)
    if vendor in _ANYBODYS:
        check_name(path, tiled=tiff is not None and tiff.tiled)
    if tiff is None or vendor not in (*_ANYBODYS, *_TAGGED, "aperio"):
        return _both(OpenSlideReader(path, vendor, tiff) if vendor else PlainImage(path, tiff))
    # Hamamatsu's one strip is decoded a part at a time, and does not come here.
    check_tiles(path, tiff.tile_size, tiled=tiff.tiled)
    page = tiff.page
    if sentence := refusal(page, tiff.pages):
        raise SlideError(path, sentence)
    if vendor in _ANYBODYS and (other := rival(page, tiff.pages)):
        raise SlideError(
            path, f"{page} or {other} could be the slide; save the one that is as a TIFF of its own"
        )
    by_stream = page.compression == JPEG and not page.extra
    if by_stream:
        obstacle = false_colours(path, tiff) if vendor in _TAGGED else unreadable(tiff)
        if obstacle:
            raise SlideError(path, obstacle)
    if vendor in _TAGGED:
        if page.orientation != 1:
            raise SlideError(
                path,
                f"it is to be shown turned or mirrored (Orientation {page.orientation}), which "
                "OpenSlide does not do; export it upright",
            )
        facts = OpenSlideReader(path, vendor, tiff)
        placed = _on_one_grid(tiff, facts, vendor) if by_stream else None
        return (facts, placed) if placed else _both(facts)
    is_decoded = tiles_decode(page)
    if not is_decoded and vendor is None and tiff.pages[0].tile and not tiff.beyond_openslide:
        raise SlideError(
            path, "damaged, cut off, or of a kind OpenSlide does not read; copy it again"
        )
    if not is_decoded and tiff.tiled and not openslide_decodes(page, vendor):
        raise SlideError(
            path,
            f"its compression is {tiff.compression}, which OpenSlide cannot read here; save it "
            "with JPEG or LZW",
        )
    is_bare = page.compression == 1
    if is_bare and spare_bytes(tiff).min() < 0:
        raise SlideError(
            path, "a tile or strip of it has fewer bytes than its pixels; save it, or copy it again"
        )
    # OpenSlide takes the first page with tiles of that size, whatever it is.
    is_shown = openslide_shows(page) and [
        one for one in tiff.pages if one.tile and one.size == page.size
    ][:1] == [page]
    known: Reader | None = None
    if vendor and (by_stream or is_shown):
        known = _if_openslide_opens(path, vendor, tiff, is_needed=not is_decoded)
    pixels: Reader
    if by_stream or (is_decoded and not (known and _is_by_openslide(tiff))):
        pixels = tiff_tiles(tiff)
    elif known and (not is_bare or libtiff_takes(tiff)):
        pixels = known
    elif 0 in tiff.counts:  # Pillow shows there whatever the file begins with
        raise SlideError(
            path, "it leaves out some of its tiles or strips; save it with all of them"
        )
    else:
        pixels = PlainImage(path, tiff)
    return known or pixels, pixels


def _on_one_grid(tiff: TiffBase, facts: OpenSlideReader, vendor: str) -> NativeTiles | None:
    """The base level's own tiles where they are all of the slide, wherever in it they lie."""
    if vendor == "philips" and facts.size == tiff.size:
        return tiff_tiles(tiff)
    if sum(page.size == tiff.size for page in tiff.pages) > 1:
        return None  # focal planes, or the macro, which the description tells apart
    if vendor == "leica" and (region := facts.only_region) and region.size == tiff.size:
        return tiff_tiles(replace(tiff, at=region.at), canvas=facts.size)
    return None


def _is_by_openslide(tiff: TiffBase) -> bool:
    """Whether OpenSlide's decoder is the faster one, and takes the samples of each tile for what
    they are: it shows those of any depth."""
    if not openslide_is_faster(tiff.page):
        return False
    is_ycbcr = tiff.page.compression == APERIO_YCBCR
    with closing(RawTiles(tiff)) as raw:
        return all(
            states_jpeg_2000_of_8_bits(header) and (not is_ycbcr or is_jpeg_2000_ycbcr(header))
            for header in raw.headers(lambda _: True)
        )


def _of_series(path: Path) -> NativeTiles:
    """A DICOM series, which OpenSlide is not asked of: it has no sentence for what is damaged in
    some places, and ends the process."""
    base = dicom_base(path)
    if obstacle := unreadable(base) if base.compression == JPEG_NAME else miscoded(base):
        raise SlideError(path, obstacle)
    return dicom_tiles(base)


def _if_openslide_opens(
    path: Path, vendor: str, tiff: TiffBase, *, is_needed: bool
) -> OpenSlideReader | None:
    """OpenSlide's reader of the page, if it has one: it wants tags that the standard does not, has
    no decoder for some, and may take another page for the slide."""
    try:
        reader = OpenSlideReader(path, vendor, tiff)
    except SlideError as exc:
        if (is_needed and vendor not in _ANYBODYS) or isinstance(exc, SlideAccessError):
            raise
        return None
    if reader.size == tiff.size:
        return reader
    reader.close()
    return None


def _vendor(path: Path, tiff: TiffBase | None) -> str | None:
    """OpenSlide's name for the slide's maker. What it cannot read just now it takes for nobody's,
    and so that is asked twice."""
    detect = openslide.OpenSlide.detect_format
    vendor = detect(path)
    if vendor not in _ANYBODYS or (tiff and tiff.beyond_openslide):
        return vendor
    if vendor is None or detect(path) != vendor:
        check_readable(path)
        vendor = detect(path)
    return vendor


def _both(reader: Reader) -> tuple[Reader, Reader]:
    return reader, reader
