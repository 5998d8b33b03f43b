"""The quadtree walk: every tile is made once, depth first, from what its four children left.

Tile (c, r) of a level covers exactly the tiles (2c..2c+1, 2r..2r+1) of the next higher level, since
overlap is 0. `fold` walks subtrees in worker threads, and the levels above them in the caller's;
in memory are, for each worker, at most four results a level.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Protocol, TypeVar

from vsv_pyramid.geometry import Pyramid, TileAddress
from vsv_pyramid.pyramid import planes
from vsv_pyramid.pyramid.planes import Planes
from vsv_pyramid.threads import Pool

Result = TypeVar("Result")
Emit = Callable[[TileAddress, bytes], None]

_TICK_SECONDS = 0.2
_SUBTREES_PER_WORKER = 16
_AHEAD_PER_WORKER = 2


class LeafSource(Protocol):
    """Where base tiles come from: a class per lane. Safe from several threads."""

    def leaf(self, address: TileAddress) -> tuple[bytes, Planes]:
        """The base tile as a JPEG of its dimensions, and its planes at half size (rounded up)."""


def build(
    pyramid: Pyramid,
    leaves: LeafSource,
    emit: Emit,
    *,
    quality: int,
    workers: int,
    tick: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
) -> None:
    """Makes every tile once and hands it to `emit`, which is called from several threads."""

    def visit(address: TileAddress, children: Sequence[Sequence[Planes]]) -> Planes:
        if not children:
            jpeg, half = leaves.leaf(address)
        else:
            whole = planes.joined(children)
            jpeg, half = planes.encoded(whole, quality), planes.halved(whole)
        emit(address, jpeg)
        return half

    fold(pyramid, visit, workers=workers, tick=tick, stop=stop)


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
    as soon as that happens, for whatever `visit` may wait for.
    """
    stop = stop or threading.Event()

    def subtree(address: TileAddress) -> Result:
        if stop.is_set():
            raise _Stopped
        rows = [] if address.level == pyramid.base.number else pyramid.children(address)
        try:
            return visit(address, [[subtree(child) for child in row] for row in rows])
        except BaseException:
            stop.set()
            raise

    def top(address: TileAddress) -> Result:
        if address.level == split:
            return next(results)
        rows = pyramid.children(address)
        return visit(address, [[top(child) for child in row] for row in rows])

    root = TileAddress(0, 0, 0)
    split = _split_level(pyramid, workers)
    with Pool(workers) as pool:
        results = _in_order(
            pool, subtree, _subtrees(pyramid, root, split), workers * _AHEAD_PER_WORKER, tick
        )
        try:
            return top(root)
        except BaseException:
            stop.set()
            raise


class _Stopped(Exception):
    """Another thread has failed, or the caller was interrupted."""


def _split_level(pyramid: Pyramid, workers: int) -> int:
    """The lowest level with subtrees enough to keep all workers busy to the end."""
    enough = workers * _SUBTREES_PER_WORKER
    return next(
        (level.number for level in pyramid.levels if level.columns * level.rows >= enough),
        pyramid.base.number,
    )


def _subtrees(pyramid: Pyramid, address: TileAddress, level: int) -> Iterator[TileAddress]:
    """The tiles of `level` below `address`, in the order in which the walk needs them."""
    if address.level == level:
        yield address
        return
    for row in pyramid.children(address):
        for child in row:
            yield from _subtrees(pyramid, child, level)


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
                if error and not isinstance(error, _Stopped):
                    raise error
        try:
            result = pending[0].result(_TICK_SECONDS)
        except (FutureTimeout, _Stopped):
            continue
        pending.popleft()
        return result
