"""Reading an ONNX model: its operators, opset, initialisers, attributes and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from deploy_core.errors import ExportError
from deploy_core.signature import Array
from deploy_exporters import onnx_weights
from deploy_exporters.translation.bodies import STANDARD, inlined, is_known, nodes_of
from deploy_exporters.translation.gelu import with_gelu


def load(path: Path) -> onnx.ModelProto:
    """Read a model with its external data, local functions put in place of their calls. Raises ExportError."""
    try:
        return with_gelu(inlined(onnx_weights.load(path)))
    except (OSError, ValueError) as error:
        raise ExportError(f"{path.name} cannot be read as ONNX: {error}", hint="export the model again") from error
    except Exception as error:
        # protobuf's DecodeError is a plain Exception in another package
        if type(error).__name__ != "DecodeError":
            raise
        raise ExportError(f"{path.name} is no ONNX file: {error}", hint="export the model again") from error


def opset_of(model: onnx.ModelProto) -> int:
    """Give the version of the standard operator set that the model is written in."""
    return next((int(o.version) for o in model.opset_import if o.domain in STANDARD), 1)


def unknown_operators(model: onnx.ModelProto) -> tuple[str, ...]:
    """Name every operator without a translation, sorted; one of another domain as `domain::name`."""
    return tuple(sorted({_full_name(node) for node in nodes_of(inlined(model).graph) if not is_known(node)}))


def first_unknown(model: onnx.ModelProto) -> str:
    """Say which node comes first of those without a translation; its operator, if it has no name."""
    node = next(node for node in nodes_of(inlined(model).graph) if not is_known(node))
    return node.name or _full_name(node)


def _full_name(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in STANDARD else f"{node.domain}::{node.op_type}"


def arrays_of(graph: onnx.GraphProto) -> dict[str, Array]:
    """Give the initialisers of a graph by name."""
    if graph.sparse_initializer:
        raise ExportError("sparse initialisers cannot be translated to TensorFlow", hint="store the weights densely")
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def attributes_of(node: onnx.NodeProto) -> Mapping[str, Any]:
    """Give the attributes of a node as Python values; a tensor as an array, text as str."""
    return {attribute.name: _plain(onnx.helper.get_attribute_value(attribute)) for attribute in node.attribute}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple) or type(value).__name__.startswith("Repeated"):
        return [_plain(item) for item in value]
    return value


def dtype_of_tensor_type(number: int) -> np.dtype[Any]:
    """Give numpy's dtype for ONNX's number of an element type."""
    if number not in onnx.helper.get_all_tensor_dtypes():
        raise ExportError(f"{number!r} is no element type of ONNX", hint="export the model again")
    dtype: np.dtype[Any] = onnx.helper.tensor_dtype_to_np_dtype(number)
    return dtype
