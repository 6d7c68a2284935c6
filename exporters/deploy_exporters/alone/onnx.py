"""Some nodes of an ONNX file as a file of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx

from deploy_core.errors import UsageError
from deploy_core.signature import Tensors
from deploy_exporters import onnx_weights
from deploy_exporters.inside.onnx_graph import Nodes, used


def part(path: Path, tensors: Sequence[str], values: Tensors) -> bytes:
    """Give an ONNX model of the nodes that make `tensors`. Raises UsageError for a tensor that no node makes."""
    model = onnx_weights.load(path)
    nodes = Nodes(model)
    if unknown := [name for name in tensors if name not in nodes.maker]:
        raise UsageError(f"no node of {path.name} makes a tensor {unknown[0]!r}", hint="name its intermediates")
    chosen = list(_chosen(nodes, tensors))
    taken = {name for node in chosen for name in used(node)}
    made = {name for node in chosen for name in node.output}
    inputs = [name for name in dict.fromkeys(n for node in chosen for n in used(node)) if name not in made]
    graph = onnx.helper.make_graph(
        chosen,
        "part",
        [_given(name, values) for name in inputs if name not in nodes.constant],
        [onnx.ValueInfoProto(name=tensors[-1])],
        [each for each in model.graph.initializer if each.name in taken],
    )
    whole = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    whole.functions.extend(model.functions)
    written: bytes = onnx.shape_inference.infer_shapes(whole).SerializeToString()
    return written


def _chosen(nodes: Nodes, tensors: Sequence[str]) -> Iterator[Any]:
    """Give those nodes and the makers of the constants that they take, in the file's order."""
    wanted: set[int] = set()
    todo = list(tensors)
    asked = set(tensors)
    while todo:
        name = todo.pop()
        node = nodes.maker.get(name)
        if node is None or id(node) in wanted or not (name in asked or name in nodes.constant):
            continue
        wanted.add(id(node))
        todo += used(node)
    return (node for node in nodes.nodes if id(node) in wanted)


def _given(name: str, values: Tensors) -> Any:
    if name not in values:
        raise UsageError(f"there is no value for {name!r}, which the operator takes", hint="give all of its inputs")
    kind = onnx.helper.np_dtype_to_tensor_dtype(values[name].dtype)
    return onnx.helper.make_tensor_value_info(name, kind, values[name].shape)
