"""The base tiles of a pyramid: what they are to be, and how each of them was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from vsv_pyramid.jpeg.planes import Planes, Subsampling
from vsv_pyramid.layout.geometry import Pyramid, TileAddress


@dataclass(frozen=True)
class BaseLevel:
    """What the tiles of the base level are to be, whichever way they are made.

    `origin` is the level's top left pixel in slide px. `background` (RGB) shows through where the
    slide is transparent and, with `blank_damaged`, fills the tiles that cannot be decoded.
    """

    pyramid: Pyramid
    origin: tuple[int, int]
    quality: int
    subsampling: Subsampling
    background: tuple[int, int, int] = (255, 255, 255)
    blank_damaged: bool = False


class Leaf(NamedTuple):
    """A base tile as a JPEG of its dimensions. `fallback` says why it was decoded where tiles are
    copied; a tile that is `blank` shows no pixels of the slide, or not all."""

    jpeg: bytes
    fallback: str | None = None
    blank: bool = False


class LeafSource(Protocol):
    """Where base tiles come from: a class per lane. Safe from several threads."""

    def leaf(self, address: TileAddress, half: Planes) -> Leaf:
        """The base tile; `half` is filled with its planes at half size (rounded up)."""
