"""A toy predictor behind a toy dialect, served by the embedded server on a thread of the test process."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from server_store import fill_store

from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_dialects.wire import Ask, HttpReply, HttpRequest, Plane, Refused, Route, RpcRequest, Served
from deploy_model_store import Store, Version
from deploy_servers.embedded.batching import Runnable
from deploy_servers.embedded.parse import Limits
from deploy_servers.embedded.rest import RestTable
from deploy_servers.embedded.service import Fleet, Model, ServeOptions, Tables, serve

WEIGHTS = np.array([1.0, 10.0, 100.0], dtype=np.float32)
SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 3)),),
    (TensorSpec("y", "float32", ("batch",)),),
)


@dataclass
class Toy:
    """y = x · WEIGHTS; fails on 13, waits while `gate` is shut, remembers the rows of each run."""

    signature = SIGNATURE
    rows: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def predict(self, inputs: Tensors) -> Tensors:
        x = inputs["x"]
        self.rows.append(len(x))
        self.entered.set()
        assert self.gate.wait(30)
        if (x == 13).any():
            raise RuntimeError("secret /path/of/the/server")
        return {"y": x @ WEIGHTS}

    def close(self) -> None:
        pass


def _say(status: int, data: Any) -> HttpReply:
    return HttpReply(status, {"content-type": "application/json"}, json.dumps(data).encode())


def _predict(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> Ask[HttpReply]:
    assert match is not None
    served = plane.find(match["name"])
    x = np.asarray(json.loads(request.body)["x"], dtype=np.float32)
    return Ask(served, served.signature.conform({"x": x}), lambda outputs: _say(200, {"y": outputs["y"].tolist()}))


def _echo(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    return HttpReply(200, {"x-target": request.target, "x-seen": request.headers.get("x-seen", "")}, request.body)


def _broken(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    raise RuntimeError("secret /path/of/the/server")


def _call(plane: Plane, request: RpcRequest, match: None) -> Ask[bytes]:
    served = plane.find("toy")
    x = np.frombuffer(request.body, dtype=np.float32).reshape(-1, 3)
    return Ask(served, {"x": x}, lambda outputs: outputs["y"].tobytes())


def _refuse(code: str, message: str) -> HttpReply:
    status = {"NOT_FOUND": 404, "INVALID_ARGUMENT": 400}.get(code, 500)
    return _say(status, {"toy": message})


def _call_broken(plane: Plane, request: RpcRequest, match: None) -> bytes:
    raise Refused("FAILED_PRECONDITION", "not today")


def toy_tables(asked: list[int]) -> Tables:
    """The toy dialect; the rows of every prediction that is asked for are noted in `asked`."""

    def noted(handler: Any) -> Any:
        def handle(plane: Plane, request: Any, match: Any) -> Any:
            ask = handler(plane, request, match)
            asked.append(len(ask.inputs["x"]))
            return ask

        return handle

    routes = (
        Route(("POST",), re.compile(r"/toy/(?P<name>[^/]+)"), noted(_predict)),
        Route(("GET", "POST", "HEAD"), re.compile(r"/echo.*"), _echo),
        Route(("GET",), re.compile(r"/broken"), _broken),
    )
    return Tables([RestTable(routes, _refuse)], {"/toy.Toy/Predict": noted(_call), "/toy.Toy/Broken": _call_broken})


class Running:
    """A toy that is served on a thread of this process: its ports, and how to talk to it and to stop it."""

    def __init__(self, settings: ServeOptions) -> None:
        self.toy = Toy()
        self.asked: list[int] = []
        self.http = self.grpc = 0
        self._settings = settings
        self._ready = threading.Event()
        self._outcome: bool | BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.http), timeout=10)

    def ask(self, *pieces: bytes) -> bytes:
        """Send all pieces on one connection, say that nothing more comes, give all that is answered."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def drained(self) -> bool:
        """Wait for the end of the server; give what it said of itself."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return bool(self._outcome)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20)
        if isinstance(self._outcome, BaseException):
            self.drained()

    def end(self) -> None:
        self.toy.gate.set()
        if self._thread.is_alive():
            self.stop()
        self.drained()

    def _run(self) -> None:
        try:
            self._outcome = uvloop.run(self._main())
        except BaseException as error:
            self._outcome = error
        finally:
            self._ready.set()

    async def _main(self) -> bool:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        model = Model(Served("toy", 1, SIGNATURE, "toy", ("stable",)), Runnable(self.toy))
        fleet = Fleet([model], threads=2)
        return await serve(fleet, toy_tables(self.asked), self._settings, ready=self._note, stop=self._stop)

    def _note(self, http: int, grpc: int) -> None:
        self.http, self.grpc = http, grpc
        self._ready.set()


@contextmanager
def serving(settings: ServeOptions) -> Iterator[Running]:
    running = Running(settings)
    running.start()
    try:
        yield running
    finally:
        running.end()


@pytest.fixture(scope="module")
def limits() -> Limits:
    """Small enough to be met in a test."""
    return Limits(body=1 << 20, head=8 << 10, idle=20, receive=1.0, linger=1.0)


@pytest.fixture(scope="module")
def toy_server(limits: Limits) -> Iterator[Running]:
    """One server for all tests of a module that leave it as it was."""
    with serving(ServeOptions(limits=limits)) as running:
        running.toy.gate.set()
        yield running


@pytest.fixture
def start(limits: Limits) -> Callable[..., Any]:
    """Start a server of one's own: `with start(grace=…) as running`; its gate is shut."""
    return lambda **changes: serving(ServeOptions(**{"limits": limits, **changes}))


@pytest.fixture(scope="session")
def store(shared: Callable[[str, Callable[[Path], None]], Path]) -> Store:
    """A store with small models for real servers; nobody writes to it."""
    return Store(shared("servers-store", fill_store))


@pytest.fixture(scope="session")
def judge() -> Callable[[Version], Callable[[Any], str | None]]:
    """Say by plain numpy what is wrong with a client's golden predictions: `judge(version)(client)`."""

    def of(version: Version) -> Callable[[Any], str | None]:
        def wrong(predictor: Any) -> str | None:
            got = predictor.predict(version.golden.inputs)
            for name, want in version.golden.outputs.items():
                if not np.allclose(got[name], want, rtol=1e-5, atol=1e-5):
                    return f"{name} is off by {np.abs(got[name] - want).max()}"
            return None

        return wrong

    return of
