"""The running embedded server: both transports over one desk, from start to drained."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from deploy_core.errors import UnavailableError
from deploy_dialects.wire import Handler, RpcRequest, Served
from deploy_servers.embedded import rpc
from deploy_servers.embedded.batching import Batcher, Runnable
from deploy_servers.embedded.desk import Desk
from deploy_servers.embedded.http import HttpListener
from deploy_servers.embedded.parse import Limits
from deploy_servers.embedded.plane import ServedModels
from deploy_servers.embedded.rest import RestService, RestTable


@dataclass(frozen=True)
class Model:
    """One version that can answer."""

    served: Served
    runnable: Runnable


@dataclass(frozen=True)
class Tables:
    """What is spoken: REST routes and gRPC methods of any number of dialects."""

    rest: Sequence[RestTable]
    rpc: Mapping[str, Handler[RpcRequest, bytes]]


@dataclass(frozen=True)
class ServeOptions:
    """Where to listen and how long to wait; port 0 lets the system choose."""

    host: str = "127.0.0.1"
    http_port: int = 0
    grpc_port: int = 0
    threads: int = 2  # predictions that run at the same time
    grace: float = 10.0
    limits: Limits = field(default_factory=Limits)


async def serve(
    models: Sequence[Model],
    tables: Tables,
    settings: ServeOptions,
    *,
    ready: Callable[[int, int], None],
    stop: asyncio.Event,
) -> bool:
    """Serve until `stop`; call `ready(http port, gRPC port)` when both listen; tell whether all requests were answered."""
    runnables = {(model.served.name, model.served.version): model.runnable for model in models}
    batcher = Batcher(runnables, threads=settings.threads)
    desk = Desk(ServedModels(model.served for model in models), batcher)
    http = HttpListener(RestService(desk, tables.rest), host=settings.host, limits=settings.limits)
    try:
        http_port, calls, grpc_port = await _listen(http, desk, tables, settings)
        ready(http_port, grpc_port)
        await stop.wait()
        return await _drain(http, calls, batcher, settings.grace)
    finally:
        batcher.close()


def stop_on_signals(stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Have SIGTERM and SIGINT set `stop`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, partial(_on_signal, number, stop, announce))


def _on_signal(number: signal.Signals, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    announce(f"{number.name}: no new requests, finishing those that have begun")
    stop.set()


async def _listen(
    http: HttpListener, desk: Desk, tables: Tables, settings: ServeOptions
) -> tuple[int, rpc.Server, int]:
    try:
        http_port = await http.start(settings.http_port)
    except OSError as error:
        raise UnavailableError(
            f"HTTP cannot listen on {settings.host}:{settings.http_port}: {error.strerror}"
        ) from error
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        calls, grpc_port = await rpc.start(
            desk, tables.rpc, f"{host}:{settings.grpc_port}", max_bytes=settings.limits.body
        )
    except BaseException:
        await http.stop(0)
        raise
    return http_port, calls, grpc_port


async def _drain(http: HttpListener, calls: rpc.Server, batcher: Batcher, grace: float) -> bool:
    answered, _ = await asyncio.gather(http.stop(grace), calls.stop(grace))
    return bool(answered) and batcher.busy == 0
