"""Finding GELU where a model spells it out by Erf, so that it can be one operator again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

_ROOT = 2.0**0.5


class _Graph:
    """A graph with who makes each value, how often it is used, and the constants that are single numbers."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.makers = {name: node for node in graph.node for name in node.output}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(value.name for value in graph.output)
        self.numbers = _numbers(graph)
        self.readers: dict[str, onnx.NodeProto] = {name: node for node in graph.node for name in node.input}

    def only_reader(self, name: str, *operators: str) -> onnx.NodeProto | None:
        """Give the one node that reads a value, if it is one of these operators."""
        reader = self.readers.get(name)
        return reader if reader is not None and self.uses[name] == 1 and reader.op_type in operators else None

    def is_number(self, name: str, number: float) -> bool:
        """Tell whether a value is this constant."""
        return name in self.numbers and abs(self.numbers[name] - number) < 1e-6

    def beside(self, node: onnx.NodeProto, name: str) -> str:
        """Give the other one of the two inputs of a node."""
        return str(node.input[1] if node.input[0] == name else node.input[0])

    def is_half_of(self, name: str, x: str) -> bool:
        """Tell whether a value is x / 2."""
        maker = self.makers.get(name)
        if maker is None or x not in maker.input or len(maker.input) != 2:
            return False
        other = self.beside(maker, x)
        return (maker.op_type == "Mul" and self.is_number(other, 0.5)) or (
            maker.op_type == "Div" and maker.input[0] == x and self.is_number(other, 2.0)
        )


def _numbers(graph: onnx.GraphProto) -> Mapping[str, float]:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {
        name: float(numpy_helper.to_array(tensor).reshape(()))
        for name, tensor in tensors.items()
        if np.prod(tensor.dims) == 1 and tensor.data_type == onnx.TensorProto.FLOAT
    }


def with_gelu(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put a Gelu node in the place of each x/2 · (1 + erf(x/√2)); the model that was given stays as it is."""
    if not any(node.op_type == "Erf" for node in model.graph.node):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = _Graph(changed.graph)
    for node in [node for node in changed.graph.node if node.op_type == "Erf"]:
        found = _gelu_of(graph, node)
        if found is not None:
            x, last = found
            last.op_type, last.input[:] = "Gelu", [x]
            del last.attribute[:]
    return changed


def _gelu_of(graph: _Graph, erf: onnx.NodeProto) -> tuple[str, onnx.NodeProto] | None:
    """Give x and the last node of the formula that an Erf is part of."""
    scaled = graph.makers.get(erf.input[0])
    x = None if scaled is None else _divided_by_root(graph, scaled)
    plus = graph.only_reader(erf.output[0], "Add")
    if x is None or plus is None or not graph.is_number(graph.beside(plus, erf.output[0]), 1.0):
        return None
    product = graph.only_reader(plus.output[0], "Mul")
    return None if product is None else _product(graph, x, plus.output[0], product)


def _product(graph: _Graph, x: str, one_plus: str, product: onnx.NodeProto) -> tuple[str, onnx.NodeProto] | None:
    """Match (x/2) · (1 + erf), (x · (1 + erf)) / 2 and x · ((1 + erf) / 2)."""
    other = graph.beside(product, one_plus)
    if graph.is_half_of(other, x):
        return x, product
    last = graph.only_reader(product.output[0], "Mul")
    if last is None:
        return None
    rest = graph.beside(last, product.output[0])
    halved = (other == x and graph.is_number(rest, 0.5)) or (rest == x and graph.is_number(other, 0.5))
    return (x, last) if halved else None


def _divided_by_root(graph: _Graph, node: onnx.NodeProto) -> str | None:
    if node.op_type == "Div" and graph.is_number(node.input[1], _ROOT):
        return str(node.input[0])
    if node.op_type == "Mul":
        for number, x in (node.input, reversed(node.input)):
            if graph.is_number(number, 1 / _ROOT):
                return str(x)
    return None
