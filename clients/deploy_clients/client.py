"""A Predictor on an endpoint: a dialect says what the bytes mean, a transport moves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from deploy_clients import keys
from deploy_clients.headers import checked_headers
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Signature, Tensors
from deploy_core.table import Row, Table
from deploy_dialects.tables import DIALECTS
from deploy_dialects.wire import Description

TRANSPORTS = Table(
    "transport",
    {
        "rest": Row("deploy_clients.rest", ("urllib3",), "client"),
        "grpc": Row("deploy_clients.grpc", ("grpc",), "client"),
    },
)
# Asking for a signature changes nothing, so it may be asked again when the server is only just coming up.
_PAUSES = (0.1, 0.3)
_AGAIN = ("UNAVAILABLE", 503)


class Transport(Protocol):
    """What moves requests; made by `transport(endpoint, headers)` of the module `rest` or `grpc`."""

    def send(self, request: Any, timeout: float) -> Any:
        """Give the reply. Raises EndpointError if there is none in time."""

    def close(self) -> None:
        """Close all connections; may be called twice."""


class Client:
    """A Predictor on an endpoint; `version` is the one that answers, as far as the server says."""

    def __init__(
        self,
        endpoint: Endpoint,
        description: Description,
        dialect: Any,
        transport: Transport,
        *,
        timeout: float,
        binary: bool,
    ) -> None:
        self.endpoint = endpoint
        self.signature = description.signature
        self.version = description.version
        self._dialect = dialect
        self._transport = transport
        self._timeout = timeout
        self._binary = binary

    def __repr__(self) -> str:
        return f"Client({str(self.endpoint)!r})"

    def predict(self, inputs: Mapping[str, object]) -> Tensors:
        """Answer one batch. Raises InputError before anything is sent, EndpointError for no answer or one that is none."""
        arrays = self.signature.conform(inputs)
        request = self._dialect.encode(self.endpoint, self.signature, arrays, binary=self._binary)
        reply = self._transport.send(request, self._timeout)
        outputs: Tensors = self._dialect.decode(self.endpoint, self.signature, reply)
        _check_sizes(self.endpoint, self.signature, arrays, outputs)
        return outputs

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
) -> Client:
    """Give a client for an endpoint; without `signature` the server is asked for it.

    `timeout` is in seconds and for one request as a whole. `binary` sends tensors as raw bytes where a dialect has
    the choice (oip and torchserve over rest; gRPC always does). `headers` go with every request and are shown nowhere;
    the key of a TorchServe that was started from here, or that `$DEPLOY_TORCHSERVE_KEYS` tells of, goes by itself.
    Raises UsageError for a URL that is none, EndpointError for an endpoint that does not answer.
    """
    endpoint = Endpoint.parse(url) if isinstance(url, str) else url
    dialect = DIALECTS.load(f"{endpoint.dialect}+{endpoint.transport}")
    given = checked_headers(headers or {})
    known = given if "authorization" in given else checked_headers({**keys.header(endpoint), **given})
    transport: Transport = TRANSPORTS.load(endpoint.transport).transport(endpoint, known)
    try:
        if signature is None:
            described = _patiently(timeout, lambda left: _described(endpoint, dialect, transport, left))
        else:
            described = Description(signature, endpoint.version)
    except BaseException:
        transport.close()
        raise
    return Client(endpoint, described, dialect, transport, timeout=timeout, binary=binary)


def _described(endpoint: Endpoint, dialect: Any, transport: Transport, timeout: float) -> Description:
    reply = transport.send(dialect.describe(endpoint), timeout)
    description: Description = dialect.read_description(endpoint, reply)
    return description


def _patiently(timeout: float, attempt: Callable[[float], Description]) -> Description:
    """Try again a few times while the server is unavailable, all within the timeout."""
    deadline = time.monotonic() + timeout
    for pause in _PAUSES:
        try:
            return attempt(deadline - time.monotonic())
        except EndpointError as error:
            if error.status not in _AGAIN or time.monotonic() + pause >= deadline:
                raise
        time.sleep(pause)
    return attempt(deadline - time.monotonic())


def _check_sizes(endpoint: Endpoint, signature: Signature, inputs: Tensors, outputs: Tensors) -> None:
    """Raise EndpointError if a symbol such as the batch has one size in the inputs and another in the outputs."""
    sizes = {
        dim: size
        for spec in signature.inputs
        for dim, size in zip(spec.shape, inputs[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }
    for spec in signature.outputs:
        shape = outputs[spec.name].shape
        for dim, size in zip(spec.shape, shape, strict=True):
            if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
                raise EndpointError(
                    f"{endpoint} answered output {spec.name!r} of shape {list(shape)} for {dim} = {sizes[dim]}",
                    hint=f"rows were lost or added, or {spec} has no such {dim}: then give connect() the signature",
                )
