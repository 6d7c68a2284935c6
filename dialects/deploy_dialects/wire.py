"""The plain data that dialects translate to and from; whoever moves or serves the bytes knows only these.

A dialect is a package `deploy_dialects.<dialect>` with one module per transport, `rest` and `grpc`. Each such module has

for the client    `describe(endpoint) -> Request`            ask for the model's signature
                  `read_description(endpoint, reply) -> Description`
                  `encode(endpoint, signature, inputs, *, binary) -> Request`
                  `decode(endpoint, signature, reply) -> Tensors`
for the server    `HANDLERS`: what is asked for → `Handler`; rest: a tuple of `Route`, grpc: full method name → handler
                  `refuse(code, message) -> HttpReply` (rest only; gRPC has codes of its own)

where `Request`, `Reply` are `HttpRequest`, `HttpReply` for rest, `RpcRequest`, `bytes` for grpc. Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from deploy_core.preprocessing import Raw
from deploy_core.signature import Signature, Tensors

Reply = TypeVar("Reply", covariant=True)
Request = TypeVar("Request", contravariant=True)


@dataclass(frozen=True)
class HttpRequest:
    """`target` is the path with its query, still percent-encoded; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class HttpReply:
    """`content-length` is the transport's business; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class RpcRequest:
    """One unary gRPC call: `method` is `/package.Service/Method`, `body` the serialized message, `headers` its metadata."""

    method: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """What a server says of one of its models; `version` is the one that answered, if it says so."""

    signature: Signature
    version: str | None = None


@dataclass(frozen=True)
class Served:
    """One version of a model that a server holds; `predict` belongs to whoever runs the Ask."""

    name: str
    version: int
    signature: Signature
    platform: str
    labels: tuple[str, ...] = ()
    raw: Raw | None = None  # how raw bytes become the input, for a model that takes them, too


class Plane(Protocol):
    """The data plane that handlers ask: which models are there."""

    def served(self) -> Iterable[Served]:
        """Give every version of every model that can answer now."""

    def find(self, name: str, version: str | None = None, *, label: str | None = None) -> Served:
        """Give one version, the newest without `version` and `label`. Raises Refused NOT_FOUND."""


@dataclass(frozen=True)
class Ask(Generic[Reply]):
    """A prediction that a request asks for: run `inputs` through `served`, hand the outputs to `render`.

    `inputs` already conform to the signature of `served`; `render` may raise Refused, too. Where the request brought raw
    bytes there are no inputs yet: `prepare` makes them, which takes too long for a server's loop, or raises Refused.
    """

    served: Served
    inputs: Tensors
    render: Callable[[Tensors], Reply]
    prepare: Callable[[], Tensors] | None = None


class Handler(Protocol[Request, Reply]):
    """Answers a request at once, or says which prediction it asks for. Raises Refused."""

    def __call__(self, plane: Plane, request: Request, match: re.Match[str] | None, /) -> Reply | Ask[Reply]:
        """`match` is the route's match on the path (rest), None for grpc."""


@dataclass(frozen=True)
class Route:
    """A REST handler and what it answers: `path` is matched in full against the path without the query, undecoded."""

    methods: tuple[str, ...]
    path: re.Pattern[str]
    handler: Handler[HttpRequest, HttpReply]


class Refused(Exception):  # noqa: N818  a refusal is an answer of the protocol
    """A request that is answered by an error; `code` is the canonical gRPC name, e.g. `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
