"""Models and their metadata, for both transports."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import unquote_to_bytes

from deploy_core.endpoint import Endpoint
from deploy_core.signature import TensorSpec
from deploy_dialects.answers import member
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.oip.datatypes import datatype_of, dtype_of
from deploy_dialects.shapes import symbolic, wire_dims
from deploy_dialects.wire import Plane, Refused, Served

EXTENSIONS = ("binary_tensor_data",)


def find(plane: Plane, name: str, version_: str | None) -> Served:
    """Find a version of a model; a version that is no number is a label. Raises Refused NOT_FOUND."""
    try:
        if version_ and not (version_.isascii() and version_.isdigit()):
            return plane.find(name, label=version_)
        return plane.find(name, version_ or None)
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
    at = f" version {shown(version_)}" if version_ else ""
    raise Refused("NOT_FOUND", f"Request for unknown model: {shown(name)}{at} is not found")


def unquoted(text: str) -> str:
    """Decode a segment of a path. Raises Refused for what is not UTF-8."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Refused("INVALID_ARGUMENT", f"{shown(text)} is not percent-encoded UTF-8") from None


def versions_of(plane: Plane, served: Served, *, pinned: bool) -> list[str]:
    """Give the versions of a model, newest last; only the one that was asked for if the request pinned it."""
    if pinned:
        return [str(served.version)]
    return [str(v) for v in sorted(s.version for s in plane.served() if s.name == served.name)]


def metadata_json(plane: Plane, served: Served, *, pinned: bool) -> dict[str, Any]:
    """Give the answer to GET /v2/models/M."""
    return {
        "name": served.name,
        "versions": versions_of(plane, served, pinned=pinned),
        "platform": served.platform,
        "inputs": [tensor_json(spec) for spec in served.signature.inputs],
        "outputs": [tensor_json(spec) for spec in served.signature.outputs],
    }


def server_json() -> dict[str, Any]:
    """Give the answer to GET /v2."""
    return {"name": "deploy-toolkit", "version": server_version(), "extensions": list(EXTENSIONS)}


@cache
def server_version() -> str:
    """Give the version of this distribution; empty in a source tree that is not installed."""
    try:
        return version("deploy-toolkit")
    except PackageNotFoundError:
        return ""


def tensor_json(spec: TensorSpec) -> dict[str, Any]:
    """Give name, datatype and shape of a tensor."""
    return {"name": spec.name, "datatype": _datatype(spec), "shape": wire_dims(spec.shape)}


def spec_of(data: Any) -> TensorSpec:
    """Read name, datatype and shape of a tensor. Raises Malformed."""
    name, shape = member(data, "name", str), member(data, "shape", list)
    if not all(type(dim) is int and dim >= -1 for dim in shape):
        raise Malformed(f"tensor {shown(name)} has shape {shown(shape)}")
    return TensorSpec(name, dtype_of(member(data, "datatype", str)), symbolic(name, shape))


def version_of(endpoint: Endpoint, versions: Any) -> str | None:
    """Give the version that answers, if the metadata leave no doubt: the only one listed, else the one asked for."""
    if isinstance(versions, list) and len(versions) == 1:
        return str(versions[0])
    return endpoint.version


def _datatype(spec: TensorSpec) -> str:
    try:
        return datatype_of(spec.name, spec.dtype)
    except Malformed as error:
        raise Refused("UNIMPLEMENTED", str(error)) from None
