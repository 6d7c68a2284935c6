"""`deploy check`: everything against everything."""

from deploy_toolkit.flows.check.flow import check
from deploy_toolkit.flows.check.request import Request

__all__ = ["Request", "check"]
