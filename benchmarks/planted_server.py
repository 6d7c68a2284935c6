"""A server whose delays are known: `python -m benchmarks.planted_server`.

It prints the port of each kind of `DELAYS`, in their order, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import uvloop

STALL, PERIOD = 2.0, 10.0
_HTTP = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_draw = random.Random(0)

# Kind of server → seconds until an answer, of the time of asking.
DELAYS: dict[str, Callable[[float], float]] = {
    "20 ms": lambda now: 0.02,
    "20 ms, one in five 100 ms": lambda now: 0.1 if _draw.random() < 0.2 else 0.02,
    "2 ms, a stall of 2 s each 10 s": lambda now: max(0.0, STALL - now % PERIOD) + 0.002,
}


class Planted(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, delay: Callable[[float], float]) -> None:
        self._delay = delay
        self._come = b""

    def connection_made(self, transport: Any) -> None:
        """Have a transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request that is whole, in its time."""
        self._come += data
        head, end, body = self._come.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if end and len(body) >= length:
            self._come = b""
            asyncio.get_running_loop().call_later(self._delay(perf_counter()), self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HTTP)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(partial(Planted, delay), "127.0.0.1", 0) for delay in DELAYS.values()]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
