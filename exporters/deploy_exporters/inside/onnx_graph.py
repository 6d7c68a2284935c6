"""The nodes of an ONNX file: what is constant among its tensors, the attributes of a node, its layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import numpy_helper

from deploy_core.signature import Array
from deploy_exporters.inside import layers

_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")


class Nodes:
    """The main graph of a model: its nodes in order, and which of its tensors no input can change."""

    def __init__(self, model: Any) -> None:
        self.nodes = tuple(model.graph.node)
        self.outputs = tuple(value.name for value in model.graph.output)
        self.versions = {each.domain: each.version for each in model.opset_import}
        self.weights: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        given = {value.name for value in model.graph.input} - set(self.weights)
        self.constant = _constant(self.nodes, given)
        self.maker = {name: node for node in self.nodes for name in node.output if name}

    def attributes(self, node: Any) -> dict[str, Any]:
        """Give the attributes of a node, those at their defaults, too; graphs are not among them."""
        return {**self._defaults(node), **{each.name: _value(each) for each in node.attribute if not _is_graph(each)}}

    def layer(self, node: Any) -> str:
        """Give the layer that a node is of, by what the exporter wrote, by its own name, or by its weights' names."""
        weights = [name for name in node.input if name in self.weights]
        return layers.of_node(node) or layers.of_weights(weights)

    def _defaults(self, node: Any) -> dict[str, Any]:
        try:
            schema = onnx.defs.get_schema(node.op_type, self.versions.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError:
            return {}  # of a domain that has no schemas here
        named = {name: attribute.default_value for name, attribute in schema.attributes.items()}
        return {name: _value(default) for name, default in named.items() if default.name}


def subgraph_inputs(node: Any) -> tuple[str, ...]:
    """Give the tensors of the main graph that the graphs inside of a node use, which are none of its inputs."""
    found: dict[str, None] = {}
    for graph in (each for attribute in node.attribute for each in (*attribute.graphs, attribute.g) if each.node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        for inner in graph.node:
            used = (*(name for name in inner.input if name), *subgraph_inputs(inner))
            found |= dict.fromkeys(name for name in used if name not in own)
            own.update(inner.output)
        found |= dict.fromkeys(value.name for value in graph.output if value.name not in own)
    return tuple(found)


def used(node: Any) -> tuple[str, ...]:
    """Give every tensor that a node needs, each once."""
    return tuple(dict.fromkeys((*(name for name in node.input if name), *subgraph_inputs(node))))


def _constant(nodes: tuple[Any, ...], given: set[str]) -> frozenset[str]:
    changing = set(given)
    for node in nodes:
        if node.op_type in _RANDOM or any(name in changing for name in used(node)):
            changing.update(node.output)
    return frozenset(name for node in nodes for name in (*used(node), *node.output) if name and name not in changing)


def _value(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == onnx.AttributeProto.TENSOR:
        return numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if attribute.type == onnx.AttributeProto.STRINGS:
        return tuple(each.decode(errors="replace") for each in value)
    return tuple(value) if isinstance(value, Mapping | list) or hasattr(value, "extend") else value


def _is_graph(attribute: Any) -> bool:
    return attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
