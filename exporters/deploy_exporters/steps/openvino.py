"""The step from ONNX to OpenVINO."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from deploy_core.errors import ExportError, first_line
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
        unknown = _UNKNOWN.findall(str(error))
        if not unknown:
            raise
        if any(name.startswith("Loop") for name in unknown) and (model := _closed(path)) is not None:
            return _read_closed(library, model)
        raise _refusal(unknown) from error


def _closed(path: Path) -> Any:
    """Give the model with loops as OpenVINO reads them; None if it is too large to be rewritten in memory."""
    import onnx

    from deploy_exporters.steps import onnx_file, openvino_loops

    size = sum(
        file.stat().st_size for file in (path, path.with_name(path.name + onnx_file.DATA_SUFFIX)) if file.exists()
    )
    return None if onnx_file.is_large(size) else openvino_loops.closed(onnx.load(str(path)))


def _read_closed(library: Any, model: Any) -> Any:
    try:
        return library.Core().read_model(model.SerializeToString())
    except RuntimeError as error:
        unknown = _UNKNOWN.findall(str(error))
        raise _refusal(unknown or [first_line(error)]) from error


def _refusal(unknown: list[str]) -> ExportError:
    return ExportError(
        f"OpenVINO cannot read these operators as they stand in the ONNX file: {', '.join(unknown)}",
        hint="leave openvino out; the same model as onnx is proved by itself",
    )


def _number(model: Any) -> None:
    """Name the nodes that have no name in the ONNX file anew: OpenVINO counts them by process, not by model."""
    nodes = model.get_ordered_ops()
    taken = {node.get_friendly_name() for node in nodes}
    for index, node in enumerate(nodes):
        name = f"{node.get_type_name()}__{index}"
        if _AUTOMATIC.fullmatch(node.get_friendly_name()) and name not in taken:
            node.set_friendly_name(name)
