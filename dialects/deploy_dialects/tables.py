"""The registry of dialects: `DIALECT+TRANSPORT` → the module that speaks it, `DIALECT` → how such a server is managed.

Who moves the bytes has needs of its own.
"""

from __future__ import annotations

from deploy_core.endpoint import DIALECTS as NAMES
from deploy_core.table import Row, Table

_NEEDS = {"rest": ("orjson",), "grpc": ("orjson", "google.protobuf")}

DIALECTS = Table(
    "dialect",
    {
        f"{dialect}+{transport}": Row(f"deploy_dialects.{dialect}.{transport}", needs, "client")
        for dialect in NAMES
        for transport, needs in _NEEDS.items()
    },
)

MANAGEMENT = Table(
    "management",
    {dialect: Row(f"deploy_dialects.{dialect}.management", _NEEDS["grpc"], "client") for dialect in NAMES},
)
