import numpy as np
from numpy.typing import NDArray

class Coding:
    @property
    def key(self) -> tuple[object, ...]: ...
    def __init__(
        self,
        pairs: tuple[tuple[tuple[bytes, bytes], tuple[bytes, bytes]], ...],
        use: tuple[int, ...],
    ) -> None: ...

class Encoder:
    def __init__(
        self,
        head: bytes,
        frame: int,
        divisors: tuple[bytes, ...],
        coding: Coding,
        sampling: tuple[int, int],
        accurate: bool,
    ) -> None: ...
    def encode(
        self,
        size: tuple[int, int],
        y: NDArray[np.uint8],
        cb: NDArray[np.uint8],
        cr: NDArray[np.uint8],
    ) -> bytes: ...

def use_avx2(wanted: bool) -> None: ...
def uses_avx2() -> bool: ...
def halved(plane: NDArray[np.uint8], out: NDArray[np.uint8]) -> None: ...
def planes(
    rgb: NDArray[np.uint8],
    fx: int,
    fy: int,
    y: NDArray[np.uint8],
    cb: NDArray[np.uint8],
    cr: NDArray[np.uint8],
) -> None: ...
def recolour(
    rgb: NDArray[np.uint8],
    table: NDArray[np.uint32],
    out: NDArray[np.uint8],
    lacking: NDArray[np.uint32],
) -> int: ...
def splice(
    sources: list[bytes | None],
    starts: list[int],
    codings: list[Coding | None],
    intervals: list[int],
    columns: int,
    rows: int,
    tile_size: tuple[int, int],
    size: tuple[int, int],
    sampling: tuple[tuple[int, int], ...],
    quantisation: tuple[tuple[int, ...], ...],
    subsampling: tuple[int, int],
    rgb: bool,
    header: bytes,
    fallback_header: bytes,
    fallback: Coding,
    luma: NDArray[np.uint8],
    cb: NDArray[np.uint8],
    cr: NDArray[np.uint8],
) -> bytes: ...
