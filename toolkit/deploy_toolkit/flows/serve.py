"""Versions → a server whose every endpoint has predicted the golden outputs."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_core.device import Device
from deploy_core.errors import DeployError, UsageError
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers import launch as launching
from deploy_servers.container import Container
from deploy_servers.ending import sweep
from deploy_servers.launch import Launch, Running
from deploy_servers.readiness import Accept
from deploy_servers.settings import Settings, find_engine, prepare
from deploy_toolkit.flows.judge import Judge
from deploy_toolkit.flows.store import models
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
    run: str = ""  # the id of the run, empty for a new one
    is_command: bool = False  # the process that serves does nothing else, and may be asked to end


@dataclass(frozen=True)
class Prepared:
    """What a request comes to: the versions, and what would be started for them."""

    request: Request
    versions: tuple[Version, ...]
    settings: Settings
    launch: Launch


def versions(names: tuple[str, ...], store: Path) -> tuple[Version, ...]:
    """Resolve NAME[@…], each version once; without names, the newest of every model. Raises UsageError."""
    shelf = Store(store)
    return tuple({str(version): version for version in map(shelf.resolve, names or models(shelf))}.values())


def plan(request: Request, *, store: Path) -> Launch:
    """Say what would be started; starts nothing."""
    return prepared(request, store=store).launch


def prepared(request: Request, *, store: Path) -> Prepared:
    """Find out what would be started for which versions; starts nothing."""
    module = SERVERS.load(request.server)  # a wrong name is told before the store is read
    served = versions(request.names, store)
    settings = _settings(request, module.PORTS, store)
    return Prepared(request, served, settings, module.plan(served, settings))


def serving(request: Request, *, store: Path, on_event: OnEvent = silent) -> AbstractContextManager[Running]:
    """Start the server, give it once every endpoint is right, stop it on leaving.

    Raises UnavailableError if it never gets there, TamperedError if a stored file is not what was published.
    """
    return started(prepared(request, store=store), on_event=on_event)


@contextmanager
def started(what: Prepared, *, on_event: OnEvent = silent, accept: Accept | None = None) -> Generator[Running]:
    """Start what was prepared, as `serving` does; `accept` judges it instead of its golden outputs alone."""
    sweep()
    judge = accept or Judge(what.versions, what.request.options)
    facts = {"is_command": what.request.is_command, "artifact": what.request.options.get("artifact", "")}
    with launching.running(what.launch, accept=judge, timeout=START_SECONDS, on_event=on_event, facts=facts) as running:
        yield running


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
        "links": {name: str(path) for name, path in launch.links.items()},
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
        "run": running.id,
        "pid": running.process.pid,
        "log": str(running.process.log),
        "endpoints": [str(endpoint) for endpoint in running.endpoints],
        "management": [str(endpoint) for endpoint in running.launch.management],
        "notes": list(running.launch.notes),
    }


def _settings(request: Request, ports: int, store: Path) -> Settings:
    return prepare(
        request.server,
        store,
        http_port=request.http_port or None,
        grpc_port=request.grpc_port or None,
        extra_ports=ports,
        host=request.host,
        device=Device.parse(request.device),
        container=_container(request),
        options=request.options,
        run=request.run,
    )


def _container(request: Request) -> Container | None:
    limits = {"image": request.image, "cpus": request.cpus, "memory": request.memory}
    if request.where == "container":
        return find_engine(request.engine, **limits)
    given = [name for name, value in {"engine": request.engine, **limits}.items() if value]
    if given:
        raise UsageError(f"--{given[0]} is for containers", hint="add --in container")
    return None
