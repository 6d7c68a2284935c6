"""A Predictor on an endpoint: a dialect says what the bytes mean, a transport moves them."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from deploy_clients.answering import answered
from deploy_clients.asking import Model, introduction
from deploy_clients.opening import opened, seconds
from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_core.signature import Signature, Tensors
from deploy_core.table import Row, Table

TRANSPORTS = Table(
    "transport",
    {
        "rest": Row("deploy_clients.rest", ("urllib3",), "client"),
        "grpc": Row("deploy_clients.grpc", ("grpc",), "client"),
    },
)


class Transport(Protocol):
    """What moves requests; made by `transport(endpoint, headers, tls)` of the module `rest` or `grpc`."""

    def send(self, request: Any, timeout: float) -> Any:
        """Give the reply. Raises EndpointError if there is none in time."""

    def close(self) -> None:
        """Close all connections; may be called twice."""


class Client:
    """A Predictor on an endpoint; `version` is the one that answers, as far as the server says."""

    def __init__(self, model: Model, transport: Transport) -> None:
        self.endpoint = model.endpoint
        self.signature = model.description.signature
        self.version = model.description.version
        self._model = model
        self._transport = transport

    def __repr__(self) -> str:
        return f"Client({str(self.endpoint)!r})"

    def predict(self, inputs: Mapping[str, object]) -> Tensors:
        """Answer one batch. Raises InputError before anything is sent, EndpointError for no answer or one that is none."""
        return answered(self._model.prediction(inputs), self._transport.send)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def connect(
    url: str | Endpoint,
    *,
    signature: Signature | None = None,
    timeout: float = 30.0,
    binary: bool = False,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
) -> Client:
    """Give a client for an endpoint; without `signature` the server is asked for it.

    `timeout` is in seconds and for one request as a whole, with all that is made again: a prediction that no server has
    taken up, and the question for the signature while the server is unavailable. `binary` sends tensors as raw bytes
    where a dialect has the choice (oip and torchserve over rest; gRPC always does). `headers` go with every request and
    are shown nowhere; the key of a TorchServe that was started from here, or that `$DEPLOY_TORCHSERVE_KEYS` tells of,
    goes by itself. `tls` is for `rests` and `grpcs`, where the system's authorities do not do.
    Raises UsageError for a URL that is none, EndpointError for an endpoint that does not answer.
    """
    seconds(timeout)
    endpoint, dialect, transport = opened(url, TRANSPORTS, headers, tls)
    try:
        asking = introduction(endpoint, dialect, signature, timeout=timeout, binary=binary)
        return Client(answered(asking, transport.send), transport)
    except BaseException:
        transport.close()
        raise
