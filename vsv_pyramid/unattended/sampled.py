"""What a backlog takes, going by some of its slides."""

from __future__ import annotations

import io
from collections.abc import Collection
from itertools import islice
from typing import Any

from vsv_pyramid.aws import exchanges, session
from vsv_pyramid.aws.costs import MAX_VCPUS, SLIDE_BYTES, Estimate, estimate, on_demand_part
from vsv_pyramid.containers.tiff import base_pixels
from vsv_pyramid.layout import keys
from vsv_pyramid.store import S3Options
from vsv_pyramid.unattended.backlog import Waiting
from vsv_pyramid.unattended.listed import account

_SAMPLED = 20
_BLOCK = 1 << 16


def estimated(
    slides: Collection[Waiting],
    s3: S3Options | None = None,
    *,
    layout: str = keys.TILES,
    max_vcpus: int = MAX_VCPUS,
) -> Estimate:
    """What converting them takes, all at once and into that layout, going by their bytes, and by
    the size in px that some state."""
    sampled = list(islice(slides, None, None, max(1, len(slides) // _SAMPLED)))
    reader = account(sampled[0].url, s3) if sampled else None
    stated = [(pixels, slide) for slide in sampled if reader and (pixels := _pixels(reader, slide))]
    density = 1e9 / SLIDE_BYTES
    if stated:
        density = sum(pixels for pixels, _ in stated) / sum(slide.size for _, slide in stated)
    return estimate(
        len(slides),
        sum(slide.size for slide in slides) * density / 1e9,
        is_packed=layout == keys.PACKED,
        on_demand=on_demand_part(len(slides), max_vcpus),
    )


def _pixels(account: session.Account, slide: Waiting) -> int | None:
    """The base level's pixels, out of the few kilobytes of the object that state them."""
    try:
        return base_pixels(io.BufferedReader(_Ranged(account.client, slide), _BLOCK))
    except session.ERRORS:
        return None


class _Ranged(io.RawIOBase):
    """An object in S3 as a file: each read is a request."""

    def __init__(self, client: Any, slide: Waiting) -> None:
        self._client = client
        self._slide = slide
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._slide.size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._slide.size)
        if end <= self._at:
            return 0
        url = self._slide.url
        wanted = f"bytes={self._at}-{end - 1}"
        with exchanges.one():
            answer = self._client.get_object(Bucket=url.bucket, Key=url.key, Range=wanted)
            data: bytes = answer["Body"].read()
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
