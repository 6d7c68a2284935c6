"""Tiny real servers with canned answers."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest

import deploy_clients
from deploy_core.signature import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec.parse("x:float32[batch,2]"),), (TensorSpec.parse("y:float32[batch,1]"),))


class Blocking:
    """What is for asyncio, used as if it were for threads; all of a test are in one event loop."""

    _runner: asyncio.Runner

    def __init__(self, make: Callable[..., Any], *args: Any, **options: Any) -> None:
        self._made = self._runner.run(_awaited(make, *args, **options))

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._made, name)
        return self._blocking(found) if callable(found) else found

    def __repr__(self) -> str:
        return repr(self._made)

    def _blocking(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: self._runner.run(_awaited(ask, *args, **options))


async def _awaited(ask: Callable[..., Any], *args: Any, **options: Any) -> Any:
    outcome = ask(*args, **options)
    return await outcome if inspect.isawaitable(outcome) else outcome


WAYS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "threads": {"connect": deploy_clients.connect, "management": deploy_clients.management},
    "asyncio": {
        "connect": partial(Blocking, deploy_clients.connect_async),
        "management": partial(Blocking, deploy_clients.management_async),
    },
}


@pytest.fixture(autouse=True, params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """Every test of a client, and of management, is one of both kinds."""
    for name, function in WAYS[request.param].items():
        monkeypatch.setattr(request.module, name, function, raising=False)
    with asyncio.Runner() as runner:
        monkeypatch.setattr(Blocking, "_runner", runner, raising=False)
        yield str(request.param)


@dataclass
class Canned:
    """An HTTP answer; `hold` is waited for before it is sent."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    hold: threading.Event | None = None


@dataclass
class HttpServer:
    """Answers in the order of `answers`, the last one for ever, and notes what was asked."""

    port: int
    answers: list[Canned]
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    canned: HttpServer

    def setup(self) -> None:
        super().setup()
        self.canned.connections.append(self.client_address)

    def handle(self) -> None:
        with suppress(ConnectionResetError):  # a client that has seen enough is gone
            super().handle()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.canned.requests.append((self.command, self.path, headers, body))
        answers = self.canned.answers
        self._send(answers.pop(0) if len(answers) > 1 else answers[0])

    def _send(self, answer: Canned) -> None:
        if answer.hold is not None:
            answer.hold.wait(20)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body) if answer.length is None else answer.length))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(answer.body)
        self.close_connection = answer.length is not None

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # with five, as usual, a sixth caller waits a second for his connection
    daemon_threads = True


@pytest.fixture
def http() -> Generator[Callable[..., HttpServer]]:
    """Start servers: `http(Canned(…), …)`."""
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: Canned) -> HttpServer:
        handler = type("Handler", (_Handler,), {})
        server = _Server(("127.0.0.1", 0), handler)
        handler.canned = HttpServer(server.server_address[1], list(answers))  # type: ignore[attr-defined]
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        canned: HttpServer = handler.canned  # type: ignore[attr-defined]
        return canned

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class RpcServer:
    """Answers each method by bytes or by a gRPC code, and notes what was asked."""

    def __init__(self, answers: Mapping[str, bytes | grpc.StatusCode | list[Any]]) -> None:
        self.answers = dict(answers)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.peers: list[str] = []
        self.hold: threading.Event | None = None
        self.port = 0

    def service(self, details: Any) -> Any:
        if details.method not in self.answers:
            return None

        def call(body: bytes, context: Any) -> bytes:
            self.peers.append(context.peer())
            self.requests.append((details.method, dict(details.invocation_metadata), body))
            if self.hold is not None:
                self.hold.wait(20)
            answer = self.answers[details.method]
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if isinstance(answer, grpc.StatusCode):
                context.abort(answer, "as canned")
            return answer

        return grpc.unary_unary_rpc_method_handler(call)


class _Generic(grpc.GenericRpcHandler):
    def __init__(self, canned: RpcServer) -> None:
        self.service = canned.service  # type: ignore[method-assign]

    def service(self, details: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def rpc() -> Generator[Callable[..., RpcServer]]:
    """Start servers: `rpc({method: bytes or code})`."""
    servers: list[Any] = []

    def start(answers: Mapping[str, Any]) -> RpcServer:
        canned = RpcServer(answers)
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        server = grpc.server(ThreadPoolExecutor(2), handlers=[_Generic(canned)], options=options)
        canned.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return canned

    yield start
    for server in servers:
        server.stop(0).wait()


@pytest.fixture
def signature() -> Signature:
    return SIGNATURE


@pytest.fixture
def canned() -> type[Canned]:
    return Canned
