"""A client for asyncio: the same questions as `Client`'s, over transports that await."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from deploy_clients.answering import answered_async
from deploy_clients.asking import Model, introduction
from deploy_clients.opening import opened, seconds
from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_core.signature import Signature, Tensors
from deploy_core.table import Row, Table

TRANSPORTS = Table(
    "transport",
    {
        "rest": Row("deploy_clients.rest_async", ("httptools",), "client"),
        "grpc": Row("deploy_clients.grpc_async", ("grpc",), "client"),
    },
)


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
        return await answered_async(self._model.prediction(inputs), self._transport.send)

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
        asking = introduction(endpoint, dialect, signature, timeout=timeout, binary=binary)
        return AsyncClient(await answered_async(asking, transport.send), transport)
    except BaseException:
        await transport.close()
        raise
