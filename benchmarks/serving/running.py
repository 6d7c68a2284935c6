"""Servers that run: where each is asked, what it took to start, and what it uses."""

from __future__ import annotations

import http.client
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.serving.environments import python_of
from benchmarks.serving.peers import BINARY, GRPC, JSON, Model, Peer, Ports
from deploy_core import child, state, usage
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UnavailableError
from deploy_core.process import Process, group_of
from deploy_dialects.tables import DIALECTS
from deploy_dialects.wire import HttpReply, HttpRequest
from deploy_latency.load import Load, Target
from deploy_latency.recording import Kept
from deploy_model_store import Store
from deploy_servers.ports import free_ports
from deploy_toolkit.flows.bench import questions
from deploy_toolkit.flows.bench.contenders import contenders
from deploy_toolkit.flows.bench.questions import Questions
from deploy_toolkit.flows.bench.request import Request
from deploy_toolkit.flows.bench.server_use import Use
from deploy_toolkit.output import silent

_TRANSPORT = {JSON: "rest", BINARY: "rest", GRPC: "grpc"}
_READY = 120.0  # seconds
_LOOK = 0.02  # seconds between two looks whether it answers


@dataclass(frozen=True)
class Asked:
    """One way of asking a server: `spoken` has the encode and decode of a dialect."""

    way: str
    target: Target
    questions: Questions
    spoken: Any

    def wrong(self, kept: Kept) -> str:
        """Say what is wrong with an answer, empty if nothing is."""
        endpoint = self.target.endpoint
        reply = HttpReply(200, kept.headers, kept.body) if endpoint.transport == "rest" else kept.body
        try:
            return self.questions.wrong(kept.request, self.spoken.decode(endpoint, self.questions.signature, reply))
        except EndpointError as error:
            return str(error)


@dataclass(frozen=True)
class Up:
    """A server that answers right; `start` is the seconds from the start of its process to its first right answer."""

    peer: Peer
    pid: int
    start: float
    asked: Mapping[str, Asked]

    def use(self) -> Use:
        """Look at all its processes. Raises UnavailableError if there are none."""
        memory, cpu, started = 0, 0.0, state.start_time(self.pid)
        if started is None:
            raise UnavailableError(f"{self.peer.name} has ended under load", hint="run it alone and look at its log")
        for process in group_of(Process(self.pid, started)):
            with suppress(FileNotFoundError, ProcessLookupError):  # one that ends meanwhile
                memory, cpu = memory + usage.memory(process.pid), cpu + usage.cpu_seconds(process.pid)
        return Use(memory, cpu)


@contextmanager
def up(peer: Peer, name: str, store: Path, environments: Path) -> Generator[Up]:
    """Have a server running with a stored model. Raises UnavailableError if it never answers right."""
    with _ours(peer, name, store) if peer.server else _others(peer, name, store, environments) as running:
        yield running


@contextmanager
def _ours(peer: Peer, name: str, store: Path) -> Generator[Up]:
    transports = tuple(dict.fromkeys(_TRANSPORT[way] for way in peer.ways))
    request = Request(
        (name,),
        Load(concurrency=1),
        servers=(peer.server,),
        transports=transports,
        dialects=(peer.dialect,),
        options=peer.options,
    )
    with contenders(request, store, silent) as found:
        server = found[0].server
        assert server is not None
        endpoints = {one.facts["transport"]: one.way.target.endpoint for one in found}  # type: ignore[attr-defined]
        asked = {way: _asked(way, endpoints[_TRANSPORT[way]], found[0].questions, None) for way in peer.ways}
        yield Up(peer, server.running.process.pid, server.cold_start, asked)


@contextmanager
def _others(peer: Peer, name: str, store: Path, environments: Path) -> Generator[Up]:
    version = Store(store).resolve(name)
    module = import_module(peer.module)
    ports = Ports(*free_ports(3))
    python = python_of(peer.name, peer.packages, environments)
    folder = Path(tempfile.mkdtemp(prefix="deploy-"))
    asks = questions.of_version(version, 1)
    endpoints = {"rest": Endpoint("oip", "rest", "127.0.0.1", ports.http, name)}
    endpoints["grpc"] = Endpoint("oip", "grpc", "127.0.0.1", ports.grpc, name)
    asked = {way: _asked(way, endpoints[_TRANSPORT[way]], asks, module.spoken(_TRANSPORT[way])) for way in peer.ways}
    try:
        for place, text in module.files(Model(name, version.artifact("onnx").path.absolute()), ports).items():
            (folder / place).write_text(text)
        began = time.monotonic()
        process = child.start(
            peer.name,
            module.command(python, ports),
            log=folder / "log",
            cwd=folder,
            env={"PYTHONPATH": str(folder), "TMPDIR": str(folder)},
            guarded=True,
        )
        try:
            _until_right(peer, process, asked[JSON])
            yield Up(peer, process.pid, time.monotonic() - began, asked)
        finally:
            process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _asked(way: str, endpoint: Endpoint, asks: Questions, spoken: Any) -> Asked:
    dialect = spoken or DIALECTS.load(f"{endpoint.dialect}+{endpoint.transport}")
    binary = way != JSON
    requests = tuple(dialect.encode(endpoint, asks.signature, each, binary=binary) for each in asks.inputs)
    return Asked(way, Target(endpoint, requests), asks, dialect)


def _until_right(peer: Peer, process: child.Child, asked: Asked) -> None:
    end = time.monotonic() + _READY
    wrong = "nothing was answered"
    while time.monotonic() < end and process.returncode is None:
        try:
            wrong = asked.wrong(_answer(asked.target))
        except (OSError, http.client.HTTPException) as error:
            wrong = str(error)
        if not wrong:
            return
        time.sleep(_LOOK)
    raise UnavailableError(f"{peer.name} never answered right: {wrong}", hint=f"its log ends so:\n{process.log_tail()}")


def _answer(target: Target) -> Kept:
    request = target.requests[0]
    assert isinstance(request, HttpRequest)
    connection = http.client.HTTPConnection(target.endpoint.host, target.endpoint.port, timeout=10)
    try:
        connection.request(request.method, request.target, request.body, dict(request.headers))
        answer = connection.getresponse()
        headers = {key.lower(): value for key, value in answer.getheaders()}
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise http.client.HTTPException(f"HTTP {answer.status}: {body[:200]!r}")
    return Kept(0, 0, headers, body)
