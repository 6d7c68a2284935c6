"""Running the operators of an ONNX graph one after the other, on arrays where everything is known and else on tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import onnx
import tensorflow as tf

from deploy_exporters.inside import layers
from deploy_exporters.translation.layout import channels_first, moved_to_last
from deploy_exporters.translation.model import arrays_of, attributes_of
from deploy_exporters.translation.table import LIVE, OPERATORS, POINTWISE
from deploy_exporters.translation.values import Node, Value, as_array

Operator = Callable[..., Value]
_UNNAMEABLE = r"[^A-Za-z0-9_.\-]"


@cache
def operator(name: str) -> Operator:
    """Find the function that translates an operator."""
    module, _, function = OPERATORS[name].partition(":")
    found: Operator = getattr(import_module(f"deploy_exporters.translation.{module}"), function)
    return found


def evaluate(graph: onnx.GraphProto, opset: int, values: Mapping[str, Value]) -> dict[str, Value]:
    """Give the outputs of a graph by name; `values` holds its inputs, and for a subgraph all it can see."""
    scope = {"": None, **values, **{name: a for name, a in arrays_of(graph).items() if name not in values}}
    uses = _last_uses(graph)
    for index, proto in enumerate(graph.node):
        node = _node(proto, opset, scope)
        results = apply(node, [scope[name] for name in _trimmed(proto.input)])
        scope.update(zip(proto.output, results, strict=False))
        for name in uses.get(index, ()):
            scope[name] = None
    return {output.name: scope[output.name] for output in graph.output}


def apply(node: Node, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """Run one operator; where every input is an array the results are arrays too."""
    run = operator(node.op)
    if node.op in LIVE or not all(value is None or isinstance(value, np.ndarray) for value in inputs):
        with tf.name_scope(_scope_name(node)):
            return _as_tuple(_in_best_layout(run, node, inputs))
    with tf.init_scope():  # out of the graph that is being traced: computed now, once
        return tuple(_array(value) for value in _as_tuple(run(node, *inputs)))


def _in_best_layout(run: Operator, node: Node, inputs: Sequence[Value]) -> Value:
    """Run a pointwise operator between convolutions on channels-last tensors, where the transposes cancel."""
    moved = moved_to_last(inputs) if node.op in POINTWISE and len(node.outputs) == 1 else None
    return run(node, *inputs) if moved is None else channels_first(run(node, *moved))


def _array(value: Value) -> Value:
    if isinstance(value, list):
        return [_array(part) for part in value]
    return as_array(value) if tf.is_tensor(value) else value


def _as_tuple(result: Value) -> tuple[Value, ...]:
    return result if isinstance(result, tuple) else (result,)


def _trimmed(names: Sequence[str]) -> list[str]:
    kept = list(names)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _node(proto: onnx.NodeProto, opset: int, scope: Mapping[str, Value]) -> Node:
    attributes = {
        name: Subgraph(value, opset, scope) if isinstance(value, onnx.GraphProto) else value
        for name, value in attributes_of(proto).items()
    }
    return Node(proto.op_type, opset, attributes, proto.name, tuple(proto.output), layers.of_node(proto))


class Subgraph:
    """A graph among the attributes of a node: called with its inputs, it gives its outputs; it sees the outer values."""

    def __init__(self, graph: onnx.GraphProto, opset: int, scope: Mapping[str, Value]) -> None:
        self._graph, self._opset, self._scope = graph, opset, scope

    def passes_on(self, output: int, given: int) -> bool:
        """Tell whether an output is just an input, whatever is computed."""
        makers = {name: node for node in self._graph.node for name in node.output}
        name = self._graph.output[output].name
        while name in makers and makers[name].op_type == "Identity":
            name = makers[name].input[0]
        return bool(name == self._graph.input[given].name)

    def __call__(self, *inputs: Value) -> list[Value]:
        """Run the graph on its own inputs."""
        named = zip((value.name for value in self._graph.input), inputs, strict=True)
        return list(evaluate(self._graph, self._opset, {**self._scope, **dict(named)}).values())


def _scope_name(node: Node) -> str:
    """Name TensorFlow's operators after the ONNX node and its layer, so that messages of later steps lead back to them."""
    name = re.sub(_UNNAMEABLE, "_", node.name or node.outputs[0] or node.op)
    layer = "".join(f"/{re.sub(_UNNAMEABLE, '_', part)}" for part in node.layer.split("/") if part)
    return (name if name[:1].isalnum() else f"n{name}") + layer


def _last_uses(graph: onnx.GraphProto) -> dict[int, list[str]]:
    """Find after which node an intermediate value is no longer needed, so that it can be let go."""
    if any(attribute.g.node for node in graph.node for attribute in node.attribute):
        return {}  # a subgraph sees every name of the outer graph
    last: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        last.update(dict.fromkeys(node.input, index))
    kept = {"", *(output.name for output in graph.output)}
    uses: dict[int, list[str]] = {}
    for name, index in last.items():
        if name not in kept:
            uses.setdefault(index, []).append(name)
    return uses


def model_outputs(model: onnx.ModelProto, opset: int, inputs: Mapping[str, Any]) -> dict[str, Value]:
    """Run a whole model on its inputs by name."""
    return evaluate(model.graph, opset, inputs)
