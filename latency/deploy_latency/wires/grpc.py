"""Unary gRPC calls whose headers and message are encoded once, many at a time over each HTTP/2 connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deploy_clients.headers import Secret, checked_metadata
from deploy_clients.opening import sent_headers
from deploy_clients.tls import Tls, checked, context
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError
from deploy_dialects.wire import RpcRequest
from deploy_latency.calls import Call, Clock
from deploy_latency.wires.blocks import encoded
from deploy_latency.wires.frames import FRAME, Message
from deploy_latency.wires.http2 import Http2
from deploy_latency.wires.pool import Pool


def wire(
    endpoint: Endpoint,
    headers: Mapping[str, str] | None,
    tls: Tls | None,
    requests: Sequence[RpcRequest],
    clock: Clock,
    on_done: Callable[[Call], None],
) -> Pool:
    """Give the wire; nothing is opened yet. Raises UsageError for headers or TLS that cannot be."""
    trust = checked(endpoint, tls)
    security = None
    if endpoint.tls:
        security = context(trust)
        security.set_alpn_protocols(["h2"])
    given = sent_headers(endpoint, headers)
    messages = [
        Message(_block(endpoint, Secret({**request.headers, **given}), request.method), request.body)
        for request in requests
    ]
    return Pool(endpoint, security, lambda pool: Http2(pool, messages), clock, on_done)


def _block(endpoint: Endpoint, given: Secret, method: str) -> bytes:
    block = encoded(
        [
            (":method", "POST"),
            (":scheme", "https" if endpoint.tls else "http"),
            (":path", method),
            (":authority", endpoint.address),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "deploy-bench"),
            ("grpc-accept-encoding", "identity"),
            *checked_metadata(given),
        ]
    )
    if len(block) > FRAME - 1:
        hint = f"they have to fit into {FRAME} bytes"
        raise UsageError(f"the headers make up {len(block)} bytes of every request", hint=hint)
    return block
