"""The embedded server in a thread, around any predictor, with what it reads and says changed on its way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from deploy_core.endpoint import Endpoint
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature, Tensors
from deploy_dialects.wire import Ask, Handler, HttpReply, HttpRequest, Plane, Route, RpcRequest, Served
from deploy_servers.embedded import tables
from deploy_servers.embedded.batching import Runnable
from deploy_servers.embedded.rest import RestTable
from deploy_servers.embedded.service import Fleet, Model, ServeOptions, Tables, serve

Body = Callable[[bytes], bytes]


def _same(body: bytes) -> bytes:
    return body


class Answering:
    """A predictor that a function makes."""

    def __init__(self, signature: Signature, function: Callable[[Tensors], Tensors]) -> None:
        self.signature = signature
        self._function = function

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        return self._function(self.signature.conform(inputs))

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Wire:
    """What is done to bodies on their way: JSON that asks over REST, JSON that answers, answers over gRPC."""

    request: Body = _same
    rest: Body = _same
    grpc: Body = _same


@contextmanager
def serving(
    name: str, predictor: Predictor, *, version: int = 1, wire: Wire | None = None, parallel: int = 1
) -> Generator[Sequence[Endpoint]]:
    """Serve a predictor in every dialect; give the endpoints."""
    served = Served(name, version, predictor.signature, "planted")
    model = Model(served, Runnable(predictor, parallel))
    running = _Running(model, _spoken(wire or Wire()), parallel)
    running.thread.start()
    try:
        http, grpc = running.ports()
        ports = {"rest": http, "grpc": grpc}
        yield [
            Endpoint(dialect, transport, "127.0.0.1", port, name)
            for dialect in ("tfserving", "oip", "torchserve")
            for transport, port in ports.items()
        ]
    finally:
        running.stop()


class _Running:
    """The server's thread."""

    def __init__(self, model: Model, spoken: Tables, threads: int) -> None:
        self._model, self._spoken, self._threads = model, spoken, threads
        self._ready = threading.Event()
        self._ports = (0, 0)
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def ports(self) -> tuple[int, int]:
        if not self._ready.wait(30):
            raise RuntimeError("the server with a fault did not start")
        return self._ports

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self.thread.join(30)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        fleet = Fleet([self._model], threads=self._threads)
        await serve(fleet, self._spoken, ServeOptions(grace=1.0), ready=self._listens, stop=self._stop)

    def _listens(self, http: int, grpc: int) -> None:
        self._ports = http, grpc
        self._ready.set()


def _spoken(wire: Wire) -> Tables:
    usual = tables.load()
    rest = [RestTable([_route(route, wire) for route in one.routes], one.refuse) for one in usual.rest]
    rpc: Mapping[str, Handler[RpcRequest, bytes]] = {
        method: partial(_rpc, handler, wire.grpc) for method, handler in usual.rpc.items()
    }
    return Tables(rest, rpc)


def _route(route: Route, wire: Wire) -> Route:
    return replace(route, handler=partial(_rest, route.handler, wire))


def _rest(handler: Handler[HttpRequest, HttpReply], wire: Wire, plane: Plane, request: HttpRequest, match: Any) -> Any:
    is_json = request.method == "POST" and request.body.lstrip()[:1] == b"{"
    asked = replace(request, body=wire.request(request.body)) if is_json else request
    answer = handler(plane, asked, match)
    if not isinstance(answer, Ask):
        return answer
    return replace(answer, render=lambda outputs: _reply(answer.render(outputs), wire.rest))


def _reply(reply: HttpReply, change: Body) -> HttpReply:
    is_json = reply.status == 200 and reply.headers.get("content-type", "").startswith("application/json")
    return replace(reply, body=change(reply.body)) if is_json else reply


def _rpc(handler: Handler[RpcRequest, bytes], change: Body, plane: Plane, request: RpcRequest, match: Any) -> Any:
    answer = handler(plane, request, match)
    if not isinstance(answer, Ask):
        return answer
    return replace(answer, render=lambda outputs: change(answer.render(outputs)))
