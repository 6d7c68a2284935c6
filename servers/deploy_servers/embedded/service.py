"""The running embedded server: both transports over one desk, from start to drained."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from deploy_core.endpoint import address_of
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


class Fleet:
    """What is served now: models come and go while requests run. For the thread of the running loop."""

    def __init__(self, models: Iterable[Model], *, threads: int) -> None:
        self.plane = ServedModels(())
        self.batcher = Batcher({}, threads=threads)
        for model in models:
            self.add(model)

    def add(self, model: Model) -> None:
        """Have a version answer from now on."""
        self.batcher.add((model.served.name, model.served.version), model.runnable)
        self.plane.put(model.served)

    def remove(self, name: str, version: int) -> None:
        """Have a version answer no more; requests that have come are still answered."""
        self.plane.drop(name, version)
        self.batcher.remove((name, version))

    def label(self, name: str, labels: Mapping[str, int]) -> None:
        """Have these labels, and no others, stand for versions of a model."""
        for served in [one for one in self.plane.served() if one.name == name]:
            own = tuple(label for label, version in labels.items() if version == served.version)
            self.plane.put(replace(served, labels=own))


@dataclass(frozen=True)
class Tables:
    """What is spoken: REST routes and gRPC methods of any number of dialects."""

    rest: Sequence[RestTable]
    rpc: Mapping[str, Handler[RpcRequest, bytes]]


@dataclass(frozen=True)
class ServeOptions:
    """Where to listen and how long to wait; port 0 lets the system choose.

    `published` is the address by which clients come, where that is not `host`: in a container.
    """

    host: str = "127.0.0.1"
    published: str = ""
    http_port: int = 0
    grpc_port: int = 0
    grace: float = 10.0
    limits: Limits = field(default_factory=Limits)


async def serve(
    fleet: Fleet,
    tables: Tables,
    settings: ServeOptions,
    *,
    ready: Callable[[int, int], None],
    stop: asyncio.Event,
) -> bool:
    """Serve until `stop`, by a fleet that its owner may change meanwhile; tell whether all requests were answered.

    `ready(http port, gRPC port)` is called when both listen.
    """
    desk = Desk(fleet.plane, fleet.batcher)
    http = HttpListener(
        RestService(desk, tables.rest), host=settings.host, published=settings.published, limits=settings.limits
    )
    try:
        http_port, calls, grpc_port = await _listen(http, desk, tables, settings)
        ready(http_port, grpc_port)
        await stop.wait()
        return await _drain(http, calls, fleet.batcher, settings.grace)
    finally:
        fleet.batcher.close()


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
    address = address_of(settings.host, settings.grpc_port)
    try:
        calls, grpc_port = await rpc.start(desk, tables.rpc, address, max_bytes=settings.limits.body)
    except BaseException:
        await http.stop(0)
        raise
    return http_port, calls, grpc_port


async def _drain(http: HttpListener, calls: rpc.Server, batcher: Batcher, grace: float) -> bool:
    answered, _ = await asyncio.gather(http.stop(grace), calls.stop(grace))
    return bool(answered) and batcher.busy == 0
