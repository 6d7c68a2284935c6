"""What converts to what and which servers can run here, told from the tables without importing what they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deploy_exporters.routes import Cell, matrix
from deploy_servers import SERVERS


@dataclass(frozen=True)
class ServerRow:
    """One server; `missing` names what is not installed."""

    server: str
    missing: tuple[str, ...]
    extra: str


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
            }
            for cell in cells
        ],
    }


def servers() -> tuple[ServerRow, ...]:
    """Give every server of the table."""
    return tuple(ServerRow(name, row.missing, row.extra) for name, row in SERVERS.items())


def servers_json(rows: Sequence[ServerRow]) -> dict[str, Any]:
    """Give the document that `deploy servers --json` prints."""
    return {"schema": "deploy/servers/1", "servers": [asdict(row) for row in rows]}
