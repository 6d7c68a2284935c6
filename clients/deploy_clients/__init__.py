"""From an endpoint to a Predictor: a dialect over REST or gRPC."""

from deploy_clients.client import Client, connect

__all__ = ["Client", "connect"]
