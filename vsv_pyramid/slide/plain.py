"""Plain images, which Pillow reads as a whole; and what is never one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features  # noqa: F401 - see below

from vsv_pyramid.errors import SlideError, passing
from vsv_pyramid.geometry import Size
from vsv_pyramid.slide.pages import Page
from vsv_pyramid.slide.reading import Watched, naming, unavailable
from vsv_pyramid.slide.samples import BARE_YCBCR, WHITE_IS_ZERO, YCBCR
from vsv_pyramid.slide.tiff import TiffBase
from vsv_pyramid.words import counted

# Modes of 8 bits a channel, all of which Pillow turns into RGBA without clipping.
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
# TIFF's compressions that every libtiff reads: where one of them fails, the data are damaged.
_ORDINARY = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
# ImageFile is imported here since Image imports it late, in whichever thread needs it first.

_UPPERMOST = 128

_EXPORT = "export it as a tiled TIFF with its maker's program or QuPath"
_NOT_READ = f"a format of one scanner's maker, which OpenSlide does not read; {_EXPORT}"

# What a file with a scanner's extension is where OpenSlide does not know it. Its first picture may
# be the label, a preview, or nothing at all.
_SCANNERS = {
    ".svs": "neither a slide nor an image that could be one, since OpenSlide does not know it as "
    "Aperio's; copy it from the scanner again, or name it by what it is",
    ".mrxs": "the preview of a MIRAX slide, whose data are in a folder of the same name that is "
    "not beside it, or not all there; copy that folder, too",
    ".vsi": "an Olympus slide, whose data are in .ets files of another folder, which OpenSlide "
    f"does not read; {_EXPORT}",
    ".ets": f"a part of an Olympus slide, which OpenSlide does not read; {_EXPORT}",
    ".ndpi": "named as a Hamamatsu slide, and not one that OpenSlide knows; copy it again",
    ".ndpis": "a list of Hamamatsu slides; convert the .ndpi files that it names",
    ".vms": "an index of a Hamamatsu slide of several files, which are not all beside it; copy "
    "all of them into one folder",
    ".scn": "named as a Leica slide, and not one that OpenSlide knows; copy it again",
    ".bif": "named as a Ventana slide, and not one that OpenSlide knows; copy it again",
    ".czi": f"a Zeiss file, and not a slide that OpenSlide knows; {_EXPORT}",
    ".dcm": "a DICOM file, and not one of a slide's (VL Whole Slide Microscopy) that OpenSlide "
    "knows; copy all files of the series into one folder",
    ".svslide": "named as a Sakura slide, and not one that OpenSlide knows; copy it again",
    ".qptiff": f"an Akoya file that is no tiled TIFF in colour; {_EXPORT}",
    ".afi": "a list of Aperio slides, one a channel; convert the .svs files that it names",
}
_SCANNERS |= {".vmu": _SCANNERS[".vms"]}
_SCANNERS |= dict.fromkeys(
    (".i2syntax", ".isyntax", ".kfb", ".lif", ".lsm", ".mds", ".mdsx", ".nd2", ".oib", ".oif"),
    _NOT_READ,
)
_SCANNERS |= dict.fromkeys((".sdpc", ".sws", ".tmap", ".tron", ".xdce", ".zvi"), _NOT_READ)
# Tiles in these may overlap or lie elsewhere: not even a tiled TIFF of that name is what it seems.
_PLACED_TILES = {".bif", ".ndpi", ".scn", ".vms", ".vmu"}


def check_name(path: Path, *, tiled: bool) -> None:
    """Raises SlideError where a file of that name, which no driver of OpenSlide for its maker
    knows, is not to be taken for a plain image, or for a TIFF that is `tiled`."""
    suffix = path.suffix.lower()
    if suffix in _SCANNERS and (suffix in _PLACED_TILES or not tiled):
        raise SlideError(path, _SCANNERS[suffix])


class PlainImage:
    """A plain image, in memory. `left_out` is what else is in the file, in words."""

    name = "Pillow"
    icc_profile: bytes | None
    associated_sizes: Mapping[str, Size] = {}
    properties: Mapping[str, str] = {}

    def __init__(self, path: Path, tiff: TiffBase | None) -> None:
        """Raises SlideError where it cannot be read, or not with 8 bits a channel."""
        page = tiff.page.number if tiff else 0
        if page is None:
            raise SlideError(
                path, "its largest picture lies in a SubIFD; save that as a TIFF of its own first"
            )
        # By its path, Pillow 12 maps single strips into memory, and turns them wrongly.
        with naming(path), Watched(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with Image.open(file) as opened:
                    frames = 1 if tiff else getattr(opened, "n_frames", 1)
                    if page:
                        opened.seek(page)
                    image = ImageOps.exif_transpose(opened)
            except Image.DecompressionBombError as exc:
                raise SlideError(
                    path,
                    "too large for an image that is read as a whole; save it as a tiled TIFF "
                    "first, little-endian and not turned",
                ) from exc
            except (OSError, SyntaxError, ValueError, EOFError) as exc:
                if cause := file.trouble or passing(exc):
                    raise unavailable(path, cause) from exc
                raise SlideError(path, _unreadable(tiff, exc)) from exc
        if image.mode not in _MODES:
            raise SlideError(
                path, f"pixels of kind {image.mode}; save it with 8 bits a channel first"
            )
        if tiff and (sentence := _doubt(tiff.page, image)):
            raise SlideError(path, sentence)
        self.left_out = (counted(frames - 1, "further frame"),) if frames > 1 else ()
        self._image = openslide.ImageSlide(image)
        self.size = Size(*image.size)
        self.icc_profile = image.info.get("icc_profile")

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        return (self.size,)

    def associated(self, name: str) -> Image.Image:
        raise KeyError(name)

    def read(self, x: int, y: int, size: Size) -> Image.Image:
        return self._image.read_region((x, y), 0, size)

    def close(self) -> None:
        self._image.close()


def _doubt(page: Page, image: Image.Image) -> str | None:
    """Why the pixels may not be what they seem, where tags alone do not tell."""
    if page.photometric == YCBCR and page.compression == 1:  # tiled, Pillow 12 takes it for RGB
        return BARE_YCBCR
    if page.photometric == WHITE_IS_ZERO and page.planar:  # which Pillow 12 shows as a negative
        return "zero is white in samples stored apart (PlanarConfiguration 2); save it as RGB first"
    if not (page.may_be_opaque or page.is_wide):
        return None
    bands = [np.asarray(band) for band in image.split()]
    # Rows of tiles that the edge cuts, stored apart, Pillow 12 takes for longer than they are.
    is_misread = page.planar and page.tile and page.size.width % page.tile.width
    is_transparent = image.mode == "RGBA" and bands[3].min() < 255
    if page.may_be_opaque and (is_misread or is_transparent):
        return (
            "4 samples a pixel, and no word (ExtraSamples) on what the fourth is; save it as RGB "
            "first"
        )
    # Where the uppermost bit is never used, a camera's 10, 12 or 14 bits are more likely.
    if page.is_wide and max(band.max() for band in bands[:3]) < _UPPERMOST:
        return "16 bits a channel, of which not all are used; save it with 8 bits a channel first"
    return None


def _unreadable(tiff: TiffBase | None, exc: Exception) -> str:
    if tiff is None:
        return "neither a slide nor an image, or cut off; check it, or copy it again"
    if tiff.page.compression not in _ORDINARY:
        return (
            f"its compression is {tiff.compression}, which Pillow cannot read here; save it with "
            "JPEG, LZW or no compression"
        )
    is_opened = not isinstance(exc, UnidentifiedImageError)
    if is_opened and tiff.page.compression != 1 and not features.check("libtiff"):
        return (
            f"its compression is {tiff.compression}, for which this Pillow has no libtiff; install "
            "pillow from PyPI, or save it as a tiled TIFF"
        )
    return (
        f"its samples ({tiff.photometric}, {tiff.page.samples} a pixel) lie in a way that Pillow "
        "cannot read, or are cut off; save it as RGB, or copy it again"
    )
