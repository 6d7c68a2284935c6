"""gRPC for the embedded server: grpc.aio with raw bytes in and out, over the dialects' tables of methods."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from deploy_core.errors import UnavailableError
from deploy_dialects.server_timing import ASKED, TOLD
from deploy_dialects.wire import Handler, Refused, RpcRequest
from deploy_servers.embedded.desk import Desk
from deploy_servers.embedded.timing import Timing

Methods = Mapping[str, Handler[RpcRequest, bytes]]

Server = grpc.aio.Server

MAX_STREAMS = 1024


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, desk: Desk, methods: Methods) -> None:
        self._handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(_unary(desk, name, handler)) for name, handler in methods.items()
        }

    def service(self, details: Any) -> Any:
        # None makes grpc answer UNIMPLEMENTED.
        return self._handlers.get(details.method)


def _unary(desk: Desk, name: str, handler: Handler[RpcRequest, bytes]) -> Any:
    async def call(body: bytes, context: Any) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        timing = Timing() if any(key == ASKED for key, _ in context.invocation_metadata()) else None

        def replied(reply: bytes) -> None:
            if not answer.done():  # the client may have gone
                _tell(context, timing)
                answer.set_result(reply)

        def refused(no: Refused) -> None:
            if not answer.done():
                answer.set_exception(no)

        desk.ask(handler, RpcRequest(name, body), None, replied, refused, timing)
        try:
            return await answer
        except Refused as no:
            return bytes(await context.abort(grpc.StatusCode[no.code], no.message))

    return call


def _tell(context: Any, timing: Timing | None) -> None:
    if timing is not None and (text := timing.text()):
        context.set_trailing_metadata(((TOLD, text),))


async def start(desk: Desk, methods: Methods, address: str, *, max_bytes: int) -> tuple[Server, int]:
    """Listen on HOST:PORT (port 0: the system chooses); give the server and its port. Raises UnavailableError."""
    options = [
        ("grpc.so_reuseport", 0),  # else two servers would share a port, each getting half of the calls
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),  # an answer that was computed is not thrown away for its size
        ("grpc.max_concurrent_streams", MAX_STREAMS),
    ]
    server = grpc.aio.server(handlers=[_Methods(desk, methods)], options=options)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise UnavailableError(f"gRPC cannot listen on {address}: {error}") from error
    await server.start()
    return server, int(port)
