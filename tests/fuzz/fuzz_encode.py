"""An atheris target: any planes, of any size, at any quality, to the kernel's encoder, which must
make simplejpeg's bytes of them.

    python tests/fuzz/fuzz_encode.py -max_total_time=60
"""

from __future__ import annotations

import sys

import atheris
import numpy as np

with atheris.instrument_imports(include=["vsv_pyramid.jpeg.encode"]):
    from vsv_pyramid.jpeg.encode import by_simplejpeg, encode, has_stepped_back
    from vsv_pyramid.jpeg.planes import Planes, Subsampling, empty

SUBSAMPLINGS: tuple[Subsampling, ...] = ("420", "422", "444")
_HEAD = 4  # subsampling, quality, width, height


def target(data: bytes) -> None:
    if len(data) <= _HEAD:
        return
    kind, quality, width, height = data[:_HEAD]
    sizes = empty((1 + width % 100, 1 + height % 100), SUBSAMPLINGS[kind % 3])
    pixels = np.frombuffer(data[_HEAD:], np.uint8)
    # The pixels again and again, begun elsewhere in each plane.
    planes = Planes(*(np.resize(np.roll(pixels, 7 * n), one.shape) for n, one in enumerate(sizes)))
    quality = 1 + quality % 100
    assert encode(planes, quality) == by_simplejpeg(planes, quality)
    assert not has_stepped_back(SUBSAMPLINGS[kind % 3], quality)


def main() -> None:
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
