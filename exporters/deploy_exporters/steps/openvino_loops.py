"""ONNX loops as OpenVINO reads them: what a body takes from around it is passed to it, from round to round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx

_CONTROLS = 2  # a loop's first inputs: how many rounds, and whether to begin


def closed(model: Any) -> Any:
    """Give the model with loops that take nothing from around them. Raises KeyError for a value of unknown type."""
    told = onnx.shape_inference.infer_shapes(model)
    graph = told.graph
    types = {value.name: value.type for value in (*graph.value_info, *graph.input, *graph.output)}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for loop in (node for node in graph.node if node.op_type == "Loop"):
        (body,) = (each.g for each in loop.attribute if each.name == "body")
        for name in _taken(body):
            if name in weights:
                body.initializer.append(weights[name])
            else:
                _pass(loop, body, name, types[name])
    return told


def _taken(graph: Any) -> tuple[str, ...]:
    """The names that a graph uses and does not define."""
    own = {value.name for value in (*graph.input, *graph.initializer)} | {out for n in graph.node for out in n.output}
    used = [name for node in graph.node for name in (*node.input, *(n for g in _inside(node) for n in _taken(g)))]
    return tuple(dict.fromkeys(n for n in (*used, *(value.name for value in graph.output)) if n and n not in own))


def _pass(loop: Any, body: Any, name: str, kind: Any) -> None:
    before, after = f"{name}__before", f"{name}__after"
    states = len(loop.input) - _CONTROLS
    _rename(body, name, before)
    body.node.append(onnx.helper.make_node("Identity", [before], [after]))
    body.input.append(onnx.helper.make_value_info(before, kind))
    body.output.insert(
        1 + states, onnx.helper.make_value_info(after, kind)
    )  # behind the states, before what it collects
    loop.input.append(name)
    loop.output.insert(states, f"{name}__left")


def _rename(graph: Any, name: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if each == name else each for each in node.input]
        for inner in _inside(node):
            if name in _taken(inner):
                _rename(inner, name, new)
    for value in graph.output:
        value.name = new if value.name == name else value.name


def _inside(node: Any) -> Iterator[Any]:
    return (each.g for each in node.attribute if each.HasField("g"))
