"""What the embedded server speaks: every dialect that the project has."""

from __future__ import annotations

from deploy_core import endpoint
from deploy_dialects.tables import DIALECTS
from deploy_servers.embedded.rest import RestTable
from deploy_servers.embedded.service import Tables


def load() -> Tables:
    """Import the handlers of all spoken dialects."""
    rest = [DIALECTS.load(f"{dialect}+rest") for dialect in endpoint.DIALECTS]
    rpc = [DIALECTS.load(f"{dialect}+grpc") for dialect in endpoint.DIALECTS]
    return Tables(
        [RestTable(module.HANDLERS, module.refuse) for module in rest],
        {method: handler for module in rpc for method, handler in module.HANDLERS.items()},
    )
