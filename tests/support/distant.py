"""A server seen from afar: what goes through arrives later, as over a line of some length."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.support.s3_server import HOST

_PIECE = 1 << 16


@contextlib.contextmanager
def distant(port: int, seconds: float) -> Iterator[int]:
    """The port at which the server on another one can be had until the block ends: a connection,
    and the way there and back, take so many seconds each. No bytes wait for each other, and so the
    line is as wide as this machine's."""
    line, ready = _Line(port, seconds), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(line.serve(ready)), name="distant")
    thread.start()
    try:
        ready.wait()
        yield line.port
    finally:
        line.end()
        thread.join()


class _Line:
    def __init__(self, port: int, seconds: float) -> None:
        self._to = port
        self._seconds = seconds
        self._open: set[asyncio.StreamWriter] = set()
        self._left: set[asyncio.Task[None]] = set()
        self.port = 0

    async def serve(self, ready: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._connected, HOST, 0)
            self.port = server.sockets[0].getsockname()[1]
        finally:
            ready.set()
        await self._ended.wait()
        server.close()
        for writer in self._open:
            writer.close()
        await asyncio.gather(*self._left, return_exceptions=True)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._left.add(task)
        self._open.add(writer)
        with contextlib.suppress(OSError):
            await asyncio.sleep(self._seconds)
            answers, requests = await asyncio.open_connection(HOST, self._to)
            self._open.add(requests)
            await asyncio.gather(
                self._passed_on(reader, requests), self._passed_on(answers, writer)
            )

    async def _passed_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each piece later by the way in one direction, all of them in their order."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def leave() -> None:
            piece = b"?"
            while piece:
                try:
                    piece = await reader.read(_PIECE)
                except OSError:
                    piece = b""
                pieces.put_nowait((self._loop.time() + self._seconds / 2, piece))

        async def arrive() -> None:
            with contextlib.closing(writer):
                while True:
                    due, piece = await pieces.get()
                    await asyncio.sleep(due - self._loop.time())
                    if not piece:
                        break
                    writer.write(piece)
                    await writer.drain()

        await asyncio.gather(leave(), arrive())
