"""What REST and gRPC share: the texts that clients of TensorFlow Serving wait for, and the one signature of a model."""

from __future__ import annotations

from deploy_dialects.malformed import shown
from deploy_dialects.wire import Plane, Refused, Served

SIGNATURE = "serving_default"
METHOD = "tensorflow/serving/predict"


def find(plane: Plane, name: str, version: str | None, label: str | None) -> Served:
    """Find one version. Raises Refused NOT_FOUND, or INVALID_ARGUMENT for an unknown label of a known model."""
    try:
        return plane.find(name, version, label=label)
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
    if label is not None and any(served.name == name for served in plane.served()):
        raise Refused("INVALID_ARGUMENT", f"Unrecognized servable version label: {shown(label)}")
    # Clients tell a missing model from other errors by the word "Servable".
    which = f"Latest({_short(name)})" if version is None else f"Specific({_short(name)}, {_short(version)})"
    raise Refused("NOT_FOUND", f"Servable not found for request: {which}")


def versions(plane: Plane, name: str, version: str | None) -> list[Served]:
    """Give the versions of a model, or the one, newest first. Raises Refused NOT_FOUND."""
    of_name = [served for served in plane.served() if served.name == name]
    if not of_name:
        raise Refused("NOT_FOUND", f"Could not find any versions of model {_short(name)}")
    if version is None:
        return sorted(of_name, key=lambda served: -served.version)
    chosen = [served for served in of_name if served.version == int(version)]
    if not chosen:
        raise Refused("NOT_FOUND", f"Could not find version {version} of model {_short(name)}")
    return chosen


def version_text(text: str | None) -> str | None:
    """Give a version without leading zeros. Raises Refused for more than int64 holds."""
    if text is None:
        return None
    if len(text) > 40 or int(text) > 2**63 - 1:
        raise Refused("INVALID_ARGUMENT", f"Failed to convert version: {_short(text)} to numeric.")
    return str(int(text))


def _short(text: str) -> str:
    return text if len(text) <= 200 and text.isprintable() else shown(text)
