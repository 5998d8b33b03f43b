"""A slide as OpenSlide reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openslide
from PIL import Image

from vsv_pyramid.containers.raw import RawTiles
from vsv_pyramid.containers.reading import Result, check_readable, twice, unavailable
from vsv_pyramid.containers.tiff import TiffBase, check_tiles
from vsv_pyramid.errors import SlideError
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.metadata import native_tile
from vsv_pyramid.slide.scale import number
from vsv_pyramid.words import unquoted

# No scanner's label or macro image has as many; what claims more fills the memory.
ASSOCIATED_PIXELS = 1 << 26
# Without the folder that the command runs in, from which Python would import.
_OPENING = """
import os, sys
sys.path = [folder for folder in sys.path if folder]
try:
    from resource import RLIMIT_AS, setrlimit
    setrlimit(RLIMIT_AS, (int(sys.argv[1]),) * 2)
except (ImportError, OSError, ValueError):
    pass  # the system cannot limit it
import openslide
openslide.OpenSlide(os.fsdecode(sys.stdin.buffer.read()))
"""
_OPENING_SECONDS = 120
_OPENING_BYTES = 1 << 31


class Region(NamedTuple):
    """A part of level 0, in slide px."""

    at: tuple[int, int]
    size: Size


class OpenSlideReader:
    """`read` is safe from several threads: each has an OpenSlide handle of its own, since one
    failed read puts a handle out of order for good.
    """

    name = "OpenSlide"

    def __init__(self, path: Path, vendor: str, tiff: TiffBase | None) -> None:
        """`tiff` tells where the bytes of a region are. Raises SlideError where OpenSlide cannot
        open the slide as one of the vendor's, and where what it decodes at once is too large."""
        self._path = path
        self._vendor = vendor
        self._tiff = tiff
        self._local = threading.local()
        self._handles: list[openslide.OpenSlide] = []
        self._is_readable = False
        if tiff is None:
            _check_opening(path)
        handle = self._handle()
        self.size = Size(*handle.dimensions)
        self.properties: Mapping[str, str] = dict(handle.properties)
        try:
            self._check_sizes()
        except SlideError:
            self.close()
            raise

    def close(self) -> None:
        for handle in self._handles:
            handle.close()
        self._handles.clear()

    @property
    def only_region(self) -> Region | None:
        """Where the picture lies in the slide, where OpenSlide tells of one region only."""
        if "openslide.region[1].x" in self.properties:
            return None
        sides = (f"openslide.region[0].{side}" for side in ("x", "y", "width", "height"))
        try:
            x, y, width, height = (int(self.properties[side]) for side in sides)
        except KeyError:
            return None
        return Region((x, y), Size(width, height))

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        return tuple(Size(*size) for size in self._handle().level_dimensions)

    @cached_property
    def icc_profile(self) -> bytes | None:
        profile: bytes | None = (
            self._handle().read_region((0, 0), 0, (0, 0)).info.get("icc_profile")
        )
        return profile

    @property
    def associated_sizes(self) -> dict[str, Size]:
        return {
            name: Size(
                *(
                    int(self.properties[f"openslide.associated.{name}.{side}"])
                    for side in ("width", "height")
                )
            )
            for name in sorted(self._handle().associated_images)
        }

    def associated(self, name: str) -> Image.Image:
        """The associated image, RGBA. Raises SlideError where it cannot be decoded."""
        size = self.associated_sizes[name]
        if size.pixels > ASSOCIATED_PIXELS:
            raise SlideError(self._path, too_large(name, size))
        try:
            return self._twice(
                lambda: self._of_handle(lambda handle: handle.associated_images[name]),
                self._check_readable,
            )
        except openslide.OpenSlideError as exc:
            raise SlideError(self._path, damaged(name, exc)) from exc

    def read(self, x: int, y: int, size: Size) -> Pixels:
        """The region as RGB, or as RGBA where not all of it is opaque."""
        image = self._twice(
            lambda: self._of_handle(lambda handle: handle.read_region((x, y), 0, size)),
            lambda: self._check_tiles(x, y, size),
        )
        bands = image.split()  # a third of the time that all at once take to become an array
        if bands[3].getextrema() == (255, 255):
            bands = bands[:3]
        pixels = np.empty((size.height, size.width, len(bands)), np.uint8)
        for at, band in enumerate(bands):
            pixels[..., at] = np.asarray(band)
        return pixels

    def _twice(self, attempt: Callable[[], Result], check: Callable[[], None]) -> Result:
        """What the attempt returns. Raises openslide.OpenSlideError where it fails again after the
        check, and SlideUnavailable where OpenSlide says that it could not read."""
        try:
            return twice(attempt, openslide.OpenSlideError, check)
        except openslide.OpenSlideError as exc:
            if "I/O error" in str(exc):
                raise unavailable(self._path, str(exc)) from exc
            raise

    def _of_handle(self, attempt: Callable[[openslide.OpenSlide], Image.Image]) -> Image.Image:
        handle = self._handle()
        try:
            return attempt(handle)
        except openslide.OpenSlideError:
            self._handles.remove(handle)
            handle.close()
            self._local.handle = None
            raise

    def _check_sizes(self) -> None:
        if min(self.size) < 1:
            width, height = self.size
            what = f"has a size of {width} x {height} px for OpenSlide; export it as another format"
            raise SlideError(self._path, what)
        for size in _decoded_at_once(self.properties):
            check_tiles(self._path, size)

    def _check_tiles(self, x: int, y: int, size: Size) -> None:
        """Reads the bytes that the region is made of. Raises SlideAccessError."""
        base = self._tiff
        if base is None or not base.tiled or base.size != self.size:
            self._check_readable()
            return
        columns, rows = base.around(x, y, size)
        with closing(RawTiles(base)) as raw:
            for plane in range(base.planes):
                raw.read(columns, rows, plane)

    def _check_readable(self) -> None:
        """Reads the whole file, once. Raises SlideAccessError."""
        if not self._is_readable:
            check_readable(self._path)
            self._is_readable = True

    def _handle(self) -> openslide.OpenSlide:
        """This thread's handle."""
        handle: openslide.OpenSlide | None = getattr(self._local, "handle", None)
        if handle is None:
            try:
                handle = self._twice(self._opened, self._check_readable)
            except openslide.OpenSlideError as exc:
                what = f"OpenSlide cannot open it ({unquoted(exc)}); check it, or copy it again"
                raise SlideError(self._path, what) from exc
            self._local.handle = handle
            self._handles.append(handle)
        return handle

    def _opened(self) -> openslide.OpenSlide:
        handle = openslide.OpenSlide(self._path)
        vendor = handle.properties[openslide.PROPERTY_NAME_VENDOR]
        if vendor != self._vendor:  # what it cannot read just now, it takes for nobody's
            handle.close()
            raise openslide.OpenSlideError(f"as {vendor}'s, and it was {self._vendor}'s before")
        return handle


def _decoded_at_once(properties: Mapping[str, str]) -> Iterator[Size]:
    """The sizes of native tiles, and of what the camera of a MIRAX scanner has taken at a time."""
    if tile := native_tile(properties):
        yield tile
    for name in properties:
        if name.startswith("mirax.") and name.endswith(".DIGITIZER_WIDTH"):
            names = name, f"{name.removesuffix('WIDTH')}HEIGHT"
            yield Size(*(int(number(properties.get(one)) or 0) for one in names))


def _check_opening(path: Path) -> None:
    """Has another process open what nobody has looked at before: where counts and lengths are
    damaged, OpenSlide 4.0.1 may end the process. Any account of the machine sees what its words
    are, and the slide's name is none of them. Raises SlideError."""
    command = [sys.executable, "-c", _OPENING, str(_OPENING_BYTES)]
    name = os.fsencode(path)
    try:
        ended = subprocess.run(
            command, input=name, capture_output=True, check=False, timeout=_OPENING_SECONDS
        )
    except subprocess.TimeoutExpired:
        why = f"OpenSlide needs more than {_OPENING_SECONDS} s to open it"
        raise unavailable(path, why) from None
    if ended.returncode not in (0, 1):  # 1: it says why
        raise SlideError(path, "is damaged: OpenSlide breaks down over it; copy it again")


def too_large(name: str, size: Size) -> str:
    """Of an associated image."""
    return (
        f"its {name} image of {size.width} x {size.height} px is too large; leave it out of "
        "--associated"
    )


def damaged(name: str, exc: Exception) -> str:
    """Of an associated image."""
    return f"its {name} image is damaged ({unquoted(exc)}); leave it out of --associated"
