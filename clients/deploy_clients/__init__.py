"""From an endpoint to a Predictor: a dialect over REST or gRPC; and from a server's address to its management."""

from deploy_clients.asynchronous import AsyncClient, connect_async
from deploy_clients.client import Client, connect
from deploy_clients.managing import AsyncManagement, Management, management, management_async
from deploy_clients.tls import Tls

__all__ = [
    "AsyncClient",
    "AsyncManagement",
    "Client",
    "Management",
    "Tls",
    "connect",
    "connect_async",
    "management",
    "management_async",
]
