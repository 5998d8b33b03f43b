"""A slide as OpenSlide reads it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import openslide
from PIL import Image

from vsv_pyramid.errors import SlideError
from vsv_pyramid.geometry import Size

# No scanner's label or macro image has as many; what claims more fills the memory.
_ASSOCIATED_PIXELS = 1 << 26


class OpenSlideReader:
    """`read` is safe from several threads: each has an OpenSlide handle of its own, since one
    failed read puts a handle out of order for good."""

    def __init__(self, path: Path) -> None:
        """Raises SlideError where OpenSlide cannot open it."""
        self._path = path
        self._local = threading.local()
        self._handles: list[openslide.OpenSlide] = []
        handle = self._handle()
        self.size = Size(*handle.dimensions)
        self.properties: Mapping[str, str] = dict(handle.properties)

    def close(self) -> None:
        for handle in self._handles:
            handle.close()
        self._handles.clear()

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
        if size.pixels > _ASSOCIATED_PIXELS:
            raise SlideError(
                self._path,
                f"its {name} image of {size.width} x {size.height} px is too large; leave it out "
                "of --associated",
            )
        try:
            return self._handle().associated_images[name]
        except openslide.OpenSlideError as exc:
            self._forget_handle()
            raise SlideError(
                self._path, f"its {name} image is damaged ({exc}); leave it out of --associated"
            ) from exc

    def read(self, x: int, y: int, size: Size) -> Image.Image:
        try:
            return self._handle().read_region((x, y), 0, size)
        except openslide.OpenSlideError:
            self._forget_handle()
            raise

    def _handle(self) -> openslide.OpenSlide:
        """This thread's handle."""
        handle: openslide.OpenSlide | None = getattr(self._local, "handle", None)
        if handle is None:
            try:
                handle = openslide.OpenSlide(self._path)
            except openslide.OpenSlideError as exc:
                raise SlideError(
                    self._path, f"OpenSlide cannot open it ({exc}); check it, or copy it again"
                ) from exc
            self._local.handle = handle
            self._handles.append(handle)
        return handle

    def _forget_handle(self) -> None:
        handle = self._local.handle
        self._handles.remove(handle)
        handle.close()
        self._local.handle = None
