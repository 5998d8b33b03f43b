"""What became of one slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide.source import Source


@dataclass(frozen=True)
class Summary:
    """What became of one slide. `status` is "converted", "skipped" (it is published; or, without a
    `target`, deleted and to be scanned anew) or "busy" (another process converts it); `bytes`
    are the tiles'; `kept` is how many objects an earlier attempt had put already; `waited` is how
    many seconds the slide was there before its pyramid was."""

    slide: str
    id: str
    status: str
    target: str
    width: int = 0
    height: int = 0
    tile_size: int = 0
    tiles: int = 0
    bytes: int = 0
    kept: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    notes: tuple[str, ...] = ()


def id_in(options: ConvertOptions) -> str:
    assert options.slide_id, "see planning.ids.identified"
    return options.slide_id


def summarized(
    source: Source,
    options: ConvertOptions,
    status: str,
    target: str,
    document: Mapping[str, Any] | None = None,
    **known: Any,
) -> Summary:
    """Of a slide, by its slide.json where that is published."""
    said = document or {}
    pyramid = said.get("pyramid", {})
    return Summary(
        slide=str(source),
        id=id_in(options),
        status=status,
        target=target,
        width=said.get("width", 0),
        height=said.get("height", 0),
        tile_size=pyramid.get("tile_size", 0),
        tiles=pyramid.get("tile_count", 0),
        bytes=pyramid.get("bytes", 0),
        **known,
    )
