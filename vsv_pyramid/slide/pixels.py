"""A slide's pixels, read with OpenSlide, or with Pillow where it is a plain image."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import openslide
from PIL import Image, ImageFile, ImageOps  # noqa: F401 - see below

from vsv_pyramid.errors import SlideError, passing
from vsv_pyramid.geometry import Size
from vsv_pyramid.slide.icc import mismatch, published_profile
from vsv_pyramid.slide.metadata import Metadata, metadata, native_tile
from vsv_pyramid.slide.reading import Watched, check_readable, naming, twice, unavailable
from vsv_pyramid.slide.tiff import RawTiles, TiffBase, tiff_base

# Modes of 8 bits a channel, all of which Pillow turns into RGBA without clipping.
_PLAIN_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
# No scanner's label or macro image has as many; what claims more fills the memory.
_ASSOCIATED_PIXELS = 1 << 26
# ImageFile is imported here since Image imports it late, in whichever thread needs it first.


class Slide:
    """An open slide. `read` is safe from several threads: each has an OpenSlide handle of its own,
    since one failed read puts a handle out of order for good.
    """

    def __init__(self, path: Path) -> None:
        """Raises SlideError where the file is missing, damaged, or not an image of 8 bits."""
        self.path = path
        self._local = threading.local()
        self._handles: list[openslide.AbstractSlide] = []
        self._is_readable = False
        self.tiff: TiffBase | None = tiff_base(path)
        self._plain: openslide.ImageSlide | None = None
        if not _is_known(path):
            if self.tiff and self.tiff.tiled:
                raise SlideError(
                    path, "damaged, cut off, or of a kind OpenSlide does not read; copy it again"
                )
            self._plain = twice(
                lambda: _plain_image(path), SlideError, lambda: check_readable(path)
            )
        handle = self._handle()
        self.size = Size(*handle.dimensions)
        self.properties: Mapping[str, str] = dict(handle.properties)

    def __enter__(self) -> Slide:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.close()
        self._handles.clear()

    @cached_property
    def metadata(self) -> Metadata:
        return metadata(self.properties)

    @property
    def native_tile(self) -> Size | None:
        """The tile size of level 0 in px, None where it is not tiled."""
        return native_tile(self.properties)

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        return tuple(Size(*size) for size in self._handle().level_dimensions)

    @cached_property
    def icc_profile(self) -> bytes | None:
        """The ICC profile of the pixels as the slide holds it."""
        profile: bytes | None = (
            self._handle().read_region((0, 0), 0, (0, 0)).info.get("icc_profile")
        )
        return profile

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
        return tuple(sorted(self._handle().associated_images))

    def associated(self, name: str) -> Image.Image:
        """The associated image, RGBA. Raises SlideError where it cannot be decoded."""
        width, height = (
            int(self.properties[f"openslide.associated.{name}.{side}"])
            for side in ("width", "height")
        )
        if width * height > _ASSOCIATED_PIXELS:
            raise SlideError(
                self.path,
                f"its {name} image of {width} x {height} px is too large; leave it out of "
                "--associated",
            )
        try:
            return self._twice(lambda handle: handle.associated_images[name], self._check_readable)
        except openslide.OpenSlideError as exc:
            raise SlideError(
                self.path, f"its {name} image is damaged ({exc}); leave it out of --associated"
            ) from exc

    def read(self, x: int, y: int, size: Size) -> Image.Image:
        """The region at (x, y) of level 0, in slide px, as an RGBA image of `size`.

        Raises openslide.OpenSlideError where it cannot be decoded, and SlideUnavailable where it
        cannot be read just now; later reads are not affected.
        """
        return self._twice(
            lambda handle: handle.read_region((x, y), 0, size),
            lambda: self._check_tiles(x, y, size),
        )

    def _twice(
        self,
        attempt: Callable[[openslide.AbstractSlide], Image.Image],
        check: Callable[[], None],
    ) -> Image.Image:
        """What the attempt makes of this thread's handle, or of a new one."""

        def attempted() -> Image.Image:
            try:
                return attempt(self._handle())
            except openslide.OpenSlideError:
                self._forget_handle()
                raise

        try:
            return twice(attempted, openslide.OpenSlideError, check)
        except openslide.OpenSlideError as exc:
            _check_cause(self.path, exc)
            raise

    def _check_tiles(self, x: int, y: int, size: Size) -> None:
        """Reads the bytes that the region is made of. Raises SlideUnavailable."""
        base = self.tiff
        if base is None or not base.tiled or base.size != self.size:
            self._check_readable()
            return
        (width, height), grid = base.tile_size, base.grid
        columns = range(x // width, min(-(-(x + size.width) // width), grid.width))
        rows = range(y // height, min(-(-(y + size.height) // height), grid.height))
        with contextlib.closing(RawTiles(self.path, base)) as raw:
            raw.read(columns, rows)

    def _check_readable(self) -> None:
        """Reads the whole file, once. Raises SlideUnavailable."""
        if not self._is_readable:
            check_readable(self.path)
            self._is_readable = True

    def _handle(self) -> openslide.AbstractSlide:
        """This thread's handle."""
        if self._plain:
            return self._plain
        handle: openslide.AbstractSlide | None = getattr(self._local, "handle", None)
        if handle is None:
            try:
                handle = twice(
                    lambda: openslide.OpenSlide(self.path),
                    openslide.OpenSlideError,
                    self._check_readable,
                )
            except openslide.OpenSlideError as exc:
                _check_cause(self.path, exc)
                raise SlideError(
                    self.path, f"OpenSlide cannot open it ({exc}); check it, or copy it again"
                ) from exc
            self._local.handle = handle
            self._handles.append(handle)
        return handle

    def _forget_handle(self) -> None:
        if not self._plain:
            handle = self._local.handle
            self._handles.remove(handle)
            handle.close()
            self._local.handle = None


def open_slide(path: Path) -> Slide:
    """The slide or plain image at `path`, opened. Raises SlideError."""
    return Slide(path)


def _is_known(path: Path) -> bool:
    """Whether OpenSlide knows the format, which it denies as well where it cannot read the file."""
    if openslide.OpenSlide.detect_format(path):
        return True
    check_readable(path)
    return openslide.OpenSlide.detect_format(path) is not None


def _check_cause(path: Path, exc: openslide.OpenSlideError) -> None:
    """Raises SlideUnavailable where OpenSlide says that it could not read."""
    if "I/O error" in str(exc):
        raise unavailable(path, str(exc)) from exc


def _plain_image(path: Path) -> openslide.ImageSlide:
    with naming(path), Watched(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(file) as opened:
                image = ImageOps.exif_transpose(opened)
        except Image.DecompressionBombError as exc:
            raise SlideError(
                path, "too large for an image without tiles; save it as a tiled TIFF first"
            ) from exc
        except (OSError, SyntaxError, ValueError) as exc:
            if cause := file.trouble or passing(exc):
                raise unavailable(path, cause) from exc
            raise SlideError(
                path, "neither a slide nor an image, or cut off; check it, or copy it again"
            ) from exc
    if image.mode not in _PLAIN_MODES:
        raise SlideError(path, f"pixels of kind {image.mode}; save it with 8 bits a channel first")
    return openslide.ImageSlide(image)
