"""An atheris target: slides whose container lies in a few places, opened and read.

What comes of it is a picture or a SlideError, and nothing else. The input names the container, and
then place and value of each change.

    python -m tests.fuzz.fuzz_containers -max_total_time=60 FOLDER
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris
import openslide

with atheris.instrument_imports(include=["vsv_pyramid.containers", "vsv_pyramid.slide"]):
    from vsv_pyramid.errors import SlideError
    from vsv_pyramid.layout.geometry import Size
    from vsv_pyramid.slide.pixels import open_slide

from tests.containers.mutable import CONTAINERS

SIDE = 200  # px that are read at most, each way


class Target:
    """Writes its files in `scratch`."""

    def __init__(self, scratch: Path) -> None:
        self._sound = []
        for number, (make, places_of) in enumerate(CONTAINERS.values()):
            folder = scratch / f"{number}"
            folder.mkdir()
            path = make(folder)
            self._sound.append((path, path.read_bytes(), list(places_of(path))))

    def __call__(self, data: bytes) -> None:
        drawn = atheris.FuzzedDataProvider(data)
        path, sound, places = self._sound[drawn.ConsumeIntInRange(0, len(self._sound) - 1)]
        made = bytearray(sound)
        for _ in range(drawn.ConsumeIntInRange(1, 6)):
            offset, length = places[drawn.ConsumeIntInRange(0, len(places) - 1)]
            made[offset : offset + length] = drawn.ConsumeUInt(length).to_bytes(length, "little")
        if drawn.ConsumeBool():
            made[drawn.ConsumeIntInRange(0, len(made) - 1)] = drawn.ConsumeUInt(1)
        if drawn.ConsumeBool():
            del made[drawn.ConsumeIntInRange(0, len(made)) :]
        path.write_bytes(made)
        try:
            with open_slide(path) as slide:
                size = Size(*(min(side, SIDE) for side in slide.size))
                assert slide.read(0, 0, size).shape[:2] == (size.height, size.width)
                assert slide.metadata.published is not None
                assert all(slide.left_out)
                assert all(key for key in slide.all_properties)
                for name in slide.associated_names:
                    assert slide.associated(name).size
        except (SlideError, openslide.OpenSlideError) as exc:
            assert str(exc)


def main() -> None:
    logging.disable()  # libraries tell of every tag
    with tempfile.TemporaryDirectory() as scratch:
        atheris.Setup(sys.argv, Target(Path(scratch)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
