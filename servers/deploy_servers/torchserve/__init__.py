"""TorchServe, by the archives (`.mar`) of a version."""

from deploy_servers.torchserve.options import OPTIONS
from deploy_servers.torchserve.planning import image, plan
from deploy_servers.torchserve.swapping import swap

SERVES = ("mar",)
SPEAKS = ("torchserve",)
PROGRAMS = ("java",)
PORTS = 3  # management and metrics over HTTP, management over gRPC
USUAL_PORTS = (8080, 7070, 8081, 8082, 7071)

__all__ = ["OPTIONS", "PORTS", "PROGRAMS", "SERVES", "SPEAKS", "USUAL_PORTS", "image", "plan", "swap"]
