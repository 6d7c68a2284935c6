"""What both gRPC transports share: options of a channel, and what a failed call means."""

from __future__ import annotations

from typing import Any

import grpc

from deploy_clients import tls
from deploy_clients.limits import MAX_ANSWER, MAX_REQUEST
from deploy_clients.retries import UnansweredError
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_ANSWER),
    ("grpc.max_send_message_length", MAX_REQUEST),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # Else a channel inherits the back-off of an earlier one to the same address, and finds a fresh server too late.
    ("grpc.use_local_subchannel_pool", 1),
]
_HINTS = {
    "UNAVAILABLE": "is the server running on that host and port, and is that its gRPC port?",
    "DEADLINE_EXCEEDED": "give a longer timeout (--timeout, connect(timeout=…)), or look at the server's load",
    "UNIMPLEMENTED": "does that server speak this dialect?",
    "NOT_FOUND": "is the model of that name and version loaded?",
    "INVALID_ARGUMENT": "the server refused the request itself; compare the inputs with the model's signature",
    "UNAUTHENTICATED": "the server wants authorization: --token-file, --header, or headers of connect()",
    "PERMISSION_DENIED": "the server wants other authorization: pass it in headers; a TorchServe has written its key to a key_file.json, which DEPLOY_TORCHSERVE_KEYS names",
    "RESOURCE_EXHAUSTED": "the message is too large for one side, or the server out of capacity; send smaller batches",
}
_NOT_CONNECTED = "failed to connect to all addresses"  # gRPC's own words; a server's refusal has the same code
_LONGEST = 500


def channel(endpoint: Endpoint, trust: tls.Tls, of: Any) -> Any:
    """Give a channel; `of` is `grpc` or `grpc.aio`. Raises UsageError for files that are not what TLS needs."""
    if not endpoint.tls:
        return of.insecure_channel(endpoint.address, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(*tls.credentials(trust))
    return of.secure_channel(endpoint.address, credentials, options=_OPTIONS)


def failure(endpoint: Endpoint, error: Any, timeout: float) -> EndpointError:
    """Give what to raise for a gRPC error."""
    code, details = error.code().name, str(error.details() or "")
    if code == "UNAVAILABLE" and details.startswith(_NOT_CONNECTED):
        return _not_connected(endpoint, details)
    if code == "DEADLINE_EXCEEDED":
        details = f"no answer within {timeout:.3g} s"
    hint = _HINTS.get(code, "the server's log says more")
    return EndpointError(f"{endpoint} answered {code}: {details[:_LONGEST]}", hint=hint, status=code)


def closed(endpoint: Endpoint) -> EndpointError:
    """Give what to raise for a request over a channel that is closed."""
    return EndpointError(f"the connection to {endpoint} is closed", hint="connect again")


def _not_connected(endpoint: Endpoint, details: str) -> EndpointError:
    what, hint = tls.reason(details) if endpoint.tls else ("", "")
    if what:
        return EndpointError(f"{endpoint} failed at TLS: {what}", hint=hint)
    why = details.rpartition(": ")[2][:_LONGEST]
    return UnansweredError(
        f"{endpoint} cannot be reached: {why} (UNAVAILABLE)", hint=_HINTS["UNAVAILABLE"], status="UNAVAILABLE"
    )
