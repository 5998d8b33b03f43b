"""How far a conversion is, on stderr: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from vsv_pyramid.convert import Progress

_LINE_SECONDS = 8.0


class ProgressDisplay:
    """Shows the Progress it is called with, under the slide's id, until it is closed."""

    def __init__(self, slide_id: str) -> None:
        self._id = slide_id
        self._start = self._last_line = time.monotonic()
        self._bar = tqdm(desc=slide_id, unit=" tiles") if sys.stderr.isatty() else None

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.close()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        speed = progress.base_pixels / 1e9 / max(now - self._start, 1e-3)
        if self._bar:
            self._bar.total = progress.total
            self._bar.set_postfix_str(f"{speed:.3f} gigapixels/s", refresh=False)
            self._bar.update(progress.tiles - self._bar.n)
        elif now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            print(
                f"{self._id}: {progress.tiles:,} of {progress.total:,} tiles, "
                f"{speed:.3f} gigapixels/s",
                file=sys.stderr,
                flush=True,
            )
