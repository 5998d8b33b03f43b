"""Many viewers in one thread: each asks for the tiles of a view after another, and measures them.

A view asks only for the tiles of its own level. A viewer has six connections, as browsers have to
a host, and goes on to the next view once all tiles of one are there.
"""

from __future__ import annotations

import gc
import json
import random
import re
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vsv_pyramid.layout.geometry import Pyramid, Size, TileAddress

HOST = "127.0.0.1"
WINDOW = Size(1920, 1080)
# Half of the views are at full resolution, the others on the way there.
HALVINGS = (0, 0, 0, 0, 1, 2, 3, 4)
CONNECTIONS = 6
PATIENCE = 60  # s without any answer
_BUFFER = 1 << 20
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class View(NamedTuple):
    """A window's top left (x, y) in px of the level that is so many halvings below the base."""

    halvings: int
    x: int
    y: int


class Seen(NamedTuple):
    """A view that is complete: seconds until it was, those of each of its tiles, bytes of all."""

    seconds: float
    tiles: list[float]
    size: int


def random_views(pyramid: Pyramid, count: int, chance: random.Random) -> list[View]:
    """Views anywhere on the slide; the same ones whatever the tile size."""
    found = []
    for _ in range(count):
        halvings = min(chance.choice(HALVINGS), len(pyramid.levels) - 1)
        level = pyramid.levels[-1 - halvings].size
        room = (max(0, length - window) for length, window in zip(level, WINDOW, strict=True))
        found.append(View(halvings, *(chance.randint(0, most) for most in room)))
    return found


def needed(pyramid: Pyramid, view: View) -> list[TileAddress]:
    """The addresses of the level's tiles that the view shows any of, row by row."""
    level, side = pyramid.levels[-1 - view.halvings], pyramid.tile_size
    right = min(view.x + WINDOW.width, level.size.width)
    bottom = min(view.y + WINDOW.height, level.size.height)
    return [
        TileAddress(level.number, column, row)
        for row in range(view.y // side, -(-bottom // side))
        for column in range(view.x // side, -(-right // side))
    ]


class Viewer:
    """Goes through views, each the paths of its tiles."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self.seen: list[Seen] = []
        self._connections = [Connection(port, selector, self) for _ in range(CONNECTIONS)]

    def begin(self, views: Sequence[Sequence[str]], end: float) -> None:
        """Asks for the first view; none is asked for from `end` (perf_counter) on."""
        self._views, self._end = iter(views), end
        self.seen = []
        self._next()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    @property
    def is_done(self) -> bool:
        return self._missing == 0

    def _next(self) -> None:
        self._started = time.perf_counter()
        paths = next(self._views, None) if self._started < self._end else None
        self._missing = len(paths or ())
        self._paths: Iterator[str] = iter(paths or ())
        self._tiles: list[float] = []
        self._size = 0
        for connection in self._connections:
            self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        path = next(self._paths, None)
        if path is not None:
            connection.ask(path)

    def got(self, connection: Connection, seconds: float, size: int) -> None:
        self._tiles.append(seconds)
        self._size += size
        self._missing -= 1
        if self._missing:
            self._ask(connection)
        else:
            self.seen.append(Seen(time.perf_counter() - self._started, self._tiles, self._size))
            self._next()


class Connection:
    """One of a viewer's, kept open where the server keeps it: a request, its answer, the next."""

    _buffer = bytearray(_BUFFER)  # all connections': an answer is only counted

    def __init__(self, port: int, selector: selectors.BaseSelector, viewer: Viewer) -> None:
        self._port, self._selector, self._viewer = port, selector, viewer
        self._socket: socket.socket | None = None

    def ask(self, path: str) -> None:
        self._path, self._asked = path, time.perf_counter()
        self._is_new = not self._socket
        try:
            self._send()
        except ConnectionError:
            self._again()

    def _send(self) -> None:
        self._head, self._left = b"", -1
        if not self._socket:
            self._socket = socket.create_connection((HOST, self._port), PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        request = f"GET {self._path} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\n\r\n"
        self._socket.sendall(request.encode())

    def _again(self) -> None:
        """On a new connection: a server may end one that was idle just when it is used."""
        if self._is_new or self._head:
            raise SystemExit(f"{self._path}: the server hung up")
        self._is_new = True
        self.close()
        self._send()

    def close(self) -> None:
        if self._socket:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def read(self) -> None:
        """Takes what there is of the answer. Raises SystemExit where it is not a tile."""
        assert self._socket
        try:
            count = self._socket.recv_into(self._buffer)
        except BlockingIOError:  # what was to be read was the former connection's end
            return
        except ConnectionError:
            count = 0
        if not count:
            if self._left:
                self._again()
            else:
                self.close()
            return
        if self._left < 0:
            self._head += self._buffer[:count]
            head, blank, body = self._head.partition(b"\r\n\r\n")
            if not blank:
                return
            length = _LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 200") or not length:
                raise SystemExit(f"{self._path}: {head.decode('latin-1')}")
            self._size, self._left = int(length[1]), int(length[1]) - len(body)
            self._closes = _CLOSE.search(head) is not None
        else:
            self._left -= count
        if not self._left:
            seconds = time.perf_counter() - self._asked
            if self._closes:
                self.close()
            self._viewer.got(self, seconds, self._size)


def watch(
    selector: selectors.BaseSelector,
    viewers: Sequence[Viewer],
    views: Sequence[Sequence[Sequence[str]]],
    seconds: float,
) -> float:
    """Lets each viewer go through its views, of which none is begun after so many seconds, and
    returns how many it took until all were complete."""
    start = time.perf_counter()
    for viewer, own in zip(viewers, views, strict=True):
        viewer.begin(own, start + seconds)
    while not all(viewer.is_done for viewer in viewers):
        ready = selector.select(PATIENCE)
        if not ready:
            raise SystemExit(f"no answer for {PATIENCE} s")
        for key, _ in ready:
            key.data.read()
    return time.perf_counter() - start


def main() -> None:
    """Reads {port, seconds, views: [a viewer's views: [a view's paths]]} from stdin, and writes two
    visits of the same views to stdout: [seconds, [a viewer's views: Seen]]."""
    plan = json.load(sys.stdin)
    views = plan["views"]
    gc.freeze()  # a collection would go through all of it while tiles are waited for
    with selectors.DefaultSelector() as selector:
        viewers = [Viewer(plan["port"], selector) for _ in views]
        visits = []
        for seconds in plan["seconds"], float("inf"):
            took = watch(selector, viewers, views, seconds)
            visits.append([took, [viewer.seen for viewer in viewers]])
            views = [own[: len(viewer.seen)] for own, viewer in zip(views, viewers, strict=True)]
    json.dump(visits, sys.stdout)


if __name__ == "__main__":
    main()
