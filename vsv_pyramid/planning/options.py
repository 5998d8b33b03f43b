"""How slides are converted."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import ImageColor

from vsv_pyramid.errors import OptionError
from vsv_pyramid.facts import zone_of
from vsv_pyramid.jpeg.planes import FACTORS, Subsampling
from vsv_pyramid.layout import keys
from vsv_pyramid.slide_json import LAB
from vsv_pyramid.store import S3Options

DETAILS = ("none", LAB)  # of what may be known of persons: nothing, or what a lab needs
LOSSLESS, PIXELS = "lossless", "pixels"
LANES = ("auto", LOSSLESS, PIXELS)

TILE_SIZES = range(64, 4096 + 1, 16)
MAX_GIGAPIXELS = 200.0  # a slide of 52 x 76 mm, scanned at 80x, has 256: no scanner takes all of it


def usable_cpus() -> int:
    """The number of CPUs this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not every system has it, and a sandbox may refuse it
        return os.cpu_count() or 1


@dataclass(frozen=True)
class ConvertOptions:
    """How slides are converted. Raises OptionError for a value that cannot be.

        options = ConvertOptions(quality=90, subsampling="444", workers=4)

    `tile_size` is in px, None for a choice by the slide's own tiles; `quality` is libjpeg's;
    `color` is "none" or "srgb"; `background` is any colour name or #rrggbb; `on_error` is "fail" or
    "blank"; a slide of more than `max_gigapixels` is refused; `lane` is "auto", "lossless" or
    "pixels"; `base` is "copy" or "reencode" (of what the lossless lane copies); `subsampling` is
    that of the levels above the base; `overwrite` replaces what is published under the id, `update`
    only what is of another file; `if_busy` is "skip" or "wait"; `layout` is "tiles" (each is an
    object) or "packed" (all are in one), None for that of the destination; `scratch` is the folder
    that slides from S3 are fetched into; `private_to` is the private place of the destination,
    where label, macro, all properties and the desk's log are kept, and nothing of it is without
    one; `is_slide` says that a file which is named as a label is none; `ids` is "strict", "safe"
    (an id is made of a name that cannot be one) or "opaque" (of every name, by the private place's
    `ids_key`, see ids.keyed); `exclude` are patterns of what is left out where slides are looked
    for; `details` is "none", or "lab" to publish of a slide also its IDs, status, day and time,
    which is in `time_zone` where the scanner states none; `lab_id_pattern` is the regular
    expression of the lab's slide IDs: what is read off a label, and is one, needs no confirmation;
    `state` is the folder of what is remembered where there is no private place.
    """

    slide_id: str | None = None
    is_slide: bool = False
    ids: str = "strict"
    ids_key: bytes | None = None
    exclude: tuple[str, ...] = ()
    tile_size: int | None = None
    quality: int = 80
    workers: int = field(default_factory=usable_cpus)
    associated: tuple[str, ...] = ("thumbnail",)
    color: str = "none"
    background: str = "white"
    bounds: bool = False
    max_gigapixels: float = MAX_GIGAPIXELS
    on_error: str = "fail"
    lane: str = "auto"
    base: str = "copy"
    subsampling: Subsampling = "420"
    overwrite: bool = False
    update: bool = False
    if_busy: str = "skip"
    layout: str | None = None
    scratch: Path | None = None
    private_to: str | None = None
    details: str = "none"
    time_zone: str | None = None
    lab_id_pattern: str | None = None
    state: Path | None = None
    s3: S3Options = field(default_factory=S3Options)

    def __post_init__(self) -> None:
        if self.slide_id is not None:
            keys.check_id(self.slide_id)
        if self.tile_size is not None and self.tile_size not in TILE_SIZES:
            raise OptionError(
                f"a tile size of {self.tile_size} is refused, since JPEG blocks and their halves "
                "need a multiple of 16; give 'auto' or one from 64 to 4096"
            )
        _demand("quality", self.quality, range(1, 101), "from 1 to 100")
        _demand("workers", self.workers, range(1, 1025), "from 1 to 1024")
        if not self.max_gigapixels > 0:
            raise OptionError(
                f"--max-gigapixels {self.max_gigapixels:g} is refused; give a number above 0"
            )
        _demand("color", self.color, ("none", "srgb"), "'none' or 'srgb'")
        _demand("on-error", self.on_error, ("fail", "blank"), "'fail' or 'blank'")
        _demand("lane", self.lane, LANES, "'auto', 'lossless' or 'pixels'")
        _demand("base", self.base, ("copy", "reencode"), "'copy' or 'reencode'")
        _demand("subsampling", self.subsampling, FACTORS, "of 420, 422, 444")
        _demand("ids", self.ids, ("strict", "safe", "opaque"), "'strict', 'safe' or 'opaque'")
        _demand("details", self.details, DETAILS, "'none' or 'lab'")
        _demand("if-busy", self.if_busy, ("skip", "wait"), "'skip' or 'wait'")
        _demand("layout", self.layout, (None, *keys.LAYOUTS), "'tiles' or 'packed'")
        for name in self.associated:
            _demand("associated", name, keys.ASSOCIATED_IMAGES, "of thumbnail, label, macro")
        self.background_rgb  # noqa: B018 - refuses an unknown colour
        with _refusing("time-zone", self.time_zone, "such as Europe/Berlin or +01:00"):
            zone_of(self.time_zone if self.time_zone is not None else "UTC")
        with _refusing("slide-id-pattern", self.lab_id_pattern, "that is a regular expression"):
            re.compile(self.lab_id_pattern or "")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ConvertOptions:
        """Those that slide.json states. Raises OptionError, and TypeError, KeyError or ValueError
        where it was not written by this program."""
        stated = dict(document["options"])
        stated["tile_size"] = None if stated["tile_size"] == "auto" else int(stated["tile_size"])
        stated["associated"] = tuple(stated["associated"])
        return cls(**stated)

    def id_of(self, stem: str) -> str:
        """The id of a slide by its file's stem. Raises OptionError where that cannot be one."""
        if self.ids == "opaque":
            assert self.ids_key, "the key is to be had first, see ids.keyed"
            return keys.opaque_id(stem, self.ids_key)
        return keys.safe_id(stem) if self.ids == "safe" else keys.check_id(stem)

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        try:
            red, green, blue = ImageColor.getrgb(self.background)[:3]
        except ValueError as exc:
            raise OptionError(
                f"{self.background!r} is no colour; give a name or #rrggbb as --background"
            ) from exc
        return red, green, blue

    def recorded(self) -> dict[str, Any]:
        """The options that what is published depends on, as slide.json states them."""
        return {
            "tile_size": self.tile_size or "auto",
            "quality": self.quality,
            "associated": sorted(set(self.associated)),
            "color": self.color,
            "background": "#{:02x}{:02x}{:02x}".format(*self.background_rgb),
            "bounds": self.bounds,
            "on_error": self.on_error,
            "lane": self.lane,
            "base": self.base,
            "subsampling": self.subsampling,
        }


def _demand(option: str, value: object, allowed: Any, what: str) -> None:
    if value not in allowed:
        raise OptionError(f"--{option} {value} is refused; give one {what}")


@contextlib.contextmanager
def _refusing(option: str, value: object, what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, re.error) as exc:
        raise OptionError(f"--{option} {value} is refused ({exc}); give one {what}") from exc
