"""Looking into an ONNX file: a copy of it with every tensor as an output, run by ONNX Runtime with nothing fused."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from deploy_core.errors import UsageError, reason
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Tensors
from deploy_exporters import lean_import, onnx_weights
from deploy_exporters.inside.kept import Kept
from deploy_exporters.inside.onnx_graph import Nodes, used
from deploy_exporters.steps import onnx_file

_NO_ARRAYS = ("tensor(bfloat16)", "tensor(float8e4m3fn)", "tensor(float8e5m2)")  # numpy has nothing for these
_WIDE = "/as float32"
_AT_ONCE = 64  # tensors that one run gives, beside what it computes with


def intermediates(path: Path, inputs: Tensors, *, most_bytes: int | None = None) -> list[Intermediate]:
    """Give the tensors inside for inputs as ONNX Runtime takes them; a node with graphs inside is one operator.

    Raises UsageError if they take more than `most_bytes`, or if ONNX Runtime refuses the copy.
    """
    model = onnx_weights.load(path)
    nodes = Nodes(model)
    kept = Kept(most_bytes)
    weights = dict(nodes.weights)
    for values in _values(_session(model, nodes), nodes, inputs):
        for name, value in values.items():
            if name in nodes.constant:
                weights[name] = value
            else:
                kept.add(_intermediate(nodes, name, value, weights))
    return kept.told({name: name for name in nodes.outputs})


def _session(model: Any, nodes: Nodes) -> Any:
    asked = {value.name for value in model.graph.output}
    for name in nodes.maker:
        if name not in asked:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = _opened(model)
    strange = [value.name for value in session.get_outputs() if value.type in _NO_ARRAYS and value.name not in asked]
    if not strange:
        return session
    for name in strange:
        model.graph.node.append(onnx.helper.make_node("Cast", [name], [name + _WIDE], to=onnx.TensorProto.FLOAT))
    shown = [value.name + _WIDE if value.name in strange else value.name for value in model.graph.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in shown)
    return _opened(model)


def _opened(model: Any) -> Any:
    onnxruntime = lean_import.onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # From a file: a message of protobuf has 2 GiB at most.
    with tempfile.TemporaryDirectory(prefix="deploy-inside-") as folder:
        copy = Path(folder) / "model.onnx"
        onnx_file.save(model, copy)
        try:
            return onnxruntime.InferenceSession(str(copy), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UsageError(
                f"ONNX Runtime does not run the file with all its tensors as outputs: {reason(error)}",
                hint="look into another format of the same model",
            ) from error


def _values(session: Any, nodes: Nodes, inputs: Tensors) -> Iterator[dict[str, Array]]:
    outputs = {value.name.removesuffix(_WIDE): value.name for value in session.get_outputs()}
    # Constants first: they are the weights of the others. A sequence or an optional is no tensor.
    names = sorted(filter(outputs.__contains__, nodes.maker), key=lambda name: name not in nodes.constant)
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        found = zip(some, session.run([outputs[name] for name in some], dict(inputs)), strict=True)
        yield {name: value for name, value in found if isinstance(value, np.ndarray)}


def _intermediate(nodes: Nodes, name: str, value: Array, weights: Tensors) -> Intermediate:
    node = nodes.maker[name]
    return Intermediate(
        name,
        value,
        node.op_type,
        used(node),
        nodes.attributes(node),
        {each: weights[each] for each in used(node) if each in weights},
        nodes.layer(node),
    )
