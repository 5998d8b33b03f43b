"""The command line without the processor's vectors of 256 bits, as on one that has none."""

from __future__ import annotations

from vsv_pyramid.__main__ import main
from vsv_pyramid.jpeg import _splice

if __name__ == "__main__":
    _splice.use_avx2(False)
    main()
