"""An ONNX file computed in float64 by the standard's own reference implementation: slow, and right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from deploy_core.errors import UsageError
from deploy_core.signature import Tensors
from deploy_exporters import onnx_weights

# The reference implementation is plain numpy: a large model would take minutes where seconds are expected.
MAX_BYTES = 4 << 20
_FLOAT, _DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE


def evaluator(path: Path) -> Any:
    """Give the reference implementation of the file with float32 made float64. Raises UsageError for a large file."""
    size = path.stat().st_size + sum((path.parent / name).stat().st_size for name in onnx_weights.locations(path))
    if size > MAX_BYTES:
        raise UsageError(f"{path.name} has {size:,} bytes, too many for the reference implementation")
    model = onnx_weights.load(path)
    _widen_graph(model.graph)
    for function in model.functions:
        _widen_nodes(function.node)
    return ReferenceEvaluator(model)


def predict(evaluated: Any, inputs: Tensors, names: list[str]) -> Tensors:
    """Answer with all arithmetic in float64. Raises UsageError for an operator that cannot."""
    wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in inputs.items()}
    try:
        return dict(zip(names, evaluated.run(names, wide), strict=True))
    except Exception as error:
        raise UsageError(f"the reference implementation cannot compute it in float64: {error}") from error


def _widen_graph(graph: Any) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _FLOAT:
            value.type.tensor_type.elem_type = _DOUBLE
    _widen_nodes(graph.node)


def _widen_nodes(nodes: Any) -> None:
    for node in nodes:
        for attribute in node.attribute:
            _widen_attribute(node, attribute)


def _widen_attribute(node: Any, attribute: Any) -> None:
    if attribute.type == onnx.AttributeProto.TENSOR:
        _widen_tensor(attribute.t)
    elif attribute.type == onnx.AttributeProto.GRAPH:
        _widen_graph(attribute.g)
    elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == _FLOAT:
        attribute.i = _DOUBLE


def _widen_tensor(tensor: Any) -> None:
    if tensor.data_type == _FLOAT:
        wide = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(onnx.numpy_helper.from_array(wide, tensor.name))
