"""A client for asyncio: the same questions as `Client`'s, over transports that await."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from deploy_clients.asking import Asking, Done, Model, Pause, Send, advanced, description
from deploy_clients.opening import opened, seconds
from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Signature, Tensors
from deploy_core.table import Row, Table
from deploy_dialects.wire import Description

TRANSPORTS = Table(
    "transport",
    {
        "rest": Row("deploy_clients.rest_async", ("httptools",), "client"),
        "grpc": Row("deploy_clients.grpc_async", ("grpc",), "client"),
    },
)
T = TypeVar("T")


class AsyncTransport(Protocol):
    """What moves requests; made by `transport(endpoint, headers, tls)` of its module, and used in one event loop."""

    async def send(self, request: Any, timeout: float) -> Any:
        """Give the reply. Raises EndpointError if there is none in time."""

    async def close(self) -> None:
        """Close all connections; may be called twice."""


class AsyncClient:
    """Predicts on an endpoint, as many requests at a time as are awaited; `version` is the one that answers, if it is told."""

    def __init__(self, model: Model, transport: AsyncTransport) -> None:
        self.endpoint = model.endpoint
        self.signature = model.description.signature
        self.version = model.description.version
        self._model = model
        self._transport = transport

    def __repr__(self) -> str:
        return f"AsyncClient({str(self.endpoint)!r})"

    async def predict(self, inputs: Mapping[str, object]) -> Tensors:
        """Answer one batch. Raises InputError before anything is sent, EndpointError for no answer or one that is none."""
        return await _answered(self._model.prediction(inputs), self._transport.send)

    async def close(self) -> None:
        """Close the connections; may be called twice."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


async def connect_async(
    url: str | Endpoint,
    *,
    signature: Signature | None = None,
    timeout: float = 30.0,
    binary: bool = False,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
) -> AsyncClient:
    """Give a client for an endpoint that is awaited; all as for `connect`."""
    seconds(timeout)
    endpoint, dialect, transport = opened(url, TRANSPORTS, headers, tls)
    try:
        if signature is None:
            described = await _answered(description(endpoint, dialect, timeout), transport.send)
        else:
            described = Description(signature, endpoint.version)
    except BaseException:
        await transport.close()
        raise
    return AsyncClient(Model(endpoint, described, dialect, timeout, binary), transport)


async def _answered(asking: Asking[T], send: Callable[[Any, float], Awaitable[Any]]) -> T:
    step = advanced(asking, None)
    while not isinstance(step, Done):
        step = advanced(asking, await _outcome(step, send))
    return step.answer


async def _outcome(step: Send | Pause, send: Callable[[Any, float], Awaitable[Any]]) -> Any:
    import asyncio

    if isinstance(step, Pause):
        return await asyncio.sleep(step.seconds)
    try:
        return await send(step.request, step.timeout)
    except EndpointError as error:
        return error
