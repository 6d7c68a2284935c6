"""`deploy export`: files of a source, proved and stored."""

from deploy_toolkit.flows.export.flow import export
from deploy_toolkit.flows.export.request import Exported, Request, artifact_json

__all__ = ["Exported", "Request", "artifact_json", "export"]
