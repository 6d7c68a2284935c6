"""Both wires against real servers: gRPC's own of both kinds, ours in every dialect, and all of them behind TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import tls_server
from wired import PATH, Caller, calling, peer, url

from deploy_clients.tls import Tls
from deploy_core.endpoint import DIALECTS as NAMES
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Signature, TensorSpec
from deploy_dialects.tables import DIALECTS
from deploy_dialects.wire import HttpReply, Served
from deploy_latency.wires import WIRES
from deploy_servers.embedded import tables
from deploy_servers.embedded.batching import Runnable
from deploy_servers.embedded.service import Fleet, Model, ServeOptions, serve

Run = Callable[[Any], Any]
SIGNATURE = Signature((TensorSpec.parse("x:float32[batch,3]"),), (TensorSpec.parse("y:float32[batch,1]"),))
BODIES = (b"", b"x" * 10, b"bad", b"y" * 3_000_000)
TRAILERS = (("server-timing", "run;dur=0.1"),)


@pytest.fixture(scope="session")
def pki(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make certificates")
    return shared("pki", tls_server.fill)


def _answer(body: bytes, context: Any) -> bytes:
    context.set_trailing_metadata(TRAILERS)
    if body == b"bad":
        context.abort(grpc.StatusCode.NOT_FOUND, "nicht da: ü %")
    return body


async def _answer_async(body: bytes, context: Any) -> bytes:
    context.set_trailing_metadata(TRAILERS)
    if body == b"bad":
        await context.abort(grpc.StatusCode.NOT_FOUND, "nicht da: ü %")
    return body


class _Generic(grpc.GenericRpcHandler):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def service(self, details: Any) -> Any:
        assert details.method == PATH
        return grpc.unary_unary_rpc_method_handler(self.answer)


OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_concurrent_streams", 5)]


async def _ask(port: int, *, tls: Tls | None = None) -> list[Any]:
    address = url("grpc", port, secure=tls is not None)
    async with calling(address, BODIES, connections=2, tls=tls, headers={"x-a": "b"}) as caller:
        for turn in range(80):
            caller.send(turn % 4)
        return [await caller.next() for _ in range(80)]


def _judge(calls: list[Any]) -> None:
    for call in calls:
        if BODIES[call.request] == b"bad":
            assert (call.error, call.headers["grpc-message"]) == ("NOT_FOUND", "nicht da: ü %")
        else:
            assert (call.error, call.body == BODIES[call.request]) == ("", True)
        assert call.headers["server-timing"] == "run;dur=0.1"


@pytest.mark.parametrize("secure", [False, True])
def test_grpcs_own_server(run: Run, pki: Path, secure: bool) -> None:
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Generic(_answer)], options=OPTIONS)
    if secure:
        chain = (pki / "good.key").read_bytes(), (pki / "good.pem").read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([chain]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        _judge(run(_ask(port, tls=Tls(ca=pki / "ca.pem") if secure else None)))
    finally:
        server.stop(0).wait()


def test_grpcs_own_server_for_asyncio() -> None:
    async def main() -> list[Any]:
        server = grpc.aio.server(handlers=[_Generic(_answer_async)], options=OPTIONS)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await _ask(port)
        finally:
            await server.stop(0)

    _judge(asyncio.run(main()))


class _Sum:
    signature = SIGNATURE

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": inputs["x"].sum(axis=1, keepdims=True)}

    def close(self) -> None: ...


@asynccontextmanager
async def _embedded() -> AsyncGenerator[dict[str, int]]:
    stop, ports = asyncio.Event(), asyncio.get_running_loop().create_future()
    model = Model(Served("m", 1, SIGNATURE, "toy"), Runnable(_Sum()))  # type: ignore[arg-type]

    def ready(http: int, rpc: int) -> None:
        ports.set_result({"rest": http, "grpc": rpc})

    serving = asyncio.create_task(
        serve(Fleet([model], threads=2), tables.load(), ServeOptions(), ready=ready, stop=stop)
    )
    try:
        await asyncio.wait([serving, ports], return_when=asyncio.FIRST_COMPLETED)
        yield ports.result()
    finally:
        stop.set()
        assert await serving


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_our_own_server_in_every_dialect(transport: str, binary: bool) -> None:
    rows = [np.arange(3 * size, dtype=np.float32).reshape(size, 3) for size in (1, 2, 500)]

    async def ask(endpoint: Endpoint, dialect: Any) -> None:
        requests = [dialect.encode(endpoint, SIGNATURE, {"x": x}, binary=binary) for x in rows]
        caller = Caller(url(transport, endpoint.port), [], {}, None)
        wire = WIRES.load(transport).wire(endpoint, {}, None, requests, caller, caller.done.put_nowait)
        caller.wire = wire
        await wire.open(4, 20)
        for turn in range(60):
            caller.send(turn % 3)
        for _ in range(60):
            call = await caller.next()
            assert call.error == ""
            reply = HttpReply(200, call.headers, call.body) if transport == "rest" else call.body
            outputs = dialect.decode(endpoint, SIGNATURE, reply)
            assert np.array_equal(outputs["y"], rows[call.request].sum(axis=1, keepdims=True))
        await wire.close()

    async def main() -> None:
        async with _embedded() as ports:
            for name in set(NAMES) - ({"tfserving"} if binary and transport == "rest" else set()):
                endpoint = Endpoint.parse(f"{name}+{transport}://127.0.0.1:{ports[transport]}/m")
                await ask(endpoint, DIALECTS.load(f"{name}+{transport}"))

    asyncio.run(main())


def _context(pki: Path, name: str, *, ask: bool, protocols: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    context.set_alpn_protocols(protocols)
    if ask:
        context.load_verify_locations(pki / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(params=["rest", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _secured(pki: Path, transport: str, name: str, tls: Tls, *, ask: bool = False, alpn: str = "h2") -> Any:
    """Give what sends some calls, large ones too, and gives the errors that they ended with."""

    async def main() -> list[str]:
        context = _context(pki, name, ask=ask, protocols=[alpn if transport == "grpc" else "http/1.1"])
        async with peer(transport, context=context) as server:
            address = url(transport, server.port, secure=True)
            async with calling(address, [b"hi", b"x" * 500_000], connections=2, tls=tls) as caller:
                for turn in range(10):
                    caller.send(turn % 2)
                return [(await caller.next()).error for _ in range(10)]

    return main()


def test_tls(run: Run, pki: Path, transport: str) -> None:
    tls = Tls(ca=pki / "ca.pem", certificate=pki / "both.pem")
    assert run(_secured(pki, transport, "good", tls, ask=True)) == [""] * 10


@pytest.mark.parametrize(
    ("name", "words"), [("self", "self-signed"), ("old", "expired"), ("other", "certificate is for another host")]
)
def test_a_certificate_that_is_not_good(run: Run, pki: Path, transport: str, name: str, words: str) -> None:
    with pytest.raises(EndpointError, match=f"failed at TLS: .*{words}"):
        run(_secured(pki, transport, name, Tls(ca=pki / "ca.pem")))


def test_a_server_that_wants_to_know_us(run: Run, pki: Path, transport: str) -> None:
    """TLS 1.3 tells it after the handshake, when a connection seems open already."""
    wanted = "it wants a certificate of the client"
    said = _outcome(run, _secured(pki, transport, "good", Tls(ca=pki / "ca.pem"), ask=True))
    assert said
    assert all(wanted in each or "connection closed" in each for each in said)


def _outcome(run: Run, asking: Any) -> set[str]:
    try:
        return set(run(asking))
    except EndpointError as error:
        return {str(error)}


def test_tls_that_agrees_on_no_http2(run: Run, pki: Path) -> None:
    with pytest.raises(EndpointError, match="not HTTP/2"):
        run(_secured(pki, "grpc", "good", Tls(ca=pki / "ca.pem"), alpn="http/1.1"))
