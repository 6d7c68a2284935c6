"""What there is on this machine, and which servers can run on it, in which ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from deploy_servers import SERVERS
from deploy_servers.container import ENGINES
from deploy_toolkit.probes import engines, gpu, machine, programs, python
from deploy_toolkit.probes.finding import Finding, Probe, look
from deploy_toolkit.probes.ways import Able, able, images, substitutes

SECONDS = 4.0  # for all probes together
USUAL = "embedded"


@dataclass(frozen=True)
class Diagnosis:
    """What the probes found, and what follows for the servers; `ok` if the server that was asked for can run."""

    findings: Mapping[str, Finding]
    servers: tuple[Able, ...]
    ok: bool


def probes(store: Path) -> dict[str, Probe]:
    """Give every probe by its name."""
    usual = sorted({port for row in SERVERS.values() for port in import_module(row.module).USUAL_PORTS})
    return {
        "python": python.interpreter,
        "extras": python.extras,
        "java": programs.java,
        **{name: partial(engines.engine, name, (*images(), *substitutes())) for name in ENGINES},
        "gpu": gpu.gpus,
        "driver": gpu.driver,
        "memory": machine.memory,
        "disk": partial(machine.disk, store),
        "shm": machine.shared_memory,
        "ports": partial(machine.ports, usual),
        "state": machine.state_folder,
        "store": partial(machine.store_folder, store),
        "runs": machine.leftovers,
    }


def doctor(store: Path, server: str | None = None, *, seconds: float = SECONDS) -> Diagnosis:
    """Look at everything at once; with `server` only at that one's ways. Raises UsageError for an unknown one."""
    asked = SERVERS if server is None else {server: SERVERS[server]}
    found = look(probes(store), seconds=seconds)
    judged = tuple(able(name, found) for name in asked)
    return Diagnosis(found, judged, next(one.ok for one in judged if one.server == (server or USUAL)))


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Give the document that `deploy doctor --json` prints."""
    return {
        "schema": "deploy/doctor/1",
        "ok": diagnosis.ok,
        "findings": [{"probe": name, **asdict(finding)} for name, finding in diagnosis.findings.items()],
        "servers": [
            {"server": one.server, "ok": one.ok, "formats": list(one.runs), "ways": list(map(_way_json, one.ways))}
            for one in diagnosis.servers
        ],
    }


def _way_json(way: Any) -> dict[str, Any]:
    return {
        "in": way.where,
        "device": way.device,
        "ok": way.ok,
        "options": list(way.options),
        "missing": [asdict(lack) for lack in way.lacks],
    }
