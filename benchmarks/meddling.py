"""A proxy between client and server that makes each request wait, and may put other bytes into answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Meddle = Callable[[bytes], bytes]


@contextmanager
def meddling(port: int, delay: float = 0.0, meddle: Meddle = lambda answer: answer) -> Iterator[int]:
    """Give the port of a proxy for `port`; every piece of a request waits for `delay` seconds."""
    loop, proxy = asyncio.new_event_loop(), _Proxy(port, delay, meddle)
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
    with _running(loop):
        yield server.sockets[0].getsockname()[1]
        asyncio.run_coroutine_threadsafe(proxy.end(server), loop).result(10)


class _Proxy:
    def __init__(self, port: int, delay: float, meddle: Meddle) -> None:
        self._port = port
        self._delay = delay
        self._meddle = meddle
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            inner, outer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(
                self._passed(reader, outer, self._delay, lambda piece: piece),
                self._passed(inner, writer, 0.0, self._meddle),
            )
        self._tasks.discard(task)

    async def _passed(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float, meddle: Meddle
    ) -> None:
        try:
            while piece := await source.read(1 << 16):
                await asyncio.sleep(delay)
                sink.write(meddle(piece))
                await sink.drain()
        finally:
            sink.transport.abort()

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        for task in (tasks := set(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
