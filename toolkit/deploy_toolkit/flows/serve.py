"""Versions → a server whose every endpoint has predicted the golden outputs."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_agreement import Noise, compare
from deploy_core.device import Device
from deploy_core.endpoint import Endpoint
from deploy_core.errors import DeployError, UsageError
from deploy_core.predictor import Predictor
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers import launch as launching
from deploy_servers.container import Container, require
from deploy_servers.launch import Launch, Running
from deploy_servers.settings import find_engine, prepare
from deploy_toolkit.flows import degradation, promised
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.output import OnEvent, silent

START_SECONDS = 120.0


@dataclass(frozen=True)
class Request:
    """What to serve, by which server, on which ports (0: any free one); `where` is `process` or `container`.

    `engine` (docker, podman), `image`, `cpus` and `memory` are a container's, empty for what is usual.
    """

    names: tuple[str, ...] = ()
    server: str = "embedded"
    http_port: int = 0
    grpc_port: int = 0
    host: str = "127.0.0.1"
    where: str = "process"
    device: str = "cpu"
    engine: str = ""
    image: str = ""
    cpus: str = ""
    memory: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def versions(names: tuple[str, ...], store: Path) -> tuple[Version, ...]:
    """Resolve NAME[@…], each version once; without names, the newest of every model. Raises UsageError."""
    shelf = Store(store)
    found = {str(version): version for version in map(shelf.resolve, names or tuple(shelf.names()))}
    if not found:
        raise UsageError(f"the store {store} holds no model", hint="deploy export SOURCE --to onnx stores one")
    return tuple(found.values())


def plan(request: Request, *, store: Path) -> Launch:
    """Say what would be started; starts nothing."""
    SERVERS.load(request.server)
    return _plan(request, versions(request.names, store), store)


@contextmanager
def serving(request: Request, *, store: Path, on_event: OnEvent = silent) -> Generator[Running]:
    """Start the server, give it once every endpoint is right, stop it on leaving.

    Raises UnavailableError if it never gets there, TamperedError if a stored file is not what was published.
    """
    SERVERS.load(request.server)  # a wrong name is told before the store is read
    served = versions(request.names, store)
    launch = _plan(request, served, store)
    judge = _Judge(served, request.options.get("artifact", ""))
    with launching.running(launch, accept=judge, timeout=START_SECONDS, on_event=on_event) as running:
        yield running


def wait(running: Running) -> None:
    """Wait until the user asks to stop (Ctrl-C, SIGTERM). Raises UnavailableError if the server ends by itself."""
    try:
        while running.process.wait(3600) is None:
            pass
    except KeyboardInterrupt:
        return
    running.require_alive()


def require_drained(running: Running) -> None:
    """Raise DeployError if requests that had begun were cut when the server was stopped."""
    if not running.drained:
        raise DeployError(
            f"{running.launch.server} {running.process.death()} when it was stopped: requests were cut",
            hint=f"its log is {running.process.log}; for the embedded server --set grace=SECONDS gives them longer",
        )


def launch_json(launch: Launch) -> dict[str, Any]:
    """Give the document that `deploy serve --dry-run --json` prints."""
    return {
        "schema": "deploy/launch/1",
        "server": launch.server,
        "command": list(launch.command),
        "env": dict(launch.env),
        "files": {name: shown(data) for name, data in launch.files.items()},
        "notes": list(launch.notes),
        "endpoints": [str(endpoint) for endpoint in launch.endpoints],
    }


def shown(data: str | bytes) -> str:
    """Give what a file will hold as text; of other bytes only how many there are."""
    return data if isinstance(data, str) else f"({len(data):,} bytes)"


def running_json(running: Running) -> dict[str, Any]:
    """Give the document that `deploy serve --json` prints when the server is ready."""
    return {
        "schema": "deploy/serve/1",
        "server": running.launch.server,
        "pid": running.process.pid,
        "log": str(running.process.log),
        "endpoints": [str(endpoint) for endpoint in running.endpoints],
    }


def _plan(request: Request, served: tuple[Version, ...], store: Path) -> Launch:
    module = SERVERS.load(request.server)
    settings = prepare(
        request.server,
        store,
        http_port=request.http_port or None,
        grpc_port=request.grpc_port or None,
        extra_ports=module.PORTS,
        host=request.host,
        device=Device.parse(request.device),
        container=_container(request),
        options=request.options,
    )
    launch: Launch = module.plan(served, settings)
    return launch


def _container(request: Request) -> Container | None:
    limits = {"image": request.image, "cpus": request.cpus, "memory": request.memory}
    if request.where == "container":
        return require(find_engine(request.engine, **limits))
    given = [name for name, value in {"engine": request.engine, **limits}.items() if value]
    if given:
        raise UsageError(f"--{given[0]} is for containers", hint="add --in container")
    return None


class _Judge:
    """Says what is wrong with an endpoint's golden predictions, None if nothing is."""

    def __init__(self, served: tuple[Version, ...], artifact: str) -> None:
        self._artifact = artifact  # the one that was asked for, which may be a variant with a rule of its own
        self._served = {(version.name, str(version.number)): version for version in served}

    def __call__(self, predictor: Predictor) -> str | None:
        version = self._version_of(predictor.endpoint)  # type: ignore[attr-defined]  # running() judges clients
        golden = version.golden
        measured = noise_of(golden)
        rule = self._rule(version, measured)
        row = compare(
            "endpoint",
            golden.outputs,
            predictor,
            golden.inputs,
            noise=measured,
            batches=promised.batches(version),
            precision=rule.precision,
            tolerances=rule.tolerances,
        )
        return None if row.ok else row.why

    def _rule(self, version: Version, measured: Noise) -> degradation.Rule:
        if not self._artifact:
            return degradation.Rule()
        return degradation.stored_rule(version, version.artifact(self._artifact), version.golden.outputs, measured)

    def _version_of(self, endpoint: Endpoint) -> Version:
        if endpoint.version is not None:
            return self._served[endpoint.model, endpoint.version]
        return next(version for (name, _), version in self._served.items() if name == endpoint.model)
