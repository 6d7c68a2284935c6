"""Unary gRPC calls over one channel: bytes in, bytes out, with a deadline and bounded answers."""

from __future__ import annotations

from typing import Any

import grpc

from deploy_clients.headers import Secret, checked_metadata
from deploy_clients.limits import MAX_ANSWER
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_dialects.wire import RpcRequest

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_ANSWER),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # Else a channel inherits the back-off of an earlier one to the same address, and finds a fresh server too late.
    ("grpc.use_local_subchannel_pool", 1),
]
_HINTS = {
    "UNAVAILABLE": "is the server running on that host and port, and is that its gRPC port?",
    "DEADLINE_EXCEEDED": "give connect() a longer timeout, or look at the server's load",
    "UNIMPLEMENTED": "does that server speak this dialect?",
    "NOT_FOUND": "is the model of that name and version loaded?",
    "INVALID_ARGUMENT": "the server refused the request itself; compare the inputs with the model's signature",
    "UNAUTHENTICATED": "the server wants authorization; pass it in headers",
    "PERMISSION_DENIED": "the server wants other authorization: pass it in headers; a TorchServe has written its key to a key_file.json, which DEPLOY_TORCHSERVE_KEYS names",
    "RESOURCE_EXHAUSTED": "the message is too large for one side, or the server out of capacity; send smaller batches",
}
_LONGEST = 500


def transport(endpoint: Endpoint, headers: Secret) -> GrpcTransport:
    """Give the transport to an endpoint; nothing is opened yet."""
    return GrpcTransport(endpoint, headers)


class GrpcTransport:
    """A channel to one server; messages stay bytes, the dialect has serialized them."""

    def __init__(self, endpoint: Endpoint, headers: Secret) -> None:
        self._endpoint = endpoint
        self._metadata = checked_metadata(headers)
        self._channel = _channel(endpoint)

    def send(self, request: RpcRequest, timeout: float) -> bytes:
        """Give the answer's bytes. Raises EndpointError with the gRPC code if there is none in time."""
        call = self._channel.unary_unary(request.method)
        try:
            return bytes(call(request.body, timeout=max(timeout, 0.001), metadata=self._metadata))
        except grpc.RpcError as error:
            raise self._failure(error, timeout) from error
        except ValueError:  # what grpc raises on a closed channel; its text is not to be trusted with the metadata
            raise EndpointError(f"the connection to {self._endpoint} is closed", hint="connect again") from None

    def close(self) -> None:
        """Close the channel; may be called twice."""
        self._channel.close()

    def _failure(self, error: Any, timeout: float) -> EndpointError:
        code, details = error.code().name, str(error.details() or "")[:_LONGEST]
        if code == "DEADLINE_EXCEEDED":
            details = f"no answer within {timeout:g} s"
        hint = _HINTS.get(code, "the server's log says more")
        return EndpointError(f"{self._endpoint} answered {code}: {details}", hint=hint, status=code)


def _channel(endpoint: Endpoint) -> Any:
    if endpoint.tls:
        return grpc.secure_channel(endpoint.address, grpc.ssl_channel_credentials(), options=_OPTIONS)
    return grpc.insecure_channel(endpoint.address, options=_OPTIONS)
