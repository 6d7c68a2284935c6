"""Unary gRPC calls that are awaited, over one channel of grpc.aio."""

from __future__ import annotations

import asyncio

import grpc.aio

from deploy_clients import rpc
from deploy_clients.headers import Secret, checked_metadata
from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import RpcRequest


def transport(endpoint: Endpoint, headers: Secret, tls: Tls) -> GrpcAsyncTransport:
    """Give the transport to an endpoint; nothing is opened yet."""
    return GrpcAsyncTransport(endpoint, headers, tls)


class GrpcAsyncTransport:
    """A channel to one server, of the event loop in which it is made."""

    def __init__(self, endpoint: Endpoint, headers: Secret, tls: Tls) -> None:
        self._endpoint = endpoint
        self._metadata = checked_metadata(headers)
        self._channel = rpc.channel(endpoint, tls, grpc.aio)
        self._closed = False

    async def send(self, request: RpcRequest, timeout: float) -> bytes:
        """Give the answer's bytes. Raises EndpointError with the gRPC code if there is none in time."""
        if self._closed:
            raise rpc.closed(self._endpoint)
        call = self._channel.unary_unary(request.method)
        try:
            return bytes(
                await call(
                    request.body, timeout=max(timeout, 0.001), metadata=(*self._metadata, *request.headers.items())
                )
            )
        except grpc.aio.AioRpcError as error:
            raise rpc.failure(self._endpoint, error, timeout) from error
        except (grpc.aio.UsageError, asyncio.CancelledError) as error:
            if self._closed:  # while the request was under way
                raise rpc.closed(self._endpoint) from error
            raise

    async def close(self) -> None:
        """Close the channel; may be called twice."""
        self._closed = True
        await self._channel.close()
