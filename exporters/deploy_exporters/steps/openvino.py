"""The step from ONNX to OpenVINO."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from deploy_core.errors import ExportError
from deploy_exporters.formats.openvino import GRAPH
from deploy_exporters.lean_import import openvino
from deploy_exporters.steps.job import Job

_UNKNOWN = re.compile(r"(?:Conversion is failed for|No conversion rule found for operations): (.+)")
_AUTOMATIC = re.compile(r"[A-Z]\w*_\d+")


def openvino_from_onnx(job: Job) -> str:
    """Write the graph and its weights, in the precision that they have; the same model gives the same bytes."""
    library = openvino()
    model = _read(library, job.read)
    _number(model)
    job.writes.mkdir(exist_ok=True)
    library.save_model(model, str(job.writes / GRAPH), compress_to_fp16=False)
    return ""


def _read(library: Any, path: Path) -> Any:
    try:
        return library.Core().read_model(str(path))
    except RuntimeError as error:
        unknown = ", ".join(_UNKNOWN.findall(str(error)))
        if not unknown:
            raise
        raise ExportError(
            f"OpenVINO cannot read these operators as they stand in the ONNX file: {unknown}",
            hint="leave openvino out; the same model as onnx is proved by itself",
        ) from error


def _number(model: Any) -> None:
    """Name the nodes that have no name in the ONNX file anew: OpenVINO counts them by process, not by model."""
    nodes = model.get_ordered_ops()
    taken = {node.get_friendly_name() for node in nodes}
    for index, node in enumerate(nodes):
        name = f"{node.get_type_name()}__{index}"
        if _AUTOMATIC.fullmatch(node.get_friendly_name()) and name not in taken:
            node.set_friendly_name(name)
