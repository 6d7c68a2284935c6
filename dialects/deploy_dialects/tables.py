"""The registry of dialects: `DIALECT+TRANSPORT` → the module that speaks it."""

from __future__ import annotations

from deploy_core.table import Row, Table

_REST = ("orjson", "urllib3")
_GRPC = ("orjson", "google.protobuf", "grpc")

DIALECTS = Table(
    "dialect",
    {
        f"{dialect}+{transport}": Row(f"deploy_dialects.{dialect}.{transport}", needs, "client")
        for dialect in ("tfserving", "oip", "torchserve")
        for transport, needs in (("rest", _REST), ("grpc", _GRPC))
    },
)
