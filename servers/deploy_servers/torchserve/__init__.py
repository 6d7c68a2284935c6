"""TorchServe, by the archives (`.mar`) of a version."""

from deploy_servers.torchserve.options import OPTIONS
from deploy_servers.torchserve.planning import FATAL, image, plan
from deploy_servers.torchserve.swapping import SWAPS_WITH, swap

SERVES = ("mar",)
SPEAKS = ("torchserve",)
PROGRAMS = ("java",)
PORTS = 3  # management and metrics over HTTP, management over gRPC

__all__ = ["FATAL", "OPTIONS", "PORTS", "PROGRAMS", "SERVES", "SPEAKS", "SWAPS_WITH", "image", "plan", "swap"]
