"""What converts to what and which servers can run here, told from the tables without importing what they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from deploy_core.device import CPU
from deploy_core.endpoint import TRANSPORTS
from deploy_exporters.routes import Cell, matrix
from deploy_servers import SERVERS
from deploy_toolkit.probes.programs import java
from deploy_toolkit.probes.ways import as_process


@dataclass(frozen=True)
class ServerRow:
    """One server; `missing` says what it lacks to run as a process on a CPU, `hint` is the command that tells more.

    `options` are those of `deploy serve --set`, each with a line of help.
    """

    server: str
    formats: tuple[str, ...]
    dialects: tuple[str, ...]
    transports: tuple[str, ...]
    missing: tuple[str, ...]
    hint: str
    options: Mapping[str, str]


def formats() -> tuple[Cell, ...]:
    """Give every kind of source against every format."""
    return matrix()


def formats_json(cells: Sequence[Cell]) -> dict[str, Any]:
    """Give the document that `deploy formats --json` prints."""
    return {
        "schema": "deploy/formats/1",
        "formats": [
            {
                "from": cell.kind,
                "to": cell.format,
                "route": list(cell.route),
                "missing": list(cell.missing),
                "extras": list(cell.extras),
                "reason": cell.reason,
            }
            for cell in cells
        ],
    }


def servers(names: Sequence[str] = ()) -> tuple[ServerRow, ...]:
    """Give these servers, every one of the table without names. Raises UsageError for an unknown one."""
    return tuple(_server(name) for name in names or SERVERS)


def _server(name: str) -> ServerRow:
    row = SERVERS[name]
    module = import_module(row.module)  # a plan needs nothing of what it launches
    found = {"java": java()} if "java" in module.PROGRAMS else {}
    missing = tuple(lack.what for lack in as_process(name, CPU, found).lacks)  # as doctor judges it
    # No package brings the programs; doctor knows what does.
    hint = f"pip install 'deploy-toolkit[{row.extra}]'" if row.missing else f"deploy doctor --server {name}"
    return ServerRow(name, module.SERVES, module.SPEAKS, TRANSPORTS, missing, hint, module.OPTIONS)


def servers_json(rows: Sequence[ServerRow]) -> dict[str, Any]:
    """Give the document that `deploy servers --json` prints."""
    return {"schema": "deploy/servers/1", "servers": [asdict(row) for row in rows]}
