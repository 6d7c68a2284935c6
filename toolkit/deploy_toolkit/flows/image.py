"""One version and its server → an image that needs nothing else, proved before it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy_core.device import Device
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers import launch as launching
from deploy_servers.image import USER, Baking, bake, build, draft
from deploy_servers.settings import find_engine, prepare
from deploy_toolkit.flows.judge import Judge
from deploy_toolkit.flows.serve import START_SECONDS, shown
from deploy_toolkit.output import OnEvent, silent


@dataclass(frozen=True)
class Request:
    """What to bake, with which server; `tag`, `engine` and `base` are empty for what is usual."""

    name: str
    server: str = "embedded"
    tag: str = ""
    engine: str = ""
    base: str = ""
    device: str = "cpu"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Baked:
    """The image, and where its proof was asked."""

    version: Version
    baking: Baking
    proved: bool


def plan(request: Request, *, store: Path) -> tuple[Version, Baking]:
    """Say what would be built; builds nothing. Raises UsageError, UnavailableError without an engine."""
    module = SERVERS.load(request.server)
    version = Store(store).resolve(request.name)
    http_port, grpc_port, *others = module.USUAL_PORTS
    settings = prepare(
        request.server,
        store,
        http_port=http_port,
        grpc_port=grpc_port,
        device=Device.parse(request.device),
        container=replace(find_engine(request.engine), user=USER),
        options=request.options,
    )
    settings = replace(settings, ports=tuple(others), baked=True)
    tag = request.tag or f"{version.name.lower()}-{request.server}:{version.number}"
    return version, bake(module.plan([version], settings), tag, base=request.base)


def image(request: Request, *, store: Path, prove: bool = True, on_event: OnEvent = silent) -> Baked:
    """Build the image, and have a container of it predict the golden outputs unless `prove` is False.

    Raises UnavailableError if it cannot be built, or if a container of it does not answer right: then nothing has its tag.
    """
    version, baking = plan(request, store=store)
    if not prove:
        build(baking, on_event)
        return Baked(version, baking, prove)
    judge = Judge((version,), request.options)
    with (
        draft(baking, on_event) as trial,
        launching.running(trial, accept=judge, timeout=START_SECONDS, on_event=on_event),
    ):
        pass
    return Baked(version, baking, prove)


def plan_json(version: Version, baking: Baking) -> dict[str, Any]:
    """Give the document that `deploy image --dry-run --json` prints."""
    launch = baking.launch
    return {
        "schema": "deploy/image-plan/1",
        "name": version.name,
        "version": version.number,
        "server": launch.server,
        "image": baking.tag,
        "dockerfile": baking.dockerfile,
        "files": {name: shown(data) for name, data in launch.files.items()},
        "links": {name: str(path) for name, path in launch.links.items()},
        "build": list(baking.build),
        "run": list(baking.run),
    }


def baked_json(baked: Baked) -> dict[str, Any]:
    """Give the document that `deploy image --json` prints."""
    return {
        "schema": "deploy/image/1",
        "name": baked.version.name,
        "version": baked.version.number,
        "server": baked.baking.launch.server,
        "image": baked.baking.tag,
        "proved": baked.proved,
        "run": list(baked.baking.run),
        "endpoints": [str(endpoint) for endpoint in baked.baking.launch.endpoints],
    }
