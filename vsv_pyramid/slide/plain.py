"""Plain images, which Pillow reads as a whole; and what is never one."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide
from PIL import (
    Image,
    ImageFile,  # noqa: F401 - see below
    ImageOps,
    TiffImagePlugin,
    UnidentifiedImageError,
    features,
)

from vsv_pyramid.containers.instances import NO_DICOM
from vsv_pyramid.containers.pages import Page
from vsv_pyramid.containers.reading import Watched, naming, unavailable
from vsv_pyramid.containers.tiff import BIG_ENDIAN_BIGTIFF, TiffBase
from vsv_pyramid.errors import SlideError, passing
from vsv_pyramid.jpeg.planes import Pixels
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide import decoding
from vsv_pyramid.slide.samples import BARE_YCBCR, WHITE_IS_ZERO, YCBCR
from vsv_pyramid.slide.signatures import HEAD, bits, is_jpeg_2000, why_unread
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
    ".svs": "neither a slide nor an image that can be used as one: OpenSlide does not know it as "
    "an Aperio slide; copy it from the scanner again, or give it the ending of its real format",
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
    ".dcm": NO_DICOM,
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
# What is named so may be a tiled TIFF of anybody's; of the others, not even that is what it seems.
_TILED_TIFFS = {".qptiff", ".svs"}

# Of an image's samples; reading it takes not three times as much.
_MOST_BYTES = 360_000_000


def check_name(path: Path, *, tiled: bool) -> None:
    """Raises SlideError where a file of that name, which no driver of OpenSlide for its maker
    knows, is not to be taken for a plain image, or for a TIFF that is `tiled`."""
    suffix = path.suffix.lower()
    if suffix in _SCANNERS and not (tiled and suffix in _TILED_TIFFS):
        raise SlideError(path, _SCANNERS[suffix])


class PlainImage:
    """A plain image, in memory. `left_out` is what else is in the file, in words."""

    name = "Pillow"
    icc_profile: bytes | None
    associated_sizes: Mapping[str, Size] = {}

    def __init__(self, path: Path, tiff: TiffBase | None) -> None:
        """Raises SlideError where it cannot be read, or not with 8 bits a channel."""
        self.properties: Mapping[str, str] = tiff.said if tiff else {}
        page = tiff.page.number if tiff else 0
        if page is None:
            raise SlideError(
                path, "its largest picture lies in a SubIFD; save that as a TIFF of its own first"
            )
        # By its path, Pillow 12 maps single strips into memory, and turns them wrongly.
        with naming(path), Watched(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = b"" if tiff else file.read(HEAD)
            depth = bits(head)
            if is_jpeg_2000(head) and depth > 8:  # Pillow 13 rounds white up to black
                raise SlideError(path, _deep(depth))
            file.seek(0)
            try:
                with decoding.opened(file, is_tiff=tiff is not None) as opened:
                    frames = 1 if tiff else getattr(opened, "n_frames", 1)
                    if page:
                        opened.seek(page)
                    is_unsaid = opened.format == "JPEG" and "adobe" not in opened.info
                    stored, is_keyed = opened.mode, "transparency" in opened.info
                    wide = tiff.page.is_wide if tiff else depth > 8
                    samples = opened.width * opened.height * len(opened.getbands())
                    if samples * (2 if wide else 1) > _MOST_BYTES:
                        raise Image.DecompressionBombError
                    if tiff:
                        image = _upright(opened, is_tiff=True)
                    elif stored in _MODES:
                        image = _upright(decoding.decoded(opened, file), is_tiff=False)
                    else:
                        raise SlideError(path, _odd(stored, depth))
            except Image.DecompressionBombError as exc:
                raise SlideError(
                    path,
                    "too large for an image that is read as a whole; save it as a tiled TIFF "
                    "first, little-endian and not turned",
                ) from exc
            except (OSError, SyntaxError, ValueError, EOFError) as exc:
                if cause := file.trouble or passing(exc):
                    raise unavailable(path, cause) from exc
                raise SlideError(path, _unread(tiff, exc) if tiff else why_unread(head)) from exc
        if image.mode == "La":  # gray, multiplied by its alpha
            image = image.convert("LA")
        if image.mode == "CMYK" and is_unsaid:
            raise SlideError(
                path, "CMYK, and no Adobe marker says what zero is; save it as RGB first"
            )
        if image.mode not in _MODES:
            raise SlideError(path, _odd(image.mode, depth))
        if stored in ("L", "RGB") and depth != 8 and is_keyed:
            # Pillow compares it with what it has made 8 bits of.
            raise SlideError(
                path,
                f"one of its colours, of {counted(depth, 'bit')} a channel, is transparent; save "
                "it with 8 bits a channel first",
            )
        doubt = (tiff and _doubt(tiff.page, image)) or (wide and _unused_bits(image))
        if doubt:
            raise SlideError(path, doubt)
        self.left_out = (counted(frames - 1, "further frame"),) if frames > 1 else ()
        self._image = openslide.ImageSlide(image)
        self.size = Size(*image.size)
        self.icc_profile = image.info.get("icc_profile")

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        return (self.size,)

    def associated(self, name: str) -> Image.Image:
        raise KeyError(name)

    def read(self, x: int, y: int, size: Size) -> Pixels:
        return np.asarray(self._image.read_region((x, y), 0, size))

    def close(self) -> None:
        self._image.close()


def _upright(image: Image.Image, *, is_tiff: bool) -> Image.Image:
    """As its tag or its EXIF has it. Pillow looks into its XMP, too, unlike any other reader: a
    TIFF's as it loads it."""
    _forget_xmp(image)
    image.load()
    _forget_xmp(image)
    if not is_tiff and (exif := image.info.get("exif")):
        known = image.getexif()
        known.load(b"")  # or it takes the same bytes for loaded
        known.load(exif)
    return ImageOps.exif_transpose(image)


def _forget_xmp(image: Image.Image) -> None:
    for key in "xmp", "XML:com.adobe.xmp":
        image.info.pop(key, None)


def _odd(mode: str, depth: int) -> str:
    if mode.startswith(("I", "F")):
        return _deep(depth)
    return f"its pixels are of the kind {mode}; save it as RGB first"


def _deep(depth: int) -> str:
    stated = f"{depth} bits" if depth > 8 else "more than 8 bits"
    return f"{stated} a channel; save it with 8 bits a channel first"


def _doubt(page: Page, image: Image.Image) -> str | None:
    """Why the pixels may not be what they seem, where tags alone do not tell."""
    if page.photometric == YCBCR and page.compression == 1:  # tiled, Pillow 12 takes it for RGB
        return BARE_YCBCR
    if page.photometric == WHITE_IS_ZERO and page.planar:  # which Pillow 12 shows as a negative
        return "zero is white in samples stored apart (PlanarConfiguration 2); save it as RGB first"
    if not page.may_be_opaque:
        return None
    # Rows of tiles that the edge cuts, stored apart, Pillow 12 takes for longer than they are.
    is_misread = page.planar and page.tile and page.size.width % page.tile.width
    is_transparent = image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255)
    if is_misread or is_transparent:
        return (
            "4 samples a pixel, and ExtraSamples does not say what the fourth is; save it as RGB "
            "first"
        )
    return None


def _unused_bits(image: Image.Image) -> str | None:
    """Why the upper 8 of 16 bits, which Pillow shows, may be too dark: where the uppermost bit is
    never used, a camera's 10, 12 or 14 bits are more likely."""
    names = image.getbands()
    bands = [band for name, band in zip(names, image.split(), strict=True) if name != "A"]
    if max(int(np.asarray(band).max()) for band in bands) >= _UPPERMOST:
        return None
    return "16 bits a channel, of which not all are used; save it with 8 bits a channel first"


def _unread(tiff: TiffBase, exc: Exception) -> str:
    """Why Pillow does not read the TIFF, with what to do."""
    page = tiff.page
    is_opened = not isinstance(exc, UnidentifiedImageError)
    if page.compression not in _ORDINARY and not _has_codec(page.compression):
        return (
            f"its compression is {tiff.compression}, which Pillow cannot read here; save it with "
            "JPEG, LZW or no compression"
        )
    if is_opened and page.compression != 1 and not features.check("libtiff"):
        return (
            f"its compression is {tiff.compression}, for which this Pillow has no libtiff; install "
            "pillow from PyPI, or save it without compression"
        )
    if page.reversed_bits:
        return "its bits are stored in reverse (FillOrder 2); save it as a tiled TIFF without that"
    if tiff.magic == BIG_ENDIAN_BIGTIFF and not is_opened:
        return "a BigTIFF of big-endian order in strips, which Pillow cannot read; save it tiled"
    if is_opened and not page.extra and not page.planar:
        return f"its {tiff.compression} data are damaged or cut off; copy it again"
    return (
        f"its samples ({tiff.photometric}, {page.samples} a pixel) lie in a way that Pillow "
        "cannot read; save it as RGB with 3 samples a pixel, stored together"
    )


def _has_codec(compression: int) -> bool:
    """Whether Pillow's libtiff has it."""
    name = TiffImagePlugin.COMPRESSION_INFO.get(compression)
    try:
        Image.new("L", (1, 1)).save(io.BytesIO(), "TIFF", compression=name)
    except (OSError, ValueError, KeyError):
        return False
    return name is not None
