"""The quadtree walk: every tile is made once, depth first, from what its four children left.

Tile (c, r) of a level covers exactly the tiles (2c..2c+1, 2r..2r+1) of the next higher level, since
overlap is 0. Subtrees are walked in worker threads, and the levels above them in the caller's; in
memory are, for each worker, one tile's planes a level (of `fold` at most four results).
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from vsv_pyramid.jpeg.planes import Planes, Subsampling, empty, part
from vsv_pyramid.layout.geometry import Pyramid, TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.leaves import Leaf, LeafSource
from vsv_pyramid.runtime.threads import Pool

Result = TypeVar("Result")
Emit = Callable[[TileAddress, bytes], None]
Below = Callable[[TileAddress, Planes], None]

_TICK_SECONDS = 0.2
_SUBTREES_PER_WORKER = 16
_AHEAD_PER_WORKER = 2


@dataclass
class Made:
    """How the base tiles were made: why some were decoded where tiles are copied, with their
    number, and which were left blank."""

    fallbacks: Counter[str] = field(default_factory=Counter)
    blanked: list[TileAddress] = field(default_factory=list)

    def add(self, address: TileAddress, leaf: Leaf) -> None:
        if leaf.fallback:
            self.fallbacks[leaf.fallback] += 1
        if leaf.blank:
            self.blanked.append(address)


def build(
    pyramid: Pyramid,
    leaves: LeafSource,
    emit: Emit,
    *,
    quality: int,
    subsampling: Subsampling,
    workers: int,
    split: int = 0,
    tick: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
) -> Made:
    """Makes every tile once and hands it to `emit`, which is called from several threads.

    A tile leaves its half in a part of its parent's planes. The subtrees, of which a few are made
    at a time, begin at the level `split`, or at a higher one. `tick` and `stop` are as in `fold`,
    and so is GivenUp.
    """
    stop = stop or threading.Event()
    root = TileAddress(0, 0, 0)
    side = pyramid.tile_size // 2
    made, lock = Made(), threading.Lock()

    def base(address: TileAddress, half: Planes) -> bytes:
        leaf = leaves.leaf(address, half)
        if leaf.fallback or leaf.blank:
            with lock:
                made.add(address, leaf)
        return leaf.jpeg

    def make(
        address: TileAddress, half: Planes, below: Callable[[TileAddress, Planes], None]
    ) -> None:
        if address.level == pyramid.base.number:
            jpeg = base(address, half)
        else:
            whole = empty(pyramid.dimensions(address), subsampling)
            for row, children in enumerate(pyramid.children(address)):
                for column, child in enumerate(children):
                    size = pyramid.dimensions(child).halved()
                    below(child, part(whole, column * side, row * side, size, subsampling))
            jpeg = planes.encoded(whole, quality)
            planes.halve(whole, half)
        emit(address, jpeg)

    def in_worker(address: TileAddress, half: Planes) -> None:
        if stop.is_set():
            raise GivenUp
        make(address, half, in_worker)

    def subtree(address: TileAddress) -> Planes:
        half = empty(pyramid.dimensions(address).halved(), subsampling)
        in_worker(address, half)
        return half

    roots = max(split, _split_level(pyramid, workers))
    with _subtrees(pyramid, subtree, workers, roots, tick, stop) as results:

        def on_top(address: TileAddress, half: Planes) -> None:
            if address.level == roots:
                planes.fill(half, next(results))
            else:
                make(address, half, on_top)

        on_top(root, empty(pyramid.dimensions(root).halved(), subsampling))
    return made


def fold(
    pyramid: Pyramid,
    visit: Callable[[TileAddress, Sequence[Sequence[Result]]], Result],
    *,
    workers: int,
    tick: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
) -> Result:
    """The result of the pyramid's level 0, each tile's made by `visit` from its children's.

    `visit` gets a tile's address and the results of its children as rows from the top left, none
    for a base tile. `tick` is called in the caller's thread several times a second. The first
    exception of any thread stops all the others at their next tile, and is raised. `stop` is set
    as soon as that happens, for whatever `visit` may wait for. Where others set it, raises GivenUp.
    """
    stop = stop or threading.Event()

    def subtree(address: TileAddress) -> Result:
        if stop.is_set():
            raise GivenUp
        rows = [] if address.level == pyramid.base.number else pyramid.children(address)
        return visit(address, [[subtree(child) for child in row] for row in rows])

    roots = _split_level(pyramid, workers)
    with _subtrees(pyramid, subtree, workers, roots, tick, stop) as results:

        def on_top(address: TileAddress) -> Result:
            if address.level == roots:
                return next(results)
            rows = pyramid.children(address)
            return visit(address, [[on_top(child) for child in row] for row in rows])

        return on_top(TileAddress(0, 0, 0))


class GivenUp(Exception):
    """`stop` was set by others; within, also where another thread has failed."""


def _split_level(pyramid: Pyramid, workers: int) -> int:
    """The lowest level with subtrees enough to keep all workers busy to the end."""
    enough = workers * _SUBTREES_PER_WORKER
    return next(
        (level.number for level in pyramid.levels if level.columns * level.rows >= enough),
        pyramid.base.number,
    )


@contextmanager
def _subtrees(
    pyramid: Pyramid,
    make: Callable[[TileAddress], Result],
    workers: int,
    roots: int,
    tick: Callable[[], None],
    stop: threading.Event,
) -> Iterator[Iterator[Result]]:
    """What `make` makes of the subtrees whose roots are at that level, in worker threads, in the
    order in which the walk comes by."""
    failures: list[BaseException] = []  # the first is the cause: others follow from it

    def in_worker(address: TileAddress) -> Result:
        try:
            return make(address)
        except BaseException as exc:
            if stop.is_set():
                raise GivenUp from exc
            failures.append(exc)
            stop.set()
            raise

    with Pool(workers) as pool:
        addresses = _below(pyramid, TileAddress(0, 0, 0), roots)
        try:
            yield _in_order(pool, in_worker, addresses, workers * _AHEAD_PER_WORKER, tick)
        except BaseException as exc:
            stop.set()
            if failures and isinstance(exc, Exception) and exc is not failures[0]:
                raise failures[0] from exc
            raise


def _below(pyramid: Pyramid, address: TileAddress, level: int) -> Iterator[TileAddress]:
    """The tiles of `level` below `address`, in the order of the walk."""
    if address.level == level:
        yield address
        return
    for row in pyramid.children(address):
        for child in row:
            yield from _below(pyramid, child, level)


def _in_order(
    pool: Pool,
    function: Callable[[TileAddress], Result],
    addresses: Iterator[TileAddress],
    ahead: int,
    tick: Callable[[], None],
) -> Iterator[Result]:
    """The function's results in the order of the addresses, never more than `ahead` under way."""
    pending: deque[Future[Result]] = deque()
    for address in addresses:
        pending.append(pool.submit(function, address))
        if len(pending) > ahead:
            yield _awaited(pending, tick)
    while pending:
        yield _awaited(pending, tick)


def _awaited(pending: deque[Future[Result]], tick: Callable[[], None]) -> Result:
    """The first future's result; the error of any, as soon as there is one."""
    while True:
        tick()
        for future in pending:
            if future.done():
                error = future.exception()
                if error and not isinstance(error, GivenUp):
                    raise error
        try:
            result = pending[0].result(_TICK_SECONDS)
        except FutureTimeout:
            continue
        except GivenUp:
            # Because of an error in another thread, which is about to end, or else of the caller.
            if wait(pending, _TICK_SECONDS).not_done or any(map(_has_failed, pending)):
                continue
            raise
        pending.popleft()
        return result


def _has_failed(future: Future[Result]) -> bool:
    error = future.exception()
    return error is not None and not isinstance(error, GivenUp)
