"""Versions in the folder layout that each server wants.

tfserving    <name>/<version>/saved_model.pb …
torchserve   <name>.mar
triton       <name>/<version>/model.onnx | model.pt | model.savedmodel/   (config.pbtxt is the server's affair)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_model_store.version import Version

_TRITON = {"onnx": "model.onnx", "torchscript": "model.pt", "savedmodel": "model.savedmodel"}


def places(versions: Iterable[Version], layout: str, *, artifact: str | None = None) -> dict[str, Path]:
    """Give relative place → stored file or folder; `artifact` is the name of the one to show, else the layout's own.

    Raises UsageError for an unknown layout or artifact, TamperedError for a damaged file.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}", hint=f"the layouts are {', '.join(LAYOUTS)}")
    default, place = LAYOUTS[layout]
    found: dict[str, Path] = {}
    for version in versions:
        chosen = version.artifact(artifact or default)
        version.require_intact(chosen)
        where = place(version, chosen.format)
        if where in found:
            raise UsageError(f"two versions of {version.name} want the place {where}", hint="show one of them")
        found[where] = chosen.path
    return found


def _tfserving(version: Version, format_name: str) -> str:
    if format_name != "savedmodel":
        raise UsageError(f"TF Serving serves savedmodel, not {format_name}", hint="show the savedmodel artifact")
    return f"{version.name}/{version.number}"


def _torchserve(version: Version, format_name: str) -> str:
    if format_name != "mar":
        raise UsageError(f"TorchServe serves mar, not {format_name}", hint="show the mar artifact")
    return f"{version.name}.mar"


def _triton(version: Version, format_name: str) -> str:
    if format_name not in _TRITON:
        raise UsageError(f"Triton does not serve {format_name}", hint=f"show one of {', '.join(_TRITON)}")
    return f"{version.name}/{version.number}/{_TRITON[format_name]}"


LAYOUTS: Mapping[str, tuple[str, Callable[[Version, str], str]]] = {
    "tfserving": ("savedmodel", _tfserving),
    "torchserve": ("mar", _torchserve),
    "triton": ("onnx", _triton),
}
