"""Unary gRPC calls over one channel: bytes in, bytes out, with a deadline and bounded answers."""

from __future__ import annotations

import grpc

from deploy_clients import rpc
from deploy_clients.headers import Secret, checked_metadata
from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import RpcRequest


def transport(endpoint: Endpoint, headers: Secret, tls: Tls) -> GrpcTransport:
    """Give the transport to an endpoint; nothing is opened yet."""
    return GrpcTransport(endpoint, headers, tls)


class GrpcTransport:
    """A channel to one server; messages stay bytes, the dialect has serialized them."""

    def __init__(self, endpoint: Endpoint, headers: Secret, tls: Tls) -> None:
        self._endpoint = endpoint
        self._metadata = checked_metadata(headers)
        self._channel = rpc.channel(endpoint, tls, grpc)

    def send(self, request: RpcRequest, timeout: float) -> bytes:
        """Give the answer's bytes. Raises EndpointError with the gRPC code if there is none in time."""
        call = self._channel.unary_unary(request.method)
        try:
            return bytes(
                call(request.body, timeout=max(timeout, 0.001), metadata=(*self._metadata, *request.headers.items()))
            )
        except grpc.RpcError as error:
            raise rpc.failure(self._endpoint, error, timeout) from error
        except ValueError:  # what grpc raises on a closed channel; its text is not to be trusted with the metadata
            raise rpc.closed(self._endpoint) from None

    def close(self) -> None:
        """Close the channel; may be called twice."""
        self._channel.close()
