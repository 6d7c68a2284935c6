"""A little server with planted delays, over REST and gRPC; it writes down what it really did, which is the truth."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

Delay = Callable[[float], float]  # seconds since the server began → seconds until the answer


class Planted:
    """Where it answers, and the seconds that each request was really there."""

    def __init__(self, delay: Delay) -> None:
        self.begin = time.perf_counter()
        self.http = self.grpc = 0
        self.took: list[float] = []
        self._delay = delay

    def delay(self) -> float:
        return self._delay(time.perf_counter() - self.begin)


class _Http(asyncio.Protocol):
    def __init__(self, planted: Planted) -> None:
        self._planted = planted
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        head, end, body = (self._rest + data).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]) if end else 1
        if len(body) < length:
            self._rest += data
            return
        self._rest = b""
        asyncio.get_running_loop().call_later(self._planted.delay(), self._answer, time.perf_counter())

    def _answer(self, came: float) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        self._planted.took.append(time.perf_counter() - came)


class _Rpc(grpc.GenericRpcHandler):
    def __init__(self, planted: Planted) -> None:
        self._planted = planted

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: Any) -> bytes:
        came = time.perf_counter()
        time.sleep(self._planted.delay())
        self._planted.took.append(time.perf_counter() - came)
        return b"\x0a\x01m"


@contextmanager
def rest(delay: Delay) -> Iterator[Planted]:
    planted, loop = Planted(delay), asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Http(planted), "127.0.0.1", 0))
    planted.http = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield planted
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@contextmanager
def rpc(delay: Delay) -> Iterator[Planted]:
    planted = Planted(delay)
    server = grpc.server(ThreadPoolExecutor(64), handlers=(_Rpc(planted),))
    planted.grpc = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield planted
    finally:
        server.stop(None).wait()
